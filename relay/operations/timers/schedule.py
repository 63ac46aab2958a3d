"""What the timers run, in which order, and until when.

Each step gets a deadline below the function's time limit (host.json, functionTimeout), begins nothing after it, and goes on
at the next run; the log says which step left work. A step that fails is logged, and the steps after it still run: a bug
in one must not stop the recovery of mail or the health log. The run then raises, so that the host records the failed
execution and its alert fires.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from relay.clients.suppressions import Suppressions
from relay.events.webhooks.delivery import Webhooks
from relay.operations.deleted_clients import DeletedClients
from relay.operations.health_log import HealthLog
from relay.operations.orphan_entries import OrphanEntries
from relay.operations.poison_queues import PoisonQueues
from relay.operations.purge import Purge
from relay.operations.recovery import Recovery
from relay.operations.sent_checks import SentChecks
from relay.operations.timers.late_timer import LateTimer
from relay.platform.concurrency import Deadline, Progress
from relay.platform.log import log_event, log_failure


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a timer. `until_seconds` counts from the start of the run."""

    name: str
    run: Callable[[Deadline], Awaitable[Progress]]
    until_seconds: float


class EveryMinute:
    """The minute timer: probe and recover, check sent mail, collect orphaned entries, and log queue health last.

    It ends within its minute, so that the next run comes in time and the health log is never late.
    """

    def __init__(
        self,
        *,
        recovery: Recovery,
        sent_checks: SentChecks,
        orphan_entries: OrphanEntries,
        health_log: HealthLog,
        late_timer: LateTimer,
        clock: Callable[[], datetime],
    ) -> None:
        self._clock = clock

        async def note(_: Deadline) -> Progress:
            await late_timer.note()
            return Progress()

        async def write(_: Deadline) -> Progress:
            await health_log.write()
            return Progress()

        self._steps = (
            _Step(name="late_timer", run=note, until_seconds=5.0),
            _Step(name="recovery", run=recovery.run, until_seconds=35.0),
            _Step(name="sent_checks", run=sent_checks.run, until_seconds=45.0),
            _Step(name="orphan_entries", run=orphan_entries.collect, until_seconds=50.0),
            _Step(name="health_log", run=write, until_seconds=55.0),
        )

    async def run(self) -> None:
        """Run every step. Raises an `ExceptionGroup` of the failures."""
        await _run(self._steps, self._clock)


class Nightly:
    """The timer of the night: drain the poison queues, then delete what is older than the retention.

    It runs every hour from two to seven: what one run leaves, the next one does.
    """

    def __init__(
        self,
        *,
        poison_queues: PoisonQueues,
        deleted_clients: DeletedClients,
        purge: Purge,
        suppressions: Suppressions,
        webhooks: Webhooks,
        clock: Callable[[], datetime],
    ) -> None:
        self._clock = clock
        self._steps = (
            _Step(name="poison_queues", run=poison_queues.drain, until_seconds=120.0),
            _Step(name="deleted_clients", run=deleted_clients.clear, until_seconds=150.0),
            _Step(name="suppressions", run=suppressions.purge, until_seconds=180.0),
            _Step(name="webhooks", run=webhooks.purge, until_seconds=240.0),
            _Step(name="purge", run=purge.run, until_seconds=480.0),
        )

    async def run(self) -> None:
        """Run every step. Raises an `ExceptionGroup` of the failures."""
        await _run(self._steps, self._clock)


async def _run(steps: Sequence[_Step], clock: Callable[[], datetime]) -> None:
    deadlines = [Deadline(clock, step.until_seconds) for step in steps]
    failures: list[Exception] = []
    for step, deadline in zip(steps, deadlines, strict=True):
        try:
            progress = await step.run(deadline)
        except Exception as error:
            log_failure("timer_step_failed", step=step.name)
            failures.append(error)
        else:
            if not progress.is_complete:
                log_event("timer_unfinished", level=logging.WARNING, step=step.name, done=progress.done)
    if failures:
        raise ExceptionGroup("timer steps failed", failures)
