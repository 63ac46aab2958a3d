"""Which attempt the id in a report names, and which parts were put back."""

from datetime import timedelta

import pytest

from relay.core.model import Attempt, Part, State
from relay.core.parts.part_history import attempt_id, attempt_of_id, was_put_back
from tests.doubles import START

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"


def attempts(*outcomes: tuple[int, str]) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(number=number, route="main", provider="graph", at=START, outcome=outcome)
        for number, outcome in outcomes
    )


def test_id_names_its_attempt_also_after_the_part_was_split() -> None:
    whole = Part(route="main", state=State.SENT)
    kept = Part(route="main", state=State.SENT, recipients=(0, 1), attempts=attempts((1, "sent")))
    again = Part(
        route="main", state=State.SENT, recipients=(2,), attempts=attempts((1, "sent"), (1, "route_fault"), (2, "sent"))
    )
    named = [attempt_id(NAME, whole, 1), attempt_id(NAME, again, 2), attempt_id("msg_other", whole, 1), "4711"]
    assert [attempt_of_id(NAME, (kept, again), each) for each in named] == [1, 2, 0, 0]


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
