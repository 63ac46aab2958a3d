"""Changes of a record that other processes change too, on tables in memory."""

from collections.abc import Mapping

import pytest

from relay.core.errors import Changed, NotFound, Unavailable
from relay.core.model import MessageStatus, Part, State
from relay.journal.change import Decision, change_record
from relay.journal.record_rows import Record, partition
from relay.journal.records import TABLE, Journal
from relay.platform.storage.rows import MAX_RACES
from tests.doubles import Watched, batch_of, entry_of, submission_of, watched_tables

QUEUED = MessageStatus(parts=(Part(route="", state=State.QUEUED),))
SENT = MessageStatus(parts=(Part(route="main", state=State.SENT),))
FAILED = MessageStatus(parts=(Part(route="main", state=State.FAILED),))


@pytest.fixture
async def tables() -> Watched:
    return await watched_tables(TABLE)


@pytest.fixture
def journal(tables: Watched) -> Journal:
    return Journal(tables)


@pytest.fixture
async def record(journal: Journal) -> Record:
    body = entry_of(submission_of(), submission_of())
    return await journal.open(batch_of(body), body, [QUEUED, QUEUED])


async def first_sent(record: Record) -> Decision[str]:
    return Decision(statuses={0: SENT}, result=str(record.statuses[1].parts[0].state))


async def test_decision_is_written_without_reading_the_given_record(
    journal: Journal, record: Record, tables: Watched
) -> None:
    tables.calls.clear()
    change = await change_record(journal, record, first_sent)
    assert (change.before, change.is_written, change.result) == (record, True, "queued")
    assert change.after.statuses == (SENT, QUEUED)
    assert tables.calls == {"merge": 1}
    assert (await journal.read(record.batch)).statuses == (SENT, QUEUED)


async def test_decision_without_statuses_writes_nothing(journal: Journal, record: Record, tables: Watched) -> None:
    async def nothing(record: Record) -> Decision[None]:
        return Decision(statuses={}, result=None)

    tables.calls.clear()
    change = await change_record(journal, record, nothing)
    assert (change.after, change.is_written, tables.calls) == (record, False, {})


async def test_lost_race_decides_again_on_the_new_record(journal: Journal, record: Record, tables: Watched) -> None:
    tables.before("merge", lambda: journal.settle(record, {1: FAILED}))
    change = await change_record(journal, record, first_sent)
    assert (change.before.statuses, change.result) == ((QUEUED, FAILED), "failed")
    assert change.after.statuses == (SENT, FAILED)


async def test_record_that_always_changes_raises_unavailable(journal: Journal, record: Record, tables: Watched) -> None:
    tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    with pytest.raises(Unavailable):
        await change_record(journal, record, first_sent)
    assert (await journal.read(record.batch)).statuses == (QUEUED, QUEUED)


async def test_record_purged_during_a_race_raises_not_found(journal: Journal, record: Record, tables: Watched) -> None:
    async def purge() -> None:
        await journal.settle(record, {1: FAILED})
        tables.before("get", lambda: tables.delete(TABLE, partition(record.batch), "batch"))

    tables.before("merge", purge)
    with pytest.raises(NotFound):
        await change_record(journal, record, first_sent)


async def test_preparation_is_repeated_for_each_write_and_comes_first(
    journal: Journal, record: Record, tables: Watched
) -> None:
    prepared: list[tuple[int, Mapping[int, MessageStatus]]] = []

    async def prepare(record: Record, statuses: Mapping[int, MessageStatus]) -> None:
        prepared.append((tables.calls["merge"], statuses))

    tables.fail("merge", Changed("first"))
    await change_record(journal, record, first_sent, before_write=prepare)
    assert prepared == [(0, {0: SENT}), (1, {0: SENT})]


async def test_other_write_replaces_the_settlement(journal: Journal, record: Record, tables: Watched) -> None:
    change = await change_record(journal, record, first_sent, write=journal.mark)
    assert change.after.statuses == (SENT, QUEUED)
    row = await tables.get(TABLE, partition(record.batch), "batch")
    assert row.properties["open"] is True
