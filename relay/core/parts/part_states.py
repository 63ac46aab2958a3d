"""Move a part from state to state. Pure functions. `attempt_results` applies answers, `put_back` revives ended parts.

queued ─► sending ─► sent | failed | expired | unknown
  │         ├─► deferred ─► sending …
  │         └─► held ─────► sending …      (a route fault spends no attempt; see expires_at_while_held)
  └─► scheduled ─► sending …               (cancelled from scheduled, deferred, held)
"""

from datetime import datetime, timedelta

import msgspec

from relay.core import outcomes
from relay.core.model import WAITING, Attempt, Part, State, Submission
from relay.core.parts.part_history import (
    first_recipient,
    is_uncertain,
    uncertain_attempts,
    with_attempt,
)

LEASE_SECONDS = 480.0
"""Default seconds that an attempt may take. Less than the host's ten-minute lease on the entry, so that the attempt's lease
is over when the host delivers the entry again."""

MAX_ROOM_SECONDS = 7 * 86_400.0
"""Maximum of seconds for which expiry stops while mail waits for a limit of its route."""

_NOT_SENT = frozenset({State.FAILED, State.EXPIRED, State.CANCELLED})
_replace = msgspec.structs.replace


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


def is_busy(part: Part, route: str, now: datetime) -> bool:
    """Return whether this route asked the part to wait, and that wait is not over."""
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
    """End a hold. If expiry stopped, the time held is added to it."""
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

    `expires_at` is when it expires even while held (`expires_at_while_held`); it is due then at the latest.
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
        first=first_recipient(part),
    )
    return _replace(part, attempts=with_attempt(part.attempts, died), lease_until=None, may_resend=False)


def postpone(part: Part, until: datetime, code: str) -> Part:
    """Defer an attempt that was begun and not made (no time left, storage unavailable). It does not count as an attempt."""
    return _replace(
        part, state=State.DEFERRED, attempt=max(0, part.attempt - 1), due_at=until, lease_until=None, code=code
    )


def await_room(part: Part, submission: Submission, now: datetime, until: datetime, *, route: str, code: str) -> Part:
    """Defer a part, before its attempt began, until a limit of its route has room; end it if it expires before.

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
    """End a part in a final state. Nothing is due any more.

    A part that may have been sent ends as `unknown` instead of a state that says that it was not.
    """
    if state in _NOT_SENT and is_uncertain(part):
        code = code or ("cancelled" if state is State.CANCELLED else uncertain_attempts(part)[-1].code)
        state = State.UNKNOWN
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

    A cancelled part stays cancelled, so that a repeated request gets the same answer as the first.
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
