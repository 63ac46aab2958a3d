"""Which attempt the id in a report names."""

from relay.core.model import Attempt, Part, State
from relay.core.part_history import attempt_id, attempt_of_id
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
