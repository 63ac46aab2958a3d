"""The purge deletes what is older than the retention, and nothing that still waits or can be redriven."""

from datetime import timedelta
from typing import cast

import pytest

from relay.clients.idempotency import KEPT, Plan
from relay.clients.idempotency import TABLE as IDEMPOTENCY
from relay.clients.uploads import Uploads
from relay.core import ids
from relay.core.events import RecordedEvent
from relay.core.model import State
from relay.core.outcomes import Rejected, RouteFault
from relay.journal.dead_letters import TABLE as DEAD_LETTERS
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.journal.records import TABLE as JOURNAL
from relay.operations.message_changes import Redrive
from relay.operations.purge import ORPHAN_BLOBS
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.resources import ARRIVALS_TABLE, CONTENT_CONTAINER
from relay.platform.storage.ports import Entity, Query, Tables, delete_where
from tests.doubles import (
    CLIENT,
    START,
    Clock,
    Place,
    batch_id,
    message_of,
    place_of,
    settings_of,
    submission_of,
    watched_tables,
)

DAY = 86_400.0


async def run_after(place: Place, days: float) -> None:
    place.time.now = START + timedelta(days=days)
    await place.purge.run()


def rows(place: Place, table: str) -> int:
    return len(place.memory.tables.rows(table))


async def blobs(place: Place, container: str) -> list[str]:
    return [blob.name for blob in (await place.memory.blobs.list(container))[0]]


async def claimed(place: Place) -> str:
    """Send a message whose content is in a blob."""
    await place.acceptance.accept(CLIENT, "transactional", submission_of(message_of(text="x" * 60_000)))
    await place.work()
    (row,) = place.memory.tables.rows(JOURNAL)
    return row.partition.partition("-")[2]


async def test_counts_of_hours_are_deleted_after_the_retention(place: Place) -> None:
    """The counts of an hour say nothing of mail whose records are gone."""
    first = START.replace(microsecond=0)
    for hours in (0, 1, 30):
        await place.arrival_hours.count(first + timedelta(hours=hours), NEVER)
    await run_after(place, 14 + 1 / 24)
    assert [row.row for row in place.memory.tables.rows(ARRIVALS_TABLE)] == ["202603011300", "202603021800"]
    await run_after(place, 15)
    assert [row.row for row in place.memory.tables.rows(ARRIVALS_TABLE)] == ["202603021800"]


async def test_record_is_deleted_with_events_and_content_after_the_retention(place: Place) -> None:
    batch = await claimed(place)
    for number in range(150):
        await place.journal.note(batch, RecordedEvent(index=0, kind="delivered", at=START, key=f"k{number}"))
    await run_after(place, 14)
    assert rows(place, JOURNAL) == 151
    assert len(await blobs(place, CONTENT_CONTAINER)) == 1
    await run_after(place, 14.01)
    assert rows(place, JOURNAL) == 0
    assert await blobs(place, CONTENT_CONTAINER) == []


async def test_interrupted_purge_is_finished_by_the_next(place: Place) -> None:
    await claimed(place)
    place.tables.fail("delete_all", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await run_after(place, 15)
    assert await blobs(place, CONTENT_CONTAINER) == []
    assert rows(place, JOURNAL) == 1
    await run_after(place, 16)
    assert rows(place, JOURNAL) == 0


async def test_waiting_message_is_kept_at_any_age(place: Place) -> None:
    place.script().answers.append(RouteFault(code="account_restricted"))
    scheduled = await place.send(
        submission_of(send_at=START + timedelta(days=80), expires_at=START + timedelta(days=81))
    )
    held = await place.send()
    await run_after(place, 79)
    for batch, state in ((scheduled, State.SCHEDULED), (held, State.HELD)):
        assert (await place.journal.read(batch)).statuses[0].state is state


async def test_message_that_failed_late_can_be_redriven_for_the_whole_retention(place: Place) -> None:
    place.script().answers.extend([RouteFault(code="account_restricted"), Rejected(code="policy_refused")])
    batch = await place.send()
    place.time.move(40 * DAY)
    await place.holds.release("main", "operator")
    await place.recovery.run()
    await place.work()
    assert (await place.journal.read(batch)).statuses[0].state is State.FAILED
    await run_after(place, 53)
    assert await place.dead_letters.counts() == {"policy_refused": 1}
    assert await place.message_changes.redrive(batch, 0, Redrive())


async def test_dead_letter_rows_are_deleted_with_their_records(place: Place) -> None:
    for _ in range(3):
        place.script().answers.append(Rejected(code="policy_refused"))
        await place.send()
    await run_after(place, 13)
    assert rows(place, DEAD_LETTERS) == 3
    await run_after(place, 15)
    assert rows(place, DEAD_LETTERS) == 0
    assert rows(place, JOURNAL) == 0


async def test_idempotency_keys_are_deleted_after_a_day(place: Place) -> None:
    plan = Plan(lane="bulk", entry=b"x", response=b"y")
    await place.idempotency.reserve("shop", "old", "p", plan)
    place.time.move(3600)
    await place.idempotency.reserve("shop", "young", "p", plan)
    place.time.now = START + KEPT + timedelta(seconds=1)
    await place.purge.run()
    assert rows(place, IDEMPOTENCY) == 1
    await run_after(place, 2)
    assert rows(place, IDEMPOTENCY) == 0


async def test_orphan_blob_is_deleted_when_no_message_can_still_use_it(place: Place) -> None:
    for number in range(5):
        await place.memory.blobs.put(CONTENT_CONTAINER, f"20260301/{number}", b"x")
    await place.memory.blobs.put(CONTENT_CONTAINER, "20260302/0", b"x")
    longest = ORPHAN_BLOBS.days + 14
    await run_after(place, longest)
    assert len(await blobs(place, CONTENT_CONTAINER)) == 6
    await run_after(place, longest + 1)
    assert await blobs(place, CONTENT_CONTAINER) == ["20260302/0"]


async def test_content_is_not_deleted_before_its_record() -> None:
    place = await place_of(settings_of(retention_days=365))
    await claimed(place)
    await run_after(place, 360)
    assert len(await blobs(place, CONTENT_CONTAINER)) == 1
    await run_after(place, 366)
    assert await blobs(place, CONTENT_CONTAINER) == []


async def test_unreadable_entry_is_kept_for_the_retention(place: Place) -> None:
    await place.dead_letters.keep_unreadable(b"foreign")
    await run_after(place, 14)
    assert len(await blobs(place, UNREADABLE_CONTAINER)) == 1
    await run_after(place, 15)
    assert await blobs(place, UNREADABLE_CONTAINER) == []


async def test_purge_costs_one_operation_per_thousand_rows_and_one_per_batch(place: Place) -> None:
    for _ in range(40):
        await place.send()
    place.tables.calls.clear()
    await place.purge.run()
    idle = place.tables.calls["query"]
    place.tables.calls.clear()
    await run_after(place, 15)
    # The same queries as on a night without work: one per shard for records, one per cause for dead letters.
    assert place.tables.calls["query"] == idle
    assert place.tables.calls["delete_all"] == 40
    # Of the shards and of the causes: where to begin.
    assert place.tables.calls["get"] == 2
    assert set(place.tables.calls) == {"query", "delete_all", "get"}
    assert idle >= len(ids.SHARDS)


async def test_young_batches_are_not_read(place: Place) -> None:
    for _ in range(3):
        await place.send()
    old = batch_id(START - timedelta(days=30))
    await place.journal.note(old, RecordedEvent(index=0, kind="delivered", at=START, key="k"))
    place.tables.calls.clear()
    await place.purge.run()
    assert rows(place, JOURNAL) == 3
    assert place.tables.calls["delete_all"] == 1


async def test_purge_stops_at_its_deadline_and_the_next_run_finishes(place: Place) -> None:
    for number in range(60):
        await place.send()
        await place.idempotency.reserve("shop", f"k{number}", "p", Plan(lane="bulk", entry=b"x", response=b"y"))
    place.time.now = START + timedelta(days=20)
    place.tables.take_time(place.time, 0.25)
    first = await place.purge.run(Deadline(place.time, 60.0))
    assert not first.is_complete
    assert 0 < rows(place, IDEMPOTENCY) < 60
    assert 0 < rows(place, JOURNAL) < 60
    for _ in range(3):
        last = await place.purge.run(Deadline(place.time, 60.0))
    assert last.is_complete
    assert rows(place, IDEMPOTENCY) == 0
    assert rows(place, JOURNAL) == 0


async def test_kind_without_an_end_leaves_time_for_the_others(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(deadline: Deadline) -> Progress:
        while not deadline.is_over:
            place.time.move(1.0)
        return Progress(is_complete=False)

    await claimed(place)
    place.time.now = START + timedelta(days=15)
    monkeypatch.setattr(Uploads, "purge", lambda _, deadline: endless(deadline))
    progress = await place.purge.run(Deadline(place.time, 480.0))
    assert rows(place, JOURNAL) == 0
    assert not progress.is_complete


async def test_failing_kind_is_logged_and_raised_after_the_others_are_deleted(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    await claimed(place)
    place.tables.fail("query", ZeroDivisionError("keys"))
    with pytest.raises(ZeroDivisionError, match="keys"):
        await run_after(place, 15)
    assert rows(place, JOURNAL) == 0
    assert 'purge_failed {"kind":"keys"}' in caplog.text


async def test_key_that_is_reserved_again_during_the_purge_keeps_its_answer(place: Place) -> None:
    plan = Plan(lane="bulk", entry=b"x", response=b"y")
    await place.idempotency.reserve("shop", "k", "p", plan)
    place.time.now = START + timedelta(days=8)

    async def reserve() -> None:
        await place.idempotency.reserve("shop", "k", "p", plan)

    place.tables.before("delete_unchanged", reserve)
    await place.purge.run()
    assert rows(place, IDEMPOTENCY) == 1


async def test_scan_of_young_rows_ends_at_the_deadline() -> None:
    clock = Clock()
    tables = await watched_tables("young", rows_looked_at=1)
    for number in range(50):
        await tables.insert("young", Entity(partition="p", row=f"{number:02d}", properties={}))
    tables.take_time(clock, 1.0)
    progress = await delete_where(
        cast(Tables, tables), "young", Query(), lambda _: False, deadline=Deadline(clock, 10.0)
    )
    assert (progress.is_complete, tables.calls["query"]) == (False, 10)


async def test_every_shard_is_purged_in_some_night_however_slow_storage_is(place: Place) -> None:
    for _ in range(60):
        await place.send()
    place.time.now = START + timedelta(days=15)
    place.tables.take_time(place.time, 8.0)
    for _ in range(60):
        await place.purge.run(Deadline(place.time, 210.0))
    assert rows(place, JOURNAL) == 0
