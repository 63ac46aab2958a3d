"""Send a part by its route's provider, but first ask about attempts that may have been sent already."""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from relay.core import part_history, part_states
from relay.core.model import Attempt, DeliveryGuarantee, Part, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, Sent, Unknown
from relay.core.send_request import SendRequest
from relay.core.settings import Settings
from relay.delivery.provider_calls import ProviderCalls
from relay.providers.contract import Provider

RECORD_SECONDS = 15.0
"""Lease time to keep for recording the outcome (short leases: a tenth)."""


class Sending:
    """Sends without duplicates, as far as the provider can say what became of earlier attempts."""

    def __init__(
        self,
        settings: Settings,
        providers: Callable[[str], Provider],
        can_verify: Callable[[str], bool],
        clock: Callable[[], datetime],
    ) -> None:
        """`providers` finds a route's provider; `can_verify` says whether it can be asked about a lost response."""
        self._calls = ProviderCalls(providers)
        self._can_verify = can_verify
        self._clock = clock
        self._record_seconds = min(RECORD_SECONDS, settings.attempt_seconds / 10)

    async def send(
        self, part: Part, submission: Submission, request: SendRequest
    ) -> tuple[Part, Outcome | PerRecipient, bool]:
        """Send, unless an earlier attempt was sent or may not be repeated. Never raises.

        Returns the part with the attempts that turned out not to be sent, the answer, and whether it is final: no later
        question would help.
        """
        uncertain = part_history.uncertain_attempts(part)
        if uncertain:
            must_not = submission.delivery is DeliveryGuarantee.AT_MOST_ONCE and not part.may_resend
            is_over = part_states.expires_at(part, submission) <= self._clock()
            part, found = await self._ask(part, request, uncertain if must_not or is_over else uncertain[-1:])
            if isinstance(found, Sent):
                return part, found, True
            if part_history.is_uncertain(part) and (must_not or is_over):
                return part, found, True
            if is_over:
                return part, Deferred(code="expired"), True
        return part, await self._calls.send(part.route, request, seconds=self._seconds_for(part)), False

    async def _ask(self, part: Part, request: SendRequest, uncertain: Sequence[Attempt]) -> tuple[Part, Sent | Unknown]:
        """Ask the route's provider about attempts of it, the latest first, until one turns out to have been sent."""
        unknown = Unknown(code=uncertain[-1].code)
        can_ask = self._can_verify(part.route)
        askable = [attempt for attempt in uncertain if can_ask and attempt.route == part.route]
        for attempt in reversed(askable):
            found = await self._ask_about(part, request, attempt)
            if isinstance(found, Sent):
                return part, found
            if isinstance(found, Deferred | Rejected):
                part = part_history.mark_not_sent(part, attempt)
            elif isinstance(found, Unknown):
                unknown = found
        return part, unknown

    async def _ask_about(self, part: Part, request: SendRequest, attempt: Attempt) -> Outcome | PerRecipient:
        previous = msgspec.structs.replace(
            request, attempt=attempt.number, attempt_id=part_history.attempt_id(request.id, part, attempt.number)
        )
        return await self._calls.ask(part.route, previous, attempt.provider_id, seconds=self._seconds_for(part))

    def _seconds_for(self, part: Part) -> float:
        """Return the time limit of a call: what is left of the lease, without the time to record the outcome in."""
        now = self._clock()
        return max(1.0, ((part.lease_until or now) - now).total_seconds() - self._record_seconds)
