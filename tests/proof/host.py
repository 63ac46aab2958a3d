"""The Functions host, as far as a message can notice it: leases of ten minutes, dequeue counts, the release of what
failed, poison after five failures, a time-out of nine minutes, timers of which one runs at a time, and a restart after death.

devhost/ is the local host in full; this one is small enough to be run some thousand times in virtual time.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from relay.errors import StorageError
from relay.storage.ports import Received
from tests.proof.faults import Process, ProcessDiedError, invocation
from tests.proof.world import MAIN_QUEUE, POISON_QUEUE, ProofRelay, World

LEASE_SECONDS = 600
RELEASE_SECONDS = 30.0
MAX_DEQUEUE = 5
FUNCTION_SECONDS = 540.0
RESTART_SECONDS = 2.0
POLL_SECONDS = 5.0
BATCH = 16
_HALF_A_MINUTE = timedelta(seconds=30)

type Ended = Callable[[int], Awaitable[None]]
"""Told when an invocation has returned without an error, by its number."""


class Host:
    """Runs the functions of one process after another until it is told to stop."""

    def __init__(self, world: World, ended: Ended) -> None:
        self.raised: list[str] = []
        self._world = world
        self._ended = ended
        self._running: set[asyncio.Task[None]] = set()
        self._invocations = itertools.count(1)
        self._next_tick = _next_half_minute(world.clock())
        self._timer: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no function runs."""
        return not self._running and (self._timer is None or self._timer.done())

    async def run(self, is_over: Callable[[], Awaitable[bool]]) -> None:
        """Serve until it is over: asked whenever nothing runs."""
        while not (self.is_idle and await is_over()):
            process = self._world.process
            if process is None or process.is_dead:
                await self._restart()
                continue
            self._tick(process)
            for queue in (MAIN_QUEUE, POISON_QUEUE):
                await self._poll(process, queue)
            await self._wait(process)

    async def _restart(self) -> None:
        for task in (*self._running, *([self._timer] if self._timer else [])):
            task.cancel()
        self._running.clear()
        self._timer = None
        await asyncio.sleep(RESTART_SECONDS)
        await self._world.start_process()

    def _tick(self, process: Process) -> None:
        if self._world.clock() < self._next_tick or not (self._timer is None or self._timer.done()):
            return
        self._next_tick = _next_half_minute(self._world.clock())
        self._timer = asyncio.create_task(self._run_timer(process))

    async def _run_timer(self, process: Process) -> None:
        relay = self._relay()
        await self._call(process, relay.recovery.run)

    async def _poll(self, process: Process, queue: str) -> None:
        visible_at = self._world.queues.next_visible_at(queue)
        if visible_at is None or visible_at > self._world.clock() or process.is_dead:
            return
        relay = self._relay()
        try:
            received = await relay.storage.queues.receive(queue, most=BATCH, lease_seconds=LEASE_SECONDS)
        except StorageError:
            return
        except ProcessDiedError:
            return
        for entry in received:
            task = asyncio.create_task(self._handle(process, relay, queue, entry))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _handle(self, process: Process, relay: ProofRelay, queue: str, entry: Received) -> None:
        try:
            if entry.dequeue_count > MAX_DEQUEUE:
                await self._to_poison(relay, queue, entry)
                return
            succeeded = await self._call(process, lambda: _function(relay, queue, entry))
            if succeeded:
                await relay.storage.queues.delete(queue, entry)
            elif queue != MAIN_QUEUE:
                return
            elif entry.dequeue_count < MAX_DEQUEUE:
                process.raise_if_dead()
                self._world.queues.release(queue, entry, self._world.clock(), RELEASE_SECONDS)
            else:
                await self._to_poison(relay, queue, entry)
        except (StorageError, ProcessDiedError):
            # The lease will end.
            return

    async def _to_poison(self, relay: ProofRelay, queue: str, entry: Received) -> None:
        if queue == MAIN_QUEUE:
            await relay.storage.queues.put(POISON_QUEUE, entry.body)
            await relay.storage.queues.delete(queue, entry)

    async def _call(self, process: Process, function: Callable[[], Awaitable[None]]) -> bool:
        number = next(self._invocations)
        invocation.set(number)
        try:
            async with asyncio.timeout(FUNCTION_SECONDS):
                await process.run(function())
        except TimeoutError:
            process.die()
            raise ProcessDiedError from None
        except Exception as error:
            # The host's own rule: whatever a function raises is one failure.
            self.raised.append(f"{type(error).__name__}: {error}")
            return False
        await self._ended(number)
        return True

    async def _wait(self, process: Process) -> None:
        """Until something ends, something is visible, a timer is due, or the time of a poll is over."""
        now = self._world.clock()
        moments = [self._next_tick, *filter(None, map(self._world.queues.next_visible_at, (MAIN_QUEUE, POISON_QUEUE)))]
        seconds = min((moment - now).total_seconds() for moment in moments)
        seconds = min(max(seconds, 0.01), POLL_SECONDS)
        waits = {*self._running, *([self._timer] if self._timer and not self._timer.done() else [])}
        if not waits:
            await asyncio.sleep(seconds)
            return
        death = asyncio.ensure_future(process.died.wait())
        await asyncio.wait({*waits, death}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()

    def _relay(self) -> ProofRelay:
        assert self._world.relay is not None
        return self._world.relay


async def _function(relay: ProofRelay, queue: str, entry: Received) -> None:
    """What the triggers of function_app.py do."""
    if queue == MAIN_QUEUE:
        await relay.delivery.deliver(queue, entry.body, is_redelivery=entry.dequeue_count > 1)
    else:
        await relay.poison.bury(queue, entry.body)


def _next_half_minute(now: datetime) -> datetime:
    minute = now.replace(second=0, microsecond=0)
    return min(at for at in (minute + _HALF_A_MINUTE, minute + 3 * _HALF_A_MINUTE) if at > now)
