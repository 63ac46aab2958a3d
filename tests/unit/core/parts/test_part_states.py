"""The state machine of a part, as tables: what each outcome makes of it, and what can be done with it in each state."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from relay.core.model import DEAD, FINAL, WAITING, Attempt, DeliveryGuarantee, Part, State
from relay.core.outcomes import (
    CAUSES,
    PROVIDER_AWAY,
    Deferred,
    Outcome,
    PerRecipient,
    Rejected,
    RouteFault,
    Sent,
    Unknown,
)
from relay.core.parts import attempt_results, part_history, part_states, part_turns, put_back
from relay.core.parts.attempt_results import AttemptResult, RouteHold
from relay.core.parts.part_states import LEASE_SECONDS
from relay.core.settings import Lane
from tests.doubles import START, changed, submission_of

DAY = START + timedelta(days=1)
SENDING = part_states.begin(Part(route="", state=State.QUEUED), "main", START)
LATER = START + timedelta(seconds=3)
SUBMISSION = submission_of()
AT_MOST_ONCE = submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE)


def result(answer: Outcome | PerRecipient, **fields: Any) -> AttemptResult:
    values: dict[str, Any] = {"provider": "smtp", "at": START, "now": LATER, "lane": Lane(), "jitter": 0.5}
    return AttemptResult(**{**values, "answer": answer, **fields})


def settled(
    answer: Outcome, part: Part = SENDING, submission: Any = SUBMISSION, held: RouteHold | None = None, **fields: Any
) -> Part:
    (after,) = attempt_results.settle(part, submission, result(answer, **fields), held)
    return after


def after(seconds: float) -> datetime:
    return LATER + timedelta(seconds=seconds)


# ── beginning ──


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


# ── settling ──

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


# ── interrupted and uncertain ──


@pytest.mark.parametrize(
    ("outcome", "uncertain"),
    [("sent", False), ("deferred", False), ("route_fault", False), ("unknown", True), ("interrupted", True)],
)
def test_only_unknown_and_interrupted_attempts_are_uncertain(outcome: str, uncertain: bool) -> None:
    attempt = Attempt(number=1, route="main", provider="smtp", at=START, outcome=outcome)
    assert part_history.is_uncertain(changed(SENDING, attempts=(attempt,))) is uncertain


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


def test_attempt_ids_are_unique_and_stable() -> None:
    one, other = changed(SENDING, recipients=(0, 2)), changed(SENDING, recipients=(1,))
    ids = {part_history.attempt_id("msg_a", part, number) for part in (one, other) for number in (1, 2)}
    ids.add(part_history.attempt_id("msg_b", one, 1))
    assert len(ids) == 5
    assert part_history.attempt_id("msg_a", one, 1) == part_history.attempt_id("msg_a", SENDING, 1)


def test_part_stays_uncertain_until_the_attempt_is_marked_not_sent() -> None:
    part = settled(Unknown(code="response_lost"))
    assert part_history.keeps_route(part)
    part = settled(Deferred(code="unreachable"), part_states.begin(part, "main", LATER))
    assert part_history.is_uncertain(part)
    assert not part_history.keeps_route(part)
    (doubt,) = part_history.uncertain_attempts(part)
    refuted = part_history.mark_not_sent(part, doubt)
    assert [attempt.outcome for attempt in refuted.attempts] == ["not_sent", "deferred"]
    assert not part_history.is_uncertain(refuted)


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.CANCELLED])
def test_uncertain_part_ends_as_unknown(state: State) -> None:
    doubtful = settled(Unknown(code="response_lost"))
    assert (part_states.end(doubtful, state, "").state, part_states.end(doubtful, state, "").code) == (
        State.UNKNOWN,
        "response_lost",
    )
    assert part_states.end(SENDING, state, "expired").state is state
    assert part_states.end(doubtful, State.SENT, "").state is State.SENT


# ── changed by people ──


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


def test_redrive_restarts_the_part_and_keeps_its_history() -> None:
    dead = settled(Rejected(code="policy_refused"), changed(SENDING, held_seconds=50.0))
    back = put_back.redrive(dead, DAY, 600, "other")
    assert back is not None
    assert (back.state, back.due_at, back.expires_at) == (State.DEFERRED, DAY, DAY + timedelta(seconds=600))
    assert (back.route, back.is_pinned, back.redriven, back.may_resend, back.attempt) == ("other", True, 1, True, 1)
    assert back.attempts == dead.attempts
    assert put_back.redrive(back, DAY, 600, None) is None
    by_rules = put_back.redrive(dead, DAY, 600, None)
    assert by_rules is not None
    assert (by_rules.route, by_rules.is_pinned) == ("main", False)


# ── what a row has room for ──


def test_first_two_and_latest_attempts_are_kept() -> None:
    part = SENDING
    for number in range(1, 51):
        part = changed(part_states.begin(part, "main", START), attempt=number)
        part = settled(Deferred(code="unreachable", reply=f"{number} " + "x" * 2000), part)
    numbers = [attempt.number for attempt in part.attempts]
    assert numbers == [1, 2, *range(33, 51)]
    assert len(part.attempts) == part_history.MAX_ATTEMPTS_KEPT
    lengths = [len(attempt.reply) for attempt in part.attempts]
    assert lengths == [200] * 17 + [1000] * 3


def test_uncertain_attempts_are_kept_longest() -> None:
    part = settled(Deferred(code="unreachable"))
    for number in range(2, 51):
        answer = Unknown(code="response_lost") if number == 5 else Deferred(code="unreachable")
        part = settled(answer, changed(part_states.begin(part, "main", START), attempt=number))
    assert [attempt.number for attempt in part.attempts] == [1, 2, 5, *range(34, 51)]


def test_history_is_truncated_only_in_final_parts() -> None:
    attempts = tuple(
        Attempt(number=n, route="main", provider="smtp", at=START, outcome="deferred", reply="x" * 900)
        for n in range(9)
    )
    parts = tuple(
        Part(route="main", state=state, recipients=(number,), attempts=attempts)
        for number, state in enumerate(
            [State.SENT, State.DEFERRED, State.FAILED, State.SENDING, State.EXPIRED, State.HELD]
        )
    )
    condensed = part_history.truncate_history(parts)
    for before, part in zip(parts, condensed, strict=True):
        if before.state in FINAL:
            assert [attempt.number for attempt in part.attempts] == [8]
            assert len(part.attempts[0].reply) == 200
            assert changed(part, attempts=attempts) == before
        else:
            assert part == before
    assert part_history.truncate_history(condensed) == condensed
    unknown = changed(parts[0], state=State.UNKNOWN, attempts=(changed(attempts[0], outcome="unknown"), *attempts[1:]))
    kept = part_history.truncate_history((*parts[1:], unknown))[-1]
    assert [attempt.number for attempt in kept.attempts] == [0, 8]
    assert part_history.truncate_history(parts[:3]) == parts[:3]
