"""Bounces: reports of different systems, and the delta queries of an Inbox that find them."""

from collections.abc import AsyncIterator
from email import message_from_bytes, message_from_string
from email.message import Message
from typing import Any

import aiohttp
import pytest

from standins.bounces import FLAVORS, Bounce, bounce_message
from standins.graph.server import GraphStandIn
from standins.http import utc_now
from standins.tls import Authority
from tests.standins.graph_client import SENDER, GraphClient, message


@pytest.fixture
async def graph(authority: Authority) -> AsyncIterator[GraphStandIn]:
    async with GraphStandIn(authority=authority) as standin:
        yield standin


@pytest.fixture
def client(https: aiohttp.ClientSession, graph: GraphStandIn) -> GraphClient:
    return GraphClient(https, graph)


async def delta(client: GraphClient, link: str) -> tuple[list[dict[str, Any]], str]:
    """Return all pages of a delta query and the link for the next one."""
    found: list[dict[str, Any]] = []
    while True:
        page = (await client.call("GET", link, Prefer="odata.maxpagesize=2")).json
        found += page["value"]
        if "@odata.deltaLink" in page:
            return found, page["@odata.deltaLink"]
        link = page["@odata.nextLink"]


def parts(message: Message) -> list[Message]:
    return [part for part in message.get_payload() if isinstance(part, Message)]


async def test_delta_query_returns_changes_since_the_last_one(graph: GraphStandIn, client: GraphClient) -> None:
    first, link = await delta(client, "/mailFolders/inbox/messages/delta?$select=subject")
    assert first == []
    for number in range(5):
        graph.deliver(SENDER, f"Subject: {number}\r\n\r\n".encode())
    second, link = await delta(client, link)
    assert [item["subject"] for item in second] == ["0", "1", "2", "3", "4"]
    assert set(second[0]) == {"id", "@odata.etag", "subject"}
    assert (await client.call("DELETE", f"/messages/{second[0]['id']}")).status == 204
    third, link = await delta(client, link)
    assert third == [{"id": second[0]["id"], "@removed": {"reason": "deleted"}}]
    assert (await delta(client, link))[0] == []


async def test_unknown_delta_token_is_410(client: GraphClient) -> None:
    reply = await client.call("GET", "/mailFolders/inbox/messages/delta?$deltatoken=99")
    assert (reply.status, reply.code) == (410, "SyncStateNotFound")


@pytest.mark.parametrize("flavor", FLAVORS)
async def test_bounce_is_a_delivery_status_report_about_the_mail(
    graph: GraphStandIn, client: GraphClient, flavor: str
) -> None:
    await client.send(message(internetMessageId="<m1@relay>"))
    (sent,) = graph.inbox.messages
    graph.bounce(
        sent,
        Bounce(address="ada@example.org", status="5.1.10", diagnostic="550 5.1.10 not found"),
        Bounce(address="bob@example.org", status="4.4.7", action="delayed", original="bobby@example.org"),
        flavor=flavor,
    )
    ((found,), _) = await delta(client, "/mailFolders/inbox/messages/delta")
    report = message_from_string((await client.call("GET", f"/messages/{found['id']}/$value")).text)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert (report["Auto-Submitted"], report["In-Reply-To"]) == ("auto-replied", "<m1@relay>")
    _, status, returned = parts(report)
    _, ada, bob = parts(status)
    assert ada["Final-Recipient"].replace(" ", "") == "rfc822;ada@example.org"
    assert (ada["Action"], ada["Status"]) == ("failed", "5.1.10")
    assert ada["Diagnostic-Code"].endswith("550 5.1.10 not found")
    assert (bob["Action"], bob["Status"]) == ("delayed", "4.4.7")
    assert bob["Original-Recipient"].replace(" ", "") == "rfc822;bobby@example.org"
    assert "X-Relay-Id: m1" in returned.as_string()


async def test_report_about_a_non_ascii_message_is_ascii(graph: GraphStandIn, client: GraphClient) -> None:
    await client.send(message())
    (sent,) = graph.inbox.messages
    raw = bounce_message(sent, [Bounce(address="ada@example.org")], utc_now(), "exchange")
    assert raw.isascii()
    assert message_from_bytes(raw)["Subject"].startswith("=?utf-8?")


async def test_control_route_creates_bounces(graph: GraphStandIn, client: GraphClient) -> None:
    await client.send(message())
    order = {"relay_id": "m1", "recipient": "ada@example.org", "flavor": "postfix"}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{graph.control_url}/__standin__/bounce", json=order) as reply:
            assert await reply.json() == {"reports": 1}
        async with http.get(f"{graph.control_url}/__standin__/mailboxes") as reply:
            assert await reply.json() == {SENDER: {"peak": 1, "drafts": 0, "sentitems": 1, "inbox": 1}}
