"""Put parts back on the queue: dead ones, sent ones whose copies were lost, and those that a provider refused later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core import outcomes
from relay.core.model import DEAD, WAITING, Attempt, Part, State
from relay.core.parts.part_history import (
    ROUTE_FAULT,
    is_uncertain,
    mark_not_sent,
    uncertain_attempts,
    with_attempt,
)
from relay.core.parts.part_states import end

_replace = msgspec.structs.replace
_ENDS = {"cancelled": State.CANCELLED, "expired": State.EXPIRED}
"""The state of an `unknown` part with this code, once it turns out that it was not sent; for other codes, `failed`."""
_LOST = ("unknown", "interrupted", "not_sent")
"""Outcomes of attempts whose response was lost; `not_sent` once they are refused."""
_REPORTED = ("sent", ROUTE_FAULT)
"""Outcomes that a report adds."""


class LaterRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's report that it refuses the account, about some recipients of an attempt that it had accepted.

    `attempt` and `route` name the attempt, `recipients` are numbers, `at` is when the provider refused.
    `at_most_once`: the message may not be sent twice.
    """

    attempt: int
    route: str
    recipients: frozenset[int]
    code: str
    reply: str
    at: datetime
    at_most_once: bool = False


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
    """Put back the recipients of a sent part whose copies were lost (`lost`). The others stay sent, in a part of their own.

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
    """Put back the recipients of a refusal, in parts whose last attempt it is about. Other recipients stay as they are.

    They certainly got nothing, so this sends no second copy. They join a part that was put back for the same reason, because the
    recipients of a message may be reported one by one. The same refusal applies once, because the part is no longer sent.

    A part whose attempt has an unknown outcome first becomes sent, if it waits or ended for that reason alone: a provider that
    refuses later has accepted before. If it ended for another reason, it is not sent again, but then it certainly was not sent.
    A dead part stays `unknown` until all of its uncertain attempts are refused. A part that another attempt sent stays sent.
    """
    changed: list[Part] = []
    split: list[Part] = []
    for before in parts:
        if before.state is State.SENT and not _is_sent_by(before, refusal.attempt):
            kept, refused = _sent_by_another(before, refusal, all_recipients)
        else:
            kept, refused = _sent_by_this(before, refusal, all_recipients, now)
        if kept is not None:
            changed.append(kept)
        if refused is not None:
            split.append(refused)
    for each in split:
        changed = _joined(changed, each)
    return tuple(changed)


def _sent_by_this(
    before: Part, refusal: LaterRefusal, all_recipients: tuple[int, ...], now: datetime
) -> tuple[Part | None, Part | None]:
    """Split a part that the refused attempt sent, or may have sent, into the recipients that stay and the refused ones."""
    part = (
        _accepted_before(before, refusal, all_recipients)
        if before.state in WAITING or _ended_for_lost_response(before)
        else _never_sent(before, refusal, all_recipients)
    )
    chosen = refusal.recipients if _is_sent_by(part, refusal.attempt) else frozenset[int]()
    kept, refused = _split_sent(part, chosen, all_recipients)
    if refused is None:
        return kept, None
    back = _refused(refused, refusal, now)
    is_dead = before.state is State.UNKNOWN and not _is_certain(back, before)
    return kept, end(back, State.UNKNOWN, before.code) if is_dead else back


def _sent_by_another(
    part: Part, refusal: LaterRefusal, all_recipients: tuple[int, ...]
) -> tuple[Part | None, Part | None]:
    """Record of a sent part that another attempt, whose response was lost, did not reach the refused recipients.

    The attempt that sent it may be refused for them too, by a report that comes later.
    """
    if _unknown_attempt(part, refusal) is None:
        return part, None
    kept, refused = _split_sent(part, refusal.recipients, all_recipients)
    if refused is None:
        return part, None
    known = _replace(_disproved(part, refusal), recipients=refused.recipients)
    return (known, None) if kept is None else (kept, known)


def _is_sent_by(part: Part, number: int) -> bool:
    return part.state is State.SENT and [each.accepted_number for each in part.attempts[-1:]] == [number]


def _ended_for_lost_response(part: Part) -> bool:
    """Return whether a part is `unknown` because of a lost response alone, with only reports after it.

    A part that was cancelled or poisoned has another code.
    """
    lost = [at for at, each in enumerate(part.attempts) if each.outcome in _LOST]
    if part.state is not State.UNKNOWN or not lost:
        return False
    is_last = all(each.outcome in _REPORTED for each in part.attempts[lost[-1] + 1 :])
    return is_last and part.code == part.attempts[lost[-1]].code != "poisoned"


def _is_certain(part: Part, before: Part) -> bool:
    """Return whether a refusal leaves no attempt that may have reached a recipient.

    A long history loses attempts, even uncertain ones. So after an earlier report, only a complete history is certain.
    """
    known = {number for each in part.attempts for number in (each.number, each.verified)}
    was_reported = any(each.outcome == ROUTE_FAULT and each.number <= before.attempt for each in before.attempts)
    return not is_uncertain(part) and (not was_reported or known.issuperset(range(1, part.attempt + 1)))


def _disproved(part: Part, refusal: LaterRefusal) -> Part:
    """Record that the attempt of a refusal, and those that only asked about it, reached no recipient.

    Otherwise the provider, when asked, would say again that it has the mail. While an attempt of an `at_most_once` message is
    uncertain, later ones only ask about it, unless an operator redrives it. Interrupted attempts, and those of an older version,
    do not record that.
    """
    uncertain = uncertain_attempts(part)
    has_one_sender = (
        refusal.at_most_once and not part.redriven and uncertain[:1] and uncertain[0].number == refusal.attempt
    )
    for each in uncertain:
        if has_one_sender or refusal.attempt in (each.number, each.verified):
            part = mark_not_sent(part, each)
    return part


def _never_sent(part: Part, refusal: LaterRefusal, all_recipients: tuple[int, ...]) -> Part:
    """End an `unknown` part in the state that it has without this attempt, if all of its recipients are refused."""
    unknown = _unknown_attempt(part, refusal)
    numbers = part.recipients if part.recipients is not None else all_recipients
    if part.state is not State.UNKNOWN or unknown is None or not refusal.recipients.issuperset(numbers):
        return part
    known = _disproved(part, refusal)
    known = _replace(known, attempts=with_attempt(known.attempts, _failure(unknown, refusal)))
    state = _ENDS.get(part.code, State.FAILED) if _is_certain(known, part) else State.UNKNOWN
    return end(known, state, part.code)


def _unknown_attempt(part: Part, refusal: LaterRefusal) -> Attempt | None:
    return next((each for each in uncertain_attempts(part) if each.number == refusal.attempt), None)


def _accepted_before(part: Part, refusal: LaterRefusal, all_recipients: tuple[int, ...]) -> Part:
    unknown = _unknown_attempt(part, refusal)
    numbers = part.recipients if part.recipients is not None else all_recipients
    if unknown is None or refusal.recipients.isdisjoint(numbers):
        return part
    accepted = Attempt(
        number=part.attempt,
        route=unknown.route,
        provider=unknown.provider,
        at=refusal.at,
        outcome="sent",
        provider_id=unknown.provider_id,
        verified=unknown.number,
        first=unknown.first,
    )
    sent = _replace(part, attempts=with_attempt(part.attempts, accepted), provider_id=unknown.provider_id)
    return end(sent, State.SENT, "")


def _refused(part: Part, refusal: LaterRefusal, now: datetime) -> Part:
    failure = _failure(part.attempts[-1], refusal)
    part = _disproved(part, refusal)
    attempts = with_attempt(part.attempts, failure)
    return _replace(part, attempts=attempts, state=State.DEFERRED, due_at=now, code=refusal.code)


def _failure(accepted: Attempt, refusal: LaterRefusal) -> Attempt:
    return Attempt(
        number=refusal.attempt,
        route=accepted.route,
        provider=accepted.provider,
        at=refusal.at,
        outcome=ROUTE_FAULT,
        code=refusal.code,
        reply=outcomes.reply_text(refusal.reply),
        provider_id=accepted.provider_id,
        first=accepted.first,
    )


def _joined(parts: Sequence[Part], refused: Part) -> list[Part]:
    """Add refused recipients to a part with the same history that waits, is unknown, or was sent; without one, add their part."""
    for at, part in enumerate(parts):
        is_open = part.state in WAITING or part.state is State.UNKNOWN
        is_same = is_open and part.attempts[:-1] == refused.attempts[:-1] and part.route == refused.route
        is_refused_alike = is_same and part.attempts and part.attempts[-1].code == refused.code
        if is_refused_alike or part == _replace(refused, recipients=part.recipients):
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
