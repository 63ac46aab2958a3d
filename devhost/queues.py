"""Listen to a queue trigger: poll one queue for one function and settle each message.

Every instance polls; the ten-minute lease hides a message from the others. See queue_rules.py for the sources.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from devhost.host_json import QueueSettings
from devhost.leases import LEASE_SECONDS, RENEWAL_SECONDS, Lease, Renewal
from devhost.logs import current_function
from devhost.queue_rules import (
    Backoff,
    Completion,
    QueueMessage,
    completion,
    decode_body,
    may_invoke,
    poison_queue_name,
)
from devhost.storage import MessageGoneError, Queue, StorageUnavailableError
from devhost.worker import Function

log = logging.getLogger("devhost.queues")

type Invoke = Callable[[Function, bytes, QueueMessage], Awaitable[bool]]


class Notices:
    """Wakes the listener of a queue when this host writes to that queue (output binding, poison copy)."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def event(self, queue: str) -> asyncio.Event:
        """Return the event that ends that queue's wait."""
        return self._events.setdefault(queue, asyncio.Event())

    def notify(self, queue: str) -> None:
        """End the wait of that queue's listener, if it has one."""
        if queue in self._events:
            self._events[queue].set()


class QueueListener:
    """Polls until stopped. `jitter` as in Backoff; `wait` sleeps until the event is set, at most the given seconds."""

    def __init__(
        self,
        *,
        function: Function,
        queue: Queue,
        poison: Queue | None,
        settings: QueueSettings,
        invoke: Invoke,
        notices: Notices,
        jitter: Callable[[], float],
        wait: Callable[[asyncio.Event, float], Awaitable[None]] | None = None,
        runs_over_dequeued_poison: bool = False,
        lease_seconds: int = LEASE_SECONDS,
        renewal_seconds: float = RENEWAL_SECONDS,
    ) -> None:
        self._function = function
        self._queue = queue
        self._poison = poison
        self._settings = settings
        self._invoke = invoke
        self._notices = notices
        self._wake = notices.event(queue.name)
        self._backoff = Backoff(settings.max_polling_interval.total_seconds(), jitter)
        self._wait = wait or wait_for_event
        self._always = runs_over_dequeued_poison and poison_queue_name(queue.name) is None
        self._lease_seconds = lease_seconds
        self._renewal_seconds = renewal_seconds
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._is_stopping = False
        self._is_known_to_exist = False
        self._found_since_delay = False

    async def run(self) -> None:
        """Poll until `stop`, then wait for the running invocations.

        Raises any error other than a passing one or a lost lease; it stops the host.
        """
        current_function.set(self._function.name)
        while not self._is_stopping:
            # Cleared before the poll: a notice that arrives during an empty poll must still end the delay.
            self._wake.clear()
            if await self.poll():
                await self._wait_for_room()
            elif not self._is_stopping:
                delay = self._backoff.next_delay(found_messages=self._found_since_delay)
                self._found_since_delay = False
                await self._wait(self._wake, delay)
        while self._running:
            await asyncio.wait(self._running)

    def stop(self) -> None:
        """Stop polling. Running invocations continue."""
        self._is_stopping = True
        self._notices.notify(self._queue.name)
        self._room.set()

    async def poll(self) -> bool:
        """Poll once and start a task for each message. Return whether there were any."""
        try:
            if not self._is_known_to_exist:
                self._is_known_to_exist = await self._queue.exists()
            if not self._is_known_to_exist:
                return False
            messages = await self._queue.receive(self._settings.batch_size, self._lease_seconds)
        except (StorageUnavailableError, MessageGoneError) as error:
            self._is_known_to_exist = False
            log.warning("Polling failed, retrying later: %s", error)
            return False
        for message in messages:
            task = asyncio.create_task(self._handle(message))
            self._running.add(task)
            task.add_done_callback(self._ended)
        self._found_since_delay = self._found_since_delay or bool(messages)
        return bool(messages)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if len(self._running) <= self._settings.new_batch_threshold:
            self._room.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A message could not be settled; it is redelivered when its lease ends", exc_info=error)

    async def _wait_for_room(self) -> None:
        while len(self._running) > self._settings.new_batch_threshold and not self._is_stopping:
            self._room.clear()
            await self._room.wait()

    async def _handle(self, message: QueueMessage) -> None:
        body = decode_body(message.text, is_base64=self._settings.is_base64)
        lease = Lease(self._queue, message, self._lease_seconds)
        max_dequeue_count = self._settings.max_dequeue_count
        if body is None or not may_invoke(message.dequeue_count, max_dequeue_count, always=self._always):
            await self._to_poison(message.text, lease)
            return
        renewal = Renewal(lease, self._renewal_seconds)
        try:
            succeeded = await self._invoke(self._function, body, message)
        finally:
            await renewal.end()
        decided = completion(
            succeeded=succeeded,
            dequeue_count=message.dequeue_count,
            max_dequeue_count=max_dequeue_count,
            has_poison=self._poison is not None,
        )
        await self._settle(decided, message.text, lease)

    async def _settle(self, decided: Completion, text: str, lease: Lease) -> None:
        match decided:
            case Completion.DELETE:
                await lease.delete()
            case Completion.RELEASE:
                await lease.release(int(self._settings.visibility_timeout.total_seconds()))
            case Completion.POISON:
                await self._to_poison(text, lease)
            case Completion.LEAVE:
                log.debug("No poison queue; the message stays leased")

    async def _to_poison(self, text: str, lease: Lease) -> None:
        """Copy the text as stored on the queue, without dequeue count or expiry, then delete the message."""
        if self._poison is None:
            return
        log.warning(
            "Message has reached MaxDequeueCount of %d. Moving message to queue '%s'.",
            self._settings.max_dequeue_count,
            self._poison.name,
        )
        # Two calls: a crash between them leaves the message in both queues, as in the genuine host.
        await self._poison.put(text)
        self._notices.notify(self._poison.name)
        await lease.delete()


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set or the time is over."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
