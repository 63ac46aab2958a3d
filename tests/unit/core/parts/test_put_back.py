"""Parts that are sent again."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from relay.core.model import Attempt, Part, State
from relay.core.outcomes import Rejected
from relay.core.parts import part_history, part_states, put_back
from relay.core.parts.put_back import LaterRefusal
from tests.doubles import START, changed
from tests.unit.core.parts.kit import DAY, SENDING, settled


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


# ── unknown parts that a report is about ──


def lost(number: int = 1, code: str = "response_lost") -> Attempt:
    return Attempt(number=number, route="main", provider="graph", at=START, outcome="unknown", code=code)


def unknown(code: str = "response_lost", *attempts: Attempt, **fields: Any) -> Part:
    attempts = attempts or (lost(),)
    return changed(SENDING, state=State.UNKNOWN, code=code, attempts=attempts, attempt=attempts[-1].number, **fields)


def refused(
    *parts: Part, attempt: int = 1, recipients: Sequence[int] = (0,), total: int = 1, at_most_once: bool = False
) -> Sequence[Part]:
    refusal = LaterRefusal(
        attempt=attempt,
        route="main",
        recipients=frozenset(recipients),
        code="credits_exhausted",
        reply="550 5.7.233",
        at=DAY,
        at_most_once=at_most_once,
    )
    once = put_back.put_back_refused(parts, refusal, DAY, all_recipients=tuple(range(total)))
    assert put_back.put_back_refused(once, refusal, DAY, all_recipients=tuple(range(total))) == once
    return once


def summary(parts: Sequence[Part]) -> list[tuple[State, str, tuple[int, ...] | None]]:
    return [(part.state, part.code, part.recipients) for part in parts]


def test_refused_unknown_part_goes_back_without_uncertain_attempts() -> None:
    [back] = refused(unknown())
    assert summary([back]) == [(State.DEFERRED, "credits_exhausted", None)]
    assert back.due_at == DAY
    assert [attempt.outcome for attempt in back.attempts] == ["not_sent", "sent", "route_fault"]
    assert not part_history.is_uncertain(back)


def test_recipients_that_are_not_refused_were_sent() -> None:
    after = refused(unknown(), recipients=(1,), total=3)
    assert summary(after) == [(State.SENT, "", (0, 2)), (State.DEFERRED, "credits_exhausted", (1,))]


@pytest.mark.parametrize(
    ("code", "state"),
    [("cancelled", State.CANCELLED), ("expired", State.EXPIRED), ("poisoned", State.FAILED)],
)
def test_unknown_part_that_ended_for_another_reason_is_not_sent_again(code: str, state: State) -> None:
    part = unknown(code)
    assert summary(refused(part)) == [(state, code, None)]
    assert refused(part, recipients=(0,), total=2) == (part,)


def test_attempt_that_was_poisoned_itself_is_not_made_again() -> None:
    assert summary(refused(unknown("poisoned", lost(code="poisoned")))) == [(State.FAILED, "poisoned", None)]


def test_part_that_was_refused_after_the_lost_response_failed() -> None:
    rejected = changed(lost(2, "policy_refused"), outcome="rejected")
    assert summary(refused(unknown("policy_refused", lost(), rejected))) == [(State.FAILED, "policy_refused", None)]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_unknown_part_goes_back_when_all_of_its_uncertain_attempts_are_refused(order: tuple[int, int]) -> None:
    part = unknown("response_lost", lost(code="interrupted"), lost(2))
    [after] = refused(part, attempt=order[0])
    assert summary([after]) == [(State.UNKNOWN, "response_lost", None)]
    assert [attempt.number for attempt in part_history.uncertain_attempts(after)] == [order[1]]
    back = refused(after, attempt=order[1])
    assert summary(back) == [(State.DEFERRED, "credits_exhausted", None)]
    assert not part_history.is_uncertain(back[0])
    assert [attempt.number for attempt in back[0].attempts if attempt.outcome == "route_fault"] == [*order]
    assert refused(*back, attempt=order[0]) == back


def test_recipient_that_one_of_several_uncertain_attempts_reached_was_sent() -> None:
    part = unknown("response_lost", lost(), lost(2))
    first = refused(part, recipients=(1, 2), total=3)
    assert summary(first) == [(State.SENT, "", (0,)), (State.UNKNOWN, "response_lost", (1, 2))]
    second = refused(*first, attempt=2, recipients=(0, 2), total=3)
    assert summary(second) == [
        (State.SENT, "", (0,)),
        (State.SENT, "", (1,)),
        (State.DEFERRED, "credits_exhausted", (2,)),
    ]


@pytest.mark.parametrize("order", list(permutations([(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)])))
def test_recipients_that_all_attempts_refused_go_back_in_any_order_of_reports(order: Sequence[tuple[int, int]]) -> None:
    parts: Sequence[Part] = [unknown("response_lost", lost(), lost(2))]
    for attempt, recipient in order:
        parts = refused(*parts, attempt=attempt, recipients=(recipient,), total=3)
    refused_by_all = [part for part in parts if part.recipients is not None and 2 not in part.recipients]
    assert sorted(number for part in refused_by_all for number in part.recipients or ()) == [0, 1]
    assert all(part.state is State.DEFERRED and not part_history.is_uncertain(part) for part in refused_by_all)


def test_sent_recipients_that_another_attempt_refused_share_a_part() -> None:
    parts: Sequence[Part] = refused(unknown("response_lost", lost(), lost(2)), recipients=(4,), total=5)
    for recipient in range(3):
        parts = refused(*parts, attempt=2, recipients=(recipient,), total=5)
    assert summary(parts) == [
        (State.SENT, "", (3,)),
        (State.UNKNOWN, "response_lost", (4,)),
        (State.SENT, "", (0, 1, 2)),
    ]


def test_recipients_reported_one_by_one_join_the_unknown_part() -> None:
    parts: Sequence[Part] = [unknown("response_lost", lost(), lost(2))]
    for recipient in range(3):
        parts = refused(*parts, recipients=(recipient,), total=4)
    assert summary(parts) == [(State.SENT, "", (3,)), (State.UNKNOWN, "response_lost", (0, 1, 2))]


def test_part_that_forgot_attempts_stays_unknown_after_several_reports() -> None:
    """A message of many parts keeps three uncertain attempts of each."""
    attempts = [lost(number) for number in range(1, 5)]
    parts: tuple[Part, ...] = (unknown("response_lost", *attempts), *(changed(SENDING, state=State.SENT),) * 3)
    for number in (4, 3, 2):
        [part, *others] = part_history.truncate_history(parts)
        parts = (*refused(part, attempt=number), *others)
    assert parts[0].state is State.UNKNOWN


def test_refused_part_that_was_cancelled_after_several_lost_responses_is_cancelled() -> None:
    parts: Sequence[Part] = [unknown("cancelled", lost(), lost(2))]
    assert summary(parts := refused(*parts)) == [(State.UNKNOWN, "cancelled", None)]
    assert summary(refused(*parts, attempt=2)) == [(State.CANCELLED, "cancelled", None)]


@pytest.mark.parametrize("redriven", [0, 1])
def test_attempts_after_an_uncertain_one_only_ask_unless_the_part_was_redriven(redriven: int) -> None:
    part = unknown("response_lost", lost(), lost(2), redriven=redriven)
    [after] = refused(part, at_most_once=True)
    assert after.state is (State.UNKNOWN if redriven else State.DEFERRED)
    assert part_history.is_uncertain(after) is bool(redriven)
    assert refused(part, attempt=2, at_most_once=True)[0].state is State.UNKNOWN


def test_attempts_that_only_asked_are_refused_with_those_that_they_asked_about() -> None:
    asked = [changed(lost(number), verified=number - 1) for number in (2, 4)]
    part = unknown("response_lost", lost(), asked[0], lost(3), asked[1], redriven=1)
    [after] = refused(part, at_most_once=True)
    assert [attempt.number for attempt in part_history.uncertain_attempts(after)] == [3, 4]
    assert summary(refused(after, attempt=3, at_most_once=True)) == [(State.DEFERRED, "credits_exhausted", None)]


def test_report_about_another_attempt_changes_no_unknown_part() -> None:
    assert refused(unknown(), attempt=2) == (unknown(),)


def test_cancelled_part_with_an_uncertain_attempt_says_that_it_was_cancelled() -> None:
    waiting = changed(unknown(), state=State.DEFERRED, due_at=DAY)
    cancelled = part_states.cancel(waiting)
    assert cancelled is not None
    assert (cancelled.state, cancelled.code) == (State.UNKNOWN, "cancelled")
