"""Doubles for the local host's tests: queues and blobs in memory, and functions without an app."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from devhost.queue_rules import QueueMessage
from devhost.storage import StorageUnavailableError
from devhost.values import Datum
from devhost.worker import Function, Invocation

type Step = tuple[object, ...]


class KilledError(Exception):
    """Simulates a crash of the process at this line."""


def function(name: str = "consume", kind: str = "queueTrigger", **more: Any) -> Function:
    """Return a function as the worker indexes it; `trigger` has further fields of its binding."""
    trigger = {"type": kind, "name": "arg", "direction": "IN", **more.pop("trigger", {})}
    return Function(name=name, function_id=f"id-of-{name}", kind=kind, parameter="arg", trigger=trigger, **more)


def message(text: str = "body", *, dequeue_count: int = 1, number: int = 1) -> QueueMessage:
    """Return a message as received for the `dequeue_count`th time."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return QueueMessage(
        id=f"m{number}",
        pop_receipt=f"receipt-{number}",
        text=text,
        dequeue_count=dequeue_count,
        inserted_at=at,
        expires_at=at,
        next_visible_at=at,
    )


class MemoryQueue:
    """A queue that records each call. `batches` are the results of the next polls; then it is empty.

    A call whose name is in `faults` raises that instead. The pop receipt changes with each `extend`.
    """

    def __init__(
        self,
        name: str = "orders",
        *batches: list[QueueMessage],
        is_there: bool = True,
        faults: Mapping[str, Exception] | None = None,
    ) -> None:
        self.name = name
        self.steps: list[Step] = []
        self.faults = dict(faults or {})
        self.extended = asyncio.Event()
        self._batches = list(batches)
        self._is_there = is_there

    async def exists(self) -> bool:
        self._note("exists")
        return self._is_there

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
        self._note("receive", count, lease_seconds)
        return self._batches.pop(0) if self._batches else []

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        self._note("delete", message_id, pop_receipt)

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        self.extended.set()
        self._note("extend", message_id, pop_receipt, seconds)
        return f"{pop_receipt}+"

    async def put(self, text: str) -> None:
        self._note("put", text)

    def settled(self) -> list[Step]:
        """Return the recorded calls except those of polling."""
        return [step for step in self.steps if step[0] not in {"exists", "receive"}]

    def _note(self, call: str, *arguments: object) -> None:
        self.steps.append((call, *arguments))
        if (fault := self.faults.get(call)) is not None:
            raise fault


class MemoryBlobs:
    """Texts by name; unavailable if `is_away`."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.texts: dict[str, str] = {}
        self.is_away = is_away
        self.reads = 0

    async def read(self, name: str) -> str | None:
        self.reads += 1
        if self.is_away:
            raise StorageUnavailableError("away")
        return self.texts.get(name)

    async def write(self, name: str, text: str) -> None:
        if self.is_away:
            raise StorageUnavailableError("away")
        self.texts[name] = text


class Workers:
    """A worker double: returns `invocation` each time and records the arguments."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.seen: list[tuple[Datum, Mapping[str, Datum]]] = []

    async def invoke(
        self, function: Function, value: Datum, trigger_metadata: Mapping[str, Datum], trace_parent: str = ""
    ) -> Invocation:
        self.seen.append((value, trigger_metadata))
        return self.invocation


def gave(*outputs: tuple[str, Datum], succeeded: bool = True) -> Workers:
    return Workers(Invocation(succeeded=succeeded, outputs=outputs))
