"""Send a part by its route's provider, but first ask about attempts that may have been sent already."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from relay.core.errors import StorageError
from relay.core.model import Attempt, DeliveryGuarantee, Part, Submission
from relay.core.outcomes import AskLater, Deferred, NotYet, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import part_history, part_states
from relay.core.send_request import SendRequest
from relay.core.settings import Settings
from relay.delivery.provider_calls import ProviderCalls
from relay.platform.log import log_event
from relay.providers.contract import Provider
from relay.routes.recipient_budget.counting import ExternalRecipients

if TYPE_CHECKING:
    from relay.events.message_trace.lost_responses import LostResponses

RECORD_SECONDS = 15.0
"""Lease time to keep for recording the outcome (short leases: a tenth)."""
ASK_AGAIN_SECONDS = 60.0
"""Seconds until a message trace that could not be asked is asked again."""


class Sending:
    """Sends without duplicates, as far as the provider can say what became of earlier attempts."""

    def __init__(
        self,
        settings: Settings,
        providers: Callable[[str], Provider],
        can_verify: Callable[[str], bool],
        clock: Callable[[], datetime],
        *,
        external_recipients: ExternalRecipients,
        lost_responses: "LostResponses | None" = None,
    ) -> None:
        """`providers` finds a route's provider; `can_verify` says whether it can be asked about a lost response.

        `lost_responses` asks where the providers cannot answer.
        """
        self._calls = ProviderCalls(providers)
        self._can_verify = can_verify
        self._lost_responses = lost_responses
        self._external_recipients = external_recipients
        self._clock = clock
        self._record_seconds = min(RECORD_SECONDS, settings.attempt_seconds / 10)

    async def send(
        self, part: Part, submission: Submission, request: SendRequest
    ) -> tuple[Part, Outcome | PerRecipient | AskLater | NotYet, bool]:
        """Send, unless an earlier attempt was sent or may not be repeated. Never raises.

        Returns the part with the attempts that turned out not to be sent, the answer, and whether it is final: no later
        question would help. The answer is `AskLater` if nothing may be sent before it is known what became of an attempt. Mail
        that may arrive twice does not wait for that: a late copy is worse than a second one. The answer is `NotYet` if the
        route's budget has no room for the recipients.
        """
        uncertain = part_history.attempts_to_ask_about(part)
        if uncertain:
            must_not = submission.delivery is DeliveryGuarantee.AT_MOST_ONCE and not part.may_resend
            is_over = part_states.expires_at(part, submission) <= self._clock()
            part, found = await self._ask(part, request, uncertain if must_not or is_over else uncertain[-1:])
            if isinstance(found, Sent):
                return part, found, True
            if isinstance(found, AskLater):
                if must_not and not is_over:
                    return part, found, False
                found = Unknown(code=uncertain[-1].code)
            if part_history.is_uncertain(part) and (must_not or is_over):
                return part, found, True
            if is_over:
                return part, Deferred(code="expired"), True
        return part, await self._send(part, request), False

    async def _send(self, part: Part, request: SendRequest) -> Outcome | PerRecipient | NotYet:
        """Count the external recipients, and send."""
        is_bound = part_history.is_uncertain(part)
        counted = await self._external_recipients.take(part.route, request, is_bound=is_bound)
        if isinstance(counted, NotYet):
            return counted
        answer = await self._calls.send(part.route, request, seconds=self._seconds_for(part))
        if isinstance(answer, Deferred | Rejected | RouteFault):
            counted.give_back()
        return answer

    async def _ask(
        self, part: Part, request: SendRequest, uncertain: Sequence[Attempt]
    ) -> tuple[Part, Sent | Unknown | AskLater]:
        """Ask the provider about the uncertain attempts by its route, the latest first, until one turns out to have been sent."""
        unknown: Unknown | AskLater = Unknown(code=uncertain[-1].code)
        can_ask = self._can_verify(part.route)
        askable = [attempt for attempt in uncertain if can_ask and attempt.route == part.route]
        for attempt in reversed(askable):
            found = await self._ask_about(part, request, attempt)
            if isinstance(found, Sent):
                return part, msgspec.structs.replace(found, verified=found.verified or attempt.accepted_number)
            if isinstance(found, Deferred | Rejected):
                part = part_history.mark_not_sent(part, attempt)
            elif isinstance(found, AskLater) or (isinstance(found, Unknown) and not isinstance(unknown, AskLater)):
                unknown = found
        return part, unknown

    async def _ask_about(self, part: Part, request: SendRequest, attempt: Attempt) -> Outcome | PerRecipient | AskLater:
        previous = msgspec.structs.replace(
            request, attempt=attempt.accepted_number, attempt_id=part_history.attempt_id(request.id, attempt)
        )
        found = await self._calls.ask(part.route, previous, attempt.provider_id, seconds=self._seconds_for(part))
        if not isinstance(found, Unknown) or self._lost_responses is None:
            return found
        try:
            async with asyncio.timeout(self._seconds_for(part)):
                traced = await self._lost_responses.ask(part, previous, attempt)
        except (StorageError, TimeoutError) as error:
            log_event("lost_response_not_traced", level=logging.WARNING, route=part.route, error=type(error).__name__)
            return AskLater(seconds=ASK_AGAIN_SECONDS)
        return found if isinstance(traced, Unknown) else traced

    def _seconds_for(self, part: Part) -> float:
        """Return the time limit of a call: what is left of the lease, without the time to record the outcome in."""
        now = self._clock()
        return max(1.0, ((part.lease_until or now) - now).total_seconds() - self._record_seconds)
