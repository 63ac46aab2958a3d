"""Webhook deliveries: bodies, retries over a day, disabled subscriptions, crashes and outages."""

from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from relay.core import entries
from relay.core.errors import Unavailable, UnreadableEntry
from relay.core.events import EventKind
from relay.events.webhooks.delivery import DELAYS, Webhooks
from relay.events.webhooks.http_post import PostResult
from relay.events.webhooks.payload import QUEUE, Entry, Post, decode, encode, pack
from relay.events.webhooks.subscriptions import Definition, Format, Subscription
from tests.doubles import CLIENT, START, Place
from tests.unit.events.webhooks.receiving import (
    FAILED,
    GONE,
    SECRET,
    TAKEN,
    Receiver,
    add_clients,
    noted,
    subscribed,
    webhooks_of,
    work,
)

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture
def receiver(place: Place) -> Receiver:
    return Receiver(place)


@pytest_asyncio.fixture
async def webhooks(place: Place, receiver: Receiver) -> Webhooks:
    await add_clients(place)
    return webhooks_of(place, receiver, place.storage.queues, place.storage.tables)


async def outcomes(webhooks: Webhooks, subscription: Subscription) -> list[tuple[int, str, int]]:
    """Read the delivery log, oldest first."""
    found, _ = await webhooks.log(subscription)
    return [(each.attempt, each.outcome, each.status) for each in reversed(found)]


# ── bodies ──


async def test_standard_body_follows_standard_webhooks(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    await webhooks.follow([noted()])
    await work(place, webhooks)
    [(url, name, body, secrets)] = receiver.posted
    assert (url, secrets) == ("https://example.com/hook", [SECRET])
    assert name.startswith("evt_")
    assert body == {
        "type": "message.bounced",
        "timestamp": "2026-03-01T12:00:00.250000Z",
        "data": {
            "message": "msg_x",
            "recipient": "ada@example.org",
            "at": "2026-03-01T12:00:00.250000Z",
            "code": "5.1.1",
            "bounce_class": "address",
            "provider": "sendgrid",
            "attempt": 1,
            "tags": ["order"],
            "metadata": {"order": "4711"},
        },
    }


async def test_cloudevents_body_has_the_required_attributes(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    await subscribed(webhooks, format=Format.CLOUDEVENTS)
    await webhooks.follow([noted("delivered")])
    await work(place, webhooks)
    [(_, name, body, _)] = receiver.posted
    about = body.pop("data")
    assert body == {
        "specversion": "1.0",
        "id": name,
        "source": "https://relay.example",
        "type": "relay.message.delivered",
        "subject": "msg_x",
        "time": "2026-03-01T12:00:00.250000Z",
        "datacontenttype": "application/json",
    }
    assert about["recipient"] == "ada@example.org"


async def test_each_subscription_gets_its_event_kinds(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks, "wh_all", url="https://a.example/")
    await subscribed(webhooks, "wh_some", url="https://b.example/", events=(EventKind.DELIVERED,))
    await subscribed(webhooks, "wh_other", client="other", url="https://c.example/")
    await webhooks.follow([noted("bounced", key="1"), noted("delivered", key="2")])
    await work(place, webhooks)
    posted = sorted((url, body["type"]) for url, _, body, _ in receiver.posted)
    assert posted == [
        ("https://a.example/", "message.bounced"),
        ("https://a.example/", "message.delivered"),
        ("https://b.example/", "message.delivered"),
    ]
    assert len({name for _, name, _, _ in receiver.posted}) == 3


async def test_events_share_entries(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    await webhooks.follow([noted(key=str(number)) for number in range(120)])
    assert len(place.memory.queues.bodies(QUEUE)) == 3
    await work(place, webhooks)
    assert len({name for _, name, _, _ in receiver.posted}) == 120


async def test_client_without_subscriptions_gets_no_entry(place: Place, webhooks: Webhooks) -> None:
    await webhooks.follow([noted()])
    assert place.memory.queues.bodies(QUEUE) == []


async def test_same_event_has_the_same_id_and_body(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    for _ in range(2):
        await webhooks.follow([noted()])
    await work(place, webhooks)
    first, second = receiver.posted
    assert first == second


# ── the entry ──


def sample() -> Entry:
    posts = (
        Post(id="evt_1", body='{"type":"message.bounced","data":{"reply":"<Grüße> & 請求書"}}', message="msg_1"),
        Post(id="evt_2", body="{}"),
    )
    return Entry(relay=1, client="shop", client_id=CLIENT.id, webhook="wh_1", attempt=3, posts=posts)


def test_sample_entry_round_trips() -> None:
    kept = (SAMPLES / "webhooks-entry-1.json").read_bytes()
    assert encode(sample()) == kept.strip()
    assert decode(kept) == sample()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"relay":2,"client":"a","webhook":"b","attempt":1,"posts":[]}', b"\xff"]
)
def test_invalid_entry_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableEntry):
        decode(body)


@given(st.lists(st.text(max_size=5_000).map(lambda text: Post(id="evt", body=text)), max_size=80))
def test_packing_keeps_every_post_and_every_entry_fits(posts: list[Post]) -> None:
    made = Subscription(id="wh_1", client_id="shop", definition=Definition(url="u", secret="s", created_at=START))
    packed = list(pack("shop", made, posts))
    assert [post for body in packed for post in decode(body).posts] == posts
    assert all(entries.weight(body) <= entries.MAX_ENTRY_BYTES for body in packed)


# ── retries ──


async def test_failed_post_is_retried_for_a_day(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = FAILED
    await webhooks.follow([noted()])
    began = place.time()
    assert await work(place, webhooks) == 1
    for delay in DELAYS:
        place.time.move(delay - 1)
        assert await work(place, webhooks) == 0
        place.time.move(1)
        assert await work(place, webhooks) == 1
    assert timedelta(hours=20) < place.time() - began < timedelta(hours=24)
    assert len(receiver.posted) == len(DELAYS) + 1
    assert place.memory.queues.bodies(QUEUE) == []
    assert await outcomes(webhooks, subscription) == [
        *((attempt, "failed", 500) for attempt in range(1, 9)),
        (9, "exhausted", 500),
    ]


async def test_only_failed_posts_are_retried(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    await subscribed(webhooks)
    receiver.answers.extend([TAKEN, FAILED, TAKEN])
    await webhooks.follow([noted(key=str(number)) for number in range(3)])
    await work(place, webhooks)
    [body] = place.memory.queues.bodies(QUEUE)
    assert [post.id for post in decode(body).posts] == [receiver.posted[1][1]]
    place.time.move(DELAYS[0])
    await work(place, webhooks)
    assert len(receiver.posted) == 4


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("120", 120),
        ("2", 5),
        ("Sun, 01 Mar 2026 12:10:00 GMT", 600),
        ("99999999", 86_400),
        ("soon", 5),
        ("Sun, 01 Mar 99999999999999999999 12:00:00 GMT", 5),
    ],
)
async def test_retry_after_delays_the_retry(
    place: Place, webhooks: Webhooks, receiver: Receiver, wish: str, seconds: int
) -> None:
    await subscribed(webhooks)
    receiver.answers.append(PostResult(status=503, retry_after=wish))
    await webhooks.follow([noted()])
    await work(place, webhooks)
    place.time.move(seconds - 1)
    assert await work(place, webhooks) == 0
    place.time.move(1)
    assert await work(place, webhooks) == 1


async def test_subscription_without_success_for_a_day_is_disabled_and_logged(
    place: Place, webhooks: Webhooks, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = FAILED
    await webhooks.follow([noted()])
    for delay in (0, *DELAYS):
        place.time.move(delay)
        await work(place, webhooks)
    found = await webhooks.subscriptions.get("shop", subscription.id)
    assert (found.is_enabled, found.disabled_reason) == (False, "No delivery succeeded for a day.")
    assert found.disabled_at == place.time()
    assert 'webhook_disabled {"webhook":"wh_1","client":"shop"' in caplog.text
    await webhooks.follow([noted(key="later")])
    assert place.memory.queues.bodies(QUEUE) == []


async def test_subscription_with_a_success_in_between_stays_enabled(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = FAILED
    await webhooks.follow([noted()])
    for number, delay in enumerate((0, *DELAYS)):
        place.time.move(delay)
        if number == 8:
            receiver.answers.append(TAKEN)
            await webhooks.deliver(next(pack("shop", subscription, [Post(id="evt_other", body="{}")])))
        await work(place, webhooks)
    assert (await outcomes(webhooks, subscription))[-1] == (9, "exhausted", 500)
    assert (await webhooks.subscriptions.get("shop", subscription.id)).is_enabled


async def test_response_410_disables_at_once(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = GONE
    await webhooks.follow([noted()])
    await work(place, webhooks)
    assert place.memory.queues.bodies(QUEUE) == []
    found = await webhooks.subscriptions.get("shop", subscription.id)
    assert found.disabled_reason == "The receiver returned 410 Gone."
    assert await outcomes(webhooks, subscription) == [(1, "gone", 410)]


async def test_success_clears_failing_since(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    receiver.answers.extend([FAILED, TAKEN])
    await webhooks.follow([noted()])
    await work(place, webhooks)
    assert (await webhooks.subscriptions.get("shop", "wh_1")).failing_since == place.time()
    place.time.move(DELAYS[0])
    await work(place, webhooks)
    assert (await webhooks.subscriptions.get("shop", subscription.id)).failing_since is None


async def test_enabled_subscription_starts_without_failures(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    subscription = await subscribed(webhooks)
    await webhooks.subscriptions.disable(subscription, "Paused by its client.")
    await webhooks.follow([noted(key="1")])
    await webhooks.subscriptions.enable(subscription)
    await webhooks.follow([noted(key="2")])
    await work(place, webhooks)
    assert len(receiver.posted) == 1


# ── crashes and outages ──


async def test_crash_before_recording_posts_again_with_the_same_id(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    subscription = await subscribed(webhooks)
    [body] = pack("shop", subscription, [Post(id="evt_1", body="{}")])
    await webhooks.deliver(body)
    await webhooks.deliver(body)
    assert [name for _, name, _, _ in receiver.posted] == ["evt_1", "evt_1"]


async def test_entry_that_cannot_be_put_back_stays_with_the_host(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = FAILED
    [body] = pack("shop", subscription, [Post(id="evt_1", body="{}")])
    place.queues.fail("put", *(Unavailable("away") for _ in range(100)))
    with pytest.raises(Unavailable):
        await webhooks.deliver(body)


async def test_failed_enqueue_of_a_retry_puts_the_whole_entry_back(
    place: Place, webhooks: Webhooks, receiver: Receiver
) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = FAILED
    [body] = pack("shop", subscription, [Post(id="evt_1", body="{}")])
    place.queues.fail("put", Unavailable("away"))
    await webhooks.deliver(body)
    assert place.memory.queues.bodies(QUEUE) == [body]


async def test_unwritable_log_does_not_lose_posts(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    receiver.default = FAILED
    [body] = pack("shop", subscription, [Post(id="evt_1", body="{}")])
    place.tables.fail("upsert_all", Unavailable("away"))
    await webhooks.deliver(body)
    assert len(place.memory.queues.bodies(QUEUE)) == 1


async def test_outage_before_the_post_puts_the_entry_back(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    [body] = pack("shop", subscription, [Post(id="evt_1", body="{}")])
    place.tables.fail("query", Unavailable("away"))
    await webhooks.deliver(body)
    assert receiver.posted == []
    assert place.memory.queues.bodies(QUEUE) == [body]


async def test_deleted_subscription_gets_no_posts(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    await webhooks.follow([noted()])
    await webhooks.subscriptions.remove("shop", subscription.id)
    assert await work(place, webhooks) == 1
    assert receiver.posted == []


async def test_unreadable_entry_is_kept(place: Place, webhooks: Webhooks) -> None:
    await webhooks.deliver(b"{}")
    await webhooks.keep_poison(b"[]")
    kept, _ = await place.memory.blobs.list("unreadable")
    assert len(kept) == 2


# ── log and secrets ──


async def test_log_is_kept_for_a_week(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks)
    for number in range(3):
        await webhooks.follow([noted(key=str(number))])
        await work(place, webhooks)
        place.time.move(3 * 86_400)
    assert (await webhooks.purge()).done == 1
    assert len((await webhooks.log(subscription))[0]) == 2


async def test_log_pages_start_with_the_newest(place: Place, webhooks: Webhooks) -> None:
    subscription = await subscribed(webhooks)
    for number in range(5):
        await webhooks.follow([noted(key=str(number))])
        await work(place, webhooks)
        place.time.move(60)
    first, cursor = await webhooks.log(subscription, limit=3)
    rest, end = await webhooks.log(subscription, limit=3, cursor=cursor)
    times = [each.at for each in (*first, *rest)]
    assert (times, end) == (sorted(times, reverse=True), None)
    assert len(times) == 5


async def test_replaced_secret_signs_for_a_day(place: Place, webhooks: Webhooks, receiver: Receiver) -> None:
    subscription = await subscribed(webhooks, old_secret="whsec_b2xk", old_secret_until=START + timedelta(days=1))
    await webhooks.follow([noted(key="1")])
    await work(place, webhooks)
    place.time.move(86_400)
    await webhooks.follow([noted(key="2")])
    await work(place, webhooks)
    assert [secrets for _, _, _, secrets in receiver.posted] == [[SECRET, "whsec_b2xk"], [SECRET]]
    assert SECRET not in repr(subscription)
