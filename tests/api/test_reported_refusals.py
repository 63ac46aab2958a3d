"""Exchange accepts with 202 and refuses by a report: accepted mail arrives once, waits or has bounced, and nothing is lost."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp

from relay.core import ids
from relay.core.model import State
from relay.platform.resources import EVENTS_QUEUE
from relay.routes.holds import REPORT_SECONDS
from standins.bounces import Bounce
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, TokenIssuer
from standins.graph.limits import OutboundLimit
from standins.graph.server import GraphStandIn
from standins.tls import Authority
from tests.api.harness import Harness

AUTHORITY = Authority()
MAILBOX = "orders@example.com"
LIMIT = 5
DAY = 86_400.0
ALONE = [f"ada-{number}@example.org" for number in range(8)]
PAIRS = [[f"bob-{number}@example.org", f"eve-{number}@example.org"] for number in range(2)]
EVERYONE = {*ALONE, *(address for pair in PAIRS for address in pair)}


class Tenant:
    """A relay with a route to a tenant whose limit is reached, and its mailbox."""

    def __init__(self, relay: Harness, graph: GraphStandIn) -> None:
        self.relay = relay
        self.graph = graph
        self.names: list[str] = []

    async def send_all(self) -> None:
        """Send a message to each address alone, and one to each pair."""
        self.names += [await self.relay.send(to=to) for to in (*ALONE, *PAIRS)]
        await self.relay.deliver()

    async def minutes(self, count: int) -> None:
        """Let minutes pass, each with its timers."""
        for _ in range(count):
            await self.relay.pass_time(60)
            await self.relay.relay.mailboxes.read()
            for entry in await self.relay.memory.queues.receive(EVENTS_QUEUE, limit=32):
                await self.relay.relay.events.apply(entry.body)
                await self.relay.memory.queues.delete(EVENTS_QUEUE, entry)

    def delivered(self) -> Counter[str]:
        """Count what each address got from the tenant."""
        mails = [mail for mail in self.graph.inbox.messages if mail.outcome == "delivered"]
        return Counter(address for mail in mails for address in mail.envelope)

    async def recipients(self) -> dict[str, str]:
        """Return the state of each recipient."""
        found = [await self.relay.status(name) for name in self.names]
        return {each["email"]: each["state"] for status in found for each in status["recipients"]}

    async def route(self) -> Any:
        """Return the tenant's route as an operator sees it."""
        value = (await self.relay.call("GET", "/v1/routes", client="boss")).json["value"]
        return next(each for each in value if each["name"] == "graph")


@asynccontextmanager
async def tenant(*backups: str) -> AsyncIterator[Tenant]:
    async with GraphStandIn(authority=AUTHORITY, issuer=TokenIssuer()) as graph:
        route = {
            "provider": "graph",
            "tenant_id": DEFAULT_TENANT,
            "client_id": DEFAULT_CLIENT,
            "client_secret": "setting:CLIENT_SECRET",
            "authority": graph.url,
            "base_url": graph.url,
        }
        routes = {"graph": route, **{name: {"provider": "capture"} for name in backups}}
        settings = {
            "RELAY_ROUTES": json.dumps(routes),
            "RELAY_ROUTING": json.dumps([{"routes": ["graph", *backups]}]),
            "RELAY_BOUNCE_MAILBOXES": json.dumps([{"route": "graph", "mailbox": MAILBOX}]),
            "CLIENT_SECRET": DEFAULT_SECRET,
        }
        relay = await Harness(settings).start()
        graph.clock = relay.clock
        graph.limit = OutboundLimit(LIMIT, timedelta(seconds=DAY))
        connector = aiohttp.TCPConnector(ssl=AUTHORITY.client_context())
        relay.relay.__dict__["_session"] = aiohttp.ClientSession(connector=connector)
        yield Tenant(relay, graph)
        await relay.relay.close()


async def test_accepted_mail_is_delivered_bounced_or_waiting_and_nobody_gets_it_twice() -> None:
    async with tenant() as here:
        await here.send_all()
        first = next(mail for mail in here.graph.inbox.messages if mail.outcome == "delivered")
        here.graph.bounce(first, Bounce(address=first.envelope[0], status="5.1.10"))
        await here.minutes(5)
        ends, route = await here.recipients(), await here.route()
        waits = {address for address, state in ends.items() if state == "held"}
        assert ends.keys() == EVERYONE
        assert set(ends.values()) == {"sent", "held", "bounced"}
        assert waits.isdisjoint(here.delivered())
        assert waits | here.delivered().keys() == EVERYONE
        [hold] = route["holds"]
        assert (route["state"], hold["code"], hold["reply"][:11]) == ("held", "credits_exhausted", "550 5.7.233")
        assert hold["next_probe_at"] > (here.relay.clock() + timedelta(hours=23)).isoformat()

        for _ in range(4):
            await here.relay.pass_time(DAY)
            await here.minutes(int(REPORT_SECONDS / 60) + 5)
        assert here.delivered() == Counter(EVERYONE)
        assert set((await here.recipients()).values()) == {"sent", "bounced"}
        assert (await here.relay.call("GET", "/v1/deadletters", client="boss")).json["value"] == []


async def test_next_route_takes_what_the_tenant_refuses() -> None:
    async with tenant("backup") as here:
        await here.send_all()
        await here.minutes(3)
        captured = (await here.relay.call("GET", "/v1/inbox")).json["value"]
        got = here.delivered() + Counter(address for mail in captured for address in mail["to"])
        assert got == Counter(EVERYONE)
        assert set((await here.recipients()).values()) == {"sent"}
        assert (await here.route())["state"] == "held"


async def test_mail_that_looks_like_a_report_holds_nothing() -> None:
    """A recipient has the Message-ID, and can write everything else into a mail."""
    async with tenant() as here:
        here.graph.limit = None
        name = await here.relay.send(to="ada@example.org")
        await here.relay.deliver()
        [mail] = here.graph.inbox.messages
        refused = Bounce(
            address="ada@example.org", status="5.7.233", diagnostic="550 5.7.233 tenant exceeded its limit"
        )
        forged = here.graph.bounce(mail, refused)
        assert forged.raw is not None
        here.graph.boxes[MAILBOX].remove(forged.id)
        here.graph.deliver(MAILBOX, forged.raw)
        await here.minutes(2)
        record = await here.relay.relay.journal.read(ids.parse(name).batch)
        assert record.statuses[0].state is State.SENT
        assert (await here.relay.status(name))["recipients"][0]["state"] == "bounced"
        assert (await here.route())["state"] == "active"
