"""The journal: the single truth about every message.

One row per batch in table `journal`: partition `<shard>-<batch>`, row `batch`. It holds the entry's bytes as they were
accepted (`content`) and each message's status as JSON in a property of its own (`m00` … `m31`), so that settling
rewrites only what changed. Later events are rows of the same partition (`events-…`, several in a row; `event-…`, one), so
that a message's whole history is one partition query. See docs/decisions/0003-journal.md.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence, Set
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import msgspec

from relay.core import entries, ids
from relay.core.errors import AlreadyExists, NotFound, UnreadableEntry
from relay.core.events import RecordedEvent
from relay.core.model import MessageStatus, Part, State
from relay.journal import event_rows
from relay.journal.record_rows import (
    ROW,
    STATUS_PROPERTIES,
    Record,
    blob_names,
    cancelled_indices,
    client_flag,
    is_placeholder,
    partition,
    record_of,
    row_of,
    status_properties,
    timer_flags,
    whole_record_of,
)
from relay.journal.unreadable import UnreadableRecord, records_of, salvage
from relay.platform import resources
from relay.platform.storage.ports import Entity, Query, Tables, Value, every_row
from relay.platform.storage.readable import decode, readable
from relay.platform.storage.rows import RowChange, change_row, retry_races

TABLE = resources.JOURNAL_TABLE
_CANCELLED = MessageStatus(parts=(Part(route="", state=State.CANCELLED),))


class Journal:
    """Writes and reads batch records."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`clock` dates what is written; readers need none."""
        self._tables = tables
        self._clock = clock

    async def open(self, entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus]) -> Record:
        """Insert a batch's record: the duplicate check. Raises `AlreadyExists` when this batch was seen before.

        Messages that were cancelled before are `cancelled` in the record, whatever `statuses` says.
        """
        etag = None
        with suppress(AlreadyExists):
            etag = await self._tables.insert(TABLE, row_of(entry, content, statuses, written_at=self._clock()))
        if etag is None:
            attempt = partial(self._open_cancelled, entry, content, statuses)
            return await retry_races(attempt, subject="the record of a batch")
        return _opened(entry, content, statuses, etag)

    async def _open_cancelled(
        self, entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus]
    ) -> Record:
        place = await self._tables.get(TABLE, partition(entry.batch), ROW)
        if not is_placeholder(place):
            raise AlreadyExists("this batch was seen before")
        cancelled_unrecorded = cancelled_indices(place)
        statuses = [_CANCELLED if index in cancelled_unrecorded else status for index, status in enumerate(statuses)]
        row = row_of(entry, content, statuses, written_at=self._clock())
        etag = await self._tables.merge(TABLE, row, etag=place.etag)
        return _opened(entry, content, statuses, etag)

    async def cancel_unrecorded(self, batch: str, index: int) -> None:
        """Cancel a message whose batch has no record yet, by writing a placeholder row that `open` will find.

        Raises `AlreadyExists` if there is a record.
        """

        def decide(place: Entity | None) -> RowChange[None]:
            if place is not None and not is_placeholder(place):
                raise AlreadyExists("this batch has a record")
            indices = {index} | (cancelled_indices(place) if place else set())
            # Open, so that the purge leaves it alone for as long as the entry may be on its way.
            properties: dict[str, Value] = {"withdrawn": json.dumps(sorted(indices)), "open": True, "sending": False}
            return RowChange(result=None, properties={**properties, "written_at": self._clock()})

        await change_row(self._tables, TABLE, partition(batch), ROW, decide)

    async def cancelled_unrecorded(self, batch: str) -> Set[int]:
        """Return the cancelled messages of a batch that has no record yet."""
        try:
            place = await self._tables.get(TABLE, partition(batch), ROW)
        except NotFound:
            return frozenset()
        return cancelled_indices(place) if is_placeholder(place) else frozenset()

    async def read(self, batch: str) -> Record:
        """Read a record. Raises `NotFound`, and `UnreadableEntry` (`NewerVersion` if it says so) for one that cannot be read."""
        found = await self._tables.get(TABLE, partition(batch), ROW)
        if is_placeholder(found):
            raise NotFound("messages of this batch were cancelled; it has no record yet")
        return decode(TABLE, found, whole_record_of)

    async def settle(self, record: Record, changes: Mapping[int, MessageStatus]) -> Record:
        """Record new statuses of some messages. Raises `Changed` when another writer was first."""
        statuses = tuple(changes.get(index, status) for index, status in enumerate(record.statuses))
        flags = timer_flags(statuses, written_at=self._clock())
        etag = await self._merge(record, {**flags, **status_properties(changes.items())})
        return msgspec.structs.replace(record, statuses=statuses, etag=etag)

    async def mark(self, record: Record, marked: Mapping[int, MessageStatus]) -> Record:
        """Update statuses without changing any state. Raises `Changed` when another writer was first.

        Unlike a settlement, this does not extend the retention.
        """
        etag = await self._merge(record, status_properties(marked.items()))
        statuses = tuple(marked.get(index, status) for index, status in enumerate(record.statuses))
        return msgspec.structs.replace(record, statuses=statuses, etag=etag)

    async def forget(self, record: Record) -> None:
        """Remove the content of erased messages from a record. Raises `Changed` when another writer was first."""
        remains, messages = record.remains(), record.entry().messages
        content = entries.replace_submissions(record.content, {index: messages[index] for index in remains})
        await self._merge(record, {"content": content, "blobs": blob_names(messages)})

    async def _merge(self, record: Record, properties: Mapping[str, Value]) -> str:
        row = Entity(partition=partition(record.batch), row=ROW, properties=properties)
        return await self._tables.merge(TABLE, row, etag=record.etag)

    async def forget_events(self, batch: str, indices: Set[int]) -> None:
        """Delete the events of some messages. Rows that also hold events of other messages are rewritten without them."""
        gone: list[str] = []
        async for row in every_row(self._tables, TABLE, Query(partition=partition(batch))):
            kept = _without(row, indices)
            if kept is None:
                gone.append(row.row)
            elif kept is not row:
                await self._tables.merge(TABLE, kept)
        await self._tables.delete_all(TABLE, partition(batch), gone)

    async def history(self, batch: str) -> tuple[Record, Sequence[RecordedEvent]]:
        """Read a record and all events of its messages, in one query. Raises as `read` does."""
        return await self._history(batch, whole_record_of)

    async def salvaged_history(self, batch: str) -> tuple[UnreadableRecord, Sequence[RecordedEvent]]:
        """Read what is known of an unreadable record, and its events. Raises `NotFound`."""
        return await self._history(batch, salvage)

    async def _history[Head: (Record, UnreadableRecord)](
        self, batch: str, read: Callable[[Entity], Head]
    ) -> tuple[Head, Sequence[RecordedEvent]]:
        entities = [row async for row in every_row(self._tables, TABLE, Query(partition=partition(batch)))]
        heads = (entity for entity in entities if entity.row == ROW and not is_placeholder(entity))
        record = next((decode(TABLE, entity, read) for entity in heads), None)
        if record is None:
            raise NotFound("no such batch")
        found = (event for events in readable(TABLE, entities, event_rows.events_of) for event in events)
        # An event that was added while its message was erased is left out; repeating the erasure deletes it.
        events = {(event.index, event.key): event for event in found if not record.is_erased(event.index)}
        return record, sorted(events.values(), key=lambda event: event.at)

    async def note(self, batch: str, event: RecordedEvent) -> bool:
        """Append an event. Returns False if it is a duplicate."""
        try:
            await self._tables.insert(TABLE, event_rows.row_of(partition(batch), event))
        except AlreadyExists:
            return False
        return True

    async def note_all(self, batch: str, events: Sequence[RecordedEvent]) -> None:
        """Append events of one batch in as few rows as possible. Concurrent duplicates may be stored twice; readers drop them."""
        for row in event_rows.rows_of(partition(batch), events):
            await self._tables.upsert(TABLE, row)

    async def note_reported(
        self, record: Record, events: Sequence[RecordedEvent], marked: Mapping[int, MessageStatus]
    ) -> None:
        """Append events of a record and update the statuses that follow from them, all or nothing, as `mark` does."""
        head = Entity(partition=partition(record.batch), row=ROW, properties=status_properties(marked.items()))
        rows = list(event_rows.rows_of(head.partition, events))
        await self._tables.merge_with(TABLE, head, rows, etag=record.etag)

    async def records(
        self,
        *,
        since: datetime,
        before: datetime,
        shard: str,
        is_sending: bool | None = None,
        limit: int = 1000,
        cursor: str | None = None,
        with_content: bool = True,
    ) -> tuple[Sequence[Record | UnreadableRecord], str | None]:
        """Read one page of a shard's records in a time range, oldest first, and the next cursor.

        With content, a record whose content cannot be decoded is an unreadable one.
        """
        query = Query(
            partition_from=f"{shard}-{ids.batch_floor(since)}",
            partition_before=f"{shard}-{ids.batch_floor(before)}",
            row=ROW,
            equals={} if is_sending is None else {"sending": is_sending},
            select=None if with_content else ("lane", "count", "withdrawn", *STATUS_PROPERTIES),
        )
        page = await self._tables.query(TABLE, query, limit=limit, cursor=cursor)
        return list(records_of(page.entities, whole_record_of if with_content else record_of)), page.next

    async def page(
        self,
        *,
        since: datetime,
        before: datetime,
        is_sending: bool | None = None,
        limit: int = 1000,
        cursor: str | None = None,
        with_content: bool = True,
    ) -> tuple[Sequence[Record | UnreadableRecord], str | None]:
        """Read one page of the records of all shards in a time range, shard by shard, and the next cursor.

        Raises `ValueError` for an invalid cursor.
        """
        shard, token = _place(cursor)
        records, token = await self.records(
            since=since,
            before=before,
            shard=shard,
            is_sending=is_sending,
            limit=limit,
            cursor=token,
            with_content=with_content,
        )
        if token is None:
            following = ids.SHARDS[ids.SHARDS.index(shard) + 1 :]
            return records, f"{following[0]}|" if following else None
        return records, f"{shard}|{token}"

    async def names(
        self, *, shard: str, since: str, before: str, client: str | None = None, limit: int = 1000
    ) -> tuple[Sequence[str], bool]:
        """Return the names of a shard's batches, from one name to before another, oldest first, up to `limit`, and whether there
        are more. With `client` only batches that have messages of that client. One operation, unless a page comes short.
        """
        query = _between(shard, since, before, client, select=())
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await self._tables.query(TABLE, query, limit=limit - len(found), cursor=cursor)
            found += [entity.partition.partition("-")[2] for entity in page.entities]
            cursor = page.next
            if cursor is None or len(found) >= limit:
                return found, cursor is not None

    async def recorded_names(
        self, *, shard: str, since: datetime, before: datetime, cursor: str | None = None
    ) -> tuple[Sequence[str], str | None]:
        """Read one page of the names of a shard's batches that have a record, oldest first, and the next cursor."""
        query = _between(shard, ids.batch_floor(since), ids.batch_floor(before), None, select=("count",))
        page = await self._tables.query(TABLE, query, cursor=cursor)
        found = (entity for entity in page.entities if "count" in entity.properties)
        return [entity.partition.partition("-")[2] for entity in found], page.next

    async def between(
        self, *, shard: str, since: str, before: str, client: str | None = None
    ) -> Sequence[Record | UnreadableRecord]:
        """Read a shard's records from one name to before another, all at once: for ranges that are known to hold few."""
        query = _between(shard, since, before, client)
        return list(records_of([row async for row in every_row(self._tables, TABLE, query)], whole_record_of))


async def every_record(
    journal: Journal,
    *,
    since: datetime,
    before: datetime,
    is_sending: bool | None = None,
    with_content: bool = True,
) -> AsyncIterator[Record]:
    """Yield all readable records of a time range, shard by shard."""
    cursor: str | None = None
    while True:
        records, cursor = await journal.page(
            since=since, before=before, is_sending=is_sending, cursor=cursor, with_content=with_content
        )
        for record in records:
            if isinstance(record, Record):
                yield record
        if cursor is None:
            return


def _opened(entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus], etag: str) -> Record:
    return Record(
        batch=entry.batch, lane=entry.lane, content=content, statuses=tuple(statuses), etag=etag, decoded=entry
    )


def _place(cursor: str | None) -> tuple[str, str | None]:
    """Return the shard, and the cursor in it, that a cursor over all shards names."""
    if cursor is None:
        return ids.SHARDS[0], None
    shard, bar, token = cursor.partition("|")
    if not bar or shard not in ids.SHARDS:
        raise ValueError("no cursor of ours")
    return shard, token or None


def _without(row: Entity, indices: Set[int]) -> Entity | None:
    """Return a row without the events of some messages; None for an unreadable row, which may be about them."""
    try:
        return decode(TABLE, row, lambda row: event_rows.without(row, indices))
    except UnreadableEntry:
        return None


def _between(shard: str, since: str, before: str, client: str | None, select: Sequence[str] | None = None) -> Query:
    return Query(
        partition_from=f"{shard}-{since}",
        partition_before=f"{shard}-{before}",
        row=ROW,
        equals={} if client is None else {client_flag(client): True},
        select=select,
    )
