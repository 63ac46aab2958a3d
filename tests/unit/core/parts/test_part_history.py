"""What a part remembers: uncertain attempts, their ids, which were put back, and what a row has room for."""

from datetime import timedelta

import pytest

from relay.core.model import FINAL, Attempt, Part, State
from relay.core.outcomes import Deferred, PerRecipient, Sent, Unknown
from relay.core.parts import attempt_results, part_history, part_states
from relay.core.parts.part_history import attempt_id, attempt_of_id, latest_attempt_id, latest_number, was_put_back
from tests.doubles import START, changed
from tests.unit.core.parts.kit import LATER, SENDING, SUBMISSION, result, settled

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"


def test_id_names_its_attempt_also_after_the_part_was_split() -> None:
    first = latest_attempt_id(NAME, SENDING)
    split = PerRecipient(outcomes=(((0, 1), Sent()), ((2,), Deferred(code="rate_limited"))))
    kept, waiting = attempt_results.settle(SENDING, SUBMISSION, result(split))
    again = part_states.begin(waiting, "main", LATER)
    second = latest_attempt_id(NAME, again)
    sent = settled(Sent(), again)
    named = [first, second, latest_attempt_id("msg_other", SENDING), "4711"]
    assert [attempt_of_id(NAME, (kept, again), each) for each in named] == [1, 2, 0, 0]
    assert [attempt_of_id(NAME, (kept, sent), each) for each in named] == [1, 2, 0, 0]
    assert [attempt_id(NAME, attempt) for attempt in sent.attempts] == [first, second]
    assert (latest_attempt_id(NAME, kept), latest_attempt_id(NAME, sent)) == (first, second)


def test_mail_that_was_found_has_the_number_and_the_id_of_its_own_attempt() -> None:
    """Its check asks for them, also after the part was split."""
    lost = settled(Unknown(code="response_lost"))
    asking = part_states.begin(changed(lost, recipients=(2,)), "main", LATER)
    found = settled(Sent(verified=1), asking)
    assert (latest_number(asking), latest_number(found)) == (2, 1)
    assert latest_attempt_id(NAME, found) == latest_attempt_id(NAME, SENDING) != latest_attempt_id(NAME, asking)
    assert attempt_of_id(NAME, (found,), latest_attempt_id(NAME, found)) == 1


SENT, WAITS, FAILED = State.SENT, State.DEFERRED, State.FAILED


@pytest.mark.parametrize(
    ("outcomes", "state", "seconds", "route", "expected"),
    [
        ("sent", SENT, 0, None, False),
        ("sent", WAITS, 0, None, True),
        ("sent", WAITS, 0, "spare", True),
        ("sent", WAITS, 0, "main", False),
        ("sent sent", SENT, 0, None, True),
        ("sent sent", SENT, 0, "spare", True),
        ("sent sent", SENT, 60, None, False),
        ("sent rejected", FAILED, 0, None, True),
        ("sent rejected", FAILED, 60, None, False),
        ("deferred sent", SENT, 0, None, False),
        ("", State.QUEUED, 60, None, False),
    ],
)
def test_part_was_put_back_after_the_last_attempt_that_a_caller_saw_had_sent_it(
    outcomes: str, state: State, seconds: int, route: str | None, expected: bool
) -> None:
    """Its first attempt is by the route main, a minute before the second, by the route spare."""
    made = tuple(
        Attempt(
            number=n, route=("main", "spare")[n - 1], provider="graph", at=START + timedelta(minutes=n - 1), outcome=o
        )
        for n, o in enumerate(outcomes.split(), 1)
    )
    part = Part(route="spare", state=state, attempts=made)
    assert was_put_back(part, START + timedelta(seconds=seconds), route) is expected


@pytest.mark.parametrize(
    ("outcome", "uncertain"),
    [("sent", False), ("deferred", False), ("route_fault", False), ("unknown", True), ("interrupted", True)],
)
def test_only_unknown_and_interrupted_attempts_are_uncertain(outcome: str, uncertain: bool) -> None:
    attempt = Attempt(number=1, route="main", provider="smtp", at=START, outcome=outcome)
    assert part_history.is_uncertain(changed(SENDING, attempts=(attempt,))) is uncertain


def test_attempt_ids_are_unique_and_stable() -> None:
    parts = [changed(SENDING, recipients=numbers, attempt=n) for numbers in ((0, 2), (1,)) for n in (1, 2)]
    ids = {latest_attempt_id("msg_a", part) for part in parts} | {latest_attempt_id("msg_b", parts[0])}
    assert len(ids) == 5
    assert latest_attempt_id("msg_a", parts[0]) == latest_attempt_id("msg_a", changed(SENDING, attempt=1))


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


@pytest.mark.parametrize(
    ("outcomes", "numbers", "asked"),
    [
        ("unknown", [1], [1]),
        ("unknown sent", [1, 2], []),
        ("unknown sent unknown", [1, 2, 3], [3]),
        ("unknown sent route_fault", [1, 2, 2], [1]),
        ("unknown sent rejected deferred", [1, 2, 2, 3], [1]),
        ("unknown sent sent route_fault", [1, 2, 3, 3], []),
    ],
)
def test_attempts_before_a_part_was_resent_are_not_asked_about(
    outcomes: str, numbers: list[int], asked: list[int]
) -> None:
    made = tuple(
        Attempt(number=number, route="main", provider="graph", at=START, outcome=outcome)
        for number, outcome in zip(numbers, outcomes.split(), strict=True)
    )
    found = part_history.attempts_to_ask_about(changed(SENDING, attempts=made))
    assert [attempt.number for attempt in found] == asked


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


def test_unknown_part_keeps_its_last_uncertain_attempts_and_the_last_accepted_one_with_its_report() -> None:
    outcomes = ("unknown", "sent", "unknown", "sent", "route_fault", "interrupted", "deferred", "rejected")
    attempts = tuple(
        Attempt(number=n, route="main", provider="graph", at=START, outcome=each) for n, each in enumerate(outcomes, 1)
    )
    part = Part(route="main", state=State.UNKNOWN, recipients=(0,), attempts=attempts)
    truncated = part_history.truncate_history((part, part, part, part))[0]
    assert [each.number for each in truncated.attempts] == [3, 4, 5, 6, 8]
    assert part_history.truncate_history((truncated,) * 4)[0] == truncated
