"""The journal: the single truth about every message.

One row per batch in table `journal`: partition `<shard>-<batch>`, row `batch`. It holds the entry's bytes as they were
accepted (`content`) and each message's status as JSON in a property of its own (`m00` … `m31`), so that settling
rewrites only what changed. Later events are rows of the same partition (`events-…`, several in a row; `event-…`, one), so
that a message's whole history is one partition query. See docs/decisions/0003-journal.md.
"""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from relay.core import entries, ids
from relay.core.errors import AlreadyExists, NotFound, UnreadableEntry
from relay.core.events import RecordedEvent
from relay.core.model import FINAL, MessageStatus, Part, State, Submission
from relay.journal import event_rows
from relay.platform import resources
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, Value, every_row
from relay.platform.storage.rows import RowChange, change_row, retry_races

TABLE = resources.JOURNAL_TABLE
_ROW = "batch"
_FATE = ("open", "written_at", "blobs")
_CANCELLED = MessageStatus(parts=(Part(route="", state=State.CANCELLED),))
_status_decoder = msgspec.json.Decoder(MessageStatus)
_encoder = msgspec.json.Encoder()


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as recorded: its content, and one status per message. `settle` compares the `etag`."""

    batch: str
    lane: str
    content: bytes
    statuses: tuple[MessageStatus, ...]
    etag: str

    def entry(self) -> entries.BatchEntry:
        """The batch's content; of erased messages what stays of them. Raises `UnreadableEntry` only if storage changed it."""
        entry = self._stored()
        if not any(status.erased for status in self.statuses):
            return entry
        pairs = zip(entry.messages, self.statuses, strict=True)
        messages = tuple(submission.bare() if status.erased else submission for submission, status in pairs)
        return msgspec.structs.replace(entry, messages=messages)

    def remains(self) -> Mapping[int, Submission]:
        """By index, what is stored still of messages that are marked as erased: it is about to go, or was left behind."""
        if not any(status.erased for status in self.statuses):
            return {}
        pairs = zip(self._stored().messages, self.statuses, strict=True)
        return {
            index: submission
            for index, (submission, status) in enumerate(pairs)
            if status.erased and not submission.is_bare
        }

    def _stored(self) -> entries.BatchEntry:
        entry = entries.decode_entry(self.content)
        if not isinstance(entry, entries.BatchEntry):
            raise UnreadableEntry("the journal holds a reference where a batch belongs")
        return entry

    def is_erased(self, index: int) -> bool:
        """Whether one message of the batch was erased."""
        return index < len(self.statuses) and self.statuses[index].erased is not None

    def having(self, indices: Iterable[int]) -> list[int]:
        """Those of the indices that the batch has: a reference that names others is not ours."""
        return [index for index in indices if index < len(self.statuses)]

    def message_id(self, index: int, entry: entries.BatchEntry) -> str:
        """The public name of one message of the batch."""
        return str(ids.MessageId(batch=self.batch, index=index, mac=entry.macs[index]))


class PurgeBatch(msgspec.Struct, kw_only=True):
    """What a batch leaves behind: its partition, some of its rows, and the blobs with its content."""

    partition: str
    rows: list[str] = []
    blobs: list[str] = []


def partition(batch: str) -> str:
    """The partition of a batch's rows."""
    return f"{ids.shard(batch)}-{batch}"


class Journal:
    """Writes and reads batch records."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`clock` dates what is written; who only reads needs none."""
        self._tables = tables
        self._clock = clock

    async def open(self, entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus]) -> Record:
        """Insert a batch's record: the duplicate check. Raises `AlreadyExists` when this batch was seen before.

        Messages that were cancelled before are `cancelled` in the record, whatever `statuses` says.
        """
        etag = None
        with suppress(AlreadyExists):
            etag = await self._tables.insert(TABLE, self._opened(entry, content, statuses))
        if etag is None:
            attempt = partial(self._open_cancelled, entry, content, statuses)
            return await retry_races(attempt, subject="the record of a batch")
        return Record(batch=entry.batch, lane=entry.lane, content=content, statuses=tuple(statuses), etag=etag)

    async def _open_cancelled(
        self, entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus]
    ) -> Record:
        place = await self._tables.get(TABLE, partition(entry.batch), _ROW)
        if not _is_placeholder(place):
            raise AlreadyExists("this batch was seen before")
        cancelled_unrecorded = _cancelled_indices(place)
        statuses = [_CANCELLED if index in cancelled_unrecorded else status for index, status in enumerate(statuses)]
        etag = await self._tables.merge(TABLE, self._opened(entry, content, statuses), etag=place.etag)
        return Record(batch=entry.batch, lane=entry.lane, content=content, statuses=tuple(statuses), etag=etag)

    def _opened(self, entry: entries.BatchEntry, content: bytes, statuses: Sequence[MessageStatus]) -> Entity:
        return Entity(
            partition=partition(entry.batch),
            row=_ROW,
            properties={
                "lane": entry.lane,
                "content": content,
                "count": len(statuses),
                "blobs": _blobs(entry.messages),
                **{_client_flag(message.client): True for message in entry.messages},
                **self._flags(statuses),
                **_statuses(enumerate(statuses)),
            },
        )

    async def cancel_unrecorded(self, batch: str, index: int) -> None:
        """Cancel a message whose batch has no record yet, by writing a placeholder row that `open` will find.

        Raises `AlreadyExists` if there is a record.
        """

        def decide(place: Entity | None) -> RowChange[None]:
            if place is not None and not _is_placeholder(place):
                raise AlreadyExists("this batch has a record")
            indices = {index} | (_cancelled_indices(place) if place else set())
            # Open, so that the purge leaves it alone for as long as the entry may be on its way.
            properties: dict[str, Value] = {"withdrawn": json.dumps(sorted(indices)), "open": True, "sending": False}
            return RowChange(result=None, properties={**properties, "written_at": self._clock()})

        await change_row(self._tables, TABLE, partition(batch), _ROW, decide)

    async def cancelled_unrecorded(self, batch: str) -> Set[int]:
        """Return the cancelled messages of a batch that has no record yet."""
        try:
            place = await self._tables.get(TABLE, partition(batch), _ROW)
        except NotFound:
            return frozenset()
        return _cancelled_indices(place) if _is_placeholder(place) else frozenset()

    async def read(self, batch: str) -> Record:
        """Read a record. Raises `NotFound`, and `NewerVersion` for one that only a newer version may touch."""
        found = await self._tables.get(TABLE, partition(batch), _ROW)
        if _is_placeholder(found):
            raise NotFound("messages of this batch were cancelled; it has no record yet")
        return _record(found)

    async def settle(self, record: Record, changes: Mapping[int, MessageStatus]) -> Record:
        """Record new statuses of some messages. Raises `Changed` when another writer was first."""
        statuses = tuple(changes.get(index, status) for index, status in enumerate(record.statuses))
        row = Entity(
            partition=partition(record.batch),
            row=_ROW,
            properties={**self._flags(statuses), **_statuses(changes.items())},
        )
        etag = await self._tables.merge(TABLE, row, etag=record.etag)
        return msgspec.structs.replace(record, statuses=statuses, etag=etag)

    async def mark(self, record: Record, marked: Mapping[int, MessageStatus]) -> Record:
        """Update statuses without changing any state. Raises `Changed` when another writer was first.

        Unlike a settlement, this does not extend the retention.
        """
        row = Entity(partition=partition(record.batch), row=_ROW, properties=_statuses(marked.items()))
        etag = await self._tables.merge(TABLE, row, etag=record.etag)
        statuses = tuple(marked.get(index, status) for index, status in enumerate(record.statuses))
        return msgspec.structs.replace(record, statuses=statuses, etag=etag)

    async def forget(self, record: Record) -> None:
        """Remove the content of erased messages from a record. Raises `Changed` when another writer was first."""
        remains, messages = record.remains(), record.entry().messages
        content = entries.replace_submissions(record.content, {index: messages[index] for index in remains})
        properties: dict[str, Value] = {"content": content, "blobs": _blobs(messages)}
        row = Entity(partition=partition(record.batch), row=_ROW, properties=properties)
        await self._tables.merge(TABLE, row, etag=record.etag)

    async def forget_events(self, batch: str, indices: Set[int]) -> None:
        """Delete the events of some messages. Rows that also hold events of other messages are rewritten without them."""
        gone: list[str] = []
        async for row in every_row(self._tables, TABLE, Query(partition=partition(batch))):
            kept = event_rows.without(row, indices)
            if kept is None:
                gone.append(row.row)
            elif kept is not row:
                await self._tables.merge(TABLE, kept)
        await self.delete_rows(partition(batch), gone)

    async def history(self, batch: str) -> tuple[Record, Sequence[RecordedEvent]]:
        """A record and all events of its messages, in one query. Raises `NotFound` and `NewerVersion`."""
        entities = [row async for row in every_row(self._tables, TABLE, Query(partition=partition(batch)))]
        heads = (entity for entity in entities if entity.row == _ROW and not _is_placeholder(entity))
        record = next((_record(entity) for entity in heads), None)
        if record is None:
            raise NotFound("no such batch")
        found = (event for entity in entities for event in event_rows.events_of(entity))
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
    ) -> tuple[Sequence[Record], str | None]:
        """One page of a shard's records in a time range, oldest first, and the next cursor.

        Records that cannot be read are left out, here and in `between`: they must not hide the others.
        """
        query = Query(
            partition_from=f"{shard}-{ids.batch_floor(since)}",
            partition_before=f"{shard}-{ids.batch_floor(before)}",
            row=_ROW,
            equals={} if is_sending is None else {"sending": is_sending},
            select=None if with_content else ("lane", "count", *(_property(index) for index in range(32))),
        )
        page = await self._tables.query(TABLE, query, limit=limit, cursor=cursor)
        return list(_readable(page.entities)), page.next

    async def page(
        self,
        *,
        since: datetime,
        before: datetime,
        is_sending: bool | None = None,
        limit: int = 1000,
        cursor: str | None = None,
        with_content: bool = True,
    ) -> tuple[Sequence[Record], str | None]:
        """One page of the records of all shards in a time range, shard by shard, and the next cursor.

        Raises `ValueError` for a cursor that is none of ours.
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
        """Names of a shard's batches, from one name to before another, oldest first, up to `limit`, and whether there
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

    async def between(self, *, shard: str, since: str, before: str, client: str | None = None) -> Sequence[Record]:
        """A shard's records from one name to before another, whole. For ranges that are known to hold few."""
        query = _between(shard, since, before, client)
        return list(_readable([row async for row in every_row(self._tables, TABLE, query)]))

    async def old_rows(
        self, *, before: datetime, shard: str, cursor: str | None = None
    ) -> tuple[Sequence[PurgeBatch], str | None]:
        """One page of batches made, finished and last written before a moment, for the purge, and the next cursor.

        A batch whose rows run over the page's end comes in two pages. Batches that still wait are left out.
        """
        query = Query(
            partition_from=f"{shard}-",
            partition_before=f"{shard}-{ids.batch_floor(before)}",
            select=_FATE,
        )
        page = await self._tables.query(TABLE, query, cursor=cursor)
        kept = await self._kept(page.entities, before)
        found: dict[str, PurgeBatch] = {}
        for entity in page.entities:
            if entity.partition not in kept:
                old = found.setdefault(entity.partition, PurgeBatch(partition=entity.partition))
                old.rows.append(entity.row)
                old.blobs.extend(json.loads(str(entity.properties.get("blobs") or "[]")))
        return list(found.values()), page.next

    async def _kept(self, entities: Sequence[Entity], before: datetime) -> set[str]:
        """The partitions that must stay. Events whose record was on the page before are judged by that record."""
        heads = {entity.partition: entity for entity in entities if entity.row == _ROW}
        for key in {entity.partition for entity in entities} - heads.keys():
            with suppress(NotFound):
                heads[key] = await self._tables.get(TABLE, key, _ROW)
        return {key for key, head in heads.items() if not _is_over(head, before)}

    def _flags(self, statuses: Iterable[MessageStatus]) -> dict[str, Value]:
        # What the timers filter on: the sweep wants batches under way, the purge those that ended long enough ago.
        states = {part.state for status in statuses for part in status.parts}
        return {"sending": State.SENDING in states, "open": not states <= FINAL, "written_at": self._clock()}

    async def delete_rows(self, partition_key: str, rows: Sequence[str]) -> None:
        """Delete rows of one batch."""
        await self._tables.delete_all(TABLE, partition_key, rows)


async def every_record(
    journal: Journal,
    *,
    since: datetime,
    before: datetime,
    is_sending: bool | None = None,
    with_content: bool = True,
) -> AsyncIterator[Record]:
    """All records of a time range, shard by shard."""
    cursor: str | None = None
    while True:
        records, cursor = await journal.page(
            since=since, before=before, is_sending=is_sending, cursor=cursor, with_content=with_content
        )
        for record in records:
            yield record
        if cursor is None:
            return


def _place(cursor: str | None) -> tuple[str, str | None]:
    """The shard and its own cursor that a cursor over all shards names."""
    if cursor is None:
        return ids.SHARDS[0], None
    shard, bar, token = cursor.partition("|")
    if not bar or shard not in ids.SHARDS:
        raise ValueError("no cursor of ours")
    return shard, token or None


def _blobs(messages: Iterable[Submission]) -> str:
    return json.dumps([message.blob for message in messages if message.blob])


def _is_over(head: Entity, before: datetime) -> bool:
    written_at = head.properties.get("written_at")
    return not head.properties.get("open") and not (isinstance(written_at, datetime) and written_at >= before)


def _property(index: int) -> str:
    return f"m{index:02d}"


def _statuses(statuses: Iterable[tuple[int, MessageStatus]]) -> dict[str, Value]:
    return {_property(index): _encoder.encode(status) for index, status in statuses}


def _between(shard: str, since: str, before: str, client: str | None, select: Sequence[str] | None = None) -> Query:
    return Query(
        partition_from=f"{shard}-{since}",
        partition_before=f"{shard}-{before}",
        row=_ROW,
        equals={} if client is None else {_client_flag(client): True},
        select=select,
    )


def _client_flag(client: str) -> str:
    """The property that says that a batch has messages of a client. Two clients may share one: it only preselects."""
    return f"by_{client.replace('-', '_')}"


def _is_placeholder(entity: Entity) -> bool:
    return "count" not in entity.properties


def _cancelled_indices(entity: Entity) -> Set[int]:
    return frozenset(json.loads(str(entity.properties["withdrawn"])))


def _readable(entities: Iterable[Entity]) -> Iterator[Record]:
    for entity in entities:
        if _is_placeholder(entity):
            continue
        try:
            yield _record(entity)
        except UnreadableEntry as error:
            batch = entity.partition.partition("-")[2]
            log_event("record_unreadable", level=logging.WARNING, batch=batch, error=str(error))


def _record(entity: Entity) -> Record:
    properties: Mapping[str, Any] = entity.properties
    content = properties.get("content", b"")
    if content:
        entries.check_version(content)
    try:
        statuses = [_status_decoder.decode(properties[_property(index)]) for index in range(properties["count"])]
    except msgspec.MsgspecError as error:
        # Perhaps a newer version wrote it: a record read without its content does not show its version.
        raise UnreadableEntry("a status in the journal cannot be read") from error
    return Record(
        batch=entity.partition.partition("-")[2],
        lane=properties["lane"],
        content=content,
        statuses=tuple(statuses),
        etag=entity.etag,
    )
