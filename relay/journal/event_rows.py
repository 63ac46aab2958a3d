"""Convert later events of a batch to rows of its partition and back: `event-…` holds one event, `events-…` several."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import msgspec

from relay.core.events import RecordedEvent
from relay.platform.packing import packed
from relay.platform.storage.ports import Entity

MAX_ROW_BYTES = 60_000
"""Limit for the events of one row: a property holds 65,536 bytes."""
_ONE = "event-"
_SEVERAL = "events-"
_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(RecordedEvent)
_events_decoder = msgspec.json.Decoder(tuple[RecordedEvent, ...])


def row_of(partition: str, event: RecordedEvent) -> Entity:
    """Return the row of one event. Its key follows from the event, so an insert finds a duplicate."""
    row = f"{_ONE}{event.index:02d}-{event.key}"
    return Entity(partition=partition, row=row, properties={"event": _encoder.encode(event)})


def rows_of(partition: str, events: Sequence[RecordedEvent]) -> Iterator[Entity]:
    """Return as few rows as hold these events. A row's key follows from its events."""
    encoded = [(event, _encoder.encode(event)) for event in events]
    for group in packed(encoded, lambda each: len(each[1]) + 1, room=MAX_ROW_BYTES - 2):
        names = "".join(f"{event.index}/{event.key}\n" for event, _ in group)
        row = f"{_SEVERAL}{hashlib.sha256(names.encode()).hexdigest()[:32]}"
        text = b"[%s]" % b",".join(text for _, text in group)
        yield Entity(partition=partition, row=row, properties={"events": text})


def events_of(entity: Entity) -> Sequence[RecordedEvent]:
    """Return the events that a row of a batch's partition holds: none if it is another kind of row."""
    properties: Mapping[str, Any] = entity.properties
    if entity.row.startswith(_SEVERAL):
        return _events_decoder.decode(properties["events"])
    return (_event_decoder.decode(properties["event"]),) if entity.row.startswith(_ONE) else ()


def without(entity: Entity, indices: Set[int]) -> Entity | None:
    """Return a row without the events of some messages: the same row if it has none of them, None if it has no others."""
    events = events_of(entity)
    kept = [event for event in events if event.index not in indices]
    if len(kept) == len(events):
        return entity
    if not kept:
        return None
    return Entity(partition=entity.partition, row=entity.row, properties={"events": _encoder.encode(kept)})
