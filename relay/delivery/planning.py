"""Decide what to do with a part before an attempt: pure functions."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core.model import DeliveryGuarantee, Part, State, Submission
from relay.core.parts import part_history, part_states
from relay.routes.recipient_budget.counting import CODE as NO_ROOM
from relay.routes.recipient_budget.counting import EXCESS_CODE
from relay.routes.recipient_budget.window import Shortage
from relay.routes.routing import Leg

CANARY_WAIT = timedelta(seconds=60)


class HeldRoute(msgspec.Struct, frozen=True, kw_only=True):
    """Why a route may not be used for a message now, the scope that is held, and when to look again."""

    scope: str
    code: str
    until: datetime


def no_shortage(_route: str, _numbers: Sequence[int]) -> None:
    """Return None: every route has room."""


class PlanningContext(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a decision about one message's parts.

    `legs` are the routes of all its recipients under the current settings, None when the content that routing needs is gone.
    `exists` returns whether a route is configured, `closed` why it may not be used for this message's sender or client (or None).
    `shortage` returns why a route has no room for these recipients (or None).
    `can_verify` returns whether Relay can ask a route's provider about a lost response, `lease_seconds` how long an attempt
    may take.
    """

    submission: Submission
    now: datetime
    legs: Sequence[Leg] | None
    exists: Callable[[str], bool]
    closed: Callable[[str], HeldRoute | None]
    can_verify: Callable[[str], bool]
    shortage: Callable[[str, Sequence[int]], Shortage | None] = no_shortage
    lease_seconds: float = part_states.LEASE_SECONDS


FRESH = Part(route="", state=State.QUEUED)
"""The part of a message that has no record yet."""


def plan(part: Part, context: PlanningContext) -> tuple[Part, ...]:
    """Plan a part whose turn it is: it becomes `sending` (an attempt follows), waits, or ends."""
    submission, now = context.submission, context.now
    if part.state is State.QUEUED and submission.send_at is not None and submission.send_at > now:
        return (msgspec.structs.replace(part, state=State.SCHEDULED, due_at=submission.send_at),)
    if part.state is State.SENDING:
        part = part_states.interrupt(part, now, context.lease_seconds)
        if part_history.is_crash_looping(part):
            return (part_states.end(part, State.UNKNOWN, "poisoned"),)
    may_not_resend = submission.delivery is DeliveryGuarantee.AT_MOST_ONCE and not part.may_resend
    uncertain = part_history.attempts_to_ask_about(part)
    if may_not_resend and uncertain and not context.can_verify(part.route):
        return (part_states.end(part, State.UNKNOWN, uncertain[-1].code),)
    part = part_states.resume(_held_as_now(part, context), now)
    if part_states.expires_at(part, submission) <= now:
        if not uncertain:
            return (part_states.end(part, State.EXPIRED, part.code or "expired"),)
        if not context.can_verify(part.route):
            return (part_states.end(part, State.UNKNOWN, part.code or "interrupted"),)
    if context.legs is None:
        return (part_states.end(part, State.FAILED, "content_missing"),)
    return _on_legs(part, context, context.legs)


def _held_as_now(part: Part, context: PlanningContext) -> Part:
    """Stop the expiry of a held part if by now its route waits for an operator: no wrong configuration costs a message."""
    closed = context.closed(part.route) if part.held_expires_at is not None else None
    if closed is None or closed.scope != part.held_scope:
        return part
    expires_at = part_states.expires_at_while_held(part, context.submission, closed.code)
    return msgspec.structs.replace(part, held_expires_at=expires_at)


def _on_legs(part: Part, context: PlanningContext, legs: Sequence[Leg]) -> tuple[Part, ...]:
    wanted = None if part.recipients is None else set(part.recipients)
    ways = [(leg, tuple(number for number in leg.recipients if wanted is None or number in wanted)) for leg in legs]
    ways = [(leg, numbers) for leg, numbers in ways if numbers]
    if part_history.keeps_route(part) and context.exists(part.route):
        # Relay asks about a part that may have been sent, and sends it again by the same route, never by another one.
        numbers = tuple(number for _, numbers in ways for number in numbers)
        return (_on_route(part, context, (part.route,), numbers),)
    if not ways:
        return (part_states.end(part, State.FAILED, "suppressed"),)
    if len(ways) == 1:
        leg, numbers = ways[0]
        return _on_leg(part, context, leg.routes, numbers)
    return tuple(
        each
        for leg, numbers in ways
        for each in _on_leg(msgspec.structs.replace(part, recipients=numbers), context, leg.routes, numbers)
    )


def _on_leg(part: Part, context: PlanningContext, routes: Sequence[str], numbers: Sequence[int]) -> tuple[Part, ...]:
    """Plan recipients that share their routes. Recipients that a budget does not count do not wait for it."""
    first = next((route for route in _in_order(part, context, routes) if context.closed(route) is None), None)
    shortage = context.shortage(first, numbers) if first is not None else None
    short = set(shortage.recipients) if shortage is not None else set[int]()
    groups = [tuple(number for number in numbers if (number in short) is counted) for counted in (False, True)]
    if not all(groups):
        return (_on_route(part, context, routes, numbers),)
    return tuple(_on_route(msgspec.structs.replace(part, recipients=some), context, routes, some) for some in groups)


def _on_route(part: Part, context: PlanningContext, routes: Sequence[str], numbers: Sequence[int]) -> Part:
    if not routes:
        return part_states.end(part, State.FAILED, "no_route")
    obstacles: list[tuple[str, HeldRoute]] = []
    waits: list[tuple[str, datetime]] = []
    for route in _in_order(part, context, routes):
        closed = context.closed(route)
        if closed is not None:
            obstacles.append((route, closed))
            continue
        shortage = _shortage(part, context, route, numbers)
        if shortage is None:
            return part_states.begin(part, route, context.now, context.lease_seconds)
        if shortage.until is None:
            continue
        waits.append((route, datetime.fromtimestamp(shortage.until, context.now.tzinfo)))
        if not shortage.reroutes:
            obstacles.clear()
            break
    if waits:
        route, room_at = min(waits, key=lambda wait: wait[1])
        at = part_states.unique_due_time(room_at, context.now.microsecond)
        waiting = part_states.await_room(part, context.submission, context.now, at, route=route, code=NO_ROOM)
        is_in_time = waiting.due_at is not None and all(room_at <= closed.until for _, closed in obstacles)
        if is_in_time or not obstacles:
            return waiting
    if not obstacles:
        return part_states.end(part, State.FAILED, EXCESS_CODE)
    route, closed = min(obstacles, key=lambda obstacle: obstacle[1].until)
    return _hold(part, context, route, closed)


def _in_order(part: Part, context: PlanningContext, routes: Sequence[str]) -> Sequence[str]:
    """Put a route that asked to wait after the others. If it is the only active one, it is used too early, which does no harm."""
    return sorted(routes, key=lambda route: part_states.is_busy(part, route, context.now))


def _shortage(part: Part, context: PlanningContext, route: str, numbers: Sequence[int]) -> Shortage | None:
    """Return why a route has no room. A part that may have been sent needs none: the provider is asked about it first."""
    is_asked_about = (
        bool(part_history.attempts_to_ask_about(part)) and route == part.route and context.can_verify(route)
    )
    return None if is_asked_about else context.shortage(route, numbers)


def _hold(part: Part, context: PlanningContext, route: str, closed: HeldRoute) -> Part:
    until = part_states.unique_due_time(closed.until, context.now.microsecond)
    expires_at = part_states.expires_at_while_held(part, context.submission, closed.code)
    if expires_at is not None and expires_at <= context.now:
        # The part may have been sent, and waits only until the provider can be asked.
        expires_at = None
    return part_states.hold(part, route, closed.code, context.now, until, scope=closed.scope, expires_at=expires_at)
