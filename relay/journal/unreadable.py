"""Salvage what is known of a batch whose record cannot be read as a whole, so that it hides no other batch.

A record is unreadable when a part of it is damaged, or when a newer version of Relay wrote it. No process changes it then:
only reading is possible, message by message.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from relay.core import entries, ids
from relay.core.errors import UnreadableEntry
from relay.core.model import MessageStatus, Submission
from relay.journal.record_rows import CLIENT_FLAG, Record, client_flag, is_placeholder
from relay.platform.resources import JOURNAL_TABLE
from relay.platform.storage.ports import Entity
from relay.platform.storage.readable import decode

_STATUS = re.compile(r"m([0-2][0-9]|3[01])")
_status_decoder = msgspec.json.Decoder(MessageStatus)


class UnreadableRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The readable parts of a record. `statuses` and `entry` are None where they cannot be read.

    `client_flags` are the properties that name the batch's clients (`client_flag`).
    """

    batch: str
    lane: str
    statuses: Sequence[MessageStatus | None]
    entry: entries.BatchEntry | None = None
    client_flags: frozenset[str] = frozenset()

    def submission(self, index: int) -> Submission | None:
        """Return one message's content, without what was erased; None if it cannot be read."""
        if self.entry is None or index >= len(self.entry.messages):
            return None
        status = self.statuses[index]
        # Without a status it may have been erased.
        return self.entry.messages[index].bare() if status is None or status.erased else self.entry.messages[index]

    def is_erased(self, index: int) -> bool:
        """Return whether one message was erased, or may have been: its status cannot be read."""
        status = self.statuses[index] if index < len(self.statuses) else None
        return status is None or status.erased is not None

    def message_id(self, index: int, mac_keys: Mapping[str, bytes]) -> str:
        """Return the public id of one message, from the content or else from the key of the batch's only client.

        `mac_keys` are the clients' keys by name. The MAC of a name that cannot be found is zeros: no call accepts it.
        """
        if self.entry is not None and index < len(self.entry.macs):
            mac = self.entry.macs[index]
        else:
            keys = [key for name, key in mac_keys.items() if client_flag(name) in self.client_flags]
            is_certain = len(keys) == len(self.client_flags) == 1
            mac = ids.mac(keys[0], self.batch, index) if is_certain else "0" * 16
        return str(ids.MessageId(batch=self.batch, index=index, mac=mac))


def records_of(rows: Iterable[Entity], read: Callable[[Entity], Record]) -> Iterator[Record | UnreadableRecord]:
    """Yield the record of each row, or what is known of it."""
    for row in rows:
        if is_placeholder(row):
            continue
        try:
            yield decode(JOURNAL_TABLE, row, read)
        except UnreadableEntry:
            yield salvage(row)


def salvage(row: Entity) -> UnreadableRecord:
    """Return what can be read of a record's row."""
    properties: Mapping[str, Any] = row.properties
    statuses = {int(name[1:]): _status(value) for name, value in properties.items() if _STATUS.fullmatch(name)}
    entry = _entry(properties.get("content"))
    known = properties.get("count")
    count = len(entry.messages) if entry else max(statuses, default=0) + 1
    if isinstance(known, int) and 0 < known <= entries.MAX_BATCH_MESSAGES:
        count = max(count, known)
    lane = properties.get("lane", "" if entry is None else entry.lane)
    return UnreadableRecord(
        batch=row.partition.partition("-")[2],
        lane=lane if isinstance(lane, str) else "",
        statuses=tuple(statuses.get(index) for index in range(count)),
        entry=entry,
        client_flags=frozenset(name for name in properties if name.startswith(CLIENT_FLAG)),
    )


def _status(value: object) -> MessageStatus | None:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        status = _status_decoder.decode(value)  # type: ignore[arg-type] # whatever is stored; a TypeError if not bytes
        return status if status.parts else None
    return None


def _entry(content: object) -> entries.BatchEntry | None:
    with suppress(UnreadableEntry):
        entry = entries.decode_entry(content) if isinstance(content, bytes) else None
        return entry if isinstance(entry, entries.BatchEntry) else None
    return None
