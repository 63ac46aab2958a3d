"""The stand-in's message trace keeps the bounds: delay, window, `$top`, pages, permission, service principal, rate limit."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from standins.graph.server import GraphStandIn
from standins.graph.trace import PERMISSION, ROOT, SERVICE_PRINCIPAL
from standins.tls import Authority
from tests.standins.graph_client import GraphClient, Reply, message

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def graph(authority: Authority) -> AsyncIterator[GraphStandIn]:
    async with GraphStandIn(authority=authority, clock=Clock()) as standin:
        yield standin


@pytest.fixture
def client(https: aiohttp.ClientSession, graph: GraphStandIn) -> GraphClient:
    return GraphClient(https, graph)


async def read(client: GraphClient, graph: GraphStandIn, query: str = "") -> Reply:
    return await client.call("GET", f"{graph.url}{ROOT}{query}")


def between(since: datetime, until: datetime) -> str:
    return f"?$filter=receivedDateTime ge {since:%Y-%m-%dT%H:%M:%SZ} and receivedDateTime le {until:%Y-%m-%dT%H:%M:%SZ}"


def recipients(reply: Reply) -> list[str]:
    return [row["recipientAddress"] for row in reply.json["value"]]


async def test_mail_appears_after_the_delay(graph: GraphStandIn, client: GraphClient) -> None:
    graph.trace.delay = timedelta(minutes=7)
    await client.send(message())
    assert recipients(await read(client, graph)) == []
    graph.clock.now += timedelta(minutes=7)  # type: ignore[attr-defined]  # the clock above
    assert sorted(recipients(await read(client, graph))) == ["ada@example.org", "bob@example.org"]


async def test_list_is_expanded_to_its_members(graph: GraphStandIn, client: GraphClient) -> None:
    graph.trace.members["ada@example.org"] = ("one@example.org", "two@example.org")
    await client.send(message())
    rows = {row["recipientAddress"]: row["status"] for row in (await read(client, graph)).json["value"]}
    assert rows == {
        "ada@example.org": "expanded",
        "one@example.org": "delivered",
        "two@example.org": "delivered",
        "bob@example.org": "delivered",
    }


async def test_pages_hold_as_many_rows_as_asked(graph: GraphStandIn, client: GraphClient) -> None:
    await client.send(message())
    first = await read(client, graph, "?$top=1")
    second = await client.call("GET", first.json["@odata.nextLink"])
    assert sorted(recipients(first) + recipients(second)) == ["ada@example.org", "bob@example.org"]
    assert "@odata.nextLink" not in second.json


@pytest.mark.parametrize(
    "query",
    [
        "?$top=0",
        "?$top=5001",
        f"?$filter=receivedDateTime ge {NOW:%Y-%m-%dT%H:%M:%SZ}",
        between(NOW - timedelta(days=11), NOW),
        between(NOW - timedelta(days=91), NOW - timedelta(days=90)),
        "?$filter=receivedDateTime ge yesterday and receivedDateTime le today",
    ],
)
async def test_query_beyond_the_bounds_is_400(graph: GraphStandIn, client: GraphClient, query: str) -> None:
    assert (await read(client, graph, query)).status == 400


async def test_missing_service_principal_is_401_with_its_id(graph: GraphStandIn, client: GraphClient) -> None:
    graph.trace.has_service_principal = False
    reply = await read(client, graph)
    assert (reply.status, reply.code) == (401, "Unauthorized")
    assert SERVICE_PRINCIPAL in reply.json["error"]["message"]


async def test_missing_permission_is_403(graph: GraphStandIn, client: GraphClient) -> None:
    graph.permissions.discard(PERMISSION)
    assert (await read(client, graph)).status == 403


async def test_request_after_100_in_5_minutes_is_429_with_the_wait(graph: GraphStandIn, client: GraphClient) -> None:
    for _ in range(100):
        graph.trace.limiter.take(graph.clock())
    reply = await read(client, graph)
    assert (reply.status, reply.headers["Retry-After"]) == (429, "300")
    graph.clock.now += timedelta(seconds=300)  # type: ignore[attr-defined]  # the clock above
    assert (await read(client, graph)).status == 200


async def test_details_are_of_one_recipient(graph: GraphStandIn, client: GraphClient) -> None:
    graph.trace.statuses["bob@example.org"] = "failed"
    await client.send(message())
    name = (await read(client, graph)).json["value"][0]["id"]

    async def events(recipient: str) -> list[Any]:
        path = f"{graph.url}{ROOT}/{name}/getDetailsByRecipient(recipientAddress='{recipient}')"
        return [event["event"] for event in (await client.call("GET", path)).json["value"]]

    assert await events("ada@example.org") == ["Receive", "Deliver"]
    assert await events("bob@example.org") == ["Receive", "Fail"]
    assert await events("eve@example.org") == []
    wrong = await client.call("GET", f"{graph.url}{ROOT}/{name}/getDetails(recipientAddress='x')")
    assert wrong.status == 400
