"""The search index on every storage: written, looked up, changed by an erasure, and purged."""

from datetime import timedelta

from relay.core.model import Erased, MessageStatus, Part, State
from relay.journal.listing import Listing
from relay.journal.records import Journal
from relay.journal.search.index import TABLE, SearchIndex
from relay.journal.search.lookup import Lookup
from relay.journal.search.matches import MessageFilter
from relay.journal.search.postings import old_rows
from relay.journal.search.terms import ContentFilter
from relay.platform.resources import JOURNAL_TABLE
from relay.platform.storage.ports import Storage, delete_where, every_row
from tests.doubles import Clock, batch_id, batch_of, entry_of, message_of, submission_of

HOUR = timedelta(hours=1)


async def test_message_is_found_by_the_index_until_it_is_erased_and_purged(storage: Storage, name: str) -> None:
    tables, clock = storage.tables, Clock()
    for table in (JOURNAL_TABLE, TABLE):
        await tables.create(table)
    journal = Journal(tables, clock)
    index = SearchIndex(journal, tables, clock, retention=2 * HOUR)
    sent = MessageStatus(parts=(Part(route="main", state=State.SENT),))
    body = entry_of(submission_of(message_of(f"{name}@example.net", subject="請求書")), batch=batch_id(clock()))
    record = await journal.open(batch_of(body), body, [sent])
    clock.move(700)
    await index.update()
    wanted = ContentFilter(recipient=f"{name}@example.net", subject="請求")
    lookup = Lookup(index, tables)
    chosen = MessageFilter(since=clock() - HOUR, before=clock(), terms=wanted.terms())
    found, _ = await Listing(journal, lookup=lookup).page(chosen, None, limit=10)
    assert [each.id for each in found] == [record.message_id(0, record.entry())]
    await journal.mark(record, {0: MessageStatus(parts=sent.parts, erased=Erased(at=clock(), recipients=1))})
    await index.forget(record.batch)
    assert (await index.update()).is_complete
    query = list(old_rows(clock() + 2 * HOUR))
    assert [row async for row in every_row(tables, TABLE, query[1])] == []
    for each in query:
        assert (await delete_where(tables, TABLE, each, lambda _: True)).is_complete
    assert [row async for row in every_row(tables, TABLE, query[0])] == []
