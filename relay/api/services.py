"""Define the input of the API's handlers: a call, and the services of the application."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from relay.api.http import Request
from relay.api.operation import Operations
from relay.clients.registry import Client

if TYPE_CHECKING:
    from relay.acceptance.acceptance import Acceptance
    from relay.api.authentication import Authentication
    from relay.clients.idempotency import Idempotency
    from relay.clients.quotas import Quotas
    from relay.clients.registry import Clients
    from relay.clients.suppressions.store import Suppressions
    from relay.clients.templates.store import Templates
    from relay.clients.uploads import Uploads
    from relay.core.settings import Settings
    from relay.delivery.send_groups import SendGroups
    from relay.events.apply import Events
    from relay.events.message_trace.reader import MessageTraces
    from relay.events.webhooks.delivery import Webhooks
    from relay.journal.content import Content
    from relay.journal.counts.hours import ArrivalHours
    from relay.journal.dead_letters import DeadLetters
    from relay.journal.listing import Listing
    from relay.journal.message_status import StatusReader
    from relay.journal.overview import Overview
    from relay.journal.records import Journal
    from relay.operations.audit.log import AuditLog
    from relay.operations.deleted_clients import DeletedClients
    from relay.operations.doctor.secret_expiry import SecretExpiry
    from relay.operations.erasure import Erasure
    from relay.operations.health_log import HealthLog
    from relay.operations.message_changes import MessageChanges
    from relay.operations.pause import Pause
    from relay.operations.recovery import Recovery
    from relay.operations.resend_lost import ResendLost
    from relay.operations.timers.run_now import RunNow
    from relay.platform.secrets import Secrets
    from relay.platform.storage.ports import Storage
    from relay.platform.telemetry import Telemetry
    from relay.providers.capture.inbox import Inbox
    from relay.providers.contract import Provider
    from relay.routes.brakes import Brakes
    from relay.routes.holds import Holds
    from relay.routes.probes import Probes
    from relay.routes.readiness import Readiness
    from relay.routes.recipient_budget.usage import RecipientUsage
    from relay.unsubscribe.preferences import Preferences
    from relay.unsubscribe.topics import Topics


class Services(Protocol):
    """The application as handlers see it: its settings, its stores and its use cases."""

    @property
    def settings(self) -> "Settings": ...
    @property
    def storage(self) -> "Storage": ...
    @property
    def clock(self) -> Callable[[], datetime]: ...
    @property
    def sleep(self) -> Callable[[float], Any]: ...
    @property
    def new_batch(self) -> Callable[[], str]: ...
    @property
    def telemetry(self) -> "Telemetry": ...
    @property
    def secrets(self) -> "Secrets": ...
    @property
    def authentication(self) -> "Authentication": ...
    @property
    def clients(self) -> "Clients": ...
    @property
    def quotas(self) -> "Quotas": ...
    @property
    def idempotency(self) -> "Idempotency": ...
    @property
    def suppressions(self) -> "Suppressions": ...
    @property
    def topics(self) -> "Topics": ...
    @property
    def preferences(self) -> "Preferences": ...
    @property
    def uploads(self) -> "Uploads": ...
    @property
    def templates(self) -> "Templates": ...
    @property
    def inbox(self) -> "Inbox": ...
    @property
    def acceptance(self) -> "Acceptance": ...
    @property
    def status_reader(self) -> "StatusReader": ...
    @property
    def journal(self) -> "Journal": ...
    @property
    def listing(self) -> "Listing": ...
    @property
    def content(self) -> "Content": ...
    @property
    def arrival_hours(self) -> "ArrivalHours": ...
    @property
    def overview(self) -> "Overview": ...
    @property
    def dead_letters(self) -> "DeadLetters": ...
    @property
    def send_groups(self) -> "SendGroups": ...
    @property
    def message_traces(self) -> "MessageTraces": ...
    @property
    def brakes(self) -> "Brakes": ...
    @property
    def holds(self) -> "Holds": ...
    @property
    def recipient_usage(self) -> "RecipientUsage": ...
    @property
    def readiness(self) -> "Readiness": ...
    @property
    def recovery(self) -> "Recovery": ...
    @property
    def probes(self) -> "Probes": ...
    @property
    def pause(self) -> "Pause": ...
    @property
    def message_changes(self) -> "MessageChanges": ...
    @property
    def resend_lost(self) -> "ResendLost": ...
    @property
    def run_now(self) -> "RunNow": ...
    @property
    def audit_log(self) -> "AuditLog": ...
    @property
    def deleted_clients(self) -> "DeletedClients": ...
    @property
    def erasure(self) -> "Erasure": ...
    @property
    def events(self) -> "Events": ...
    @property
    def webhooks(self) -> "Webhooks": ...
    @property
    def secret_expiry(self) -> "SecretExpiry": ...
    @property
    def health_log(self) -> "HealthLog": ...

    def provider(self, route: str) -> "Provider":
        """Return the provider of a route. Raises `KeyError` for a route that is not configured."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a handler. `values` are those of the path; `caller` is None for an operation that needs no key."""

    services: Services
    request: Request
    values: Mapping[str, str]
    request_id: str
    operations: Operations
    caller: Client | None = None

    @property
    def client(self) -> Client:
        """The caller of an operation that has one."""
        if self.caller is None:
            raise TypeError("this operation has no caller")
        return self.caller

    @property
    def base_url(self) -> str:
        """The address callers use, without a last slash."""
        return self.services.settings.public_url or _origin(self.request)


def _origin(request: Request) -> str:
    scheme, _, rest = request.url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
