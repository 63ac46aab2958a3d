"""What each outcome makes of a part, as tables."""

from typing import Any

import pytest

from relay.core.model import Part, State
from relay.core.outcomes import (
    Deferred,
    Outcome,
    PerRecipient,
    Rejected,
    RouteFault,
    Sent,
    Unknown,
)
from relay.core.parts import attempt_results, part_states
from relay.core.parts.attempt_results import RouteHold
from relay.core.settings import Lane
from tests.doubles import START, changed, submission_of
from tests.unit.core.parts.kit import AT_MOST_ONCE, LATER, SENDING, SUBMISSION, after, result, settled

LOST = Unknown(code="response_lost")
BUSY = Deferred(code="rate_limited", retry_after_seconds=60)
TABLE: list[tuple[Outcome, Any, dict[str, Any], tuple[State, str, float | None, int]]] = [
    # outcome, delivery, what else is known: state, cause, due after seconds, attempts counted
    (Sent(provider_id="p"), SUBMISSION, {}, (State.SENT, "", None, 1)),
    (Sent(), AT_MOST_ONCE, {}, (State.SENT, "", None, 1)),
    (Rejected(code="invalid_message"), SUBMISSION, {}, (State.FAILED, "invalid_message", None, 1)),
    (Rejected(code="suppressed"), AT_MOST_ONCE, {}, (State.FAILED, "suppressed", None, 1)),
    (Deferred(code="unreachable"), SUBMISSION, {}, (State.DEFERRED, "unreachable", 22.5, 1)),
    (Deferred(code="unreachable"), AT_MOST_ONCE, {}, (State.DEFERRED, "unreachable", 22.5, 1)),
    (BUSY, SUBMISSION, {}, (State.DEFERRED, "rate_limited", 60.5, 1)),
    (changed(BUSY, retry_after_seconds=90_000), SUBMISSION, {}, (State.DEFERRED, "rate_limited", 3_600.5, 1)),
    (LOST, SUBMISSION, {}, (State.DEFERRED, "response_lost", 22.5, 1)),
    (LOST, SUBMISSION, {"can_verify": True}, (State.DEFERRED, "response_lost", 90, 1)),
    (LOST, AT_MOST_ONCE, {}, (State.UNKNOWN, "response_lost", None, 1)),
    (LOST, AT_MOST_ONCE, {"can_verify": True}, (State.DEFERRED, "response_lost", 60, 1)),
    (LOST, AT_MOST_ONCE, {"can_verify": True, "is_final_check": True}, (State.UNKNOWN, "response_lost", None, 1)),
    (
        RouteFault(code="bad_credentials"),
        SUBMISSION,
        {"held": RouteHold(scope="main", until=None, other_route="b")},
        (State.DEFERRED, "bad_credentials", 0, 0),
    ),
]


@pytest.mark.parametrize(("answer", "submission", "known", "expected"), TABLE)
def test_outcome_settles_the_part(
    answer: Outcome, submission: Any, known: dict[str, Any], expected: tuple[State, str, float | None, int]
) -> None:
    state, code, due, counted = expected
    part = settled(answer, SENDING, submission, **known)
    assert (part.state, part.code, part.attempt) == (state, code, counted)
    assert part.due_at == (None if due is None else after(due))
    assert part.lease_until is None
    assert [attempt.code for attempt in part.attempts] == [answer.code]
    assert part.attempts[0].seconds == 3.0


def test_long_wait_leads_to_the_spare_route_at_once() -> None:
    part = settled(changed(BUSY, retry_after_seconds=7_200), spare_route="spare")
    assert (part.state, part.code, part.attempt, part.due_at) == (State.DEFERRED, "rate_limited", 1, LATER)
    assert part.busy == {"main": after(3_600)}
    assert part_states.is_busy(part, "main", after(3_599))
    assert not part_states.is_busy(part, "main", after(3_600))
    assert not part_states.is_busy(part, "spare", LATER)


def test_without_a_spare_route_the_first_route_that_is_free_again_is_waited_for() -> None:
    part = changed(SENDING, route="spare", busy={"main": after(100), "old": START})
    waiting = settled(changed(BUSY, retry_after_seconds=7_200), part)
    assert waiting.due_at == after(100.5)
    assert waiting.busy == {"main": after(100), "spare": after(3_600)}


@pytest.mark.parametrize(
    ("answer", "part", "is_long"),
    [
        (changed(BUSY, retry_after_seconds=31), SENDING, True),
        (changed(BUSY, retry_after_seconds=30), SENDING, False),
        (changed(BUSY, retry_after_seconds=31), changed(SENDING, attempt=2), False),
        (changed(BUSY, retry_after_seconds=None), SENDING, False),
        (LOST, SENDING, False),
        (changed(BUSY, retry_after_seconds=7_200), part_states.interrupt(SENDING, LATER), False),
        (RouteFault(code="bad_credentials", retry_after_seconds=7_200), SENDING, False),
    ],
)
def test_only_a_certain_wait_above_the_backoff_is_long(answer: Outcome, part: Part, is_long: bool) -> None:
    assert attempt_results.must_wait_long(part, answer, Lane()) is is_long


@pytest.mark.parametrize("answer", [Deferred(code="unreachable"), Unknown(code="response_lost")])
def test_retry_due_after_the_expiry_ends_the_part(answer: Outcome) -> None:
    submission = submission_of(expires_at=after(20))
    expected = State.EXPIRED if isinstance(answer, Deferred) else State.UNKNOWN
    assert settled(answer, SENDING, submission).state is expected


def test_route_fault_holds_the_part_without_counting_an_attempt() -> None:
    probe_at = after(60)
    held = settled(
        RouteFault(code="sender_not_verified"),
        held=RouteHold(scope="main|shop@example.org", until=probe_at),
        jitter=0.125,
    )
    assert (held.state, held.attempt, held.code) == (State.HELD, 0, "sender_not_verified")
    assert (held.held_since, held.held_scope) == (LATER, "main|shop@example.org")
    assert held.due_at is not None
    assert held.due_at.replace(microsecond=0) == probe_at.replace(microsecond=0)
    # The probe's time is the same for everybody; a due time of its own keeps one batch's rows apart.
    other = settled(RouteFault(code="x"), held=RouteHold(scope="main", until=probe_at), jitter=0.5)
    assert other.due_at != held.due_at


def test_route_fault_without_a_recorded_hold_holds_for_a_minute() -> None:
    held = settled(RouteFault(code="bad_credentials"), jitter=0.0)
    assert held.held_scope == "main"
    assert held.due_at == after(60).replace(microsecond=0)


def test_route_fault_holds_a_message_until_the_expiry_it_asked_for() -> None:
    own = submission_of(has_own_expiry=True, expires_at=after(20))
    held = settled(RouteFault(code="bad_credentials"), SENDING, own, RouteHold(scope="main", until=after(60)))
    assert (held.state, held.due_at, held.held_expires_at) == (State.HELD, after(20), after(20))
    assert part_states.end(held, State.EXPIRED, "").held_expires_at is None


def test_message_at_fault_itself_is_retried_as_a_deferral() -> None:
    own = RouteHold(scope="main", until=None, is_message_at_fault=True)
    part = settled(RouteFault(code="missing_permission"), held=own)
    assert (part.state, part.code, part.attempt, part.due_at) == (
        State.DEFERRED,
        "missing_permission",
        1,
        after(22.5),
    )
    late = settled(RouteFault(code="missing_permission"), SENDING, submission_of(expires_at=after(20)), own)
    assert (late.state, late.code) == (State.EXPIRED, "missing_permission")


def test_message_at_fault_itself_goes_by_another_route_at_once() -> None:
    own = RouteHold(scope="main", until=None, other_route="spare", is_message_at_fault=True)
    part = settled(RouteFault(code="missing_permission"), held=own)
    assert (part.state, part.due_at, part.attempt) == (State.DEFERRED, LATER, 1)
    assert part_states.is_busy(part, "main", LATER)


def test_recipients_with_the_same_outcome_share_a_part() -> None:
    answer = PerRecipient(
        outcomes=(
            ((3,), Sent(provider_id="a")),
            ((0,), Deferred(code="recipient_deferred", reply="450 one")),
            ((4,), Rejected(code="recipient_refused")),
            ((1, 2), Deferred(code="recipient_deferred", reply="451 two")),
            ((5,), Deferred(code="rate_limited")),
        )
    )
    parts = attempt_results.settle(SENDING, SUBMISSION, result(answer))
    assert {part.recipients: (part.state, part.code) for part in parts} == {
        (3,): (State.SENT, ""),
        (0, 1, 2): (State.DEFERRED, "recipient_deferred"),
        (4,): (State.FAILED, "recipient_refused"),
        (5,): (State.DEFERRED, "rate_limited"),
    }
    deferred = next(part for part in parts if part.recipients == (0, 1, 2))
    assert deferred.attempts[0].reply == "450 one"


def test_equal_outcomes_do_not_split_the_part() -> None:
    answer = PerRecipient(outcomes=(((0,), Sent(provider_id="a")), ((1,), Sent(provider_id="b"))))
    (part,) = attempt_results.settle(SENDING, SUBMISSION, result(answer))
    assert (part.state, part.recipients) == (State.SENT, None)
