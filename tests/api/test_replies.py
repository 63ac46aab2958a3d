"""A recipient answers: over HTTP from Exchange's mailbox to the message, its webhook, and its erasure."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from relay.core.errors import Unavailable
from relay.events.answers import bounds
from relay.events.webhooks import payload
from relay.platform.resources import EVENTS_QUEUE
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, TokenIssuer
from standins.graph.server import GraphStandIn
from standins.tls import Authority
from tests.api.harness import Harness
from tests.http_clients import trust

AUTHORITY = Authority()
MAILBOX = "orders@example.com"
AWAY = "Auto-Submitted: auto-replied\r\n"


class Exchange:
    """A relay that sends by Graph and reads the replies in a mailbox of it."""

    def __init__(self, relay: Harness, graph: GraphStandIn) -> None:
        self.relay = relay
        self.graph = graph

    async def sent(self) -> str:
        """Send a message; its id."""
        name = await self.relay.send(to=["ada@example.org", "bob@example.org"])
        await self.relay.deliver()
        return name

    def answer(self, name: str, text: str, *, sender: str = "ada@example.org", number: int = 1, more: str = "") -> None:
        """Let somebody answer a message."""
        raw = (
            f"From: {sender}\r\nSubject: Re: Order\r\nMessage-ID: <{number}@example.org>\r\n"
            f"In-Reply-To: <{name}@example.com>\r\n{more}\r\n{text}"
        )
        self.graph.deliver(MAILBOX, raw.encode())

    async def read(self) -> None:
        """Run the timer, and the function of the queue."""
        await self.relay.relay.mailboxes.read()
        await self.apply()

    async def apply(self) -> None:
        """Apply what is on the queue."""
        while entries := await self.relay.memory.queues.receive(EVENTS_QUEUE, limit=32):
            for entry in entries:
                await self.relay.relay.events.apply(entry.body, is_redelivery=entry.dequeue_count > 1)
                await self.relay.memory.queues.delete(EVENTS_QUEUE, entry)

    async def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a message, as its client sees them."""
        return list((await self.relay.status(name)).get("events", []))

    def posts(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the bodies that will be posted, by id."""
        entries = [payload.decode(body) for body in self.relay.memory.queues.bodies(payload.QUEUE)]
        return {post.id: msgspec.json.decode(post.body) for entry in entries for post in entry.posts}


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with GraphStandIn(authority=AUTHORITY, issuer=TokenIssuer()) as graph:
        route = {
            "provider": "graph",
            "tenant_id": DEFAULT_TENANT,
            "client_id": DEFAULT_CLIENT,
            "client_secret": "setting:CLIENT_SECRET",
            "authority": graph.url,
            "base_url": graph.url,
        }
        mailbox = {"route": "graph", "mailbox": MAILBOX, "replies": True}
        settings = {
            "RELAY_ROUTES": json.dumps({"graph": route}),
            "RELAY_BOUNCE_MAILBOXES": json.dumps([mailbox]),
            "CLIENT_SECRET": DEFAULT_SECRET,
        }
        relay = await Harness(settings).start()
        graph.clock = relay.clock
        trust(relay.relay, AUTHORITY)
        yield Exchange(relay, graph)
        await relay.relay.close()


async def test_reply_is_an_event_and_a_post_and_changes_no_state(exchange: Exchange) -> None:
    name = await exchange.sent()
    before = await exchange.relay.status(name)
    hook = {"url": "https://shop.example/hook", "events": ["replied", "auto_replied"]}
    assert (await exchange.relay.call("POST", "/v1/webhooks", json=hook)).status == 201
    exchange.answer(name, "Yes.\r\n\r\nOn 3/2/26 9:14 AM, Relay wrote:\r\n> Does it?")
    exchange.answer(name, "Until March 9.", sender="eve@example.net", number=2, more=AWAY)
    await exchange.read()

    away, replied = sorted(await exchange.events(name), key=lambda event: event["kind"])
    assert (replied["kind"], replied["recipient"], replied["provider"]) == ("replied", "ada@example.org", "report")
    assert replied["answer"] == {
        "from": "ada@example.org",
        "subject": "Re: Order",
        "message_id": "<1@example.org>",
        "text": "Yes.",
    }
    assert (away["kind"], away["answer"]["from"], away.get("recipient")) == ("auto_replied", "eve@example.net", None)
    posts = {post["type"]: post["data"] for post in exchange.posts().values()}
    assert posts["message.replied"]["answer"] == replied["answer"]
    assert posts["message.auto_replied"]["answer"]["from"] == "eve@example.net"
    after = await exchange.relay.status(name)
    assert after["recipients"] == before["recipients"]
    assert after["state"] == "sent"
    assert (await exchange.relay.call("GET", "/v1/suppressions")).json["value"] == []
    assert len(exchange.graph.inbox.messages) == 1


async def test_same_mail_is_one_event_however_often_it_comes(exchange: Exchange) -> None:
    """Read again after a lost cursor, delivered to two mailboxes, delivered again by the queue."""
    name = await exchange.sent()
    assert (await exchange.relay.call("POST", "/v1/webhooks", json={"url": "https://shop.example/hook"})).status == 201
    for _ in range(2):
        exchange.answer(name, "Yes.")
    await exchange.read()
    first = exchange.posts()
    exchange.answer(name, "Yes.")
    await exchange.relay.relay.mailboxes.read()
    [entry] = exchange.relay.memory.queues.bodies(EVENTS_QUEUE)
    await exchange.relay.relay.events.apply(entry, is_redelivery=True)
    await exchange.apply()
    assert [event["kind"] for event in await exchange.events(name)] == ["replied"]
    assert exchange.posts() == first
    assert len(first) == 1


async def test_flood_of_replies_is_bounded_and_makes_no_more_posts(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_ANSWERS", 3)
    name = await exchange.sent()
    assert (await exchange.relay.call("POST", "/v1/webhooks", json={"url": "https://shop.example/hook"})).status == 201
    for number in range(8):
        exchange.answer(name, "Away.", number=number, more=AWAY)
        await exchange.read()
    assert len(await exchange.events(name)) == 3
    assert len(exchange.posts()) == 3


async def test_reply_that_names_a_forged_id_is_dropped(exchange: Exchange) -> None:
    name = await exchange.sent()
    exchange.answer(name[:-4] + ("0000" if name[-4:] != "0000" else "1111"), "Yes.")
    await exchange.read()
    assert await exchange.events(name) == []


async def test_mail_of_relay_that_comes_back_is_no_reply(exchange: Exchange) -> None:
    """A mailbox that Relay sends to and reads must not answer itself for ever."""
    name = await exchange.sent()
    exchange.answer(name, "An update.", more=f"X-Relay-Id: {name}\r\n")
    await exchange.read()
    assert await exchange.events(name) == []


async def test_erasing_the_message_erases_its_replies(exchange: Exchange) -> None:
    name = await exchange.sent()
    exchange.answer(name, "A secret.")
    await exchange.read()
    erased = await exchange.relay.call("POST", "/v1/erase", json={"recipient": "ada@example.org"}, client="boss")
    assert erased.json["erased"] == 1
    shown = await exchange.relay.call("GET", f"/v1/messages/{name}")
    assert "secret" not in json.dumps(shown.json)
    exchange.answer(name, "Another secret.", number=2)
    await exchange.read()
    assert await exchange.events(name) == []


class Dying:
    """Lets one storage operation of those that are counted fail, before or after it took effect."""

    def __init__(self, relay: Harness) -> None:
        self.calls = 0
        self.number: int | None = None
        self.loses = False
        for port, methods in (
            (relay.memory.tables, ("get", "query", "upsert", "insert", "merge", "merge_with")),
            (relay.memory.queues, ("put",)),
        ):
            for method in methods:
                port.__dict__[method] = self._watched(getattr(port, method))

    def _watched(self, real: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            is_hit = self.calls == self.number
            self.calls += 1
            if is_hit and not self.loses:
                raise Unavailable("away")
            found = await real(*args, **options)
            if is_hit:
                raise Unavailable("the response was lost")
            return found

        return call


@pytest.mark.parametrize("loses", [False, True], ids=["before", "after"])
async def test_reply_is_recorded_and_posted_once_wherever_the_process_dies(exchange: Exchange, *, loses: bool) -> None:
    """Die at each storage operation of a run, then run again."""
    assert (await exchange.relay.call("POST", "/v1/webhooks", json={"url": "https://shop.example/hook"})).status == 201
    dying = Dying(exchange.relay)
    dying.loses = loses
    number = 0
    while True:
        name = await exchange.sent()
        exchange.answer(name, "Yes.", number=number)
        dying.calls, dying.number = 0, number
        for _ in range(3):
            # The queue returns what was not finished.
            exchange.relay.clock.move(600)
            with suppress(Unavailable):
                await exchange.read()
        was_hit, dying.number = dying.calls > number, None
        assert [event["kind"] for event in await exchange.events(name)] == ["replied"], number
        mine = [post for post in exchange.posts().values() if post["data"]["message"] == name]
        assert [post["data"]["answer"]["text"] for post in mine] == ["Yes."], number
        number += 1
        if not was_hit:
            break
    assert number > 8
