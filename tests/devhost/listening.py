"""Build a queue listener without a clock, a worker or storage."""

import asyncio
from datetime import timedelta

from devhost.host_json import QueueSettings
from devhost.queue_rules import QueueMessage
from devhost.queues import Notices, QueueListener
from devhost.worker import Function
from tests.devhost.doubles import MemoryQueue, function

PLAIN = QueueSettings(max_polling_interval=timedelta(seconds=2), is_base64=False)


class Runs:
    """A function double: records each run, fails for a text in `failing`, and waits while `gate` is not set."""

    def __init__(self, *failing: str) -> None:
        self.bodies: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = asyncio.Event()
        self._failing = failing

    async def __call__(self, _: Function, body: bytes, message: QueueMessage) -> bool:
        self.bodies.append(body.decode())
        self.begun.set()
        await self.gate.wait()
        return body.decode() not in self._failing


class Waits:
    """A clock double: records each delay, and stops the listener after `limit` delays."""

    def __init__(self, limit: int = 1) -> None:
        self.delays: list[float] = []
        self.listener: QueueListener | None = None
        self._limit = limit

    async def __call__(self, event: asyncio.Event, seconds: float) -> None:
        self.delays.append(seconds)
        if len(self.delays) == self._limit and self.listener is not None:
            self.listener.stop()


def listening(
    queue: MemoryQueue,
    runs: Runs,
    *,
    waits: Waits | None = None,
    poison: MemoryQueue | None = None,
    settings: QueueSettings = PLAIN,
    notices: Notices | None = None,
    renewal_seconds: float = 300.0,
    runs_over_dequeued_poison: bool = False,
) -> QueueListener:
    waits = waits or Waits()
    listener = QueueListener(
        function=function(),
        queue=queue,
        poison=poison,
        settings=settings,
        invoke=runs,
        notices=notices or Notices(),
        jitter=lambda: 1.0,
        wait=waits,
        renewal_seconds=renewal_seconds,
        runs_over_dequeued_poison=runs_over_dequeued_poison,
    )
    waits.listener = listener
    return listener
