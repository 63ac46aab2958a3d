"""The use cases: accept, deliver, record events, notify by webhook."""

from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from relay.acceptance.acceptance import Acceptance
from relay.bootstrap.connections import Connections
from relay.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.acceptance.fan_out import FanOut
    from relay.core.entries import Entry
    from relay.core.model import Part
    from relay.core.settings import MessageTrace
    from relay.delivery.attempts import Attempts
    from relay.delivery.delivery import Delivery
    from relay.delivery.planning_inputs import PlanningInputs
    from relay.delivery.poison import Poison
    from relay.delivery.reported_refusals import ReportedRefusals
    from relay.delivery.settlement import FollowUp
    from relay.events.apply import Events
    from relay.events.mailboxes import Mailboxes
    from relay.events.message_trace.lost_responses import LostResponses
    from relay.events.message_trace.reader import MessageTraces, TraceReader
    from relay.events.webhooks.delivery import Webhooks
    from relay.events.webhooks.retries import Retries
    from relay.journal.intake import Intake
    from relay.journal.record_rows import Record
    from relay.routes.probes import Probes
    from relay.unsubscribe.preferences import Preferences


class UseCases(Connections):
    """The use cases of a message, from its acceptance to its last event."""

    @cached_property
    def acceptance(self) -> Acceptance:
        """Use case 1: accept messages."""
        return Acceptance(
            settings=self.settings,
            queues=self.storage.queues,
            blobs=self.storage.blobs,
            quotas=self.quotas,
            clock=self.clock,
            new_batch=self.new_batch,
            telemetry=self.telemetry,
        )

    @cached_property
    def planning_inputs(self) -> "PlanningInputs":
        """Collects the planning inputs of messages."""
        from relay.delivery.planning_inputs import PlanningInputs

        return PlanningInputs(
            settings=self.settings,
            holds=self.holds,
            brakes=self.brakes,
            content=self.content,
            external_recipients=self.external_recipients,
            suppressions=self.suppressions,
        )

    @cached_property
    def probes(self) -> "Probes":
        """Probes held routes."""
        from relay.routes.probes import Probes

        return Probes(self.settings, self.holds, self.provider, self.clock)

    @cached_property
    def follow_up(self) -> "FollowUp":
        """Writes the queue entries and index rows that follow from a record."""
        from relay.delivery.settlement import FollowUp

        return FollowUp(
            queues=self.storage.queues,
            pending=self.pending,
            dead_letters=self.dead_letters,
            lanes=self.settings.lanes,
            clock=self.clock,
            notify=self._notify_of_ends,
            telemetry=self.telemetry,
        )

    async def _notify_of_ends(self, record: "Record", ended: "Sequence[tuple[int, Part]]") -> None:
        # The webhook modules are not loaded before a message ends without being sent.
        await self.webhooks.follow_ends(record, ended)

    @cached_property
    def attempts(self) -> "Attempts":
        """Makes attempts to send."""
        from relay.delivery.attempts import Attempts
        from relay.routes.circuit_breaker import CircuitBreaker
        from relay.routes.pacing import Pacing
        from relay.routes.watch import RouteWatch

        return Attempts(
            settings=self.settings,
            providers=self.provider,
            can_verify=self.planning_inputs.can_verify,
            content=self.content,
            groups=self.send_groups,
            watch=RouteWatch(self.settings, self.holds, CircuitBreaker()),
            pacing=Pacing(self.storage.tables, self.clock),
            external_recipients=self.external_recipients,
            clock=self.clock,
            random=self._draw,
            lost_responses=self.lost_responses,
            telemetry=self.telemetry,
        )

    @cached_property
    def lost_responses(self) -> "LostResponses | None":
        """Asks message traces about lost responses, if any is configured."""
        if not self.settings.message_traces:
            return None
        from relay.events.message_trace.lost_responses import LostResponses

        return LostResponses(self.message_traces, self.clock)

    @cached_property
    def fan_out(self) -> "FanOut":
        """Enqueues the batches of requests that were accepted as one entry."""
        from relay.acceptance.fan_out import FanOut

        return FanOut(queues=self.storage.queues, blobs=self.storage.blobs, lanes=self.settings.lanes)

    @cached_property
    def intake(self) -> "Intake[Entry]":
        """Takes entries from the lanes' queues."""
        from relay.core.entries import decode_entry
        from relay.journal.intake import Intake

        return Intake(decode_entry, self.storage.queues, self.dead_letters, clock=self.clock, sleep=self.sleep)

    @cached_property
    def delivery(self) -> "Delivery":
        """Use case 2: deliver messages."""
        from relay.delivery.delivery import Delivery

        return Delivery(
            journal=self.journal,
            holds=self.holds,
            brakes=self.brakes,
            probes=self.probes,
            planning_inputs=self.planning_inputs,
            attempts=self.attempts,
            fan_out=self.fan_out,
            follow_up=self.follow_up,
            intake=self.intake,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def poison(self) -> "Poison":
        """Turns poison entries into dead letters."""
        from relay.delivery.poison import Poison

        return Poison(
            journal=self.journal,
            follow_up=self.follow_up,
            intake=self.intake,
            fan_out=self.fan_out,
            queues=self.storage.queues,
            clock=self.clock,
        )

    @cached_property
    def events(self) -> "Events":
        """Use case 3: record provider events."""
        from relay.events.apply import Events
        from relay.routes.reports import gets_reports

        return Events(
            journal=self.journal,
            queues=self.storage.queues,
            dead_letters=self.dead_letters,
            followers=(self.suppression_events, self.reported_refusals, self.webhooks),
            gets_reports=partial(gets_reports, self.settings),
            content=self.content.message,
            topic_of_group=self._topic_of_group,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def preferences(self) -> "Preferences":
        """Reads and changes the preferences of recipients."""
        from relay.unsubscribe.preferences import Preferences

        return Preferences(
            topics=self.topics,
            suppressions=self.suppressions,
            clients=self.clients,
            enqueue=self.events.enqueue,
            clock=self.clock,
        )

    async def _topic_of_group(self, client_id: str, group: int) -> str:
        try:
            topic = await self.topics.of_group(client_id, group)
        except NotFound:
            # An environment that was last provisioned before topics existed has no table for them.
            return ""
        return "" if topic is None else topic.name

    @cached_property
    def reported_refusals(self) -> "ReportedRefusals":
        """Acts on reports in which a provider refuses the account."""
        from relay.delivery.reported_refusals import ReportedRefusals

        return ReportedRefusals(
            settings=self.settings,
            journal=self.journal,
            holds=self.holds,
            external_recipients=self.external_recipients,
            follow_up=self.follow_up,
            content=self.content,
            clock=self.clock,
        )

    @cached_property
    def webhooks(self) -> "Webhooks":
        """Use case 4: notify clients by webhook."""
        from relay.events.webhooks.delivery import Webhooks
        from relay.events.webhooks.subscriptions import Subscriptions

        return Webhooks(
            subscriptions=Subscriptions(self.storage.tables, self.clock),
            clients=self.clients,
            retries=self.webhook_retries,
            poster=self.poster,
            queues=self.storage.queues,
            tables=self.storage.tables,
            dead_letters=self.dead_letters,
            source=self.settings.public_url or "urn:relay",
            clock=self.clock,
            sleep=self.sleep,
            draw=self._draw,
        )

    @cached_property
    def webhook_retries(self) -> "Retries":
        """Keeps webhook posts that wait for their next attempt."""
        from relay.events.webhooks.retries import Retries

        return Retries(tables=self.storage.tables, queues=self.storage.queues, clock=self.clock)

    @cached_property
    def mailboxes(self) -> "Mailboxes":
        """Reads bounces and answers from mailboxes."""
        from relay.events.mailboxes import Mailboxes

        return Mailboxes(
            mailboxes=self.settings.bounce_mailboxes,
            providers=self.provider,
            events=self.events,
            tables=self.storage.tables,
            retention=timedelta(days=self.settings.retention_days),
            clock=self.clock,
        )

    @cached_property
    def message_traces(self) -> "MessageTraces":
        """Reads the outcomes of mail from Exchange Online's message traces."""
        from relay.events.message_trace.reader import MessageTraces

        return MessageTraces([self._trace_reader(trace) for trace in self.settings.message_traces])

    def _trace_reader(self, trace: "MessageTrace") -> "TraceReader":
        from relay.events.message_trace.budget import TraceBudget
        from relay.events.message_trace.reader import TraceReader
        from relay.events.provider_events import key_of
        from relay.providers.graph.message_trace import MessageTraceClient

        # A budget belongs to a tenant. A managed identity is in the app's tenant.
        name = key_of(trace.settings.get("tenant_id", ""), trace.settings.get("base_url", ""))
        return TraceReader(
            name=name,
            routes=trace.routes,
            client=MessageTraceClient(trace.settings, self.provider_context),
            budget=TraceBudget(self.storage.tables, name, self.clock),
            events=self.events,
            journal=self.journal,
            tables=self.storage.tables,
            clock=self.clock,
        )
