"""State what the API's handlers need of the application."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from relay.acceptance.acceptance import Acceptance
    from relay.api.authentication import Authentication
    from relay.clients.idempotency import Idempotency
    from relay.clients.quotas import Quotas
    from relay.clients.registry import Clients
    from relay.clients.suppressions import Suppressions
    from relay.clients.templates import Templates
    from relay.clients.uploads import Uploads
    from relay.core.settings import Settings
    from relay.delivery.send_groups import SendGroups
    from relay.events.apply import Events
    from relay.events.webhooks.delivery import Webhooks
    from relay.journal.content import Content
    from relay.journal.dead_letters import DeadLetters
    from relay.journal.listing import Listing
    from relay.journal.message_status import StatusReader
    from relay.journal.overview import Overview
    from relay.journal.records import Journal
    from relay.operations.erasure import Erasure
    from relay.operations.health_log import HealthLog
    from relay.operations.message_changes import MessageChanges
    from relay.operations.pause import Pause
    from relay.operations.recovery import Recovery
    from relay.operations.resend_lost import ResendLost
    from relay.platform.secrets import Secrets
    from relay.platform.storage.ports import Storage
    from relay.platform.telemetry import Telemetry
    from relay.providers.capture.inbox import Inbox
    from relay.providers.contract import Provider
    from relay.routes.holds import Holds


class Services(Protocol):
    """The application as handlers see it: its settings, its stores and its use cases."""

    @property
    def settings(self) -> "Settings":
        """The settings of this process."""

    @property
    def storage(self) -> "Storage":
        """Queues, tables and blobs."""

    @property
    def clock(self) -> Callable[[], datetime]:
        """The current time, aware."""

    @property
    def sleep(self) -> Callable[[float], Any]:
        """Wait, in seconds."""

    @property
    def new_batch(self) -> Callable[[], str]:
        """Make the id of a new batch."""

    @property
    def telemetry(self) -> "Telemetry":
        """Metrics and traces."""

    @property
    def secrets(self) -> "Secrets":
        """Keys by their references."""

    @property
    def authentication(self) -> "Authentication":
        """Find the client behind a request."""

    @property
    def clients(self) -> "Clients":
        """Registered clients and their keys."""

    @property
    def quotas(self) -> "Quotas":
        """Rates and daily quotas."""

    @property
    def idempotency(self) -> "Idempotency":
        """Idempotency keys."""

    @property
    def suppressions(self) -> "Suppressions":
        """Suppressed addresses."""

    @property
    def uploads(self) -> "Uploads":
        """Uploaded attachments."""

    @property
    def templates(self) -> "Templates":
        """Templates and their versions."""

    @property
    def inbox(self) -> "Inbox":
        """Mail that the capture provider stored."""

    @property
    def acceptance(self) -> "Acceptance":
        """Accept messages."""

    @property
    def status_reader(self) -> "StatusReader":
        """Message status."""

    @property
    def journal(self) -> "Journal":
        """Records of messages."""

    @property
    def listing(self) -> "Listing":
        """Messages by time."""

    @property
    def content(self) -> "Content":
        """Message content."""

    @property
    def overview(self) -> "Overview":
        """Totals of recent messages."""

    @property
    def dead_letters(self) -> "DeadLetters":
        """Dead letters and their causes."""

    @property
    def send_groups(self) -> "SendGroups":
        """Send groups: SendGrid's batches."""

    @property
    def holds(self) -> "Holds":
        """Held routes."""

    @property
    def recovery(self) -> "Recovery":
        """Recovery and probes."""

    @property
    def pause(self) -> "Pause":
        """Pause and resume delivery."""

    @property
    def message_changes(self) -> "MessageChanges":
        """Cancel, reschedule and redrive messages."""

    @property
    def resend_lost(self) -> "ResendLost":
        """Resend lost mail."""

    @property
    def erasure(self) -> "Erasure":
        """Erase a recipient's messages."""

    @property
    def events(self) -> "Events":
        """Provider events."""

    @property
    def webhooks(self) -> "Webhooks":
        """Webhook subscriptions and deliveries."""

    @property
    def health_log(self) -> "HealthLog":
        """Queue and route health."""

    def provider(self, route: str) -> "Provider":
        """Return the provider of a route. Raises `KeyError` for a route that is not configured."""
