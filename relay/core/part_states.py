"""How a part moves from state to state: pure functions, the whole state machine in one file.

queued ─► sending ─► sent | failed | expired | unknown
  │         ├─► deferred ─► sending …
  │         └─► held ─────► sending …      (a route fault spends no attempt; see expires_at_while_held)
  └─► scheduled ─► sending …               (cancelled from scheduled, deferred, held)
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core import outcomes, retry
from relay.core.model import DEAD, WAITING, Attempt, DeliveryGuarantee, Part, State, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.part_history import (
    ROUTE_FAULT,
    is_uncertain,
    mark_not_sent,
    uncertain_attempts,
    with_attempt,
)
from relay.core.settings import Lane

LEASE_SECONDS = 480.0
"""How long an attempt may take, by default. Below the host's ten-minute lease on the entry, so that a redelivery finds it
over."""
VERIFY_DELAY_SECONDS = 60.0
"""How long after a lost response Relay checks with the provider."""

MAX_ROOM_SECONDS = 7 * 86_400.0
"""How long the expiry of mail that waits for a limit of its route can stop."""

_NOT_SENT = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED})
_replace = msgspec.structs.replace


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt's answer, and the facts besides the part that its settlement needs.

    `is_final_check`: the provider was already asked about a lost response. `can_verify`: it can be. `spare_route`: a
    route that may take the part at once, if the provider asked for a long wait.
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


class LaterRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's report that it refuses the account, about some recipients of an attempt that it had accepted.

    `attempt` and `route` name the attempt, `recipients` are numbers, `at` is when the provider refused.
    """

    attempt: int
    route: str
    recipients: frozenset[int]
    code: str
    reply: str
    at: datetime


class RouteHold(msgspec.Struct, frozen=True, kw_only=True):
    """What a route fault led to: the scope that is held, its next probe (None: an operator releases it), and the route to
    fail over to, if there is one.

    `is_message_at_fault`: nothing is held, because the route works for other messages.
    """

    scope: str
    until: datetime | None
    other_route: str | None = None
    is_message_at_fault: bool = False


def expires_at(part: Part, submission: Submission) -> datetime:
    """Return when a part expires. Time held because of the configuration does not count."""
    return (part.expires_at or submission.expires_at) + timedelta(seconds=part.held_seconds)


def expires_at_while_held(part: Part, submission: Submission, code: str) -> datetime | None:
    """Return when a part expires if it is held for this cause. None: its expiry stops.

    Expiry stops while an operator must repair the configuration. It goes on while the provider is away, and always if the
    caller asked for it: a login code must not arrive late.
    """
    is_asked_for = submission.has_own_expiry and not part.redriven
    return expires_at(part, submission) if is_asked_for or code in outcomes.PROVIDER_AWAY else None


def unique_due_time(at: datetime, microsecond: int) -> datetime:
    """Make a due time unique by its microseconds, so that a late delete of the old `pending` row cannot remove the new one."""
    return at.replace(microsecond=microsecond)


def must_wait_long(part: Part, outcome: Outcome, lane: Lane) -> bool:
    """Whether a provider that certainly did not take this part asks for a longer wait than the backoff's."""
    if not isinstance(outcome, Deferred) or outcome.retry_after_seconds is None or is_uncertain(part):
        return False
    longest = retry.longest_backoff_seconds(part.attempt, lane.retry_min_seconds, lane.retry_max_seconds)
    return outcome.retry_after_seconds > longest


def is_busy(part: Part, route: str, now: datetime) -> bool:
    """Whether this route asked the part to wait until later than now."""
    return part.busy.get(route, now) > now


def begin(part: Part, route: str, now: datetime, lease_seconds: float = LEASE_SECONDS) -> Part:
    """Begin the next attempt on a route, under a new lease."""
    resumed = resume(part, now)
    return _replace(
        resumed,
        route=route,
        state=State.SENDING,
        attempt=part.attempt + 1,
        lease_until=now + timedelta(seconds=lease_seconds),
        slot_at=part.slot_at if route == part.route else None,
        code="",
    )


def resume(part: Part, now: datetime) -> Part:
    """End a hold: the time held is added to the expiry, if it stopped."""
    if part.held_since is None:
        return part
    held = part.held_seconds
    if part.held_expires_at is None:
        held += max(0.0, (now - part.held_since).total_seconds())
    return _replace(part, held_since=None, held_seconds=held, held_scope="", held_expires_at=None)


def hold(
    part: Part,
    route: str,
    code: str,
    now: datetime,
    until: datetime,
    *,
    scope: str,
    expires_at: datetime | None = None,
) -> Part:
    """Hold a part until its route works again. If it was held already, the time held counts from the first hold.

    `expires_at` is when it expires all the same (`expires_at_while_held`): then it is due at the latest.
    """
    return _replace(
        part,
        route=route,
        state=State.HELD,
        due_at=until if expires_at is None else min(until, expires_at),
        lease_until=None,
        held_since=part.held_since or now,
        held_scope=scope,
        held_expires_at=expires_at,
        code=code,
    )


def interrupt(part: Part, now: datetime, lease_seconds: float = LEASE_SECONDS) -> Part:
    """Record that an attempt's process died. This uses up the permission to send again (`may_resend`)."""
    died = Attempt(
        number=part.attempt,
        route=part.route,
        provider="",
        at=(part.lease_until or now) - timedelta(seconds=lease_seconds),
        outcome="interrupted",
        code="interrupted",
    )
    return _replace(part, attempts=with_attempt(part.attempts, died), lease_until=None, may_resend=False)


def postpone(part: Part, until: datetime, code: str) -> Part:
    """Defer an attempt that was begun and not made (no time left, storage unavailable). It does not count as an attempt."""
    return _replace(
        part, state=State.DEFERRED, attempt=max(0, part.attempt - 1), due_at=until, lease_until=None, code=code
    )


def await_room(part: Part, submission: Submission, now: datetime, until: datetime, *, route: str, code: str) -> Part:
    """Defer a part, before its attempt began, until a limit of its route has room; end it if it expires until then.

    Its expiry stops as in a hold, unless the caller asked for it, but for `MAX_ROOM_SECONDS` at most: other mail may always
    be first.
    """
    held = part.held_seconds
    if expires_at_while_held(part, submission, code) is None:
        held = max(held, min(held + (until - now).total_seconds(), MAX_ROOM_SECONDS))
    waiting = _replace(
        part, route=route, state=State.DEFERRED, due_at=until, lease_until=None, held_seconds=held, code=code
    )
    return waiting if until < expires_at(waiting, submission) else end(waiting, State.EXPIRED, code)


def cancel_begun(part: Part) -> Part:
    """Cancel a part whose attempt was begun and not made, because its group was cancelled. It does not count as an attempt."""
    return end(_replace(part, attempt=max(0, part.attempt - 1)), State.CANCELLED, "")


def pace(part: Part, slot_at: datetime) -> Part:
    """Defer a part to the slot that it got from the route's pace. It does not count as an attempt."""
    return _replace(postpone(part, slot_at, "paced"), slot_at=slot_at)


def end(part: Part, state: State, code: str) -> Part:
    """A final state. Nothing is due any more.

    What may have been sent all the same is `unknown`: no state says of it that it was not.
    """
    if state in _NOT_SENT and is_uncertain(part):
        state, code = State.UNKNOWN, code or uncertain_attempts(part)[-1].code
    return _replace(
        part,
        state=state,
        code=code,
        due_at=None,
        lease_until=None,
        held_since=None,
        held_scope="",
        held_expires_at=None,
    )


def cancel(part: Part) -> Part | None:
    """Cancel a waiting part: `cancelled`, or `unknown` if it may have been sent before. None if it does not wait.

    What is cancelled already stays so, so that a repeated request is answered like the first.
    """
    if part.state is State.CANCELLED:
        return part
    return end(part, State.CANCELLED, "") if part.state in WAITING else None


def reschedule(part: Part, submission: Submission, at: datetime) -> Part | None:
    """Move a scheduled part to another time, and its expiry with it. None if it is not scheduled."""
    if part.state is not State.SCHEDULED or part.due_at is None:
        return None
    expires = (part.expires_at or submission.expires_at) + (at - part.due_at)
    return _replace(part, due_at=at, expires_at=expires)


def redrive(part: Part, now: datetime, lane_expiry_seconds: int, route: str | None) -> Part | None:
    """Put a dead part back, optionally on another route. None if it is not dead, so that redriving twice sends once."""
    if part.state not in DEAD:
        return None
    return _put_back(part, now, lane_expiry_seconds, route)


def resend(
    part: Part,
    lost: frozenset[int],
    now: datetime,
    *,
    all_recipients: tuple[int, ...],
    lane_expiry_seconds: int,
    route: str | None,
) -> tuple[Part, ...]:
    """A sent part of which these recipients' copies were lost after all: theirs is put back, the others' stays as it is.

    `all_recipients` are the recipients that the message was for.
    """
    kept, lost_part = _split_sent(part, lost, all_recipients)
    if lost_part is None:
        return (part,)
    put_back = _put_back(lost_part, now, lane_expiry_seconds, route)
    return (put_back,) if kept is None else (kept, put_back)


def put_back_refused(
    parts: Sequence[Part], refusal: LaterRefusal, now: datetime, *, all_recipients: tuple[int, ...]
) -> tuple[Part, ...]:
    """Put the recipients of a refusal back, of those parts whose last attempt it is about; the others stay as they are.

    They certainly got nothing, so this is no second copy. What is put back already for the same reason takes them along: a
    message of many recipients may be reported one by one. The same refusal applies once, because the part is no longer sent.
    A waiting part whose attempt has an unknown outcome becomes sent first: who refuses later has accepted before.
    """
    parts = [_accepted_before(part, refusal, all_recipients) for part in parts]
    is_meant = [
        part.state is State.SENT and [each.accepted_number for each in part.attempts[-1:]] == [refusal.attempt]
        for part in parts
    ]
    split = [
        _split_sent(part, refusal.recipients, all_recipients) if meant else (part, None)
        for part, meant in zip(parts, is_meant, strict=True)
    ]
    changed = [kept for kept, _ in split if kept is not None]
    for _, refused in split:
        if refused is not None:
            changed = _joined(changed, _refused(refused, refusal, now))
    return tuple(changed)


def _accepted_before(part: Part, refusal: LaterRefusal, all_recipients: tuple[int, ...]) -> Part:
    unknown = next((each for each in uncertain_attempts(part) if each.number == refusal.attempt), None)
    numbers = part.recipients if part.recipients is not None else all_recipients
    if part.state not in WAITING or unknown is None or refusal.recipients.isdisjoint(numbers):
        return part
    accepted = Attempt(
        number=part.attempt,
        route=unknown.route,
        provider=unknown.provider,
        at=refusal.at,
        outcome="sent",
        provider_id=unknown.provider_id,
        verified=unknown.number,
    )
    sent = _replace(part, attempts=with_attempt(part.attempts, accepted), provider_id=unknown.provider_id)
    return end(sent, State.SENT, "")


def _refused(part: Part, refusal: LaterRefusal, now: datetime) -> Part:
    accepted = part.attempts[-1]
    failure = Attempt(
        number=accepted.number,
        route=accepted.route,
        provider=accepted.provider,
        at=refusal.at,
        outcome=ROUTE_FAULT,
        code=refusal.code,
        reply=outcomes.reply_text(refusal.reply),
        provider_id=accepted.provider_id,
    )
    for verified in (each for each in uncertain_attempts(part) if each.number == refusal.attempt):
        # Its provider would say again that it has this mail.
        part = mark_not_sent(part, verified)
    attempts = with_attempt(part.attempts, failure)
    return _replace(part, attempts=attempts, state=State.DEFERRED, due_at=now, code=refusal.code)


def _joined(parts: Sequence[Part], refused: Part) -> list[Part]:
    """Add a part that was put back to one that waits after the same refusal, or to the list."""
    for at, part in enumerate(parts):
        is_same = part.state in WAITING and part.attempts[:-1] == refused.attempts[:-1] and part.route == refused.route
        if is_same and part.attempts and part.attempts[-1].code == refused.code:
            if part.recipients is None or refused.recipients is None:
                return [*parts, refused]
            both = tuple(sorted({*part.recipients, *refused.recipients}))
            return [*parts[:at], _replace(part, recipients=both), *parts[at + 1 :]]
    return [*parts, refused]


def _split_sent(part: Part, chosen: frozenset[int], all_recipients: tuple[int, ...]) -> tuple[Part | None, Part | None]:
    """Split a sent part into the recipients that stay and the chosen ones, which are to be sent again."""
    numbers = part.recipients if part.recipients is not None else all_recipients
    again = tuple(number for number in numbers if number in chosen)
    kept = tuple(number for number in numbers if number not in chosen)
    if not again:
        return part, None
    recipients = again if kept else part.recipients
    again_part = _replace(part, recipients=recipients, provider_id=None, check_at=None, slot_at=None)
    return (_replace(part, recipients=kept) if kept else None), again_part


def _put_back(part: Part, now: datetime, lane_expiry_seconds: int, route: str | None) -> Part:
    return _replace(
        part,
        state=State.DEFERRED,
        due_at=now,
        expires_at=now + timedelta(seconds=lane_expiry_seconds),
        held_seconds=0.0,
        route=route or part.route,
        is_pinned=route is not None or part.is_pinned,
        redriven=part.redriven + 1,
        may_resend=True,
        code="",
    )


def settle(
    part: Part, submission: Submission, result: AttemptResult, held: RouteHold | None = None
) -> tuple[Part, ...]:
    """Apply an attempt's result to a part: usually one part; more when recipients got different answers."""
    return tuple(
        _settle_one(each, submission, result, outcome, held) for each, outcome in by_outcome(part, result.answer)
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
    part: Part, submission: Submission, result: AttemptResult, outcome: Outcome, held: RouteHold | None
) -> Part:
    attempts = with_attempt(part.attempts, _attempt(part, result, outcome))
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


def _attempt(part: Part, result: AttemptResult, outcome: Outcome) -> Attempt:
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
        verified=outcome.verified if isinstance(outcome, Sent) else 0,
    )


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
    """Retry a message that a working route does not take: by another route at once, else as after a deferral."""
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
    # What is asked about too early is not found yet, and would be sent again.
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
    """The seconds that the provider asks to wait, or fewer if another route of this part can be tried earlier."""
    seconds = _asked_seconds(outcome)
    if seconds is None:
        return None
    others = ((until - result.now).total_seconds() for until in part.busy.values() if until > result.now)
    return min([seconds, *others])


def _asked_seconds(outcome: Deferred | Unknown) -> float | None:
    return outcome.retry_after_seconds if isinstance(outcome, Deferred) else None
