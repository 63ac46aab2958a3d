"""Exchange accepts with 202 and refuses by a report: accepted mail arrives once, waits or has bounced, and nothing is lost."""

from collections import Counter
from datetime import timedelta

from relay.core import ids
from relay.core.model import State
from relay.routes.hold_changes import REPORT_SECONDS
from standins.bounces import Bounce, bounce_message
from standins.entra import TokenIssuer
from standins.graph.limits import OutboundLimit
from standins.graph.origin import TRANSPORT
from standins.graph.server import GraphStandIn
from tests.api.graph_tenant import AUTHORITY, MAILBOX, OTHER_MAILBOX, OTHER_TENANT, tenant

LIMIT = 5
NO_LIMIT = OutboundLimit(1_000)
DAY = 86_400.0
ALONE = [f"ada-{number}@example.org" for number in range(8)]
PAIRS = [[f"bob-{number}@example.org", f"eve-{number}@example.org"] for number in range(2)]
EVERYONE = {*ALONE, *(address for pair in PAIRS for address in pair)}


async def test_accepted_mail_is_delivered_bounced_or_waiting_and_nobody_gets_it_twice() -> None:
    async with tenant(limit=OutboundLimit(LIMIT)) as here:
        await here.send_all([*ALONE, *PAIRS])
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
    async with tenant("backup", limit=OutboundLimit(LIMIT)) as here:
        await here.send_all([*ALONE, *PAIRS])
        await here.minutes(3)
        captured = (await here.relay.call("GET", "/v1/inbox")).json["value"]
        got = here.delivered() + Counter(address for mail in captured for address in mail["to"])
        assert got == Counter(EVERYONE)
        assert set((await here.recipients()).values()) == {"sent"}
        assert (await here.route())["state"] == "held"


async def test_mail_that_looks_like_a_report_holds_nothing() -> None:
    """A recipient has the Message-ID, and can write everything else into a mail."""
    async with tenant(limit=OutboundLimit(LIMIT)) as here:
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


async def test_report_of_another_tenant_is_about_the_recipient_only() -> None:
    """Both tenants' mailboxes are read. In its own one a tenant's administrator can make what looks like Exchange's report."""
    issuer = TokenIssuer(tenant=OTHER_TENANT)
    refused = Bounce(address="ada@example.org", status="5.7.233", diagnostic="550 5.7.233 tenant exceeded its limit")
    async with GraphStandIn(authority=AUTHORITY, issuer=issuer) as other, tenant(limit=NO_LIMIT, other=other) as here:
        other.clock = here.relay.clock
        name = await here.relay.send(to=refused.address)
        await here.relay.deliver()
        [mail] = here.graph.inbox.messages
        report = bounce_message(mail, [refused], here.relay.clock(), "exchange")
        other.deliver(OTHER_MAILBOX, report, TRANSPORT)
        await here.minutes(2)
        status = await here.relay.status(name)
        assert (status["recipients"][0]["state"], (await here.route())["state"]) == ("bounced", "active")
        here.graph.deliver(MAILBOX, report, TRANSPORT)
        await here.minutes(2)
        assert (await here.route())["state"] == "held"
        assert (await here.relay.status(name))["recipients"][0]["state"] == "held"
