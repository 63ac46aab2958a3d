"""Store mail in the local inbox (`relay.providers.capture.inbox`) instead of sending it. For development and tests.

Recipients in the reserved domain `relay.test` (RFC 6761 section 6.2) simulate the outcome that their local part names, so
that a caller can test every outcome without a vendor:

    delivered   is accepted, as any other recipient
    deferred    is deferred at the first attempt and accepted at the second
    throttled   is deferred for 30 seconds at the first attempt and accepted at the second
    rejected    is refused permanently
    slow        is accepted after `SLOW_SECONDS`
    unknown     is stored, but the response is lost, so that the outcome is unknown
"""

from collections.abc import Mapping, Sequence
from functools import partial

from relay.core.errors import StorageError
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, Sent, Unknown
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.mime import build
from relay.platform.concurrency import run_sized
from relay.providers.capture.inbox import Inbox
from relay.providers.contract import FEATURES, Capabilities, Provider, ProviderContext

CAPABILITIES = Capabilities(
    max_bytes=157_286_400,
    max_recipients=1000,
    features=frozenset(FEATURES) - {"raw_content", "verify", "checks", "delivery_events"},
)
"""All features but later questions and events, because a stored mail is final, and `raw_content`, which `raw_mime` replaces."""
TEST_DOMAIN = "relay.test"
SLOW_SECONDS = 5.0


def check_settings(settings: RouteSettings) -> Sequence[str]:
    """Return a problem for each setting: this provider has none."""
    return [f"{key}: is not a setting of capture, which has none" for key in settings]


def create(name: str, settings: RouteSettings, context: ProviderContext) -> Provider:
    """Make the provider of a route. Opens no connection."""
    return Capture(context)


class Capture:
    """One route into the local inbox."""

    def __init__(self, context: ProviderContext) -> None:
        self._inbox = Inbox(context.blobs, context.clock)
        self._sleep = context.sleep

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        """Store the mail for all accepted recipients. A test recipient has its own outcome."""
        outcomes = {number: _outcome(request, number) for number in request.recipients}
        taken = tuple(number for number, outcome in outcomes.items() if isinstance(outcome, Sent | Unknown))
        if any(_behavior(request, number) == "slow" for number in request.recipients):
            await self._sleep(SLOW_SECONDS)
        if taken:
            try:
                await self._keep(request, taken)
            except (StorageError, ValueError) as error:
                return Deferred(code="provider_unavailable", reply=type(error).__name__)
        return _together(outcomes)

    async def probe(self) -> Sent:
        """Return `Sent`: the route is always healthy."""
        return Sent()

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        """Return `Unknown`, to which the test recipient `unknown` leads."""
        return Unknown(code="response_lost", provider_id=provider_id)

    async def close(self) -> None:
        """Close nothing."""

    async def _keep(self, request: SendRequest, numbers: Sequence[int]) -> None:
        message = request.message
        await self._inbox.keep(
            message=request.id,
            attempt=request.attempt,
            sender=message.envelope_sender or "<>",
            recipients=tuple(message.recipients[number].email for number in numbers),
            subject=message.subject,
            mime=await run_sized(partial(build.build, request), message.building_size),
        )


def _behavior(request: SendRequest, number: int) -> str:
    local, _, domain = request.message.recipients[number].email.rpartition("@")
    return local.partition("+")[0].lower() if domain == TEST_DOMAIN else ""


def _outcome(request: SendRequest, number: int) -> Outcome:
    match _behavior(request, number):
        case "deferred" if request.attempt == 1:
            return Deferred(code="recipient_deferred", reply="451 4.2.1 test recipient: come back later")
        case "throttled" if request.attempt == 1:
            return Deferred(code="rate_limited", reply="450 4.3.2 test recipient: slow down", retry_after_seconds=30)
        case "rejected":
            return Rejected(code="recipient_refused", reply="550 5.1.1 test recipient: no such mailbox")
        case "unknown":
            return Unknown(code="response_lost", reply="test recipient: the response is lost")
    return Sent(provider_id=f"{request.id}-{request.attempt}", reply="250 2.0.0 kept in the inbox")


def _together(outcomes: Mapping[int, Outcome]) -> Outcome | PerRecipient:
    """Return one outcome if all recipients have the same, else one for each recipient."""
    groups: dict[Outcome, list[int]] = {}
    for number, outcome in outcomes.items():
        groups.setdefault(outcome, []).append(number)
    if len(groups) == 1:
        return next(iter(groups))
    return PerRecipient(outcomes=tuple((tuple(numbers), outcome) for outcome, numbers in groups.items()))
