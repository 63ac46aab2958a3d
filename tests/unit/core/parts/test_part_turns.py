"""Whether it is a part's turn, for every state, time and hold."""

from datetime import datetime, timedelta

import pytest

from relay.core.model import FINAL, WAITING, Attempt, MessageStatus, Part, State
from relay.core.parts import part_states, part_turns
from relay.core.parts.part_states import LEASE_SECONDS
from tests.doubles import START, changed
from tests.unit.core.parts.kit import SENDING

SECOND = timedelta(seconds=1)
SOON = START + timedelta(seconds=6)
LATER = START + timedelta(hours=1)


def part(state: State, due_at: datetime | None = None, lease_until: datetime | None = None, scope: str = "") -> Part:
    return Part(route="main", state=state, due_at=due_at, lease_until=lease_until, held_scope=scope)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_part_in_a_final_state_has_no_turn(state: State) -> None:
    assert not part_turns.is_turn(part(state, START, START), START, frozenset())


def test_new_part_has_its_turn() -> None:
    assert part_turns.is_turn(part(State.QUEUED), START)


@pytest.mark.parametrize("state", sorted(WAITING))
def test_waiting_part_has_its_turn_up_to_five_seconds_early(state: State) -> None:
    assert part_turns.is_turn(part(state, START + 5 * SECOND), START)
    assert not part_turns.is_turn(part(state, SOON), START)


def test_part_whose_lease_is_over_has_its_turn() -> None:
    assert part_turns.is_turn(part(State.SENDING, lease_until=START), START)
    assert not part_turns.is_turn(part(State.SENDING, lease_until=START + SECOND), START)


@pytest.mark.parametrize(
    ("held", "expected"), [(None, False), (frozenset({"main"}), False), (frozenset({"other"}), True)]
)
def test_released_part_has_its_turn_before_it_is_due(held: frozenset[str] | None, expected: bool) -> None:
    assert part_turns.is_turn(part(State.HELD, LATER, scope="main"), START, held) is expected


def test_attempt_is_in_progress_until_its_lease_ends() -> None:
    assert part_turns.is_in_progress(part(State.SENDING, lease_until=START + SECOND), START)
    assert not part_turns.is_in_progress(part(State.SENDING, lease_until=START), START)
    assert not part_turns.is_in_progress(part(State.DEFERRED, START), START)


def test_check_of_a_sent_part_is_due_at_its_time() -> None:
    sent = Part(route="main", state=State.SENT, check_at=START)
    assert part_turns.is_check_due(sent, START)
    assert not part_turns.is_check_due(sent, START - SECOND)
    assert not part_turns.is_check_due(Part(route="main", state=State.SENT), START)


def test_parts_deferred_or_scheduled_to_soon_need_an_entry() -> None:
    for state in (State.DEFERRED, State.SCHEDULED):
        assert part_turns.needs_entry(part(state, START), START)
        assert not part_turns.needs_entry(part(state, LATER), START)
    assert not part_turns.needs_entry(part(State.HELD, START), START)


def test_message_is_over_when_all_its_parts_are() -> None:
    mixed = MessageStatus(parts=(part(State.SENT), part(State.DEFERRED, START)))
    assert (part_turns.is_waiting(mixed), part_turns.is_over(mixed)) == (True, False)
    ended = MessageStatus(parts=(part(State.SENT), part(State.FAILED)))
    assert (part_turns.is_waiting(ended), part_turns.is_over(ended)) == (False, True)


@pytest.mark.parametrize("state", sorted(State))
def test_message_may_have_left_once_it_was_sending(state: State) -> None:
    expected = state in {State.SENDING, State.SENT, State.UNKNOWN}
    assert part_turns.may_have_left(MessageStatus(parts=(part(state),))) is expected


def test_message_with_an_uncertain_attempt_may_have_left() -> None:
    lost = Attempt(number=1, route="main", provider="smtp", at=START, outcome="unknown", code="response_lost")
    deferred = Part(route="main", state=State.DEFERRED, due_at=START, attempts=(lost,))
    assert part_turns.may_have_left(MessageStatus(parts=(deferred,)))


def test_attempt_is_interrupted_when_its_lease_ends() -> None:
    end = START + timedelta(seconds=LEASE_SECONDS)
    assert not part_turns.is_interrupted(SENDING, end - timedelta(microseconds=1))
    assert part_turns.is_interrupted(SENDING, end)
    died = part_states.interrupt(changed(SENDING, may_resend=True), end)
    assert (died.attempts[-1].outcome, died.attempts[-1].at, died.attempts[-1].number) == ("interrupted", START, 1)
    assert not died.may_resend


@pytest.mark.parametrize(("seconds", "due"), [(5, True), (5.1, False), (-100, True)])
def test_waiting_part_is_due_up_to_five_seconds_early(seconds: float, due: bool) -> None:
    waiting = Part(route="main", state=State.DEFERRED, due_at=START + timedelta(seconds=seconds))
    assert part_turns.is_due(waiting, START) is due
    assert not part_turns.is_due(changed(waiting, state=State.SENDING), START)
