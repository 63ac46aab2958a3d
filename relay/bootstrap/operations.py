"""The operations that timers and operators run."""

from functools import cached_property
from typing import TYPE_CHECKING

from relay.bootstrap.use_cases import UseCases

if TYPE_CHECKING:
    from relay.operations.audit.log import AuditLog
    from relay.operations.audit.retention import AuditRetention
    from relay.operations.deleted_clients import DeletedClients
    from relay.operations.doctor.secret_expiry import SecretExpiry
    from relay.operations.erasure import Erasure
    from relay.operations.health_log import HealthLog
    from relay.operations.message_changes import MessageChanges
    from relay.operations.orphan_entries import OrphanEntries
    from relay.operations.pause import Pause
    from relay.operations.poison_queues import PoisonQueues
    from relay.operations.purge import Purge
    from relay.operations.recovery import Recovery
    from relay.operations.resend_lost import ResendLost
    from relay.operations.sent_checks import SentChecks
    from relay.operations.timers.arrival_rates import ArrivalRates
    from relay.operations.timers.client_brake import ClientBrake
    from relay.operations.timers.late_timer import LateTimer
    from relay.operations.timers.run_now import RunNow
    from relay.operations.timers.schedule import EveryMinute, MessageTraceTimer, Nightly
    from relay.operations.timers.search_indexing import SearchIndexing
    from relay.operations.timers.steps import StepReports
    from relay.platform.concurrency import Deadline, Progress


class Operations(UseCases):
    """Recovery, checks, cleanup, and the changes that callers and operators make."""

    @cached_property
    def message_changes(self) -> "MessageChanges":
        """Cancels, reschedules and redrives messages."""
        from relay.operations.message_changes import MessageChanges

        return MessageChanges(
            settings=self.settings,
            journal=self.journal,
            follow_up=self.follow_up,
            dead_letters=self.dead_letters,
            clock=self.clock,
            draw=self._draw,
        )

    @cached_property
    def recovery(self) -> "Recovery":
        """Probes held routes and re-enqueues overdue messages."""
        from relay.operations.recovery import Recovery

        return Recovery(
            journal=self.journal,
            pending=self.pending,
            holds=self.holds,
            brakes=self.brakes,
            follow_up=self.follow_up,
            probes=self.probes,
            clock=self.clock,
        )

    @cached_property
    def pause(self) -> "Pause":
        """Pauses and resumes delivery."""
        from relay.operations.pause import Pause

        return Pause(
            settings=self.settings,
            holds=self.holds,
            journal=self.journal,
            pending=self.pending,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def sent_checks(self) -> "SentChecks":
        """Asks providers later whether accepted mail was sent."""
        from relay.operations.sent_checks import SentChecks

        return SentChecks(
            settings=self.settings,
            journal=self.journal,
            pending=self.pending,
            follow_up=self.follow_up,
            content=self.content,
            providers=self.provider,
            clock=self.clock,
        )

    @cached_property
    def orphan_entries(self) -> "OrphanEntries":
        """Moves entries off queues that no function reads."""
        from relay.operations.orphan_entries import OrphanEntries

        return OrphanEntries(queues=self.storage.queues, lanes=self.settings.lanes)

    @cached_property
    def health_log(self) -> "HealthLog":
        """Logs queue depth and route states."""
        from relay.operations.health_log import HealthLog

        return HealthLog(
            self.settings,
            self.storage.queues,
            self.holds,
            self.brakes,
            clock=self.clock,
            telemetry=self.telemetry,
            usage=self.recipient_usage,
        )

    @cached_property
    def arrival_rates(self) -> "ArrivalRates":
        """Counts arrivals, reports the rates of bounces and complaints, and holds clients by them."""
        from relay.operations.timers.arrival_rates import ArrivalRates

        return ArrivalRates(self.arrival_hours, self.client_brake, self.clock, self.telemetry)

    @cached_property
    def client_brake(self) -> "ClientBrake":
        """Holds clients whose mail bounces or is reported as spam too often."""
        from relay.operations.timers.client_brake import ClientBrake

        return ClientBrake(
            brakes=self.brakes,
            clients=self.clients,
            webhooks=self.webhooks,
            clock=self.clock,
            limits=self.settings.brake,
        )

    @cached_property
    def search_indexing(self) -> "SearchIndexing":
        """Updates the search index."""
        from relay.operations.timers.search_indexing import SearchIndexing

        return SearchIndexing(self.search_index, self.clock)

    @cached_property
    def secret_expiry(self) -> "SecretExpiry":
        """Checks which secrets expire soon."""
        from relay.operations.doctor.secret_expiry import SecretExpiry

        return SecretExpiry(settings=self.settings, vault=self.vault, tables=self.storage.tables, clock=self.clock)

    @cached_property
    def poison_queues(self) -> "PoisonQueues":
        """Drains the poison queues."""
        from relay.operations.poison_queues import PoisonQueues

        return PoisonQueues(
            queues=self.storage.queues,
            lanes=self.settings.lanes,
            poison=self.poison,
            events=self.events,
            webhooks=self.webhooks,
        )

    @cached_property
    def audit_log(self) -> "AuditLog":
        """The audit log."""
        from relay.operations.audit.log import AuditLog

        return AuditLog(self.storage.tables, days=self.settings.audit_days, clock=self.clock)

    @cached_property
    def audit_retention(self) -> "AuditRetention":
        """Archives and deletes records of the audit log."""
        from relay.operations.audit.retention import AuditRetention

        settings = self.settings
        return AuditRetention(
            self.audit_log,
            self.storage.blobs,
            is_archived=settings.audit_archive,
            days=settings.audit_days,
            clock=self.clock,
        )

    @cached_property
    def deleted_clients(self) -> "DeletedClients":
        """Deletes clients with their data."""
        from relay.operations.deleted_clients import DeletedClients

        return DeletedClients(
            clients=self.clients,
            webhooks=self.webhooks,
            uploads=self.uploads,
            suppressions=self.suppressions,
            topics=self.topics,
            brakes=self.brakes,
            clock=self.clock,
        )

    @cached_property
    def purge(self) -> "Purge":
        """Deletes data older than the retention."""
        from relay.operations.purge import Purge

        return Purge(
            tables=self.storage.tables,
            blobs=self.storage.blobs,
            uploads=self.uploads,
            retention_days=self.settings.retention_days,
            clock=self.clock,
        )

    @cached_property
    def resend_lost(self) -> "ResendLost":
        """Resends mail that a provider accepted and lost."""
        from relay.operations.resend_lost import ResendLost

        return ResendLost(journal=self.journal, message_changes=self.message_changes, content=self.content)

    @cached_property
    def erasure(self) -> "Erasure":
        """Erases the content of a recipient's messages."""
        from relay.operations.erasure import Erasure

        return Erasure(
            journal=self.journal,
            search_index=self.search_index,
            message_changes=self.message_changes,
            follow_up=self.follow_up,
            dead_letters=self.dead_letters,
            content=self.content,
            suppressions=self.suppressions,
            clock=self.clock,
        )

    @cached_property
    def late_timer(self) -> "LateTimer":
        """Recovery from traffic when the minute timer is late."""
        from relay.operations.timers.late_timer import LateTimer

        async def recover(deadline: "Deadline") -> "Progress":
            return await self.recovery.run(deadline) + await self.webhook_retries.run(deadline)

        return LateTimer(self.storage.tables, recover, self.clock)

    @cached_property
    def every_minute(self) -> "EveryMinute":
        """The minute timer."""
        from relay.operations.timers.schedule import EveryMinute

        return EveryMinute(
            recovery=self.recovery,
            webhook_retries=self.webhook_retries,
            sent_checks=self.sent_checks,
            orphan_entries=self.orphan_entries,
            arrival_rates=self.arrival_rates,
            search_indexing=self.search_indexing,
            health_log=self.health_log,
            late_timer=self.late_timer,
            reports=self.step_reports,
            clock=self.clock,
        )

    @cached_property
    def message_trace_timer(self) -> "MessageTraceTimer":
        """The timer of the message trace."""
        from relay.operations.timers.schedule import MessageTraceTimer

        return MessageTraceTimer(traces=self.message_traces, reports=self.step_reports, clock=self.clock)

    @cached_property
    def nightly(self) -> "Nightly":
        """The nightly timer."""
        from relay.operations.timers.schedule import Nightly

        return Nightly(
            poison_queues=self.poison_queues,
            deleted_clients=self.deleted_clients,
            audit=self.audit_retention,
            purge=self.purge,
            suppressions=self.suppressions,
            webhooks=self.webhooks,
            secret_expiry=self.secret_expiry,
            reports=self.step_reports,
            clock=self.clock,
        )

    @cached_property
    def step_reports(self) -> "StepReports":
        """The last report of each step of a timer."""
        from relay.operations.timers.steps import StepReports

        return StepReports(self.storage.tables)

    @cached_property
    def run_now(self) -> "RunNow":
        """Runs a step of a timer at an operator's request."""
        from relay.operations.timers.run_now import RunNow
        from relay.operations.timers.steps import Step

        # The first step of the minute timer only notes that the timer itself runs.
        minutely, nightly = self.every_minute.steps[1:], self.nightly.steps
        trace = self.message_trace_timer.steps if self.settings.message_traces else ()
        probes = Step(name="probes", run=self.probes.run_all, until_seconds=0.0)
        return RunNow(
            steps=(*minutely, *trace, probes, *nightly),
            reports=self.step_reports,
            tables=self.storage.tables,
            clock=self.clock,
        )
