"""Run a function, then write its `queue` output bindings, as the genuine host does after the function has returned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from devhost.queue_rules import QueueMessage, encode_body, output_bodies, trigger_input, trigger_metadata
from devhost.queues import Notices
from devhost.storage import Queue
from devhost.values import Datum
from devhost.worker import Function, Invocation

log = logging.getLogger("devhost.outputs")

type QueueFor = Callable[[Mapping[str, object]], Queue]


class Runs(Protocol):
    """Runs functions; implemented by devhost.worker.Worker."""

    async def invoke(
        self, function: Function, value: Datum, trigger_metadata: Mapping[str, Datum], trace_parent: str = ""
    ) -> Invocation:
        """Run the function once. Does not raise the function's own errors."""


class Invoker:
    """Invokes functions and writes their outputs. `queue_for` returns the queue of a binding."""

    def __init__(self, worker: Runs, *, is_base64: bool, queue_for: QueueFor, notices: Notices) -> None:
        self._worker = worker
        self._is_base64 = is_base64
        self._queue_for = queue_for
        self._notices = notices
        self._queues: dict[tuple[str, str], Queue] = {}

    async def invoke(
        self,
        function: Function,
        value: Datum,
        metadata: Mapping[str, Datum],
        trace_parent: str = "",
    ) -> Invocation:
        """Return the invocation. It also counts as failed if an output cannot be written."""
        invocation = await self._worker.invoke(function, value, metadata, trace_parent)
        if not invocation.succeeded or not function.queue_outputs:
            return invocation
        try:
            for name, output in invocation.outputs:
                if (binding := function.queue_outputs.get(name)) is not None:
                    await self._write(self._queue(function, name, binding), output)
        except Exception:
            log.exception("Writing an output failed")
            return Invocation(succeeded=False)
        return invocation

    async def invoke_with_message(self, function: Function, body: bytes, message: QueueMessage) -> bool:
        """Run a queue function on a message. Return whether it succeeded."""
        value = trigger_input(body, is_binary=str(function.trigger.get("dataType", "")).lower() == "binary")
        if value is None:
            log.error("%s: the message is not UTF-8 text", function.name)
            return False
        metadata = trigger_metadata(message, body, datetime.now(UTC))
        return (await self.invoke(function, value, metadata)).succeeded

    def _queue(self, function: Function, name: str, binding: Mapping[str, object]) -> Queue:
        if (queue := self._queues.get((function.name, name))) is None:
            queue = self._queues[function.name, name] = self._queue_for(binding)
        return queue

    async def _write(self, queue: Queue, output: Datum) -> None:
        for body in output_bodies(output):
            await queue.put(encode_body(body, is_base64=self._is_base64))
        self._notices.notify(queue.name)
