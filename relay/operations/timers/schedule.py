"""The steps of the timers, in order, with their deadlines.

Each step gets a deadline below the function's time limit (host.json, functionTimeout), begins nothing after it, and goes on
at the next run; the log and the step's report say which step left work. A step that fails is logged, and the steps after it
still run: a bug in one must not stop the recovery of mail or the health log. The run then raises, so that the host records
the failed execution and its alert fires.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from relay.clients.suppressions.store import Suppressions
from relay.events.webhooks.delivery import Webhooks
from relay.events.webhooks.retries import Retries
from relay.operations.audit.retention import AuditRetention
from relay.operations.deleted_clients import DeletedClients
from relay.operations.doctor.secret_expiry import SecretExpiry
from relay.operations.health_log import HealthLog
from relay.operations.orphan_entries import OrphanEntries
from relay.operations.poison_queues import PoisonQueues
from relay.operations.purge import Purge
from relay.operations.recovery import Recovery
from relay.operations.sent_checks import SentChecks
from relay.operations.timers.arrival_rates import ArrivalRates
from relay.operations.timers.late_timer import LateTimer
from relay.operations.timers.search_indexing import SearchIndexing
from relay.operations.timers.steps import Step, StepReport, StepReports, run_step
from relay.platform.concurrency import Deadline, Progress

if TYPE_CHECKING:
    from relay.events.message_trace.reader import MessageTraces


class EveryMinute:
    """The minute timer: probe and recover, enqueue webhook retries, check sent mail, collect orphaned entries, index and count,
    and log queue health last.

    It ends within its minute, so that the next run comes in time and the health log is never late.
    """

    def __init__(
        self,
        *,
        recovery: Recovery,
        webhook_retries: Retries,
        sent_checks: SentChecks,
        orphan_entries: OrphanEntries,
        arrival_rates: ArrivalRates,
        search_indexing: SearchIndexing,
        health_log: HealthLog,
        late_timer: LateTimer,
        reports: StepReports,
        clock: Callable[[], datetime],
    ) -> None:
        self._reports = reports
        self._clock = clock

        async def note(_: Deadline) -> Progress:
            await late_timer.note()
            return Progress()

        async def write(_: Deadline) -> Progress:
            await health_log.write()
            return Progress()

        self.steps = (
            Step(name="late_timer", run=note, until_seconds=5.0),
            Step(name="recovery", run=recovery.run, until_seconds=35.0),
            Step(name="webhook_retries", run=webhook_retries.run, until_seconds=40.0),
            Step(name="sent_checks", run=sent_checks.run, until_seconds=45.0),
            Step(name="orphan_entries", run=orphan_entries.collect, until_seconds=50.0),
            Step(name="search_index", run=search_indexing.run, until_seconds=52.0),
            Step(name="arrival_rates", run=arrival_rates.run, until_seconds=53.0, run_now=arrival_rates.run_now),
            Step(name="health_log", run=write, until_seconds=55.0),
        )

    async def run(self) -> None:
        """Run every step. Raises an `ExceptionGroup` of the failures."""
        await _run(self.steps, self._reports, self._clock)


class MessageTraceTimer:
    """The timer of the message trace, which runs only if one is configured.

    It is not a step of the minute timer: a slow tenant would delay the health log.
    """

    def __init__(self, *, traces: "MessageTraces", reports: StepReports, clock: Callable[[], datetime]) -> None:
        self._reports = reports
        self._clock = clock
        self.steps = (Step(name="message_trace", run=traces.run, until_seconds=50.0),)

    async def run(self) -> None:
        """Run the step. Raises an `ExceptionGroup` of its failure."""
        await _run(self.steps, self._reports, self._clock)


class Nightly:
    """The nightly timer: drain the poison queues, delete data older than the retention, check the secrets' expiry.

    It runs every hour from two to seven: each run continues the work that the last one left.
    """

    def __init__(
        self,
        *,
        poison_queues: PoisonQueues,
        deleted_clients: DeletedClients,
        audit: AuditRetention,
        purge: Purge,
        suppressions: Suppressions,
        webhooks: Webhooks,
        secret_expiry: SecretExpiry,
        reports: StepReports,
        clock: Callable[[], datetime],
    ) -> None:
        self._reports = reports
        self._clock = clock
        self.steps = (
            Step(name="poison_queues", run=poison_queues.drain, until_seconds=120.0),
            Step(name="deleted_clients", run=deleted_clients.clear, until_seconds=150.0),
            Step(name="suppressions", run=suppressions.purge, until_seconds=180.0),
            Step(name="webhooks", run=webhooks.purge, until_seconds=240.0),
            Step(name="audit", run=audit.run, until_seconds=270.0),
            Step(name="purge", run=purge.run, until_seconds=480.0),
            Step(name="secret_expiry", run=secret_expiry.run, until_seconds=520.0),
        )

    async def run(self) -> None:
        """Run every step. Raises an `ExceptionGroup` of the failures."""
        await _run(self.steps, self._reports, self._clock)


async def _run(steps: Sequence[Step], stored: StepReports, clock: Callable[[], datetime]) -> None:
    deadlines = [Deadline(clock, step.until_seconds) for step in steps]
    reports: dict[str, StepReport] = {}
    failures: list[Exception] = []
    for step, deadline in zip(steps, deadlines, strict=True):
        done = await run_step(step, deadline, clock)
        reports[step.name] = done.report
        if done.failure is not None:
            failures.append(done.failure)
    await stored.store(reports)
    if failures:
        raise ExceptionGroup("timer steps failed", failures)
