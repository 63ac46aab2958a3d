"""What to do with a part now: every guard of the decision, and what no configuration may lead to."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from relay.core.model import Attempt, DeliveryGuarantee, Part, State, Submission
from relay.core.parts import part_states, put_back
from relay.delivery.planning import FRESH, HeldRoute, PlanningContext, plan
from relay.routes.routing import Leg
from tests.doubles import START, changed, submission_of

ALL = (Leg(recipients=(0, 1, 2), routes=("main", "spare")),)
SPLIT = (Leg(recipients=(0, 2), routes=("main",)), Leg(recipients=(1,), routes=("spare", "main")))
UNTIL = START + timedelta(seconds=300)
LEASE = timedelta(seconds=part_states.LEASE_SECONDS)


def situation(
    submission: Submission | None = None,
    legs: Sequence[Leg] | None = ALL,
    closed: Mapping[str, HeldRoute] | None = None,
    **fields: Any,
) -> PlanningContext:
    known = closed or {}
    values: dict[str, Any] = {
        "submission": submission or submission_of(),
        "now": START,
        "legs": legs,
        "exists": {"main", "spare"}.__contains__,
        "closed": known.get,
        "can_verify": {"spare"}.__contains__,
    }
    return PlanningContext(**{**values, **fields})


def shut(route: str, code: str = "bad_credentials", seconds: float = 300) -> HeldRoute:
    return HeldRoute(scope=route, code=code, until=START + timedelta(seconds=seconds))


def tried(outcome: str, route: str = "main", **fields: Any) -> Part:
    attempt = Attempt(number=1, route=route, provider="smtp", at=START, outcome=outcome, code="response_lost")
    values: dict[str, Any] = {"route": route, "state": State.DEFERRED, "attempt": 1, "due_at": START}
    return Part(**{**values, "attempts": (attempt,), **fields})


def states(parts: Sequence[Part]) -> list[tuple[State, str, str]]:
    return [(part.state, part.route, part.code) for part in parts]


def test_new_message_is_sent_by_the_first_active_route() -> None:
    assert states(plan(FRESH, situation())) == [(State.SENDING, "main", "")]
    assert states(plan(FRESH, situation(closed={"main": shut("main")}))) == [(State.SENDING, "spare", "")]


def test_recipients_with_different_routes_become_separate_parts() -> None:
    parts = plan(FRESH, situation(legs=SPLIT, closed={"spare": shut("spare")}))
    assert [(part.recipients, part.route, part.state) for part in parts] == [
        ((0, 2), "main", State.SENDING),
        ((1,), "main", State.SENDING),
    ]


def test_part_splits_only_its_own_recipients() -> None:
    part = tried("deferred", recipients=(1, 2))
    parts = plan(part, situation(legs=SPLIT))
    assert [(each.recipients, each.route) for each in parts] == [((2,), "main"), ((1,), "spare")]
    (whole,) = plan(changed(part, recipients=(1,)), situation(legs=SPLIT))
    assert (whole.recipients, whole.route) == ((1,), "spare")


def test_message_is_held_for_the_route_with_the_earliest_probe() -> None:
    closed = {"main": shut("main"), "spare": shut("spare", "credits_exhausted", 120)}
    (held,) = plan(FRESH, situation(closed=closed))
    assert (held.state, held.route, held.code, held.held_scope) == (State.HELD, "spare", "credits_exhausted", "spare")
    assert (held.attempt, held.held_since, held.due_at) == (0, START, START + timedelta(seconds=120))


def test_route_that_asked_to_wait_comes_after_the_others() -> None:
    part = tried("deferred", busy={"main": UNTIL})
    assert states(plan(part, situation())) == [(State.SENDING, "spare", "")]
    assert states(plan(part, situation(now=UNTIL))) == [(State.SENDING, "main", "")]
    assert states(plan(part, situation(closed={"spare": shut("spare")}))) == [(State.SENDING, "main", "")]


@pytest.mark.parametrize(
    ("legs", "code"), [((), "suppressed"), ((Leg(recipients=(0,), routes=()),), "no_route"), (None, "content_missing")]
)
def test_message_that_cannot_be_sent_fails_with_its_cause(legs: Sequence[Leg] | None, code: str) -> None:
    assert states(plan(FRESH, situation(legs=legs))) == [(State.FAILED, "", code)]


def test_part_without_a_remaining_leg_fails_as_suppressed() -> None:
    part = tried("deferred", recipients=(1,))
    assert states(plan(part, situation(legs=(Leg(recipients=(0, 2), routes=("main",)),)))) == [
        (State.FAILED, "main", "suppressed")
    ]


# ── time ──


def test_message_with_send_at_is_scheduled_and_then_sent() -> None:
    later = START + timedelta(days=2)
    submission = submission_of(send_at=later, expires_at=later + timedelta(hours=1))
    (scheduled,) = plan(FRESH, situation(submission))
    assert (scheduled.state, scheduled.due_at) == (State.SCHEDULED, later)
    assert states(plan(scheduled, situation(submission, now=later))) == [(State.SENDING, "main", "")]


@pytest.mark.parametrize(
    ("part", "state", "code"),
    [
        (FRESH, State.EXPIRED, "expired"),
        (tried("deferred", code="rate_limited"), State.EXPIRED, "rate_limited"),
        (tried("unknown", code="response_lost"), State.UNKNOWN, "response_lost"),
        (tried("unknown", "spare", code="response_lost"), State.SENDING, ""),  # to be asked about
    ],
)
def test_expired_part_ends_by_its_last_outcome(part: Part, state: State, code: str) -> None:
    (after,) = plan(part, situation(now=START + timedelta(days=1)))
    assert (after.state, after.code) == (state, code)


def test_resent_part_that_expires_is_not_begun() -> None:
    """Nothing is left to ask: the attempt whose response was lost is from before the part was resent."""
    unknown = tried("unknown", "spare", expires_at=START)
    resent = changed(unknown, attempts=(*unknown.attempts, changed(unknown.attempts[0], number=2, outcome="sent")))
    assert states(plan(resent, situation())) == [(State.UNKNOWN, "spare", "expired")]
    assert states(plan(unknown, situation())) == [(State.SENDING, "spare", "")]


def test_time_on_hold_does_not_expire_a_part() -> None:
    held = part_states.hold(FRESH, "main", "bad_credentials", START, UNTIL, scope="main")
    for days in (1, 2, 30):
        assert states(plan(held, situation(now=START + timedelta(days=days)))) == [(State.SENDING, "main", "")]
    (still,) = plan(
        held, situation(now=START + timedelta(days=2), closed={"main": shut("main"), "spare": shut("spare")})
    )
    assert still.state is State.HELD
    assert part_states.expires_at(still, submission_of()) == START + timedelta(days=3)


BREAKER = {"main": shut("main", "repeated_failure"), "spare": shut("spare", "repeated_failure")}


def test_held_message_expires_while_the_provider_is_away() -> None:
    (held,) = plan(FRESH, situation(closed=BREAKER))
    assert (held.state, held.held_expires_at) == (State.HELD, START + timedelta(days=1))
    (still,) = plan(held, situation(now=START + timedelta(hours=23), closed=BREAKER))
    assert still.state is State.HELD
    assert states(plan(still, situation(now=START + timedelta(days=1), closed=BREAKER))) == [
        (State.EXPIRED, "main", "repeated_failure")
    ]


def test_held_message_does_not_expire_when_its_route_turns_out_to_be_configured_wrongly() -> None:
    (held,) = plan(FRESH, situation(closed=BREAKER))
    closed = {"main": shut("main"), "spare": shut("spare")}
    (still,) = plan(held, situation(now=START + timedelta(days=1), closed=closed))
    assert (still.state, still.code, still.held_expires_at) == (State.HELD, "bad_credentials", None)
    (other,) = plan(held, situation(now=START + timedelta(days=1), closed={"main": shut("another")}))
    assert other.state is State.EXPIRED


def test_expired_message_that_may_have_been_sent_waits_for_the_question_alone() -> None:
    (held,) = plan(tried("unknown", "spare"), situation(now=START + timedelta(days=1), closed=BREAKER))
    assert (held.state, held.route, held.held_expires_at) == (State.HELD, "spare", None)


# ── doubt ──


def interrupted(route: str = "main", **fields: Any) -> Part:
    return changed(part_states.begin(FRESH, route, START - LEASE), **fields)


@pytest.mark.parametrize("delivery", DeliveryGuarantee)
@pytest.mark.parametrize("route", ["main", "spare"])
def test_interrupted_attempt_is_repeated_or_verified_or_unknown(delivery: DeliveryGuarantee, route: str) -> None:
    (after,) = plan(interrupted(route), situation(submission_of(delivery=delivery)))
    assert after.attempts[-1].outcome == "interrupted"
    if delivery is DeliveryGuarantee.AT_MOST_ONCE and route == "main":
        assert (after.state, after.code) == (State.UNKNOWN, "interrupted")
    else:
        assert (after.state, after.route, after.attempt) == (State.SENDING, route, 2)


def test_uncertain_part_does_not_fail_over() -> None:
    closed = {"main": shut("main")}
    for part in (tried("unknown"), interrupted()):
        (after,) = plan(part, situation(closed=closed))
        assert (after.state, after.route) == (State.HELD, "main")
    (free,) = plan(tried("deferred"), situation(closed=closed))
    assert (free.state, free.route) == (State.SENDING, "spare")


def test_at_most_once_part_of_a_removed_route_becomes_unknown() -> None:
    submission = submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE)
    part = tried("unknown", "gone")
    assert states(plan(part, situation(submission))) == [(State.UNKNOWN, "gone", "response_lost")]
    (again,) = plan(part, situation())
    assert (again.state, again.route) == (State.SENDING, "main")


def test_redrive_permits_one_attempt_despite_uncertainty() -> None:
    submission = submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE)
    dead = part_states.end(tried("unknown"), State.UNKNOWN, "response_lost")
    back = put_back.redrive(dead, START, 600, None)
    assert back is not None
    (sending,) = plan(back, situation(submission))
    assert (sending.state, sending.attempt) == (State.SENDING, 2)
    (after,) = plan(sending, situation(submission, now=START + LEASE))
    assert (after.state, after.code) == (State.UNKNOWN, "interrupted")


def test_pinned_part_keeps_its_route_while_it_is_configured() -> None:
    pinned = tried("deferred", "spare", is_pinned=True)
    assert states(plan(pinned, situation())) == [(State.SENDING, "spare", "")]
    assert states(plan(changed(pinned, route="gone"), situation())) == [(State.SENDING, "main", "")]


@pytest.mark.parametrize(("deaths", "state"), [(4, State.SENDING), (5, State.UNKNOWN)])
def test_fifth_consecutive_crash_ends_the_part_as_poisoned(deaths: int, state: State) -> None:
    # Recovery and retries make new entries, so the host's own dequeue count starts over with each of them.
    part = plan(FRESH, situation())[0]
    now = START
    for _ in range(deaths):
        now += LEASE
        (part,) = plan(part, situation(now=now))
    assert (part.state, part.code) == (state, "poisoned" if state is State.UNKNOWN else "")


def test_lease_length_comes_from_the_settings() -> None:
    (part,) = plan(FRESH, situation(lease_seconds=20))
    assert part.lease_until == START + timedelta(seconds=20)
    (again,) = plan(part, situation(now=START + timedelta(seconds=20), lease_seconds=20))
    assert again.attempts[0].at == START
