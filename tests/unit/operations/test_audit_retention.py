"""The archive of the audit log has every day once, and nothing is deleted before it is archived."""

from datetime import datetime, timedelta

import msgspec
import pytest

from relay.core.errors import Unavailable
from relay.operations.audit.record import TABLE, AuditRecord, new_id
from relay.operations.audit.retention import AuditRetention
from relay.platform.concurrency import Deadline, Progress
from relay.platform.resources import AUDIT_CONTAINER
from tests.doubles import START, Place, place_of

DAY = timedelta(days=1)


@pytest.fixture
async def place() -> Place:
    return await place_of()


def retention(place: Place, *, is_archived: bool = True) -> AuditRetention:
    return AuditRetention(place.audit_log, place.storage.blobs, is_archived=is_archived, days=400, clock=place.clock)


async def add(place: Place, *times: datetime) -> list[AuditRecord]:
    made = [AuditRecord(id=new_id(at), at=at, client="boss", operation="HoldRoute") for at in times]
    for each in made:
        await place.audit_log.add(each)
    return made


async def archived(place: Place) -> dict[str, list[AuditRecord]]:
    blobs, _ = await place.memory.blobs.list(AUDIT_CONTAINER)
    bodies = {blob.name: await place.memory.blobs.get(AUDIT_CONTAINER, blob.name) for blob in blobs}
    return {
        name: [msgspec.json.decode(line, type=AuditRecord) for line in body.splitlines()]
        for name, body in bodies.items()
    }


async def test_each_day_that_is_over_is_a_blob_with_its_records(place: Place) -> None:
    first, noon, late, today = await add(place, START - 3 * DAY, START - DAY, START - DAY / 2 - DAY / 1440, START)
    assert await retention(place).run() == Progress(done=2)
    assert await archived(place) == {"2026-02-26.jsonl": [first], "2026-02-28.jsonl": [late, noon]}
    place.time.move(86_400)
    assert await retention(place).run() == Progress(done=1)
    assert (await archived(place))["2026-03-01.jsonl"] == [today]


async def test_day_is_archived_an_hour_after_its_end(place: Place) -> None:
    await add(place, START)
    place.time.now = datetime(2026, 3, 2, 0, 59, tzinfo=START.tzinfo)
    assert await retention(place).run() == Progress()
    place.time.now = datetime(2026, 3, 2, 1, 0, tzinfo=START.tzinfo)
    assert await retention(place).run() == Progress(done=1)


async def test_archived_day_is_never_written_again(place: Place) -> None:
    await add(place, START - DAY)
    await retention(place).run()
    await add(place, START - DAY)
    writes = place.blobs.calls["put_stream"]
    assert await retention(place).run() == Progress()
    assert place.blobs.calls["put_stream"] == writes


async def test_run_that_died_is_continued_by_the_next(place: Place) -> None:
    await add(place, START - 3 * DAY, START - 2 * DAY, START - DAY)
    place.blobs.fail("put_stream", None, Unavailable("away"))
    with pytest.raises(Unavailable):
        await retention(place).run()
    assert list(await archived(place)) == ["2026-02-26.jsonl"]
    await retention(place).run()
    assert list(await archived(place)) == ["2026-02-26.jsonl", "2026-02-27.jsonl", "2026-02-28.jsonl"]


async def test_lost_response_to_a_write_writes_nothing_twice(place: Place) -> None:
    made = await add(place, START - 2 * DAY, START - DAY)
    place.blobs.lose("put_stream")
    with pytest.raises(Unavailable):
        await retention(place).run()
    await retention(place).run()
    assert await archived(place) == {"2026-02-27.jsonl": made[:1], "2026-02-28.jsonl": made[1:]}
    assert place.blobs.calls["put_stream"] == 2


async def test_nothing_is_deleted_before_it_is_archived(place: Place) -> None:
    await add(place, START - 401 * DAY, START)
    place.blobs.take_time(place.time, 6.0)
    assert (await retention(place).run(Deadline(place.clock, 10.0))).is_complete is False
    place.blobs.fail("put_stream", Unavailable("away"))
    with pytest.raises(Unavailable):
        await retention(place).run()
    assert len(place.memory.tables.rows(TABLE)) == 2
    await retention(place).run()
    assert len(place.memory.tables.rows(TABLE)) == 1
    assert list(await archived(place)) == ["2025-01-24.jsonl"]


async def test_without_an_archive_records_are_only_deleted(place: Place) -> None:
    await add(place, START - 401 * DAY, START - DAY)
    assert await retention(place, is_archived=False).run() == Progress(done=1)
    assert place.blobs.calls == {}
