"""Events that suppress: with which reason, and for which clients."""

from datetime import timedelta
from typing import Any

import pytest

from relay.clients.suppressions.event_rules import EventRules
from relay.clients.suppressions.rows import topic_scope
from relay.core.errors import Unavailable
from relay.core.events import EventSource, MessageEvent, RecordedEvent
from relay.core.settings import SUPPRESSION_RULES
from tests.doubles import START, Place, place_of
from tests.unit.clients.suppressions.kit import DAY, among, another

ADA = "ada@example.org"


def noted(kind: str = "bounced", **fields: Any) -> MessageEvent:
    values = {"bounce_class": "address", "recipient": "ada@example.org", **fields}
    about = {
        name: values.pop(name) for name in ("source", "client_id", "is_ours", "is_sole_recipient") if name in values
    }
    about = {"is_ours": True, "source": EventSource.PROVIDER, "client_id": "shop", **about}
    event = RecordedEvent(index=0, kind=kind, at=START, key="k", provider="sendgrid", **values)
    return MessageEvent(event=event, message="msg_x", client="shop", **about)


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_event_about_a_topic_counts_only_if_nothing_newer_is_known(place: Place, hours: int) -> None:
    lists = place.suppressions
    scope = topic_scope("shop", "news")
    await lists.resubscribe(scope, "ada@example.org", START + timedelta(hours=hours))
    await place.suppression_events.follow([noted("unsubscribed", bounce_class="", topic="news")])
    assert await lists.is_unsubscribed("shop", "news", "ada@example.org") is (hours < 0)
    await place.suppression_events.follow([noted("resubscribed", bounce_class="", topic="news")])
    assert not await place.suppressions.is_unsubscribed("shop", "news", "ada@example.org")


async def test_event_about_a_foreign_recipient_changes_no_topic(place: Place) -> None:
    await place.suppression_events.follow([noted("unsubscribed", bounce_class="", topic="news", is_ours=False)])
    assert not await place.suppressions.is_unsubscribed("shop", "news", "ada@example.org")


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
    await place.suppression_events.follow([event])
    await place.suppression_events.follow([event])
    assert await among(place.suppressions, "ada@example.org") == [reason]


def mailed(client: str = "shop", **fields: Any) -> MessageEvent:
    values = {"source": EventSource.MAIL, "is_sole_recipient": True, "client_id": client, **fields}
    return noted(**values)


async def reach(place: Place) -> list[str]:
    """Return for which clients the address is suppressed."""
    return [
        client for client in ("shop", "other", "third") if await among(place.suppressions, ADA, client=client) != [""]
    ]


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
        await place.suppression_events.follow([event])
    assert await reach(place) == expected


async def test_report_that_is_older_than_the_suppression_confirms_nothing(place: Place) -> None:
    await place.suppression_events.follow([mailed("shop")])
    place.time.move(SUPPRESSION_RULES["bounced"].days * DAY)
    await place.suppressions.purge()
    await place.suppression_events.follow([mailed("other")])
    assert await reach(place) == ["other"]


async def test_interrupted_confirmation_is_completed_by_a_repetition(place: Place) -> None:
    await place.suppression_events.follow([mailed("shop")])
    place.tables.fail("insert", None, Unavailable("away"))
    place.tables.fail("merge", None)
    with pytest.raises(Unavailable):
        await EventRules(place.storage.tables, another(place)).follow(
            [mailed("other"), mailed("other", recipient="bob@example.org")]
        )
    await place.suppression_events.follow([mailed("other")])
    assert await reach(place) == ["shop", "other", "third"]
