"""Suppressions that are written, replaced, and removed: scopes, expiry, and lists of providers."""

from datetime import timedelta
from functools import partial

import pytest

from relay.clients.suppressions.cache import TOPIC
from relay.clients.suppressions.rows import ALL, TABLE, topic_scope
from relay.clients.suppressions.store import Suppressions
from relay.core.errors import NotFound
from relay.core.model import Address
from relay.platform.storage.ports import Query
from tests.doubles import START, Place
from tests.unit.clients.suppressions.kit import DAY, among, another


async def test_topic_blocks_its_own_mail_alone(lists: Suppressions) -> None:
    ada = [Address(email="Ada@example.org")]
    await lists.put([lists.made("ada@example.org", "manual", "shop", scope=topic_scope("shop", "news"))])
    for client, about in (("shop", "offers"), ("other", "news")):
        assert (await lists.known_to(client, [about])).among(ada, about) == {}
        assert not await lists.is_unsubscribed(client, about, "ada@example.org")
    known = await lists.known_to("shop", ["news"])
    assert known.among(ada) == {}
    assert known.among(ada, "news") == {0: TOPIC}
    assert await lists.is_unsubscribed("shop", "news", "ada@example.org")


async def test_reason_sets_scope_and_expiry(place: Place, lists: Suppressions) -> None:
    await lists.add(lists.made("a@b.example", "bounced", "shop"))
    await lists.add(lists.made("c@d.example", "complained", "shop"))
    assert await among(lists, "a@b.example", "c@d.example") == ["bounced", "complained"]
    assert await among(lists, "a@b.example", "c@d.example", client="other") == ["bounced", ""]
    place.time.move(180 * DAY)
    assert await among(lists, "a@b.example", "c@d.example") == ["", "complained"]
    with pytest.raises(NotFound):
        await lists.get(ALL, "a@b.example")
    assert (await lists.purge()).done >= 1
    rows = (await place.memory.tables.query(TABLE, Query(partition="all"))).entities
    assert rows == []


async def test_longer_suppression_is_not_shortened(place: Place, lists: Suppressions) -> None:
    long = lists.made("a@b.example", "complained", "shop")
    short = lists.made("a@b.example", "manual", "shop", expires_at=START + timedelta(days=1))
    await lists.add(short)
    await lists.add(long)
    await lists.add(short)
    assert (await lists.get("shop", "a@b.example")).reason == "complained"


async def test_suppression_that_never_expires_replaces_the_expiry_of_a_shorter_one(
    place: Place, lists: Suppressions
) -> None:
    await lists.add(lists.made("a@b.example", "manual", "shop", expires_at=START + timedelta(days=1)))
    await lists.add(lists.made("a@b.example", "manual", "shop", expires_at=None))
    place.time.move(2 * DAY)
    assert (await lists.get("shop", "a@b.example")).expires_at is None
    assert await among(another(place), "a@b.example") == ["manual"]


async def test_longer_suppression_of_another_process_is_not_overwritten(place: Place, lists: Suppressions) -> None:
    days = {
        days: lists.made("a@b.example", "manual", "shop", expires_at=START + timedelta(days=days)) for days in (1, 2, 9)
    }
    await lists.add(days[1])
    # Both processes have read the first entry before either writes.
    place.tables.before("merge", lambda: another(place).add(days[9]))
    await lists.add(days[2])
    assert (await lists.get("shop", "a@b.example")).expires_at == days[9].expires_at


async def test_entry_that_a_provider_no_longer_lists_is_removed(place: Place, lists: Suppressions) -> None:
    listed = [lists.made(f"{name}@b.example", "provider", "shop", source="main") for name in "abc"]
    await lists.put([*listed, lists.made("d@b.example", "provider", "shop", source="other")])
    await lists.put([lists.made("e@b.example", "bounced", "shop")])
    place.time.move(60)
    began = place.time()
    await lists.put([lists.made("a@b.example", "provider", "shop", source="main")])
    assert await lists.drop_missing("main", began) == 2
    assert await among(lists, *(f"{name}@b.example" for name in "abcde")) == ["provider", "", "", "provider", "bounced"]


async def test_entry_that_is_written_while_a_list_is_compared_stays(place: Place, lists: Suppressions) -> None:
    await lists.put([lists.made(f"{name}@b.example", "provider", "shop", source="main") for name in "ab"])
    place.time.move(60)
    complaint = lists.made("a@b.example", "complained", "shop", scope=ALL)
    place.tables.before("delete", partial(another(place).put, [complaint]))
    assert await lists.drop_missing("main", place.time()) == 1
    assert (await lists.get(ALL, "a@b.example")).reason == "complained"
    assert await among(another(place), "a@b.example", "b@b.example") == ["complained", ""]
