"""The rows of what waits: which must exist for which statuses, and how they are found."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from relay.core.model import MessageStatus, Part, State
from relay.core.parts import part_states
from relay.journal.pending import SHARDS, TABLE, Due, Listed, Pending, rows_of
from relay.platform.storage.memory.memory_storage import MemoryTables
from tests.doubles import START, batch_id, changed

BATCH = "019c9e5e7a107a3b8c4d5e6f70819203"
SOON = START + timedelta(seconds=60)
FRESH = Part(route="main", state=State.QUEUED)
DEFERRED = changed(FRESH, state=State.DEFERRED, due_at=SOON, attempt=1)


def held(scope: str, attempt: int = 0) -> Part:
    return part_states.hold(changed(FRESH, attempt=attempt), "main", "bad_credentials", START, SOON, scope=scope)


def rows(*statuses: tuple[Part, ...]) -> list[Due]:
    made = rows_of(BATCH, "bulk", enumerate(MessageStatus(parts=parts) for parts in statuses))
    assert all(due.row == key for key, due in made.items())
    return list(made.values())


@pytest.fixture
async def tables() -> MemoryTables:
    made = MemoryTables(rows_looked_at=5)
    await made.create(TABLE)
    return made


@pytest.fixture
def pending(tables: MemoryTables) -> Pending:
    return Pending(tables)


# ── which rows ──


@pytest.mark.parametrize("state", [State.QUEUED, State.SENDING, State.SENT, State.FAILED])
def test_part_without_a_due_time_has_no_row(state: State) -> None:
    assert rows((changed(FRESH, state=state),)) == []


def test_messages_due_together_share_a_row() -> None:
    later = changed(DEFERRED, attempt=4)
    assert rows((later,), (DEFERRED,), (FRESH,), (DEFERRED, changed(DEFERRED, recipients=(1,)))) == [
        Due(batch=BATCH, lane="bulk", at=SOON, indices=(0, 1, 3), kind="deferred", attempt=5)
    ]


def test_each_due_time_has_its_own_row() -> None:
    later = changed(DEFERRED, due_at=SOON + timedelta(microseconds=1))
    assert [due.indices for due in rows((DEFERRED,), (later,), (DEFERRED,))] == [(0, 2), (1,)]


def test_each_hold_has_its_own_row() -> None:
    found = rows((held("main"),), (held("main|a@example.org"),), (held("main", 2),), (DEFERRED,))
    assert [(due.scope, due.indices, due.kind, due.attempt) for due in found] == [
        ("main", (0, 2), "held", 3),
        ("main|a@example.org", (1,), "held", 1),
        ("", (3,), "deferred", 2),
    ]


def test_row_expires_with_the_first_of_its_messages() -> None:
    first, later = (changed(held("main"), held_expires_at=SOON + timedelta(seconds=after)) for after in (5, 9))
    for parts in ((first, held("main"), later), (later, first), (held("main"), first)):
        (due,) = rows(*((part,) for part in parts))
        assert due.expires_at == first.held_expires_at
    assert [due.expires_at for due in rows((held("main"),), (DEFERRED,))] == [None, None]


def test_retry_in_progress_keeps_its_row() -> None:
    begun = part_states.begin(DEFERRED, "main", SOON)
    (before,), (after,) = rows((DEFERRED,)), rows((begun,))
    assert (after.row, after.kind, after.attempt) == (before.row, "sending", 3)


def test_keys_sort_by_time_in_any_zone() -> None:
    here = datetime(2026, 3, 1, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    due = Due(batch=BATCH, lane="bulk", at=here, indices=(0,), kind="deferred", attempt=2)
    assert due.row == f"20260301T120000000005-{BATCH}"
    assert due.row == changed(due, at=here.astimezone(UTC)).row
    assert due.partition == "due-3"


# ── the table ──


async def test_row_survives_a_round_trip(pending: Pending) -> None:
    expiring = changed(held("main"), held_expires_at=SOON)
    for due in rows((held("main|a@example.org"),), (DEFERRED,), (expiring,)):
        await pending.put(due)
        found = [listed async for listed in pending.until(SOON + timedelta(seconds=1))]
        assert found == [Listed(due=due)]
        await pending.mark_requeued(due, START)
        found = [listed async for listed in pending.until(SOON + timedelta(seconds=1))]
        assert found == [Listed(due=due, requeued_at=START)]
        await pending.remove(due)
        await pending.remove(due)


async def test_due_rows_are_found_in_every_shard_and_page(pending: Pending) -> None:
    dues = [
        Due(
            batch=batch_id(),
            lane="bulk",
            at=START + timedelta(seconds=number),
            indices=(0,),
            kind="deferred",
            attempt=2,
        )
        for number in range(60)
    ]
    for due in reversed(dues):
        await pending.put(due)
    found = [listed.due async for listed in pending.until(START + timedelta(seconds=40))]
    assert sorted(found, key=lambda due: due.at) == dues[:40]
    assert len({due.partition for due in dues}) == SHARDS
    for shard in {due.partition for due in dues}:
        own = [due.at for due in found if due.partition == shard]
        assert own == sorted(own)


async def test_held_rows_are_found_by_their_scope(pending: Pending) -> None:
    for due in rows((held("main"),), (held("main|a@example.org"),), (DEFERRED,)):
        await pending.put(due)
    assert [listed.due.indices async for listed in pending.held("main")] == [(0,)]
    assert [listed.due.indices async for listed in pending.held("main|a@example.org")] == [(1,)]
    assert [listed async for listed in pending.held("other")] == []
