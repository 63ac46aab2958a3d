"""A relay with a route to the Graph stand-in, on the relay's clock: a tenant that accepts with 202 and refuses by a report."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from relay.platform.resources import EVENTS_QUEUE
from standins.entra import DEFAULT_CLIENT, DEFAULT_SECRET, DEFAULT_TENANT, TokenIssuer
from standins.graph.limits import OutboundLimit
from standins.graph.server import GraphStandIn
from standins.tls import Authority
from tests.api.harness import Harness
from tests.http_clients import trust

AUTHORITY = Authority()
MAILBOX, OTHER_MAILBOX = "orders@example.com", "bounces@fabrikam.example"
OTHER_TENANT = "22222222-3333-4444-5555-666666666666"


class Tenant:
    """A relay with a route to a tenant that refuses by report what exceeds its limit, and its mailbox."""

    def __init__(self, relay: Harness, graph: GraphStandIn) -> None:
        self.relay = relay
        self.graph = graph
        self.names: list[str] = []

    async def send_all(self, to: Sequence[Sequence[str] | str]) -> None:
        """Send a message to each of these."""
        self.names += [await self.relay.send(to=each) for each in to]
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

    async def route(self, client: str = "boss") -> Any:
        """Return the tenant's route as an operator or another client sees it."""
        value = (await self.relay.call("GET", "/v1/routes", client=client)).json["value"]
        return next(each for each in value if each["name"] == "graph")

    async def budgets(self, client: str = "boss") -> Any:
        """Return the budgets of the tenant's route."""
        return (await self.route(client))["budgets"]


@asynccontextmanager
async def tenant(
    *backups: str, limit: OutboundLimit, other: GraphStandIn | None = None, **settings: Any
) -> AsyncIterator[Tenant]:
    """Start a relay whose rule names the tenant's route and then the backups. `settings` are the route's.

    `other` is another tenant, which no rule sends by, and whose mailbox is read too.
    """
    async with GraphStandIn(authority=AUTHORITY, issuer=TokenIssuer()) as graph:
        route = {
            "provider": "graph",
            "tenant_id": DEFAULT_TENANT,
            "client_id": DEFAULT_CLIENT,
            "client_secret": "setting:CLIENT_SECRET",
            "authority": graph.url,
            "base_url": graph.url,
            **settings,
        }
        routes = {"graph": route, **{name: {"provider": "capture"} for name in backups}}
        mailboxes = [{"route": "graph", "mailbox": MAILBOX}]
        if other is not None:
            routes["other"] = {**route, "tenant_id": OTHER_TENANT, "authority": other.url, "base_url": other.url}
            mailboxes.append({"route": "other", "mailbox": OTHER_MAILBOX})
        environment = {
            "RELAY_ROUTES": json.dumps(routes),
            "RELAY_ROUTING": json.dumps([{"routes": ["graph", *backups]}]),
            "RELAY_BOUNCE_MAILBOXES": json.dumps(mailboxes),
            "CLIENT_SECRET": DEFAULT_SECRET,
        }
        relay = await Harness(environment).start()
        graph.clock = relay.clock
        graph.limit = limit
        trust(relay.relay, AUTHORITY)
        yield Tenant(relay, graph)
        await relay.relay.close()
