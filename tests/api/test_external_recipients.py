"""With a budget for external recipients the tenant never refuses by a report, and all mail is delivered."""

from collections import Counter
from typing import Any

from relay.clients.keys import Role
from standins.graph.limits import OutboundLimit
from tests.api.graph_tenant import MAILBOX, Tenant, tenant

LIMIT = 20
INSIDE = [f"ann-{number}@contoso.com" for number in range(3)]
OUTSIDE = [f"ada-{number}@example.org" for number in range(26)]
MIXED = ["bob@contoso.com", "eve@example.org"]
EVERYONE = Counter([*INSIDE, *OUTSIDE, *MIXED])
BUDGET = {"per_tenant": LIMIT, "internal_domains": ["contoso.com"]}
SETTINGS: dict[str, Any] = {"external_recipients": BUDGET, "paces": []}


def limit() -> OutboundLimit:
    return OutboundLimit(LIMIT, internal=["contoso.com"])


def refused(here: Tenant) -> int:
    return sum(mail.outcome == "refused" for mail in here.graph.inbox.messages)


async def test_mail_above_the_budget_takes_the_next_route() -> None:
    async with tenant("backup", limit=limit(), **SETTINGS) as here:
        await here.send_all([*OUTSIDE, MIXED, *INSIDE])
        await here.minutes(2)
        captured = (await here.relay.call("GET", "/v1/inbox")).json["value"]
        elsewhere = Counter(address for mail in captured for address in mail["to"])
        assert here.delivered() + elsewhere == EVERYONE
        assert elsewhere.keys().isdisjoint({*INSIDE, MIXED[0]})
        assert (refused(here), set((await here.recipients()).values())) == (0, {"sent"})
        assert (await here.route())["state"] == "active"


async def test_mail_above_the_budget_waits_and_is_delivered_when_the_window_has_rolled() -> None:
    async with tenant(limit=limit(), **SETTINGS) as here:
        await here.send_all([*OUTSIDE, MIXED, *INSIDE])
        await here.minutes(2)
        waits = {address for address, state in (await here.recipients()).items() if state == "deferred"}
        assert 0 < len(waits) <= 27 - 16
        assert waits.isdisjoint({*INSIDE, MIXED[0]})
        [budget] = await here.budgets()
        assert (budget["scope"], budget["limit"], budget["used"] + budget["left"]) == ("tenant", LIMIT, LIMIT)
        assert budget["used"] == 27 - len(waits)
        assert budget["opens_at"] > here.relay.clock().isoformat()
        for _ in range(30):
            await here.relay.pass_time(3_600)
            await here.minutes(1)
        assert here.delivered() == EVERYONE
        assert refused(here) == 0
        assert set((await here.recipients()).values()) == {"sent"}
        assert (await here.relay.call("GET", "/v1/deadletters", client="boss")).json["value"] == []


async def test_viewer_sees_no_mailbox_of_a_budget() -> None:
    budget = {**BUDGET, "per_mailbox": 5}
    async with tenant(limit=limit(), external_recipients=budget) as here:
        await here.relay.add_client("ward", role=Role.VIEWER)
        await here.send_all(OUTSIDE[:2])
        shown = {
            who: [(each["scope"], each["name"], each["left"]) for each in await here.budgets(who)]
            for who in ("boss", "ward")
        }
        assert shown["boss"] == [("tenant", "", LIMIT - 2), ("mailbox", MAILBOX, 3)]
        assert shown["ward"] == shown["boss"][:1]
