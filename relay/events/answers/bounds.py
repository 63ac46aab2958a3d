"""Bound what answers can add to a message: a recipient can write as many as the mailbox takes."""

from collections.abc import Iterable, Sequence

import msgspec

from relay.core.events import RecordedEvent
from relay.platform.log import log_event

MAX_ANSWERS = 500
"""Answers that are recorded of a message."""
MAX_CHARACTERS = 300_000
"""Characters of text in them. Later ones are recorded without their text."""


def bounded(events: Iterable[RecordedEvent], known: Iterable[RecordedEvent]) -> Sequence[RecordedEvent]:
    """Return the new events that are recorded beside the known ones: answers only up to the bounds."""
    counts: dict[int, int] = {}
    characters: dict[int, int] = {}
    found: list[RecordedEvent] = []
    dropped = 0
    for event, is_new in (*((each, False) for each in known), *((each, True) for each in events)):
        if event.answer is None:
            found += [event] * is_new
            continue
        index = event.index
        counts[index] = counts.get(index, 0) + 1
        if is_new and counts[index] > MAX_ANSWERS:
            dropped += 1
            continue
        characters[index] = characters.get(index, 0) + len(event.answer.text)
        if is_new:
            has_room = characters[index] <= MAX_CHARACTERS
            found.append(event if has_room else _without_text(event))
            characters[index] -= 0 if has_room else len(event.answer.text)
    if dropped:
        log_event("answers_dropped", answers=dropped)
    return found


def _without_text(event: RecordedEvent) -> RecordedEvent:
    answer = None if event.answer is None else msgspec.structs.replace(event.answer, text="", is_truncated=True)
    return msgspec.structs.replace(event, answer=answer)
