"""Apply the result of an attempt to a part: pure decisions, from the provider's answer to the next state."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core import outcomes, retry
from relay.core.model import Attempt, DeliveryGuarantee, Part, State, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts.part_history import ROUTE_FAULT, first_recipient, is_uncertain, uncertain_attempts, with_attempt
from relay.core.parts.part_states import end, expires_at, expires_at_while_held, hold, unique_due_time
from relay.core.settings import Lane

VERIFY_DELAY_SECONDS = 60.0
"""Seconds after a lost response until Relay asks the provider about it."""
_replace = msgspec.structs.replace


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an attempt, and the facts that its settlement needs besides the part.

    `can_verify`: Relay can ask the provider about a lost response. `is_final_check`: it already did. `spare_route`: a route that
    may take the part at once, if the provider asked for a long wait.
    """

    answer: Outcome | PerRecipient
    provider: str
    at: datetime
    now: datetime
    lane: Lane
    jitter: float
    can_verify: bool = False
    is_final_check: bool = False
    spare_route: str | None = None


class RouteHold(msgspec.Struct, frozen=True, kw_only=True):
    """The hold after a route fault: its scope, its next probe (None: an operator releases it), and the route to fail over to,
    if there is one.

    `is_message_at_fault`: nothing is held, because the route works for other messages.
    """

    scope: str
    until: datetime | None
    other_route: str | None = None
    is_message_at_fault: bool = False


def must_wait_long(part: Part, outcome: Outcome, lane: Lane) -> bool:
    """Return whether a provider that certainly did not take this part asks for a longer wait than the backoff's."""
    if not isinstance(outcome, Deferred) or outcome.retry_after_seconds is None or is_uncertain(part):
        return False
    longest = retry.longest_backoff_seconds(part.attempt, lane.retry_min_seconds, lane.retry_max_seconds)
    return outcome.retry_after_seconds > longest


def settle(
    part: Part, submission: Submission, result: AttemptResult, held: RouteHold | None = None
) -> tuple[Part, ...]:
    """Apply an attempt's result to a part. Returns one part, or several if recipients got different outcomes."""
    first = first_recipient(part)
    return tuple(
        _settle_one(each, submission, result, outcome, held, first=first)
        for each, outcome in by_outcome(part, result.answer)
    )


def by_outcome(part: Part, answer: Outcome | PerRecipient) -> Sequence[tuple[Part, Outcome]]:
    """Split a part by the outcomes of its recipients. Recipients with the same kind of outcome and code stay together."""
    if not isinstance(answer, PerRecipient):
        return [(part, answer)]
    groups: dict[tuple[str, str], tuple[list[int], Outcome]] = {}
    for numbers, outcome in answer.outcomes:
        key = (type(outcome).__name__, outcome.code)
        groups.setdefault(key, ([], outcome))[0].extend(numbers)
    if len(groups) == 1:
        ((_, outcome),) = groups.values()
        return [(part, outcome)]
    return [(_replace(part, recipients=tuple(sorted(numbers))), outcome) for numbers, outcome in groups.values()]


_NAMES = {
    Sent: "sent",
    Deferred: "deferred",
    Rejected: "rejected",
    RouteFault: ROUTE_FAULT,
    Unknown: "unknown",
}


def _settle_one(
    part: Part, submission: Submission, result: AttemptResult, outcome: Outcome, held: RouteHold | None, *, first: int
) -> Part:
    attempts = with_attempt(part.attempts, _attempt(part, result, outcome, first))
    # The permission to send again lasts until a new uncertain attempt uses it up.
    may_resend = part.may_resend and not isinstance(outcome, Unknown)
    recorded = _replace(part, attempts=attempts, may_resend=may_resend, slot_at=None)
    match outcome:
        case Sent():
            after = outcome.check_after_seconds
            check_at = None if after is None else result.now + timedelta(seconds=after)
            return _replace(end(recorded, State.SENT, ""), provider_id=outcome.provider_id, check_at=check_at)
        case Rejected():
            return end(recorded, State.FAILED, outcome.code)
        case RouteFault() if held is not None and held.is_message_at_fault:
            return _after_own_fault(recorded, submission, result, outcome, held)
        case RouteFault():
            return _after_route_fault(recorded, submission, result, outcome, held)
        case Unknown() if submission.delivery is DeliveryGuarantee.AT_MOST_ONCE:
            if result.can_verify and not result.is_final_check:
                later = result.now + timedelta(seconds=VERIFY_DELAY_SECONDS)
                asked = _replace(recorded, provider_id=outcome.provider_id)
                return _replace(asked, state=State.DEFERRED, due_at=later, lease_until=None, code=outcome.code)
            return end(recorded, State.UNKNOWN, outcome.code)
        case _:
            return _after_deferral(recorded, submission, result, outcome)


def _attempt(part: Part, result: AttemptResult, outcome: Outcome, first: int) -> Attempt:
    verified = _verified(part, result, outcome)
    asked = next((each for each in uncertain_attempts(part) if each.accepted_number == verified), None)
    return Attempt(
        number=part.attempt,
        route=part.route,
        provider=result.provider,
        at=result.at,
        outcome=_NAMES[type(outcome)],
        code=outcome.code,
        reply=outcomes.reply_text(outcome.reply),
        provider_id=outcome.provider_id if isinstance(outcome, Sent | Unknown) else None,
        seconds=round((result.now - result.at).total_seconds(), 3),
        verified=verified,
        first=first if asked is None else asked.first,
    )


def _verified(part: Part, result: AttemptResult, outcome: Outcome) -> int:
    """Return the number of the attempt that this one only asked about, the latest of several; 0 if it sent."""
    if isinstance(outcome, Unknown) and result.is_final_check:
        return max((each.accepted_number for each in uncertain_attempts(part)), default=0)
    return outcome.verified if isinstance(outcome, Sent) else 0


def _after_route_fault(
    part: Part, submission: Submission, result: AttemptResult, outcome: RouteFault, held: RouteHold | None
) -> Part:
    unspent = _replace(part, attempt=part.attempt - 1)
    if held is not None and held.other_route is not None:
        return _replace(unspent, state=State.DEFERRED, due_at=result.now, lease_until=None, code=outcome.code)
    until = (held and held.until) or result.now + timedelta(seconds=60)
    # One due time for all parts that this batch holds now, and a different one from that of an earlier hold.
    until = unique_due_time(until, round(result.jitter * 999_999))
    scope = held.scope if held is not None else part.route
    expires = expires_at_while_held(part, submission, outcome.code)
    return hold(unspent, part.route, outcome.code, result.now, until, scope=scope, expires_at=expires)


def _after_own_fault(
    part: Part, submission: Submission, result: AttemptResult, outcome: RouteFault, held: RouteHold
) -> Part:
    """Retry a message that a working route refuses: by another route at once, else as after a deferral."""
    deferred = Deferred(code=outcome.code, retry_after_seconds=outcome.retry_after_seconds)
    if held.other_route is None:
        return _after_deferral(part, submission, result, deferred)
    until = result.now + timedelta(seconds=retry.MAX_RETRY_AFTER_SECONDS)
    busy = {**part.busy, part.route: until}
    return _replace(part, state=State.DEFERRED, due_at=result.now, lease_until=None, code=outcome.code, busy=busy)


def _after_deferral(part: Part, submission: Submission, result: AttemptResult, outcome: Deferred | Unknown) -> Part:
    if must_wait_long(part, outcome, result.lane):
        part = _replace(part, busy=_busy(part, result, outcome))
        if result.spare_route is not None:
            return _replace(part, state=State.DEFERRED, due_at=result.now, lease_until=None, code=outcome.code)
    # Asked too early, the provider may not find the message yet, and Relay would send it again.
    minimum = VERIFY_DELAY_SECONDS if isinstance(outcome, Unknown) and result.can_verify else 0.0
    decision = retry.decide(
        attempt=part.attempt,
        now=result.now,
        expires_at=expires_at(part, submission),
        min_seconds=max(minimum, result.lane.retry_min_seconds),
        max_seconds=max(minimum, result.lane.retry_max_seconds),
        jitter=result.jitter,
        retry_after_seconds=_retry_after(part, result, outcome),
    )
    if isinstance(decision, retry.TooLate):
        state = State.UNKNOWN if isinstance(outcome, Unknown) else State.EXPIRED
        return end(part, state, outcome.code or "expired")
    return _replace(part, state=State.DEFERRED, due_at=decision.at, lease_until=None, code=outcome.code)


def _busy(part: Part, result: AttemptResult, outcome: Deferred | Unknown) -> dict[str, datetime]:
    seconds = min(_asked_seconds(outcome) or 0.0, retry.MAX_RETRY_AFTER_SECONDS)
    busy = {route: until for route, until in part.busy.items() if until > result.now}
    return {**busy, part.route: result.now + timedelta(seconds=seconds)}


def _retry_after(part: Part, result: AttemptResult, outcome: Deferred | Unknown) -> float | None:
    """Return the seconds that the provider asks to wait, or fewer if another route of this part can be tried earlier."""
    seconds = _asked_seconds(outcome)
    if seconds is None:
        return None
    others = ((until - result.now).total_seconds() for until in part.busy.values() if until > result.now)
    return min([seconds, *others])


def _asked_seconds(outcome: Deferred | Unknown) -> float | None:
    return outcome.retry_after_seconds if isinstance(outcome, Deferred) else None
