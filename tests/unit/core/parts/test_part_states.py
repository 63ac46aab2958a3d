"""The state machine of a part: what can be done with it in each state."""

from datetime import timedelta

import pytest

from relay.core.model import DEAD, WAITING, Part, State
from relay.core.outcomes import (
    CAUSES,
    PROVIDER_AWAY,
    Unknown,
)
from relay.core.parts import part_states, put_back
from relay.core.parts.part_states import LEASE_SECONDS
from tests.doubles import START, changed, submission_of
from tests.unit.core.parts.kit import DAY, LATER, SENDING, SUBMISSION, after, settled


def test_attempt_begins_with_a_lease() -> None:
    assert SENDING.state is State.SENDING
    assert (SENDING.route, SENDING.attempt) == ("main", 1)
    assert SENDING.lease_until == START + timedelta(seconds=LEASE_SECONDS)
    again = part_states.begin(changed(SENDING, code="response_lost", slot_at=START), "other", LATER)
    assert (again.route, again.attempt, again.code, again.slot_at) == ("other", 2, "", None)


def test_reserved_slot_is_dropped_on_another_route() -> None:
    paced = part_states.pace(SENDING, after(9))
    assert (paced.state, paced.attempt, paced.due_at, paced.code) == (State.DEFERRED, 0, after(9), "paced")
    assert part_states.begin(paced, "main", after(9)).slot_at == after(9)
    assert part_states.begin(paced, "other", after(9)).slot_at is None


def test_postponed_attempt_is_not_counted() -> None:
    put_off = part_states.postpone(SENDING, after(30), "content_unavailable")
    assert (put_off.attempt, put_off.due_at, put_off.lease_until) == (0, after(30), None)


def test_time_on_hold_extends_the_expiry() -> None:
    held = part_states.hold(SENDING, "main", "bad_credentials", START, after(60), scope="main")
    held = part_states.hold(held, "main", "bad_credentials", after(60), after(120), scope="main")
    assert held.held_since == START
    resumed = part_states.begin(held, "main", START + timedelta(days=3))
    assert part_states.expires_at(resumed, SUBMISSION) == DAY + timedelta(days=3)
    assert (resumed.held_since, resumed.held_scope) == (None, "")
    held = part_states.hold(resumed, "main", "bad_credentials", START + timedelta(days=3), after(0), scope="main")
    resumed = part_states.resume(held, START + timedelta(days=5))
    assert part_states.expires_at(resumed, SUBMISSION) == DAY + timedelta(days=5)
    assert part_states.resume(resumed, START + timedelta(days=9)) == resumed


@pytest.mark.parametrize("code", sorted(PROVIDER_AWAY))
def test_expiry_goes_on_while_the_provider_is_away(code: str) -> None:
    expires_at = part_states.expires_at_while_held(SENDING, SUBMISSION, code)
    held = part_states.hold(SENDING, "main", code, START, after(60), scope="main", expires_at=expires_at)
    assert (held.held_expires_at, held.due_at) == (DAY, after(60))
    resumed = part_states.resume(held, START + timedelta(hours=3))
    assert part_states.expires_at(resumed, SUBMISSION) == DAY
    assert (resumed.held_since, resumed.held_expires_at) == (None, None)


@pytest.mark.parametrize("code", sorted(set(CAUSES) - PROVIDER_AWAY))
def test_expiry_that_the_caller_asked_for_never_stops(code: str) -> None:
    assert part_states.expires_at_while_held(SENDING, SUBMISSION, code) is None
    own = submission_of(has_own_expiry=True, expires_at=after(60))
    expires_at = part_states.expires_at_while_held(SENDING, own, code)
    held = part_states.hold(SENDING, "main", code, START, after(900), scope="main", expires_at=expires_at)
    assert (held.held_expires_at, held.due_at) == (after(60), after(60))
    assert part_states.expires_at_while_held(changed(SENDING, redriven=1), own, code) is None


@pytest.mark.parametrize(
    ("state", "code"),
    [(State.FAILED, "response_lost"), (State.EXPIRED, "response_lost"), (State.CANCELLED, "cancelled")],
)
def test_uncertain_part_ends_as_unknown(state: State, code: str) -> None:
    doubtful = settled(Unknown(code="response_lost"))
    assert (part_states.end(doubtful, state, "").state, part_states.end(doubtful, state, "").code) == (
        State.UNKNOWN,
        code,
    )
    assert part_states.end(SENDING, state, "expired").state is state
    assert part_states.end(doubtful, State.SENT, "").state is State.SENT


@pytest.mark.parametrize("state", State)
def test_state_decides_about_cancel_reschedule_and_redrive(state: State) -> None:
    part = Part(route="main", state=state, due_at=START if state in WAITING else None, attempt=2)
    assert (part_states.cancel(part) is not None) is (state in WAITING | {State.CANCELLED})
    assert (part_states.reschedule(part, SUBMISSION, DAY) is not None) is (state is State.SCHEDULED)
    assert (put_back.redrive(part, START, 60, None) is not None) is (state in DEAD)


def test_cancelled_part_has_no_due_time_or_hold() -> None:
    held = part_states.hold(SENDING, "main", "bad_credentials", START, DAY, scope="main")
    cancelled = part_states.cancel(held)
    assert cancelled is not None
    assert cancelled.state is State.CANCELLED
    assert (cancelled.due_at, cancelled.held_since, cancelled.held_scope, cancelled.code) == (None, None, "", "")


def test_reschedule_moves_the_expiry_by_the_same_time() -> None:
    scheduled = Part(route="", state=State.SCHEDULED, due_at=START + timedelta(hours=1))
    moved = part_states.reschedule(scheduled, SUBMISSION, START + timedelta(days=30))
    assert moved is not None
    assert part_states.expires_at(moved, SUBMISSION) == DAY + timedelta(days=30) - timedelta(hours=1)
    back = part_states.reschedule(moved, SUBMISSION, START + timedelta(hours=1))
    assert back is not None
    assert part_states.expires_at(back, SUBMISSION) == DAY
