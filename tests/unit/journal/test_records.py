"""The journal: one row a batch, the insert as duplicate check, the ETag as lock, and pages for the timers."""

from datetime import timedelta

import pytest

from relay.core import ids
from relay.core.errors import AlreadyExists, Changed, NotFound, UnreadableEntry
from relay.core.events import RecordedEvent
from relay.core.model import MessageStatus, Part, State
from relay.core.parts import part_states
from relay.journal.record_rows import Record
from relay.journal.records import TABLE, Journal, every_record
from tests.doubles import MAC_KEY, START, Watched, batch_id, batch_of, entry_of, submission_of, watched_tables

QUEUED = Part(route="", state=State.QUEUED)
SENDING = MessageStatus(parts=(part_states.begin(QUEUED, "main", START),))
SENT = MessageStatus(parts=(Part(route="main", state=State.SENT, attempt=1),))
DEFERRED = MessageStatus(parts=(Part(route="main", state=State.DEFERRED, attempt=1, due_at=START),))
DAY = 86_400.0


@pytest.fixture
async def tables() -> Watched:
    return await watched_tables(TABLE, rows_looked_at=4)


async def opened(journal: Journal, *statuses: MessageStatus, batch: str = "", blob: str | None = None) -> Record:
    body = entry_of(*(submission_of(blob=blob) for _ in statuses), batch=batch)
    return await journal.open(batch_of(body), body, statuses)


async def test_opened_record_is_read_back_unchanged(journal: Journal) -> None:
    record = await opened(journal, SENDING, DEFERRED)
    assert await journal.read(record.batch) == record
    entry = record.entry()
    assert entry.batch == record.batch
    assert len(entry.messages) == 2
    name = ids.parse(record.message_id(1, entry))
    assert (name.batch, name.index) == (record.batch, 1)
    assert ids.belongs_to(name, MAC_KEY)
    assert record.having([0, 1, 2, 31]) == [0, 1]


async def test_batch_is_opened_once(journal: Journal) -> None:
    record = await opened(journal, SENDING)
    with pytest.raises(AlreadyExists):
        await opened(journal, SENT, batch=record.batch)
    assert await journal.read(record.batch) == record
    with pytest.raises(NotFound):
        await journal.read(batch_id())


async def test_settlement_writes_only_changes_and_only_with_the_current_etag(journal: Journal, tables: Watched) -> None:
    record = await opened(journal, SENDING, SENDING)
    settled = await journal.settle(record, {1: SENT})
    assert settled.statuses == (SENDING, SENT)
    assert await journal.read(record.batch) == settled
    with pytest.raises(Changed):
        await journal.settle(record, {0: DEFERRED})
    assert (await journal.settle(settled, {0: DEFERRED})).statuses == (DEFERRED, SENT)
    assert tables.calls["merge"] == 3


async def test_reference_entry_in_a_record_is_refused(journal: Journal) -> None:
    record = await opened(journal, SENDING)
    wrong = Record(batch=record.batch, lane="x", content=b'{"relay":1}', statuses=(), etag="")
    with pytest.raises(UnreadableEntry):
        wrong.entry()


# ── history ──


def event(index: int, key: str, seconds: float = 0, kind: str = "delivered") -> RecordedEvent:
    return RecordedEvent(
        index=index, kind=kind, at=START + timedelta(seconds=seconds), key=key, recipient="a@example.com"
    )


async def test_history_has_the_record_and_its_events_in_order(journal: Journal) -> None:
    record = await opened(journal, SENT, SENT)
    events = [event(number % 2, f"k{number}", seconds=-number) for number in range(7)]
    for each in events:
        assert await journal.note(record.batch, each)
        assert not await journal.note(record.batch, each)
    record_read, events_read = await journal.history(record.batch)
    assert record_read == record
    assert list(events_read) == events[::-1]


async def test_events_without_a_record_have_no_history(journal: Journal) -> None:
    batch = batch_id()
    await journal.note(batch, event(0, "k"))
    with pytest.raises(NotFound):
        await journal.history(batch)


# ── pages ──


async def test_scan_finds_every_record_of_a_period(journal: Journal) -> None:
    batches = [batch_id(START + timedelta(seconds=number)) for number in range(40)]
    for number, batch in enumerate(batches):
        await opened(journal, SENDING if number % 3 == 0 else SENT, batch=batch)
    since, before = START + timedelta(seconds=5), START + timedelta(seconds=35)

    async def found(*, is_sending: bool | None = None) -> list[str]:
        records = every_record(journal, since=since, before=before, is_sending=is_sending)
        return sorted([record.batch async for record in records])

    assert await found() == batches[5:35]
    assert await found(is_sending=True) == [batch for batch in batches[5:35] if batches.index(batch) % 3 == 0]
    light = every_record(journal, since=since, before=before, with_content=False)
    assert {record.content async for record in light} == {b""}
