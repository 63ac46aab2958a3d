"""The Functions host, as far as a message can notice it: leases of ten minutes, dequeue counts, the release of what
failed, poison after five failures, a timeout of nine minutes, timers of which one runs at a time, and a restart after death.

devhost/ is the local host in full; this one is small enough for thousands of runs in virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from relay.core.errors import StorageError, Unavailable
from relay.platform.resources import EVENTS_QUEUE
from relay.platform.storage.ports import Received
from tests import depth
from tests.crash_points.faults import Operation, Process, ProcessDiedError, invocation
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE, Instance, ProofRelay, World

LEASE_SECONDS = 600
RELEASE_SECONDS = 30.0
MAX_DEQUEUE = 5
FUNCTION_SECONDS = 540.0
RESTART_SECONDS = 2.0
POLL_SECONDS = 5.0
BATCH = 16
_HALF_A_MINUTE = timedelta(seconds=30)
_NIGHT = range(2, 8)

type Ended = Callable[[int], Awaitable[None]]
"""Called with the number of each invocation that returned without an error."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A function that runs at times of its own. `following` returns the first of them after a moment.

    `idle_skips`: how many runs are left out after one that changed nothing, until something changes. They would do the
    same again unless time alone makes work due, which the next run does.
    """

    run: Callable[[ProofRelay], Awaitable[object]]
    following: Callable[[datetime], datetime]
    idle_skips: int = 0


class Timer:
    """The state of a trigger: when it runs next, the lease by which one instance runs it, and how many runs succeeded."""

    def __init__(self, trigger: Trigger, now: datetime) -> None:
        self._trigger = trigger
        self._running: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._idle_since: int | None = None
        self._skips = 0
        self.next_tick = trigger.following(now)
        self.succeeded = 0

    @property
    def is_idle(self) -> bool:
        """Whether the function is not running. A process that stands still has lost the lease."""
        return self._running is None or self._running.done() or (self._process is not None and self._process.is_stalled)

    def tick(
        self, world: World, process: Process, call: Callable[[Trigger], Awaitable[bool]]
    ) -> asyncio.Task[None] | None:
        """Run the function if it is due and not running on any instance."""
        now = world.clock()
        if now < self.next_tick or not self.is_idle:
            return None
        self.next_tick = self._trigger.following(now)
        if self._idle_since == world.changes and self._skips < self._trigger.idle_skips:
            self._skips += 1
            return None

        async def run() -> None:
            changes = world.changes
            succeeded = await call(self._trigger)
            # Another run may have ended since this one began.
            self.succeeded += succeeded
            self._idle_since, self._skips = changes if succeeded else None, 0

        self._process = process
        self._running = asyncio.ensure_future(run())
        return self._running


class Schedule:
    """State shared by the instances of an app: its timers and the numbers of invocations."""

    def __init__(self, clock: Callable[[], datetime], triggers: "Sequence[Trigger] | None" = None) -> None:
        self._invocations = 0
        self.timers = [Timer(trigger, clock()) for trigger in triggers or RECOVERY]

    @property
    def next_tick(self) -> datetime:
        """When the next timer is due."""
        return min(timer.next_tick for timer in self.timers)

    @property
    def is_idle(self) -> bool:
        """Whether no timer's function is running."""
        return all(timer.is_idle for timer in self.timers)

    def next_invocation(self) -> int:
        """Return a number for an invocation."""
        self._invocations += 1
        return self._invocations


class Host:
    """One instance of the app; it runs the functions of one process after another."""

    def __init__(
        self,
        world: World,
        schedule: Schedule,
        ended: Ended,
        *,
        skew: timedelta = timedelta(),
        queues: Sequence[str] = (MAIN_QUEUE, POISON_QUEUE),
    ) -> None:
        """`skew`: how much its clock is ahead. `queues`: those that have a function."""
        self._skew = skew
        self._queues = queues
        self.raised: list[str] = []
        self._world = world
        self._schedule = schedule
        self._ended = ended
        self._running: set[asyncio.Task[None]] = set()
        self._instance: Instance | None = None
        self._look = world.poll(POLL_SECONDS)
        self._is_refused = False

    @property
    def is_idle(self) -> bool:
        """Whether no function runs."""
        return not self._running and self._schedule.is_idle

    def crash(self) -> None:
        """Kill the running process."""
        if self._instance is not None:
            self._instance.process.die()

    async def run(self) -> None:
        """Run functions until cancelled."""
        while True:
            if self._instance is None or self._instance.process.is_dead:
                await self._restart()
            instance = self._instance
            assert instance is not None
            for timer in self._schedule.timers:
                self._keep(timer.tick(self._world, instance.process, partial(self._run_timer, instance)))
            self._is_refused = False
            for queue in self._queues:
                await self._poll(instance, queue)
            await self._wait(instance.process)

    async def _restart(self) -> None:
        for task in self._running:
            task.cancel()
        self._running.clear()
        if self._instance is not None:
            await asyncio.sleep(RESTART_SECONDS)
        self._instance = await self._world.start(self._skew)
        self._instance.process.death.add_done_callback(self._note_death)

    async def _run_timer(self, instance: Instance, trigger: Trigger) -> bool:
        async def run() -> None:
            await trigger.run(instance.relay)

        return await self._call(instance.process, run)

    async def _poll(self, instance: Instance, queue: str) -> None:
        visible_at = self._world.queues.next_visible_at(queue)
        if visible_at is None or visible_at > self._world.clock() or instance.process.is_dead:
            return
        try:
            received = await instance.relay.storage.queues.receive(queue, limit=BATCH, lease_seconds=LEASE_SECONDS)
        except (StorageError, ProcessDiedError):
            self._is_refused = True
            return
        for entry in received:
            self._keep(asyncio.create_task(self._handle(instance, queue, entry)))

    def _keep(self, task: asyncio.Task[None] | None) -> None:
        if task is not None:
            self._running.add(task)
            task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._look.end()
        self._world.stir()

    def _note_death(self, _: asyncio.Future[None]) -> None:
        if self._running:
            self._look.end()
        self._world.stir()

    async def _handle(self, instance: Instance, queue: str, entry: Received) -> None:
        process, relay = instance.process, instance.relay
        try:
            if entry.dequeue_count > MAX_DEQUEUE:
                await self._to_poison(relay, queue, entry)
                return
            succeeded = await self._call(process, lambda: _function(relay, queue, entry))
            if succeeded:
                await relay.storage.queues.delete(queue, entry)
            elif queue in (MAIN_QUEUE, EVENTS_QUEUE) and entry.dequeue_count < MAX_DEQUEUE:
                await process.operate(Operation(name=f"release in {queue}"), lambda: self._release(queue, entry))
            else:
                await self._to_poison(relay, queue, entry)
        except (StorageError, ProcessDiedError):
            # The lease will end.
            return

    async def _release(self, queue: str, entry: Received) -> None:
        self._world.queues.release(queue, entry, self._world.clock(), RELEASE_SECONDS)

    async def _to_poison(self, relay: ProofRelay, queue: str, entry: Received) -> None:
        if queue == MAIN_QUEUE:
            await relay.storage.queues.put(POISON_QUEUE, entry.body)
            await relay.storage.queues.delete(queue, entry)

    async def _call(self, process: Process, function: Callable[[], Awaitable[None]]) -> bool:
        number = self._schedule.next_invocation()
        invocation.set(number)
        work = asyncio.ensure_future(process.run(function()))
        try:
            while not (await asyncio.wait({work}, timeout=FUNCTION_SECONDS))[0]:
                # Nothing ends a function of a process that stands still, not even its time limit.
                if not process.is_stalled:
                    process.die()
            await work
        except Unavailable:
            return False
        except ExceptionGroup as failures:
            # Steps of a timer that failed.
            self.raised += [f"{failure!r}" for failure in failures.exceptions if not isinstance(failure, Unavailable)]
            return False
        except Exception as error:
            # The host's own rule: whatever a function raises is one failure.
            self.raised.append(f"{type(error).__name__}: {error}")
            return False
        await self._ended(number)
        return True

    async def _wait(self, process: Process) -> None:
        """Wait until a function ends, an entry is visible, a timer is due, or a process dies."""
        now = self._world.clock()
        visible = filter(None, map(self._world.queues.next_visible_at, self._queues))
        seconds = min((moment - now).total_seconds() for moment in (self._schedule.next_tick, *visible))
        # The host polls a queue that refuses no faster than an empty one (devhost/queues.py).
        least = POLL_SECONDS if self._is_refused else 0.01
        await self._look.wait(min(seconds, POLL_SECONDS) if process.is_dead else max(seconds, least))


async def _function(relay: ProofRelay, queue: str, entry: Received) -> None:
    """Call the function of a queue, as the triggers of function_app.py do."""
    if queue == EVENTS_QUEUE:
        await relay.events.apply(entry.body, is_redelivery=entry.dequeue_count > 1)
    elif queue == MAIN_QUEUE:
        await relay.delivery.deliver(queue, entry.body, is_redelivery=entry.dequeue_count > 1)
    else:
        await relay.poison.record_dead_letters(queue, entry.body)


def _next_half_minute(now: datetime) -> datetime:
    minute = now.replace(second=0, microsecond=0)
    return min(at for at in (minute + _HALF_A_MINUTE, minute + 3 * _HALF_A_MINUTE) if at > now)


def _next_of_night(now: datetime) -> datetime:
    hour = now.replace(minute=17, second=0, microsecond=0)
    hours = (hour + timedelta(hours=number) for number in range(25))
    return next(at for at in hours if at > now and at.hour in _NIGHT)


_IDLE_SKIPS = 0 if depth.IS_DEEP else 1
"""Not more: recovery must still come between the end of an attempt's lease and that of its entry, two minutes later."""

RECOVERY = (Trigger(run=lambda relay: relay.recovery.run(), following=_next_half_minute, idle_skips=_IDLE_SKIPS),)
"""What the minute timer does for mail that waits, and nothing else: most scenarios need no more."""
REPORTS = Trigger(run=lambda relay: relay.mailboxes.read(), following=_next_half_minute, idle_skips=_IDLE_SKIPS)
MINUTE = Trigger(run=lambda relay: relay.every_minute.run(), following=_next_half_minute, idle_skips=_IDLE_SKIPS)
NIGHT = Trigger(run=lambda relay: relay.nightly.run(), following=_next_of_night)
