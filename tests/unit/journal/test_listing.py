"""Pages of messages, newest first, however they lie in time, at a bounded cost."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from relay.core import ids
from relay.core.model import MessageStatus, Part, State
from relay.journal.listing import Listing
from relay.journal.records import Journal
from relay.journal.search.matches import MessageFilter
from tests.doubles import START, Watched, batch_of, entry_of, submission_of

SENT = MessageStatus(parts=(Part(route="main", state=State.SENT),))
NAME = ids.batch_floor(START)
HOUR = timedelta(hours=1)


async def fill(journal: Journal, times: Sequence[datetime], *, messages: int = 1, client: str = "shop") -> list[str]:
    """A batch at each time, on any shard; the names of all messages, newest first."""
    numbers = random.Random(7)
    names = []
    for at in times:
        batch = f"{ids.batch_floor(at)[:12]}7000a{numbers.randrange(16**15):015x}"
        body = entry_of(*(submission_of(client=client) for _ in range(messages)), batch=batch)
        record = await journal.open(batch_of(body), body, [SENT] * messages)
        names += [record.message_id(index, record.entry()) for index in range(messages)]
    return sorted(names, key=lambda name: (ids.parse(name).batch, ids.parse(name).index), reverse=True)


async def listed(listing: Listing, *, limit: int = 50, **fields: object) -> tuple[list[str], int]:
    """All messages of a range, page by page, and how many pages that took."""
    wanted = MessageFilter(**{"since": START - 48 * HOUR, "before": START + 48 * HOUR, **fields})  # type: ignore[arg-type]
    found: list[str] = []
    position, pages = None, 0
    while True:
        page, position = await listing.page(wanted, position, limit=limit)
        assert len(page) <= limit
        found += [each.id for each in page]
        pages += 1
        if position is None:
            return found, pages


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_messages_are_listed_once_and_newest_first(journal: Journal, limit: int) -> None:
    times = [START + number * timedelta(seconds=37) for number in range(60)]
    names = await fill(journal, times, messages=3)
    assert await listed(Listing(journal), limit=limit) == (names, -(-180 // limit) + (180 % limit == 0))


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([START + n * timedelta(seconds=7) for n in range(1000)], id="evenly"),
        pytest.param([START - 47 * HOUR + n * timedelta(milliseconds=1) for n in range(1000)], id="a burst long ago"),
        pytest.param([START + 47 * HOUR + n * timedelta(milliseconds=1) for n in range(1000)], id="a burst just now"),
        pytest.param([START] * 150 + [START + n * HOUR for n in range(40)], id="many in a millisecond"),
        pytest.param([START + HOUR * (1 - 0.97**n) for n in range(300)], id="ever denser"),
        pytest.param([], id="nothing"),
    ],
)
async def test_shards_with_several_pages_lose_no_message(
    journal: Journal, tables: Watched, times: list[datetime]
) -> None:
    names = await fill(journal, times)
    tables.calls.clear()
    found, pages = await listed(Listing(journal, names_at_once=20), limit=100)
    assert found == names
    assert pages <= len(times) / 50 + 20
    assert tables.calls["query"] <= pages * 16 * 12


async def test_quiet_range_costs_few_operations(journal: Journal, tables: Watched) -> None:
    await fill(journal, [START, START + HOUR])
    tables.calls.clear()
    assert len((await listed(Listing(journal)))[0]) == 2
    assert tables.calls["query"] <= 18


async def test_page_reads_a_limited_number_of_batches(journal: Journal, tables: Watched) -> None:
    await fill(journal, [START + n * timedelta(seconds=1) for n in range(1100)])
    tables.calls.clear()
    wanted = MessageFilter(since=START - HOUR, before=START + HOUR, state=State.FAILED)
    page, position = await Listing(journal).page(wanted, None, limit=50)
    assert page == []
    assert position is not None
    assert ids.created_at(position) == START.replace(microsecond=250_000) + timedelta(seconds=100)
    assert tables.calls["query"] <= 16 * 6
    rest, position = await Listing(journal).page(wanted, position, limit=50)
    assert (rest, position) == ([], None)


async def test_batches_of_other_clients_are_not_read(journal: Journal, tables: Watched) -> None:
    own = await fill(journal, [START], client="my-shop")
    await fill(journal, [START + n * timedelta(seconds=1) for n in range(1, 300)])
    tables.calls.clear()
    assert (await listed(Listing(journal), client="my-shop"))[0] == own
    assert tables.calls["query"] <= 17


async def test_later_messages_do_not_move_the_pages(journal: Journal) -> None:
    names = await fill(journal, [START + n * timedelta(seconds=1) for n in range(20)])
    wanted = MessageFilter(since=START - HOUR, before=START + HOUR)
    first, position = await Listing(journal).page(wanted, None, limit=10)
    await fill(journal, [START + timedelta(minutes=1)])
    second, _ = await Listing(journal).page(wanted, position, limit=10)
    assert [each.id for each in (*first, *second)] == names


@pytest.mark.parametrize("position", ["x", NAME, f"{NAME}-x1", f"{NAME[:-1]}g-01", f"{NAME[1:]}-01", f"f{NAME[1:]}-01"])
async def test_invalid_position_is_refused(journal: Journal, position: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        await Listing(journal).page(MessageFilter(since=START, before=START + HOUR), position, limit=1)
