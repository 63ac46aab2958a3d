"""The composition root: settings in, a wired application out. The only place that constructs adapters.

Everything is made when it is first asked for and once: a process that only accepts messages never loads what delivers
them. Nothing here connects. The application is one class in three layers, each made of those before it: what lies in
storage (`stores`), what speaks to others (`connections`), and the use cases.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from relay.acceptance.acceptance import Acceptance
from relay.bootstrap.configuration import load
from relay.bootstrap.connections import Connections
from relay.bootstrap.stores import utc_now

if TYPE_CHECKING:
    from relay.acceptance.fan_out import FanOut
    from relay.api.app import Api
    from relay.api.authentication import Authentication
    from relay.delivery.attempts import Attempts
    from relay.delivery.delivery import Delivery
    from relay.delivery.poison import Poison
    from relay.delivery.settlement import FollowUp
    from relay.delivery.situation import PlanningInputs
    from relay.events.apply import Events
    from relay.events.mailboxes import Mailboxes
    from relay.events.webhooks.delivery import Webhooks
    from relay.operations.erasure import Erasure
    from relay.operations.health_log import HealthLog
    from relay.operations.message_changes import MessageChanges
    from relay.operations.orphan_entries import OrphanEntries
    from relay.operations.purge import Purge
    from relay.operations.recovery import Recovery
    from relay.operations.resend_lost import ResendLost
    from relay.operations.sent_checks import SentChecks

__all__ = ["Relay", "start", "utc_now"]


def start(environment: Mapping[str, str]) -> "Relay":
    """The application that this environment describes. Raises `SettingsError` with every fault."""
    from relay.platform.storage.azure.account_storage import create_storage

    return Relay(load(environment), create_storage(environment))


class Relay(Connections):
    """The application. Belongs to one event loop."""

    # ── accepting ──

    @cached_property
    def authentication(self) -> "Authentication":
        """Who calls."""
        from relay.api.authentication import Authentication
        from relay.api.login_throttle import LoginThrottle

        is_on = self.settings.application.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"
        return Authentication(self.clients, LoginThrottle(self.clock), trusts_entra=is_on)

    @cached_property
    def acceptance(self) -> Acceptance:
        """Use case 1."""
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
    def api(self) -> "Api":
        """The HTTP door."""
        from relay.api.app import Api
        from relay.api.operations import OPERATIONS, PAGES, SHAPES

        return Api(self, OPERATIONS, PAGES, SHAPES)

    # ── delivering ──

    @cached_property
    def planning_inputs(self) -> "PlanningInputs":
        """What planning needs to know."""
        from relay.delivery.situation import PlanningInputs

        return PlanningInputs(self.settings, self.holds, self.content)

    @cached_property
    def follow_up(self) -> "FollowUp":
        """What follows from a record."""
        from relay.delivery.settlement import FollowUp

        return FollowUp(
            queues=self.storage.queues,
            pending=self.pending,
            dead_letters=self.dead_letters,
            lanes=self.settings.lanes,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    @cached_property
    def attempts(self) -> "Attempts":
        """Who makes attempts."""
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
            clock=self.clock,
            random=self._draw,
            telemetry=self.telemetry,
        )

    @cached_property
    def fan_out(self) -> "FanOut":
        """Requests that were accepted as one entry."""
        from relay.acceptance.fan_out import FanOut

        return FanOut(queues=self.storage.queues, blobs=self.storage.blobs, lanes=self.settings.lanes)

    @cached_property
    def delivery(self) -> "Delivery":
        """Use case 2."""
        from relay.delivery.delivery import Delivery

        return Delivery(
            journal=self.journal,
            holds=self.holds,
            planning_inputs=self.planning_inputs,
            attempts=self.attempts,
            fan_out=self.fan_out,
            follow_up=self.follow_up,
            dead_letters=self.dead_letters,
            queues=self.storage.queues,
            clock=self.clock,
            sleep=self.sleep,
            settle_seconds=self.settings.attempt_seconds,
        )

    # ── looking after ──

    @cached_property
    def poison(self) -> "Poison":
        """What the host gave up on."""
        from relay.delivery.poison import Poison

        return Poison(
            journal=self.journal,
            follow_up=self.follow_up,
            dead_letters=self.dead_letters,
            fan_out=self.fan_out,
            queues=self.storage.queues,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def recovery(self) -> "Recovery":
        """The timer of every minute."""
        from relay.operations.recovery import Recovery

        return Recovery(
            settings=self.settings,
            journal=self.journal,
            pending=self.pending,
            holds=self.holds,
            follow_up=self.follow_up,
            providers=self.provider,
            clock=self.clock,
        )

    @cached_property
    def sent_checks(self) -> "SentChecks":
        """The questions about what was taken, of every minute too."""
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
        """Entries that nobody reads, of every minute too."""
        from relay.operations.orphan_entries import OrphanEntries

        return OrphanEntries(queues=self.storage.queues, lanes=self.settings.lanes)

    @cached_property
    def health_log(self) -> "HealthLog":
        """How Relay is, for the alert rules."""
        from relay.operations.health_log import HealthLog

        return HealthLog(self.settings, self.storage.queues, self.holds, self.clock, self.telemetry)

    @cached_property
    def purge(self) -> "Purge":
        """The timer of every day."""
        from relay.operations.purge import Purge

        return Purge(
            tables=self.storage.tables,
            blobs=self.storage.blobs,
            journal=self.journal,
            uploads=self.uploads,
            retention_days=self.settings.retention_days,
            clock=self.clock,
        )

    @cached_property
    def message_changes(self) -> "MessageChanges":
        """What callers and operators change."""
        from relay.operations.message_changes import MessageChanges

        return MessageChanges(
            settings=self.settings,
            journal=self.journal,
            pending=self.pending,
            follow_up=self.follow_up,
            dead_letters=self.dead_letters,
            clock=self.clock,
            draw=self._draw,
        )

    @cached_property
    def resend_lost(self) -> "ResendLost":
        """What a provider took and lost."""
        from relay.operations.resend_lost import ResendLost

        return ResendLost(journal=self.journal, message_changes=self.message_changes, content=self.content)

    @cached_property
    def erasure(self) -> "Erasure":
        """What an operator erases before its time."""
        from relay.operations.erasure import Erasure

        return Erasure(
            journal=self.journal,
            message_changes=self.message_changes,
            follow_up=self.follow_up,
            dead_letters=self.dead_letters,
            content=self.content,
            blobs=self.storage.blobs,
            clock=self.clock,
        )

    # ── what is told later ──

    @cached_property
    def events(self) -> "Events":
        """Use case 3: what vendors tell later."""
        from relay.events.apply import Events

        return Events(
            journal=self.journal,
            queues=self.storage.queues,
            dead_letters=self.dead_letters,
            followers=(self.suppressions, self.webhooks),
            content=self.content.stored,
            sleep=self.sleep,
        )

    @cached_property
    def webhooks(self) -> "Webhooks":
        """Use case 4: what callers are told of it."""
        from relay.events.webhooks.delivery import Webhooks
        from relay.events.webhooks.subscriptions import Subscriptions

        return Webhooks(
            subscriptions=Subscriptions(self.storage.tables, self.clock),
            poster=self.poster,
            queues=self.storage.queues,
            tables=self.storage.tables,
            dead_letters=self.dead_letters,
            source=self.settings.public_url or "urn:relay",
            clock=self.clock,
            draw=self._draw,
        )

    @cached_property
    def mailboxes(self) -> "Mailboxes":
        """The timer that reads mailboxes for bounces."""
        from relay.events.mailboxes import Mailboxes

        return Mailboxes(
            mailboxes=self.settings.bounce_mailboxes,
            providers=self.provider,
            events=self.events,
            tables=self.storage.tables,
            clock=self.clock,
        )
