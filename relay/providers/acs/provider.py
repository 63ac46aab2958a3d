"""Send by the REST API of Azure Communication Services Email. The vendor's client sleeps on 429; Relay defers instead.

Relay chooses the id of an operation (`SendRequest.attempt_id`), so that it can verify an attempt whose response was lost.
"""

import asyncio
import uuid
from collections.abc import Sequence
from functools import partial

from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.platform.concurrency import run_sized
from relay.providers.acs.auth import AcsClient
from relay.providers.acs.body import RecipientGroup, build, recipient_groups
from relay.providers.acs.outcomes import operation_outcome, sent_outcome
from relay.providers.acs.settings import SETTABLE_LIMITS, check_settings, default_paces
from relay.providers.bearer import ExchangeResult
from relay.providers.contract import Capabilities, Provider, ProviderContext
from relay.providers.finished import as_content
from relay.providers.http_exchange import LostResponse, probe_fault

CAPABILITIES = Capabilities(
    # No empty files: github.com/Azure/azure-sdk-for-net/issues/36086.
    # "10 MB" for the whole request, without saying which kind of megabyte (service-limits).
    max_bytes=10_000_000,
    max_recipients=50,
    features=frozenset(
        {"headers", "x_headers", "inline_images", "raw_content", "reply_to_many", "verify", "checks", "delivery_events"}
    ),
)
VERSION = "2025-09-01"
NO_OPERATION = "00000000-0000-0000-0000-000000000000"
"""An operation that does not exist. Its status request shows whether the credentials are accepted."""
_OPERATIONS = uuid.UUID("3f0e7c52-58c5-4d43-9d0b-6a1f8f6f2a77")


def create(name: str, settings: RouteSettings, context: ProviderContext) -> Provider:
    """Make the provider of a route. Opens no connection."""
    return Acs(settings, context)


class Acs:
    """One route through Azure Communication Services."""

    def __init__(self, settings: RouteSettings, context: ProviderContext) -> None:
        self._client = AcsClient(settings, context)
        self._tracks: bool = settings.get("engagement_tracking", True)

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        """Send one request for all recipients, and one for each that needs its own."""
        readable = await as_content(request)
        if isinstance(readable, Rejected):
            return readable
        request = readable
        if problems := _unsupported(request):
            return Rejected(code="unsupported", reply="; ".join(problems))
        groups = recipient_groups(request)
        return _together(groups, await asyncio.gather(*(self._send(request, group) for group in groups)))

    async def probe(self) -> Sent | RouteFault:
        """Check whether the key or identity is accepted. A sender that is not set up shows only when it sends."""
        result = await self._show(NO_OPERATION)
        if isinstance(result, LostResponse):
            return RouteFault(code="unreachable", reply=result.reason)
        if isinstance(result, RouteFault):
            return result
        if isinstance(result, Deferred):
            return RouteFault(code=result.code, reply=result.reply)
        if result.status in (200, 404, 429):
            return Sent()
        return probe_fault(sent_outcome(result, self._client.now(), NO_OPERATION))

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome | PerRecipient:
        """Look up the attempt's operations. Their ids are derived from the request, so no response is needed."""
        groups = recipient_groups(request)
        operations = [operation_of(request, group) for group in groups]
        if provider_id is not None and len(groups) == 1:
            operations = [provider_id]
        return _together(groups, [operation_outcome(await self._show(each), each) for each in operations])

    async def close(self) -> None:
        """Close nothing: the session belongs to the process."""

    async def _send(self, request: SendRequest, group: RecipientGroup) -> Outcome:
        operation = operation_of(request, group)
        try:
            body = await self._body(request, group)
        except ValueError as error:
            return Rejected(code="invalid_message", reply=type(error).__name__)
        headers = {"Operation-Id": operation, "x-ms-client-request-id": operation}
        result = await self._client.request("POST", f"/emails:send?api-version={VERSION}", body, headers)
        return sent_outcome(result, self._client.now(), operation)

    async def _show(self, operation: str) -> ExchangeResult:
        return await self._client.request("GET", f"/emails/operations/{operation}?api-version={VERSION}")

    async def _body(self, request: SendRequest, group: RecipientGroup) -> bytes:
        return await run_sized(partial(build, request, group, tracks=self._tracks), request.message.building_size)


def operation_of(request: SendRequest, group: RecipientGroup) -> str:
    """Return the operation id: the attempt's own, or one derived from the recipient if it has a request of its own.

    The derived id stays the same when the recipients are split into parts after the attempt.
    """
    if not group.is_alone:
        return request.attempt_id
    return str(uuid.uuid5(_OPERATIONS, f"{request.id}/{group.numbers[0]}/{request.attempt}"))


def _together(groups: Sequence[RecipientGroup], outcomes: Sequence[Outcome]) -> Outcome | PerRecipient:
    if len(outcomes) == 1:
        return outcomes[0]
    return PerRecipient(
        outcomes=tuple((group.numbers, outcome) for group, outcome in zip(groups, outcomes, strict=True))
    )


def _unsupported(request: SendRequest) -> list[str]:
    """Return why the service cannot carry a message. Acceptance refuses such messages, but a redrive may change the route."""
    problems = []
    if request.message.calendar is not None:
        problems.append("ACS has no part for a calendar invitation")
    if request.message.return_path is not None:
        problems.append("ACS sets the return path itself")
    return problems


__all__ = ("CAPABILITIES", "SETTABLE_LIMITS", "Acs", "check_settings", "create", "default_paces")
