"""Count the storage operations of a status read and of the nightly purge, by size of the journal.

Storage is in memory; Relay's own code reads and purges it.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from bench.counting import CountingTables
from bench.results import Figure
from relay.bootstrap import Relay, configuration
from relay.core import entries, ids
from relay.core.model import Address, Message, MessageStatus, Part, State, Submission
from relay.journal import records as journal
from relay.journal.record_rows import partition
from relay.platform.storage.memory.memory_storage import MemoryTables, memory_storage
from relay.platform.storage.ports import Entity, Storage

ROWS = (1_000, 10_000, 100_000, 1_000_000)
"""A million rows take 0.6 GB and half a minute."""
DAYS = 15
"""Rows are spread evenly over 15 days: 14 within the retention, and one that the purge deletes."""


async def by_journal(rows: Sequence[int] = ROWS) -> AsyncIterator[Figure]:
    """Count the operations of a status read, and of a purge per deleted batch, by number of rows in the journal."""
    for number in rows:
        now = datetime.now(UTC)
        memory = memory_storage(partial(_same, now))
        counting = CountingTables(memory.tables)
        relay = Relay(
            configuration.load({}),
            Storage(queues=memory.queues, tables=counting, blobs=memory.blobs),
            clock=partial(_same, now),
        )
        await relay.create_storage()
        newest = await _fill(memory.tables, number, now)
        counting.operations = 0
        await relay.journal.history(newest)
        yield Figure(name=f"by journal/{number} status", unit="operations", runs=[counting.operations])
        counting.operations, held = 0, len(memory.tables.rows(journal.TABLE))
        await relay.purge.run()
        deleted = held - len(memory.tables.rows(journal.TABLE))
        yield Figure(name=f"by journal/{number} purge", unit="ops a batch", runs=[counting.operations / deleted])


async def _fill(tables: MemoryTables, number: int, now: datetime) -> str:
    """Insert finished batches of one message, in key order, which is fastest in memory. Return the newest batch."""
    age = timedelta(days=DAYS)
    records = [await _record(now - age * (day + 1) / DAYS) for day in reversed(range(DAYS))]
    batch = ""
    for shard in ids.SHARDS:
        for place in range(number // len(ids.SHARDS)):
            part = place * len(ids.SHARDS) / number
            batch = ids.batch_floor(now - age * (1 - part))[:12] + f"7{place:018x}{shard}"
            key = partition(batch)
            await tables.insert(journal.TABLE, msgspec.structs.replace(records[int(part * DAYS)], partition=key))
    return batch


async def _record(at: datetime) -> Entity:
    """Return the row of a batch that ended at `at`."""
    tables = MemoryTables()
    await tables.create(journal.TABLE)
    submission = Submission(
        client="bench", client_id="0" * 16, expires_at=at, message=Message(sender=Address(email="a@example.com"))
    )
    entry = entries.BatchEntry(
        relay=1, batch=ids.new_batch_id(), lane="transactional", macs=("0" * 16,), messages=(submission,)
    )
    content = entries.join_batch(entry.batch, entry.lane, entry.macs, [entries.encode_submission(submission)])
    ended = MessageStatus(parts=(Part(route="r", state=State.SENT),))
    await journal.Journal(tables, partial(_same, at)).open(entry, content, [ended])
    [row] = tables.rows(journal.TABLE)
    return row


def _same(now: datetime) -> datetime:
    return now
