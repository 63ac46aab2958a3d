"""Find what the purge may delete: batches that ended long ago, with their events and blobs."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from relay.core import ids
from relay.core.errors import NotFound
from relay.core.events import RecordedEvent
from relay.core.model import MessageStatus, Part, State
from relay.journal.old_batches import OldBatch, old_batches
from relay.journal.record_rows import Record, partition
from relay.journal.records import TABLE, Journal
from relay.platform.storage.ports import Entity, Tables, Value
from tests.doubles import START, Clock, Watched, batch_id, batch_of, entry_of, submission_of, watched_tables

SENT = MessageStatus(parts=(Part(route="main", state=State.SENT, attempt=1),))
DEFERRED = MessageStatus(parts=(Part(route="main", state=State.DEFERRED, attempt=1, due_at=START),))
DAY = 86_400.0


@pytest.fixture
async def tables() -> Watched:
    return await watched_tables(TABLE, rows_looked_at=4)


async def opened(journal: Journal, *statuses: MessageStatus, blob: str | None = None) -> Record:
    body = entry_of(*(submission_of(blob=blob) for _ in statuses))
    return await journal.open(batch_of(body), body, statuses)


def event(key: str) -> RecordedEvent:
    return RecordedEvent(index=0, kind="delivered", at=START, key=key, recipient="a@example.com")


async def old(tables: Tables, before_days: float, clock: Clock) -> list[OldBatch]:
    before = clock.now - timedelta(days=before_days)
    return [batch for shard in ids.SHARDS async for batch in old_batches(tables, shard, before=before)]


def rows(found: Sequence[OldBatch], record: Record) -> list[str]:
    return [row for each in found if each.partition == partition(record.batch) for row in each.rows]


async def test_old_final_batches_are_listed_with_their_blobs(journal: Journal, tables: Watched, clock: Clock) -> None:
    record = await opened(journal, SENT, SENT, blob="20260301/b")
    for number in range(9):
        await journal.note(record.batch, event(f"k{number}"))
    assert await old(tables, 14, clock) == []
    clock.move(15 * DAY)
    found = await old(tables, 14, clock)
    assert rows(found, record) == ["batch", *(f"event-00-k{number}" for number in range(9))]
    assert [blob for each in found for blob in each.blobs] == ["20260301/b"]
    for each in found:
        await tables.delete_all(TABLE, each.partition, each.rows)
    with pytest.raises(NotFound):
        await journal.read(record.batch)


async def test_waiting_record_is_kept_with_events_on_a_later_page(
    journal: Journal, tables: Watched, clock: Clock
) -> None:
    record = await opened(journal, SENT, DEFERRED)
    for number in range(9):
        await journal.note(record.batch, event(f"k{number}"))
    clock.move(100 * DAY)
    assert await old(tables, 14, clock) == []


async def test_retention_starts_at_the_last_change(journal: Journal, tables: Watched, clock: Clock) -> None:
    record = await opened(journal, DEFERRED)
    clock.move(30 * DAY)
    record = await journal.settle(record, {0: SENT})
    assert await old(tables, 14, clock) == []
    clock.move(14 * DAY)
    assert await old(tables, 14, clock) == []
    clock.move(1)
    assert rows(await old(tables, 14, clock), record) == ["batch"]


async def test_events_of_a_purged_record_are_deleted(journal: Journal, tables: Watched, clock: Clock) -> None:
    batch = batch_id()
    await journal.note(batch, event("k"))
    clock.move(15 * DAY)
    assert [each.rows for each in await old(tables, 14, clock)] == [["event-00-k"]]


async def test_retention_of_an_older_row_starts_at_its_batch_time(
    journal: Journal, tables: Watched, clock: Clock
) -> None:
    record = await opened(journal, SENT)
    row = await tables.get(TABLE, partition(record.batch), "batch")
    properties = {name: value for name, value in row.properties.items() if name != "written_at"}
    await tables.upsert(TABLE, Entity(partition=row.partition, row=row.row, properties=properties))
    clock.move(15 * DAY)
    assert rows(await old(tables, 14, clock), record) == ["batch"]


@pytest.mark.parametrize("damage", [{"open": "no"}, {"open": 0}, {}])
async def test_record_that_does_not_say_whether_it_waits_is_kept_as_long_as_it_could_wait(
    tables: Watched, journal: Journal, clock: Clock, damage: dict[str, Value]
) -> None:
    record = await opened(journal, DEFERRED)
    known = await tables.get(TABLE, partition(record.batch), "batch")
    rest = {name: value for name, value in known.properties.items() if name != "open"}
    await tables.upsert(TABLE, Entity(partition=known.partition, row=known.row, properties={**rest, **damage}))
    clock.move(100 * DAY)
    assert await old(tables, 14, clock) == []
    clock.move(45 * DAY)
    assert rows(await old(tables, 14, clock), record) == ["batch"]


@pytest.mark.parametrize("written_at", [b"x", "soon", 7])
async def test_record_whose_time_is_damaged_is_kept_by_the_time_of_its_row(
    tables: Watched, journal: Journal, clock: Clock, written_at: Value
) -> None:
    record = await opened(journal, SENT)
    changed = Entity(partition=partition(record.batch), row="batch", properties={"written_at": written_at})
    await tables.merge(TABLE, changed)
    clock.move(13 * DAY)
    assert await old(tables, 14, clock) == []
    clock.move(2 * DAY)
    assert rows(await old(tables, 14, clock), record) == ["batch"]


async def test_record_whose_blobs_are_damaged_is_purged_without_them(
    tables: Watched, journal: Journal, clock: Clock
) -> None:
    records = [await opened(journal, SENT, blob=f"20260301/{name}") for name in "ab"]
    damaged = Entity(partition=partition(records[0].batch), row="batch", properties={"blobs": '["20260301/'})
    await tables.merge(TABLE, damaged)
    clock.move(15 * DAY)
    found = await old(tables, 14, clock)
    assert [blob for each in found for blob in each.blobs] == ["20260301/b"]
    assert [rows(found, record) for record in records] == [["batch"], ["batch"]]
