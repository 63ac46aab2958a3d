"""The audit log over each storage. Tests share its table: each has a client of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from relay.operations.audit.log import AuditFilter, AuditLog
from relay.operations.audit.record import TABLE, AuditOutcome, AuditRecord, new_id
from relay.platform.storage.ports import Storage

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
async def log(storage: Storage) -> AuditLog:
    """Keeps records for ten days, long after they were made."""
    await storage.tables.create(TABLE)
    return AuditLog(storage.tables, days=10, clock=lambda: START + 11 * 24 * HOUR)


def record(at: datetime, client: str, **fields: Any) -> AuditRecord:
    return AuditRecord(id=new_id(at), at=at, client=client, operation="HoldRoute", **fields)


async def pages(log: AuditLog, wanted: AuditFilter, *, limit: int) -> list[AuditRecord]:
    found, cursor = list[AuditRecord](), None
    while True:
        page, cursor = await log.page(wanted, cursor, limit=limit)
        assert len(page) <= limit
        found += page
        if cursor is None:
            return found


async def test_record_is_read_as_it_was_completed(log: AuditLog, name: str) -> None:
    made = record(START, name, target="sendgrid", details={"id": "7"}, reason="=1+1 'quoted'", before="a")
    await log.add(made)
    assert await pages(log, AuditFilter(client=name), limit=10) == [made]
    await log.complete(made.id, AuditOutcome.REFUSED, 409, "own_client", "b")
    ended = replace(made, outcome=AuditOutcome.REFUSED, status=409, code="own_client", after="b")
    assert await pages(log, AuditFilter(client=name), limit=10) == [ended]


async def test_repeated_write_of_a_record_is_one_record(log: AuditLog, name: str) -> None:
    made = record(START, name)
    await log.add(made)
    await log.add(made)
    assert await pages(log, AuditFilter(client=name), limit=10) == [made]


async def test_records_come_newest_first_in_pages_and_by_filter(log: AuditLog, name: str) -> None:
    made = [record(START + number * HOUR / 4, name, target=f"route{number % 2}") for number in range(10)]
    for each in made:
        await log.add(each)
    newest_first = made[::-1]
    assert await pages(log, AuditFilter(client=name), limit=3) == newest_first
    assert await pages(log, AuditFilter(client=name, target="route1"), limit=2) == newest_first[::2]
    span = AuditFilter(client=name, since=made[3].at, before=made[6].at)
    assert await pages(log, span, limit=100) == newest_first[4:7]
    assert await pages(log, AuditFilter(client=name, outcome=AuditOutcome.FAILED), limit=10) == []


async def test_purge_deletes_only_hours_before_the_retention(log: AuditLog, name: str) -> None:
    end = START + 24 * HOUR
    made = [record(end + shift, name) for shift in (-3 * HOUR, -HOUR, HOUR / 6, 24 * HOUR)]
    for each in made:
        await log.add(each)
    assert (await log.purge()).is_complete
    assert await pages(log, AuditFilter(client=name), limit=10) == made[:1:-1]
    assert (await log.purge()).done == 0
