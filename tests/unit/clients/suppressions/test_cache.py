"""The cache of suppressions: the cost of the check, and the spread of changes between processes."""

import asyncio

import pytest

from relay.clients.suppressions.rows import topic_scope
from relay.clients.suppressions.store import Suppressions
from relay.core.errors import Unavailable
from tests.doubles import Place
from tests.unit.clients.suppressions.kit import DAY, among, another

# ── cost of the check ──


async def test_thousand_recipients_cost_at_most_one_query(place: Place, lists: Suppressions) -> None:
    await lists.add(lists.made("n7@example.org", "bounced", "shop"))
    people = [f"n{number}@example.org" for number in range(1000)]
    assert [number for number, reason in enumerate(await among(lists, *people)) if reason] == [7]
    for seconds, queries in ((0, 0), (24, 0), (1, 1), (30, 1), (5, 0)):
        place.time.move(seconds)
        place.tables.calls.clear()
        await among(lists, *people)
        assert place.tables.calls["query"] == queries
        assert set(place.tables.calls) <= {"query"}


async def test_concurrent_checks_read_once(place: Place, lists: Suppressions) -> None:
    place.tables.calls.clear()
    await asyncio.gather(*(among(lists, "a@b.example") for _ in range(50)))
    assert place.tables.calls["query"] == 2


async def test_one_check_reads_what_will_be_too_old_and_the_others_do_not_wait(
    place: Place, lists: Suppressions
) -> None:
    other, meanwhile = another(place), list[list[str]]()
    await among(other, "ada@example.org")
    await lists.add(lists.made("ada@example.org", "manual", "shop"))

    async def check() -> None:
        meanwhile.append(await among(other, "ada@example.org"))

    place.time.move(29)
    place.tables.before("query", check)
    assert await among(other, "ada@example.org") == ["manual"]
    assert meanwhile == [[""]]


async def test_long_list_is_read_in_pages(place: Place, lists: Suppressions) -> None:
    await lists.put([lists.made(f"n{number}@example.org", "manual", "shop") for number in range(2_500)])
    place.tables.calls.clear()
    assert await among(another(place), "n2499@example.org", "n2500@example.org") == ["manual", ""]
    assert place.tables.calls["query"] == 4


# ── changes by other processes ──


async def test_other_process_sees_changes_within_half_a_minute(place: Place, lists: Suppressions) -> None:
    other = another(place)
    assert await among(other, "ada@example.org") == [""]
    await lists.add(lists.made("Ada@Example.org", "manual", "shop"))
    assert await among(lists, "ada@example.org") == ["manual"]
    assert await among(other, "ada@example.org") == [""]
    place.time.move(30)
    assert await among(other, "ada@example.org") == ["manual"]
    await lists.remove("shop", ["ADA@example.org"])
    place.time.move(30)
    assert await among(other, "ada@example.org") == [""]


async def test_change_missing_in_the_log_is_seen_within_an_hour(place: Place, lists: Suppressions) -> None:
    other = another(place)
    await among(other, "ada@example.org")
    place.tables.fail("upsert_all", Unavailable("away"))
    with pytest.raises(Unavailable):
        await lists.add(lists.made("ada@example.org", "manual", "shop"))
    place.time.move(60)
    assert await among(other, "ada@example.org") == [""]
    place.time.move(3600)
    assert await among(other, "ada@example.org") == ["manual"]


async def test_process_idle_longer_than_the_log_reloads_everything(place: Place, lists: Suppressions) -> None:
    other = another(place)
    await among(other, "ada@example.org")
    await lists.add(lists.made("ada@example.org", "manual", "shop"))
    place.time.move(2 * DAY)
    await lists.purge()
    assert await among(other, "ada@example.org") == ["manual"]


async def test_other_process_learns_of_a_topic_within_the_time_of_the_cache(place: Place, lists: Suppressions) -> None:
    other = another(place)
    assert not await other.is_unsubscribed("shop", "news", "ada@example.org")
    scope = topic_scope("shop", "news")
    await lists.put([lists.made("ada@example.org", "unsubscribed", "shop", scope=scope)])
    place.time.move(31)
    assert await other.is_unsubscribed("shop", "news", "ada@example.org")
    await lists.resubscribe(scope, "ada@example.org", place.time())
    place.time.move(31)
    assert not await other.is_unsubscribed("shop", "news", "ada@example.org")


async def test_cache_serves_while_storage_is_unavailable(place: Place, lists: Suppressions) -> None:
    await lists.add(lists.made("ada@example.org", "manual", "shop"))
    await among(lists, "ada@example.org")
    place.time.move(60)
    place.tables.fail("query", Unavailable("away"))
    assert await among(lists, "ada@example.org") == ["manual"]
    assert await among(lists, "ada@example.org") == ["manual"]


async def test_empty_cache_raises_while_storage_is_unavailable(place: Place, lists: Suppressions) -> None:
    place.tables.fail("query", Unavailable("away"))
    with pytest.raises(Unavailable):
        await lists.known_to("shop")
    assert await among(lists, "ada@example.org") == [""]
