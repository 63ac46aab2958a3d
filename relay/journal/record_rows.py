"""Convert a batch's record to its row and back: pure functions.

See `relay.journal.records` for the whole partition, and docs/decisions/0003-journal.md.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

import msgspec

from relay.core import entries, ids
from relay.core.errors import UnreadableEntry
from relay.core.model import FINAL, MessageStatus, State, Submission
from relay.platform.resources import JOURNAL_TABLE
from relay.platform.storage.ports import Entity, Value
from relay.platform.storage.readable import decode

ROW = "batch"
CLIENT_FLAG = "by_"
_status_decoder = msgspec.json.Decoder(MessageStatus)
_indices_decoder = msgspec.json.Decoder(frozenset[int])
_encoder = msgspec.json.Encoder()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as recorded: its content, and one status per message. `settle` compares the `etag`.

    `decoded` is the content once more, where it had to be decoded to make the record: most readers need it.
    """

    batch: str
    lane: str
    content: bytes
    statuses: tuple[MessageStatus, ...]
    etag: str
    decoded: entries.BatchEntry | None = None

    def entry(self) -> entries.BatchEntry:
        """The batch's content; of erased messages what stays of them. Raises `UnreadableEntry` only if storage changed it."""
        entry = self.stored()
        if not any(status.erased for status in self.statuses):
            return entry
        pairs = zip(entry.messages, self.statuses, strict=True)
        messages = tuple(submission.bare() if status.erased else submission for submission, status in pairs)
        return msgspec.structs.replace(entry, messages=messages)

    def remains(self) -> Mapping[int, Submission]:
        """By index, what is stored still of messages that are marked as erased: it is about to go, or was left behind."""
        if not any(status.erased for status in self.statuses):
            return {}
        pairs = zip(self.stored().messages, self.statuses, strict=True)
        return {
            index: submission
            for index, (submission, status) in enumerate(pairs)
            if status.erased and not submission.is_bare
        }

    def stored(self) -> entries.BatchEntry:
        """The batch's content as it is stored, erased or not. Raises as `entry` does."""
        if self.decoded is not None:
            return self.decoded
        entry = entries.decode_entry(self.content)
        if not isinstance(entry, entries.BatchEntry):
            raise UnreadableEntry("the journal holds a reference where a batch belongs")
        return entry

    def is_erased(self, index: int) -> bool:
        """Return whether one message of the batch was erased."""
        return index < len(self.statuses) and self.statuses[index].erased is not None

    def having(self, indices: Iterable[int]) -> list[int]:
        """Return those of the indices that the batch has: a reference with other indices is not Relay's."""
        return [index for index in indices if index < len(self.statuses)]

    def message_id(self, index: int, entry: entries.BatchEntry) -> str:
        """Return the public id of one message of the batch."""
        return str(ids.MessageId(batch=self.batch, index=index, mac=entry.macs[index]))


def _property(index: int) -> str:
    return f"m{index:02d}"


STATUS_PROPERTIES = tuple(_property(index) for index in range(32))
"""The properties that hold the statuses, each of one message."""


def partition(batch: str) -> str:
    """Return the partition of a batch's rows."""
    return f"{ids.shard(batch)}-{batch}"


def row_of(
    entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus], *, written_at: datetime
) -> Entity:
    """Return the whole row of a batch."""
    return Entity(
        partition=partition(entry.batch),
        row=ROW,
        properties={
            "lane": entry.lane,
            "content": content,
            "count": len(statuses),
            "blobs": blob_names(entry.messages),
            **{client_flag(message.client): True for message in entry.messages},
            **timer_flags(statuses, written_at=written_at),
            **status_properties(enumerate(statuses)),
        },
    )


def timer_flags(statuses: Iterable[MessageStatus], *, written_at: datetime) -> dict[str, Value]:
    """Return what the timers filter on: recovery wants batches in progress, the purge those that ended long enough ago."""
    states = {part.state for status in statuses for part in status.parts}
    return {"sending": State.SENDING in states, "open": not states <= FINAL, "written_at": written_at}


def status_properties(statuses: Iterable[tuple[int, MessageStatus]]) -> dict[str, Value]:
    """Return the properties that hold these statuses, given by index."""
    return {_property(index): _encoder.encode(status) for index, status in statuses}


def client_flag(client: str) -> str:
    """Return the property that says that a batch has messages of a client. Two clients may share one: it only preselects."""
    return CLIENT_FLAG + client.replace("-", "_")


def blob_names(messages: Iterable[Submission]) -> str:
    """Return the property with the names of the blobs that hold the messages' content, each once."""
    return json.dumps(list(dict.fromkeys(message.blob for message in messages if message.blob)))


def is_placeholder(entity: Entity) -> bool:
    """Return whether the row only keeps cancellations for a batch that has no record yet."""
    if "withdrawn" not in entity.properties or {"count", "lane", "content"} & entity.properties.keys():
        return False
    try:
        cancelled_indices(entity)
    except UnreadableEntry:
        # Then it is a record that cannot be read: what was cancelled must not be sent.
        return False
    return True


def cancelled_indices(placeholder: Entity) -> Set[int]:
    """Return the messages that were cancelled before their batch had a record."""
    return decode(JOURNAL_TABLE, placeholder, lambda row: _indices_decoder.decode(str(row.properties["withdrawn"])))


def whole_record_of(row: Entity) -> Record:
    """Return the record in a row whose content can be decoded too."""
    record = record_of(row)
    entry = record.stored()
    if len(entry.messages) != len(record.statuses):
        raise UnreadableEntry("the journal has another number of statuses than of messages")
    return msgspec.structs.replace(record, decoded=entry)


def record_of(entity: Entity) -> Record:
    """Return the record in a row. Raises `NewerVersion`, or anything else for one that cannot be read.

    Without its content, which a query may have left out, its version is not checked.
    """
    properties: Mapping[str, Any] = entity.properties
    content = properties.get("content", b"")
    if content:
        entries.check_version(content)
    statuses = tuple(_status_decoder.decode(properties[_property(index)]) for index in range(properties["count"]))
    if not statuses or not all(status.parts for status in statuses):
        raise UnreadableEntry("a message in the journal has no part")
    return Record(
        batch=entity.partition.partition("-")[2],
        lane=msgspec.convert(properties["lane"], str),
        content=content,
        statuses=statuses,
        etag=entity.etag,
    )
