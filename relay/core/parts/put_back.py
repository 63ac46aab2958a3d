"""Put parts back on the queue: a dead one, a sent one whose copies were lost, and what a provider refused later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core import outcomes
from relay.core.model import DEAD, WAITING, Attempt, Part, State
from relay.core.parts.part_history import ROUTE_FAULT, mark_not_sent, uncertain_attempts, with_attempt
from relay.core.parts.part_states import end

_replace = msgspec.structs.replace


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
