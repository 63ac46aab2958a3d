"""Set up each provider with a stand-in, and make it fail."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from relay.core.errors import SettingsError, Unavailable
from relay.core.send_request import SendRequest
from relay.platform.storage.ports import Blobs
from relay.providers.acs import provider as acs
from relay.providers.capture import provider as capture
from relay.providers.capture.inbox import Inbox as LocalInbox
from relay.providers.contract import Provider, ProviderContext, ProviderModule
from relay.providers.graph import provider as graph
from relay.providers.sendgrid import provider as sendgrid
from relay.providers.smtp import provider as smtp
from standins.http import StandIn
from standins.inbox import Mail
from standins.mime import read_mime
from tests.contract.messages import mail, send_request
from tests.send_requests import NOW

RETRY_AFTER = 7.0


class Keys:
    """Secrets by reference. An empty one cannot be read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)

    async def get(self, reference: str) -> str:
        if not self.values.get(reference):
            raise SettingsError([f"{reference}: missing"])
        return self.values[reference]

    async def refresh(self, reference: str) -> str:
        return await self.get(reference)


class ProviderSetup(Protocol):
    """A provider and its server. Each method that prepares a failure returns the request to send."""

    name: str
    provider: Provider
    module: ProviderModule
    settings: Mapping[str, Any]
    retry_after: float | None
    keeps_sender_name: bool

    async def arrived(self) -> list[Mail]:
        """Return the accepted mails, oldest first."""

    def transient(self) -> SendRequest:
        """Rate-limit one request."""

    def rejection(self) -> SendRequest:
        """Refuse this message permanently."""

    def lost_response(self) -> SendRequest:
        """Accept the message and send no response."""

    def route_fault(self) -> SendRequest:
        """Forbid the account or identity to send."""

    def is_healed(self) -> None:
        """End the route fault."""

    async def leave(self) -> None:
        """Stop the server."""

    def strange(self, status: int, body: str) -> None:
        """Respond like this to every request from now on."""


class StandInSetup:
    """The setups with a vendor's stand-in."""

    module: ProviderModule
    retry_after: float | None = RETRY_AFTER
    keeps_sender_name = True
    fault_state = ""
    refusal = ""

    def __init__(self, standin: StandIn, provider: Provider, settings: Mapping[str, Any]) -> None:
        self.standin = standin
        self.provider = provider
        self.settings = settings

    async def arrived(self) -> list[Mail]:
        return list(self.standin.inbox.messages)

    def transient(self) -> SendRequest:
        self.standin.script.respond(429, headers={"Retry-After": f"{RETRY_AFTER:g}"})
        return send_request()

    def rejection(self) -> SendRequest:
        self.standin.script.respond(400, json.loads(self.refusal))
        return send_request()

    def lost_response(self) -> SendRequest:
        self.standin.script.cut_after_accept()
        return send_request()

    def route_fault(self) -> SendRequest:
        self.standin.account = self.fault_state
        return send_request()

    def is_healed(self) -> None:
        self.standin.account = "active"

    async def leave(self) -> None:
        await self.standin.stop()

    def strange(self, status: int, body: str) -> None:
        self.standin.script.respond(status, body, operation="*", times=None)


class SendGridSetup(StandInSetup):
    name = "sendgrid"
    module: ProviderModule = sendgrid
    fault_state = "missing_scope"
    refusal = '{"errors": [{"message": "Does not contain a valid address.", "field": "personalizations.0.to.0.email"}]}'


class GraphSetup(StandInSetup):
    name = "graph"
    module: ProviderModule = graph
    fault_state = "mailbox_missing"
    refusal = '{"error": {"code": "ErrorInvalidRecipients", "message": "At least one recipient is not valid."}}'


class AcsSetup(StandInSetup):
    name = "acs"
    module: ProviderModule = acs
    # The name belongs to the sender as it is set up in Azure; a request carries the address alone.
    keeps_sender_name = False
    fault_state = "role_missing"
    refusal = '{"error": {"code": "BadRequest", "message": "Request body validation error."}}'


class SmtpSetup(StandInSetup):
    name = "smtp"
    module: ProviderModule = smtp
    retry_after = None
    fault_state = "credentials_refused"

    def transient(self) -> SendRequest:
        self.standin.script.respond(432)
        return send_request()

    def rejection(self) -> SendRequest:
        self.standin.script.respond(554, "5.6.0 Corrupt message content")
        return send_request()

    def strange(self, status: int, body: str) -> None:
        self.standin.script.respond(status, body or "?", operation="*", times=None)


class TroubledBlobs:
    """Blobs that refuse every write while `is_away`."""

    def __init__(self, blobs: Any) -> None:
        self._blobs = blobs
        self.is_away = False

    async def put(self, *args: Any, **options: Any) -> None:
        if self.is_away:
            raise Unavailable("storage is away")
        await self._blobs.put(*args, **options)


class CaptureSetup:
    """The local inbox, whose failures are simulated by recipients."""

    name = "capture"
    module: ProviderModule = capture
    retry_after: float | None = 30.0
    keeps_sender_name = True

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = TroubledBlobs(blobs)
        self._inbox = LocalInbox(blobs, lambda: NOW)
        self.settings: Mapping[str, Any] = {}
        context = ProviderContext(http=None, blobs=self._blobs, secrets=Keys({}), clock=lambda: NOW, credential=None)
        self.provider = capture.create("mail", {}, context)

    async def arrived(self) -> list[Mail]:
        caught = [mail async for mail in self._inbox.all()]
        return [
            read_mime(
                await self._inbox.mime(one.name),
                mail_id=one.name,
                accepted_at=one.caught_at,
                envelope=one.recipients,
                envelope_sender=one.sender,
            )
            for one in reversed(caught)
        ]

    def transient(self) -> SendRequest:
        return send_request(mail("throttled@relay.test"))

    def rejection(self) -> SendRequest:
        return send_request(mail("rejected@relay.test"))

    def lost_response(self) -> SendRequest:
        return send_request(mail("unknown@relay.test"))

    async def leave(self) -> None:
        self._blobs.is_away = True

    def strange(self, status: int, body: str) -> None:
        self._blobs.is_away = True
