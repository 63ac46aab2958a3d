"""Suppressions: the cost of the check, the spread of changes between processes, and events that suppress."""

import re
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clients.suppressions import ALL, REASONS, TABLE, TOPIC, Suppression, Suppressions, key_of, topic_scope
from relay.core.errors import NotFound, Unavailable
from relay.core.events import EventSource, MessageEvent, RecordedEvent
from relay.core.model import Address
from relay.core.settings import SUPPRESSION_RULES
from relay.platform.storage.ports import Query
from tests.doubles import START, Place, place_of

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "events.md").read_text()
DAY = 86_400.0


@pytest.fixture
def lists(place: Place) -> Suppressions:
    return place.suppressions


def another(place: Place) -> Suppressions:
    """The suppressions of another process."""
    return Suppressions(place.storage.tables, place.time, SUPPRESSION_RULES)


async def among(lists: Suppressions, *emails: str, client: str = "shop") -> list[str]:
    known = await lists.known_to(client)
    found = known.among([Address(email=email) for email in emails])
    return [found.get(number, "") for number in range(len(emails))]


def noted(kind: str = "bounced", **fields: Any) -> MessageEvent:
    values = {"bounce_class": "address", "recipient": "ada@example.org", **fields}
    about = {
        name: values.pop(name) for name in ("source", "client_id", "is_ours", "is_sole_recipient") if name in values
    }
    about = {"is_ours": True, "source": EventSource.PROVIDER, "client_id": "shop", **about}
    event = RecordedEvent(index=0, kind=kind, at=START, key="k", provider="sendgrid", **values)
    return MessageEvent(event=event, message="msg_x", client="shop", **about)


# ── topics ──


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


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_event_about_a_topic_counts_only_if_nothing_newer_is_known(lists: Suppressions, hours: int) -> None:
    scope = topic_scope("shop", "news")
    await lists.resubscribe(scope, "ada@example.org", START + timedelta(hours=hours))
    await lists.follow([noted("unsubscribed", bounce_class="", topic="news")])
    assert await lists.is_unsubscribed("shop", "news", "ada@example.org") is (hours < 0)
    await lists.follow([noted("resubscribed", bounce_class="", topic="news")])
    assert not await lists.is_unsubscribed("shop", "news", "ada@example.org")


async def test_event_about_a_foreign_recipient_changes_no_topic(lists: Suppressions) -> None:
    await lists.follow([noted("unsubscribed", bounce_class="", topic="news", is_ours=False)])
    assert not await lists.is_unsubscribed("shop", "news", "ada@example.org")


# ── cost of the check ──


async def test_thousand_recipients_cost_at_most_one_query(place: Place, lists: Suppressions) -> None:
    await lists.add(lists.made("n7@example.org", "bounced", "shop"))
    people = [f"n{number}@example.org" for number in range(1000)]
    assert [number for number, reason in enumerate(await among(lists, *people)) if reason] == [7]
    for seconds, queries in ((0, 0), (29, 0), (1, 1), (30, 1), (5, 0)):
        place.time.move(seconds)
        place.tables.calls.clear()
        await among(lists, *people)
        assert place.tables.calls["query"] == queries
        assert set(place.tables.calls) <= {"query"}


async def test_concurrent_checks_read_once(place: Place, lists: Suppressions) -> None:
    import asyncio

    place.tables.calls.clear()
    await asyncio.gather(*(among(lists, "a@b.example") for _ in range(50)))
    assert place.tables.calls["query"] == 2


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


# ── scopes and expiry ──


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


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Ada@EXAMPLE.org", "ada@example.ORG"),
        ("ada@müller.example", "ada@xn--mller-kva.example"),
        (" a@b.example", "a@b.example"),
    ],
)
def test_spellings_of_an_address_have_one_key(first: str, second: str) -> None:
    assert key_of(first) == key_of(second)


@given(st.text())
def test_any_text_has_a_key(text: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", key_of(text))


# ── events ──


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (noted(), "bounced"),
        (noted(bounce_class="mailbox"), ""),
        (noted(bounce_class="policy"), ""),
        (noted("complained", bounce_class=""), "complained"),
        (noted("unsubscribed", bounce_class=""), "unsubscribed"),
        (noted("delivered", bounce_class=""), ""),
        (noted(is_ours=False), ""),
    ],
)
async def test_event_suppresses_with_its_reason(event: MessageEvent, reason: str) -> None:
    place = await place_of()
    await place.suppressions.follow([event])
    await place.suppressions.follow([event])
    assert await among(place.suppressions, "ada@example.org") == [reason]


def mailed(client: str = "shop", **fields: Any) -> MessageEvent:
    values = {"source": EventSource.MAIL, "is_sole_recipient": True, "client_id": client, **fields}
    return noted(**values)


async def reach(place: Place) -> list[str]:
    """Return for which clients the address is suppressed."""
    return [
        client for client in ("shop", "other", "third") if await among(place.suppressions, ADA, client=client) != [""]
    ]


ADA = "ada@example.org"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([noted()], ["shop", "other", "third"]),
        ([mailed(source=EventSource.CLIENT)], ["shop"]),
        ([mailed("shop", source=EventSource.CLIENT), mailed("other", source=EventSource.CLIENT)], ["shop", "other"]),
        ([mailed()], ["shop"]),
        ([mailed(), mailed()], ["shop"]),
        ([mailed("shop"), mailed("other")], ["shop", "other", "third"]),
        ([mailed("shop"), mailed("other", is_sole_recipient=False)], ["shop", "other"]),
        ([mailed("shop"), mailed("other", source=EventSource.CLIENT)], ["shop", "other"]),
        ([mailed("shop"), mailed("other", recipient="bob@example.org")], ["shop"]),
        ([mailed(kind="complained"), mailed("other", kind="complained")], ["shop", "other"]),
    ],
)
async def test_bounce_suppresses_for_all_clients_only_if_it_is_authenticated_or_confirmed(
    place: Place, events: list[MessageEvent], expected: list[str]
) -> None:
    for event in events:
        await place.suppressions.follow([event])
    assert await reach(place) == expected


async def test_report_that_is_older_than_the_suppression_confirms_nothing(place: Place) -> None:
    await place.suppressions.follow([mailed("shop")])
    place.time.move(SUPPRESSION_RULES["bounced"].days * DAY)
    await place.suppressions.purge()
    await place.suppressions.follow([mailed("other")])
    assert await reach(place) == ["other"]


async def test_interrupted_confirmation_is_completed_by_a_repetition(place: Place) -> None:
    await place.suppressions.follow([mailed("shop")])
    place.tables.fail("insert", None, Unavailable("away"))
    place.tables.fail("merge", None)
    with pytest.raises(Unavailable):
        await another(place).follow([mailed("other"), mailed("other", recipient="bob@example.org")])
    await place.suppressions.follow([mailed("other")])
    assert await reach(place) == ["shop", "other", "third"]


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


def test_documentation_lists_every_reason_and_its_rule() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+?) \| (all clients|the client) \| ([^|]+?) \|$", PAGE, flags=re.MULTILINE)
    documented = {reason: (meaning, scope == "all clients", period) for reason, meaning, scope, period in rows}
    assert documented == {
        reason: (REASONS[reason], rule.for_all, f"{rule.days} days" if rule.days else "no expiry")
        for reason, rule in SUPPRESSION_RULES.items()
    }


def test_suppression_without_an_expiry_is_never_over() -> None:
    assert not Suppression(email="a@b.example", reason="manual", scope=ALL, at=START).is_over(START)
