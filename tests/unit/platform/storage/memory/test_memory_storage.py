"""What only the in-memory doubles do: follow a clock, and restore snapshots."""

from datetime import UTC, datetime, timedelta

import pytest

from relay.core.errors import Changed, StorageError
from relay.platform.storage.memory.memory_storage import MemoryStorage, MemoryTables, memory_storage
from relay.platform.storage.ports import Entity, Query
from tests.doubles import Clock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
async def storage(clock: Clock) -> MemoryStorage:
    made = memory_storage(clock)
    await made.queues.create("q")
    await made.tables.create("t")
    await made.blobs.create("c")
    return made


def row(**properties: int) -> Entity:
    return Entity(partition="p", row="r", properties=properties)


async def test_snapshot_can_be_restored_repeatedly(storage: MemoryStorage) -> None:
    await storage.queues.put("q", b"1")
    await storage.tables.insert("t", row(a=1))
    await storage.blobs.put("c", "b", b"1")
    snapshot = storage.snapshot()
    for _ in range(2):
        await storage.queues.put("q", b"2")
        (received,) = await storage.queues.receive("q")
        await storage.queues.delete("q", received)
        await storage.tables.upsert("t", row(a=2))
        await storage.blobs.delete("c", "b")
        storage.restore(snapshot)
        assert storage.queues.bodies("q") == [b"1"]
        assert [entity.properties for entity in storage.tables.rows("t")] == [{"a": 1}]
        assert await storage.blobs.get("c", "b") == b"1"


async def test_snapshot_can_be_restored_into_another_storage(storage: MemoryStorage, clock: Clock) -> None:
    await storage.queues.put("q", b"1")
    etag = await storage.tables.insert("t", row(a=1))
    other = memory_storage(clock)
    other.restore(storage.snapshot())
    await other.tables.merge("t", row(a=2), etag=etag)
    with pytest.raises(Changed):
        await other.tables.merge("t", row(a=3), etag=etag)
    await other.queues.put("q", b"2")
    assert [received.body for received in await other.queues.receive("q", limit=2)] == [b"1", b"2"]
    assert [entity.properties for entity in storage.tables.rows("t")] == [{"a": 1}]


async def test_receipt_from_before_a_restore_deletes_nothing(storage: MemoryStorage) -> None:
    await storage.queues.put("q", b"1")
    snapshot = storage.snapshot()
    (stale,) = await storage.queues.receive("q")
    storage.restore(snapshot)
    await storage.queues.receive("q")
    await storage.queues.delete("q", stale)
    assert await storage.queues.count("q") == 1


async def test_clock_decides_what_is_visible(storage: MemoryStorage, clock: Clock) -> None:
    await storage.queues.put("q", b"late", delay_seconds=90)
    await storage.queues.put("q", b"soon", delay_seconds=30)
    assert storage.queues.next_visible_at("q") == START + timedelta(seconds=30)
    clock.now += timedelta(seconds=29)
    assert await storage.queues.receive("q", limit=2) == []
    clock.now += timedelta(seconds=1)
    (soon,) = await storage.queues.receive("q", limit=2, lease_seconds=600)
    assert soon.body == b"soon"
    assert soon.inserted_at == START
    assert storage.queues.next_visible_at("q") == START + timedelta(seconds=90)
    await storage.queues.delete("q", soon)
    clock.now += timedelta(seconds=60)
    (late,) = await storage.queues.receive("q", limit=2)
    await storage.queues.delete("q", late)
    assert storage.queues.next_visible_at("q") is None


async def test_page_ends_after_the_scan_limit() -> None:
    tables = MemoryTables(rows_looked_at=2)
    await tables.create("t")
    for number in range(5):
        await tables.insert("t", Entity(partition="p", row=str(number), properties={"last": number == 4}))
    found: list[list[str]] = []
    cursor: str | None = None
    while True:
        page = await tables.query("t", Query(equals={"last": True}), cursor=cursor)
        found.append([entity.row for entity in page.entities])
        cursor = page.next
        if cursor is None:
            break
    assert found == [[], [], ["4"]]


async def test_stored_properties_are_a_copy(storage: MemoryStorage) -> None:
    properties = {"a": 1}
    await storage.tables.insert("t", Entity(partition="p", row="r", properties=properties))
    properties["a"] = 2
    assert (await storage.tables.get("t", "p", "r")).properties == {"a": 1}


async def test_merge_beyond_the_row_limit_is_refused(storage: MemoryStorage) -> None:
    await storage.tables.insert("t", row(a=1))
    for number in range(15):
        await storage.tables.merge("t", Entity(partition="p", row="r", properties={f"b{number}": bytes(65_536)}))
    with pytest.raises(StorageError, match="limit 1048576"):
        await storage.tables.merge("t", Entity(partition="p", row="r", properties={"more": bytes(65_536)}))


async def test_253_properties_are_refused(storage: MemoryStorage) -> None:
    properties = {f"n{number}": number for number in range(252)}
    await storage.tables.upsert("t", row(**properties))
    with pytest.raises(StorageError, match="limit 252"):
        await storage.tables.upsert("t", row(**properties, one_more=1))


async def test_blob_keeps_its_content_type(storage: MemoryStorage) -> None:
    await storage.blobs.put("c", "b", b"x", content_type="text/html")
    assert storage.blobs.content_type("c", "b") == "text/html"
