"""Drafts in the Graph stand-in: attachments, upload sessions, sending, and searching sent mail."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from standins.graph.server import GraphStandIn
from standins.graph.uploads import MAX_RANGE_BYTES, MIN_BYTES
from standins.tls import Authority
from tests.doubles import Clock
from tests.standins.graph_client import SENDER, GraphClient, Reply, file, message, mime

IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
CHUNK = 320 * 1024 * 10


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def graph(authority: Authority, clock: Clock) -> AsyncIterator[GraphStandIn]:
    async with GraphStandIn(authority=authority, clock=clock) as standin:
        yield standin


@pytest.fixture
def client(https: aiohttp.ClientSession, graph: GraphStandIn) -> GraphClient:
    return GraphClient(https, graph)


async def draft_of(client: GraphClient, **headers: str) -> str:
    reply = await client.call("POST", "/messages", message(), **headers)
    assert (reply.status, reply.json["isDraft"]) == (201, True)
    return str(reply.json["id"])


async def session_for(client: GraphClient, draft: str, size: int, **changes: Any) -> Reply:
    item = {"attachmentType": "file", "name": "大.bin", "size": size, **changes}
    return await client.call("POST", f"/messages/{draft}/attachments/createUploadSession", {"AttachmentItem": item})


async def test_draft_with_small_and_large_attachments_is_sent_complete(
    graph: GraphStandIn, client: GraphClient
) -> None:
    draft = await draft_of(client)
    assert (await client.call("POST", f"/messages/{draft}/attachments", file(b"small"))).status == 201
    content = bytes(range(251)) * 40_000
    created = await session_for(client, draft, len(content), contentType="application/pdf")
    assert (created.status, created.json["nextExpectedRanges"]) == (201, ["0-"])
    url = created.json["uploadUrl"]
    for start in range(0, len(content), CHUNK):
        reply = await client.put(url, content[start : start + CHUNK], start, len(content))
    assert (reply.status, reply.text) == (201, "")
    assert "/Attachments(" in reply.headers["Location"]
    listed = (await client.call("GET", f"/messages/{draft}/attachments")).json["value"]
    assert [(item["name"], item["size"]) for item in listed] == [("図.png", 5), ("大.bin", len(content))]
    assert (await client.call("POST", f"/messages/{draft}/send")).status == 202
    (kept,) = graph.inbox.messages
    assert [item.content for item in kept.attachments] == [b"small", content]
    assert (graph.boxes[SENDER].folders["drafts"], len(graph.boxes[SENDER].folders["sentitems"])) == ([], 1)


async def test_upload_resumes_after_a_cut(graph: GraphStandIn, client: GraphClient, https: Any) -> None:
    draft, content = await draft_of(client), bytes(2 * CHUNK)
    url = (await session_for(client, draft, len(content))).json["uploadUrl"]
    assert (await client.put(url, content[:CHUNK], 0, len(content))).json["nextExpectedRanges"] == [str(CHUNK)]
    # Twice, because aiohttp repeats a PUT after a connection reset.
    graph.script.cut_before_body(operation="upload", times=2)
    with pytest.raises(aiohttp.ClientError):
        await client.put(url, content[CHUNK:], CHUNK, len(content))
    async with https.get(url) as reply:
        assert (await reply.json())["nextExpectedRanges"] == [str(CHUNK)]
    assert (await client.put(url, content[CHUNK:], CHUNK, len(content))).status == 201
    assert graph.boxes[SENDER].folders["drafts"][0].attachments[0].content == content


async def test_invalid_ranges_are_refused(client: GraphClient) -> None:
    draft, size = await draft_of(client), 3 * CHUNK
    url = (await session_for(client, draft, size)).json["uploadUrl"]
    assert (await client.put(url, bytes(CHUNK), CHUNK, size)).status == 416
    assert (await client.put(url, bytes(MAX_RANGE_BYTES + 1), 0, size)).status == 413
    assert (await client.put(url, bytes(CHUNK), 0, size + 1)).status == 400
    assert (await client.put(url, bytes(CHUNK), 0, size, Authorization="Bearer x")).status == 401
    assert (await client.put(url.replace("authtoken=", "authtoken=x"), bytes(CHUNK), 0, size)).status == 404
    assert (await client.put(url, bytes(CHUNK), 0, size)).status == 200
    assert (await client.put(url, bytes(CHUNK), 0, size)).status == 416


async def test_upload_session_has_size_limits_and_expires(
    graph: GraphStandIn, client: GraphClient, clock: Clock
) -> None:
    draft = await draft_of(client)
    assert (await session_for(client, draft, MIN_BYTES - 1)).code.startswith("ErrorAttachmentSizeShouldNotBeLess")
    assert (await session_for(client, draft, 151 * 1024 * 1024)).code == "ErrorAttachmentSizeLimitExceeded"
    large = await client.call("POST", f"/messages/{draft}/attachments", file(bytes(MIN_BYTES)))
    assert (large.status, graph.boxes[SENDER].folders["drafts"][0].attachments) == (413, ())
    url = (await session_for(client, draft, CHUNK)).json["uploadUrl"]
    clock.now += timedelta(days=1)
    assert (await client.put(url, bytes(CHUNK), 0, CHUNK)).status == 404


async def test_immutable_id_finds_the_mail_after_a_lost_response(graph: GraphStandIn, client: GraphClient) -> None:
    draft = await draft_of(client, **IMMUTABLE)
    graph.script.cut_after_accept(operation="send.draft")
    with pytest.raises(aiohttp.ClientError):
        await client.call("POST", f"/messages/{draft}/send")
    found = (await client.call("GET", f"/messages/{draft}?$select=isDraft,parentFolderId")).json
    assert (found["isDraft"], found["parentFolderId"]) == (False, "sentitems")
    assert (await client.call("POST", f"/messages/{draft}/send")).status == 404
    assert graph.inbox.accepted == 1


async def test_ordinary_id_is_unknown_after_sending(client: GraphClient) -> None:
    draft = await draft_of(client)
    assert (await client.call("POST", f"/messages/{draft}/send")).status == 202
    assert (await client.call("GET", f"/messages/{draft}")).code == "ErrorItemNotFound"


async def found_by(client: GraphClient, folder: str, expression: str) -> list[str]:
    path = f"/mailFolders/{folder}/messages?$select=subject&$filter={quote(expression)}"
    reply = await client.call("GET", path)
    assert reply.status == 200, reply.text
    return [item["subject"] for item in reply.json["value"]]


BY_HEADER = (
    "singleValueExtendedProperties/Any(ep: ep/id eq 'String {00020386-0000-0000-C000-000000000046} Name X-Relay-Id' "
    "and ep/value eq 'm1')"
)


async def test_sent_mail_is_found_by_message_id_header_and_time(client: GraphClient) -> None:
    body = mime(**{"Message-ID": "<o'hara@relay>"})
    assert (await client.call("POST", "/sendMail", body, Content_Type="text/plain")).status == 202
    await client.send(message(internetMessageHeaders=[]))
    assert await found_by(client, "SentItems", "internetMessageId eq '<o''hara@relay>'") == ["hi"]
    assert await found_by(client, "SentItems", "internetMessageId eq '<other@relay>'") == []
    assert await found_by(client, "sentitems", BY_HEADER) == ["hi"]
    assert await found_by(client, "sentitems", f"sentDateTime ge 2026-03-01T00:00:00Z and {BY_HEADER}") == ["hi"]
    assert await found_by(client, "sentitems", "sentDateTime lt 2026-03-01T00:00:00Z") == []
    assert await found_by(client, "drafts", BY_HEADER) == []


async def test_unsupported_filter_is_refused(client: GraphClient) -> None:
    for expression in ("internetMessageHeaders/any(h:h/name eq 'X-Relay-Id')", "subject eq 'x'", f"{BY_HEADER} or x"):
        reply = await client.call("GET", f"/messages?$filter={quote(expression)}")
        assert (reply.status, reply.code) == (400, "ErrorInvalidUrlQueryFilter")


async def test_sent_mail_is_found_only_after_the_lag(
    authority: Authority, https: aiohttp.ClientSession, clock: Clock
) -> None:
    lag = timedelta(seconds=3)
    async with GraphStandIn(authority=authority, clock=clock, sent_items_lag=lag) as graph:
        client = GraphClient(https, graph)
        await client.send(message())
        assert await found_by(client, "sentitems", BY_HEADER) == []
        clock.now += lag
        assert await found_by(client, "sentitems", BY_HEADER) == ["件名"]


async def test_draft_can_be_read_as_mime_and_deleted(client: GraphClient) -> None:
    draft = await draft_of(client)
    shown = (await client.call("GET", f"/messages/{draft}/$value")).text
    assert "X-Relay-Id: m1" in shown
    assert "<p>hello</p>" in shown
    assert (await client.call("DELETE", f"/messages/{draft}")).status == 204
    assert (await client.call("POST", f"/messages/{draft}/send")).code == "ErrorItemNotFound"


async def test_lists_are_paged_newest_first(client: GraphClient, clock: Clock) -> None:
    for number in range(12):
        clock.now += timedelta(seconds=1)
        await client.send(message(subject=str(number)))
    page = (await client.call("GET", "/mailFolders/sentitems/messages?$select=subject")).json
    rest = (await client.call("GET", page["@odata.nextLink"])).json
    assert [item["subject"] for item in page["value"] + rest["value"]] == [str(n) for n in range(11, -1, -1)]
    assert "@odata.nextLink" not in rest


async def test_mime_of_a_draft_includes_a_later_attachment(client: GraphClient, graph: GraphStandIn) -> None:
    reply = await client.call("POST", "/messages", mime(), Content_Type="text/plain")
    draft = reply.json["id"]
    await client.call("POST", f"/messages/{draft}/attachments", file(b"added"))
    await client.call("POST", f"/messages/{draft}/send")
    shown = (await client.call("GET", f"/messages/{graph.boxes[SENDER].folders['sentitems'][0].id}/$value")).text
    assert base64.b64encode(b"added").decode() in shown
