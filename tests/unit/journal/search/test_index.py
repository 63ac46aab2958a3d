"""The index finds what a scan finds, whatever was indexed when, and whichever write was the last of a process."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest

from relay.core import ids
from relay.core.errors import Unavailable
from relay.core.model import Address, Erased, Message, MessageStatus, Part, State
from relay.journal.listing import Listing
from relay.journal.records import TABLE as JOURNAL
from relay.journal.records import Journal
from relay.journal.search import index as indexing
from relay.journal.search import postings
from relay.journal.search.index import TABLE, SearchIndex
from relay.journal.search.lookup import Lookup
from relay.journal.search.matches import MessageFilter
from relay.journal.search.terms import ContentFilter, has_terms
from relay.platform.storage.ports import Entity, Query, every_row
from tests.doubles import START, Clock, Watched, batch_id, batch_of, entry_of, message_of, submission_of, watched_tables

HOUR = timedelta(hours=1)
SENT = MessageStatus(parts=(Part(route="main", state=State.SENT),))
SUBJECTS = ("Your order 1", "Your order 2", "ORDER late", "請求書 1", "")
ADDRESSES = ("ada@example.com", "Bob@example.com", "eve@example.net")


class Mail:
    """Messages in the journal, as they were written."""

    def __init__(self, journal: Journal, numbers: random.Random) -> None:
        self._journal = journal
        self._numbers = numbers
        self.found: list[tuple[str, str, Message]] = []

    async def record(self, at: datetime, messages: Iterable[Message] = ()) -> str:
        """Record a batch that was accepted at a moment. Returns its name."""
        chosen = list(messages) or [self._message() for _ in range(self._numbers.randint(1, 3))]
        clients = [self._numbers.choice(("shop", "club")) for _ in chosen]
        pairs = zip(chosen, clients, strict=True)
        body = entry_of(*(submission_of(each, client=client) for each, client in pairs), batch=batch_id(at))
        record = await self._journal.open(batch_of(body), body, [SENT] * len(chosen))
        for number, message in enumerate(chosen):
            self.found.append((record.message_id(number, record.entry()), clients[number], message))
        return record.batch

    def _message(self) -> Message:
        pick = self._numbers.choice
        return message_of(
            *{pick(ADDRESSES) for _ in range(self._numbers.randint(1, 2))},
            sender=Address(email=pick(("shop@example.org", "club@example.org"))),
            subject=pick(SUBJECTS),
            tags=pick(((), ("eu",), ("eu", "new"))),
            metadata=pick(({}, {"order": "1"}, {"order": "2"})),
        )

    def matching(self, wanted: ContentFilter, client: str | None = None) -> list[str]:
        """Return the messages that match, newest first: by looking at every one."""
        names = [
            name
            for name, owner, message in self.found
            if has_terms(message, wanted.terms()) and client in (None, owner)
        ]
        return sorted(names, key=lambda name: (ids.parse(name).batch, ids.parse(name).index), reverse=True)


FILTERS = [
    ContentFilter(recipient="ada@example.com"),
    ContentFilter(recipient="@example.net", tag="eu"),
    ContentFilter(sender="club@example.org", subject="order"),
    ContentFilter(subject="order 2", metadata="order=2"),
    ContentFilter(subject="請求"),
    ContentFilter(tag="nothing"),
]


async def search(
    journal: Journal, index: SearchIndex, tables: Watched, wanted: ContentFilter, **fields: object
) -> list[str]:
    """Return all messages that are found, page by page."""
    lookup = Lookup(index, tables, window=20)
    listing = Listing(journal, lookup=lookup)
    chosen = MessageFilter(
        **{"since": START - 48 * HOUR, "before": START + 48 * HOUR, "terms": wanted.terms(), **fields}  # type: ignore[arg-type]
    )
    found: list[str] = []
    position = None
    while True:
        page, position = await listing.page(chosen, position, limit=7)
        found += [each.id for each in page]
        if position is None:
            return found


@pytest.mark.parametrize("seed", range(4))
async def test_index_finds_what_a_scan_finds(
    journal: Journal, index: SearchIndex, tables: Watched, clock: Clock, seed: int
) -> None:
    numbers = random.Random(seed)
    mail = Mail(journal, numbers)
    for _ in range(25):
        clock.move(numbers.choice((30, 400, 2000, 5000)))
        await mail.record(clock())
        if numbers.random() < 0.5:
            await index.update()
    for wanted in FILTERS:
        assert await search(journal, index, tables, wanted) == mail.matching(wanted)
        only = await search(journal, index, tables, wanted, client="shop")
        assert only == mail.matching(wanted, "shop")


@pytest.mark.parametrize("limits", [(2, 400_000), (1000, 5)])
async def test_common_terms_and_crowded_slices_are_scanned(  # noqa: PLR0917 - fixtures
    journal: Journal,
    index: SearchIndex,
    tables: Watched,
    clock: Clock,
    limits: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postings, "MAX_BATCHES", limits[0])
    monkeypatch.setattr(indexing, "MAX_ENTRIES", limits[1])
    mail = Mail(journal, random.Random(7))
    for _ in range(12):
        await mail.record(clock())
        clock.move(100)
    clock.move(1000)
    await index.update()
    for wanted in FILTERS:
        assert await search(journal, index, tables, wanted) == mail.matching(wanted)


async def test_late_record_is_found_when_a_quarter_of_its_age_has_passed(
    journal: Journal, index: SearchIndex, tables: Watched, clock: Clock
) -> None:
    mail, wanted = Mail(journal, random.Random(1)), ContentFilter(tag="late")
    await mail.record(clock(), [message_of()])
    clock.move(8 * 3600)
    await index.update()
    await mail.record(START, [message_of(tags=("late",))])
    assert await search(journal, index, tables, wanted) == []
    clock.move(2 * 3600 + 60)
    await index.update()
    assert await search(journal, index, tables, wanted) == mail.matching(wanted) != []


async def test_nothing_is_missed_whichever_call_fails(clock: Clock) -> None:
    for call in count(0, 2):
        tables = await _empty(clock)
        own = Journal(tables, clock)
        mail = Mail(own, random.Random(2))
        for _ in range(4):
            await mail.record(clock(), [message_of(tags=("eu",))])
        clock.move(700)
        await SearchIndex(own, tables, clock, retention=2 * HOUR).update()
        # A late record, and more of a new slice.
        await mail.record(clock() - timedelta(minutes=9), [message_of(tags=("eu",))])
        await mail.record(clock(), [message_of("bob@example.com", tags=("eu",))])
        clock.move(1300)
        tables.most = dict.fromkeys(("upsert", "merge", "insert"), call)
        tables.calls.clear()
        try:
            await SearchIndex(own, tables, clock, retention=2 * HOUR).update()
        except Unavailable:
            failed = True
        else:
            failed = False
        tables.most = {}
        # Whoever comes after a dead process waits for its lease.
        clock.move(600)
        fresh = SearchIndex(own, tables, clock, retention=2 * HOUR)
        await fresh.update()
        for each in (ContentFilter(tag="eu"), ContentFilter(recipient="bob@example.com")):
            assert await search(own, fresh, tables, each) == mail.matching(each), call
        if not failed:
            assert call > 3
            return


async def _empty(clock: Clock) -> Watched:
    clock.now = START
    return await watched_tables(JOURNAL, TABLE)


async def places(tables: Watched) -> Sequence[tuple[str, str]]:
    """Return the places of all rows of terms."""
    rows = every_row(tables, TABLE, Query(partition_from="terms", partition_before="termt"))
    return [(row.partition, row.row) async for row in rows]


async def test_erased_message_leaves_the_index(
    journal: Journal, index: SearchIndex, tables: Watched, clock: Clock
) -> None:
    mail = Mail(journal, random.Random(3))
    batch = await mail.record(clock(), [message_of("ada@example.com", subject="Secret", tags=("eu",))])
    clock.move(700)
    await index.update()
    before = await places(tables)
    record = await journal.read(batch)
    erased = MessageStatus(parts=SENT.parts, erased=Erased(at=clock(), recipients=1))
    await journal.mark(record, {0: erased})
    await index.forget(batch)
    await index.update()
    assert len(before) >= 5
    assert await places(tables) == []


async def test_erasure_while_a_slice_is_indexed_makes_it_due_again(
    journal: Journal, index: SearchIndex, tables: Watched, clock: Clock
) -> None:
    mail = Mail(journal, random.Random(3))
    batch = await mail.record(clock(), [message_of("ada@example.com")])
    clock.move(700)

    async def erase() -> None:
        erased = MessageStatus(parts=SENT.parts, erased=Erased(at=clock(), recipients=1))
        await journal.mark(await journal.read(batch), {0: erased})
        await index.forget(batch)

    tables.before("upsert", erase)
    assert not (await index.update()).is_complete
    assert (await index.update()).is_complete
    assert await places(tables) == []


async def test_hour_is_checked_once_when_nothing_changes(
    journal: Journal, index: SearchIndex, tables: Watched, clock: Clock
) -> None:
    await Mail(journal, random.Random(3)).record(clock())
    clock.move(700)
    await index.update()
    tables.calls.clear()
    assert (await index.update()).done == 0
    assert dict(tables.calls) == {"query": 1}


async def test_without_its_table_everything_is_scanned(clock: Clock) -> None:
    tables = await watched_tables(JOURNAL)
    journal = Journal(tables, clock)
    mail, index = Mail(journal, random.Random(3)), SearchIndex(journal, tables, clock, retention=2 * HOUR)
    batch = await mail.record(clock(), [message_of(tags=("eu",))])
    await index.forget(batch)
    wanted = ContentFilter(tag="eu")
    assert await search(journal, index, tables, wanted) == mail.matching(wanted) != []


@pytest.mark.parametrize("partition", ["hour1", "secret", "terms1-"])
async def test_damaged_row_of_the_index_hides_no_message(
    journal: Journal, index: SearchIndex, tables: Watched, clock: Clock, partition: str
) -> None:
    mail, wanted = Mail(journal, random.Random(3)), ContentFilter(tag="eu")
    await mail.record(clock(), [message_of(tags=("eu",))])
    clock.move(700)
    await index.update()
    query = Query(partition_from=partition, partition_before=partition + "~")
    for row in [row async for row in every_row(tables, TABLE, query)]:
        damaged = dict.fromkeys(row.properties, "damaged")
        await tables.upsert(TABLE, Entity(partition=row.partition, row=row.row, properties=damaged))
    for _ in range(2):
        fresh = SearchIndex(journal, tables, clock, retention=2 * HOUR)
        assert await search(journal, fresh, tables, wanted) == mail.matching(wanted) != []
        assert (await fresh.update()).is_complete
