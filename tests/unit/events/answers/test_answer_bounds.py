"""What answers add to a message is bounded, whoever writes them."""

from relay.core.events import Answer, RecordedEvent
from relay.events.answers.bounds import MAX_ANSWERS, MAX_CHARACTERS, bounded
from tests.doubles import START

LONG = "a" * (MAX_CHARACTERS // 10)


def answered(key: int, text: str = "Yes.", index: int = 0) -> RecordedEvent:
    return RecordedEvent(index=index, kind="replied", at=START, key=str(key), answer=Answer(text=text))


def test_other_events_are_not_bounded() -> None:
    events = [RecordedEvent(index=0, kind="opened", at=START, key=str(number)) for number in range(MAX_ANSWERS + 9)]
    assert bounded(events, ()) == events


def test_answers_beyond_the_bound_are_dropped_for_that_message_only() -> None:
    known = [answered(number) for number in range(MAX_ANSWERS - 1)]
    new = [answered(1_000), answered(1_001), answered(1_002, index=1)]
    assert bounded(new, known) == [new[0], new[2]]


def test_text_beyond_the_bound_is_left_out_and_shorter_text_still_has_room() -> None:
    known = [answered(number, LONG) for number in range(9)]
    kept = bounded([answered(10, LONG[1:]), answered(11, LONG), answered(12, "b")], known)
    assert [each.answer for each in kept] == [
        Answer(text=LONG[1:]),
        Answer(text="", is_truncated=True),
        Answer(text="b"),
    ]
