"""The Graph stand-in accepts and refuses what Exchange Online does."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from standins.graph.server import MAX_REQUEST_BYTES, GraphStandIn
from standins.tls import Authority
from tests.standins.graph_client import SENDER, GraphClient, file, message, mime


@pytest.fixture
async def graph(authority: Authority) -> AsyncIterator[GraphStandIn]:
    async with GraphStandIn(authority=authority, mailboxes=[SENDER]) as standin:
        yield standin


@pytest.fixture
def client(https: aiohttp.ClientSession, graph: GraphStandIn) -> GraphClient:
    return GraphClient(https, graph)


async def test_json_message_is_sent(graph: GraphStandIn, client: GraphClient) -> None:
    content = bytes(range(256)) * 4000
    inline = file(content, isInline=True, contentId="logo")
    reply = await client.send(message(attachments=[inline]))
    assert (reply.status, reply.text) == (202, "")
    (kept,) = graph.inbox.messages
    assert (kept.subject, kept.html, kept.relay_id) == ("件名", "<p>hello</p>", "m1")
    assert (kept.to[0].name, kept.envelope) == ('Ada, "A" @ home', ("ada@example.org", "bob@example.org"))
    assert (kept.attachments[0].content, kept.attachments[0].content_id) == (content, "logo")
    assert kept.attachments[0].disposition == "inline"
    assert [mail.id for mail in graph.boxes[SENDER].folders["sentitems"]] == [kept.id]


async def test_mime_message_is_sent_to_the_recipients_in_its_headers(graph: GraphStandIn, client: GraphClient) -> None:
    body = mime(Bcc="bob@example.org", **{"Message-ID": "<m1@relay>"})
    assert (await client.call("POST", "/sendMail", body, Content_Type="text/plain")).status == 202
    (kept,) = graph.inbox.messages
    assert (kept.envelope, kept.text) == (("ada@example.org", "bob@example.org"), "hello\r\n")
    assert kept.raw == base64.b64decode(body)
    assert kept.fields["internetMessageId"] == "<m1@relay>"


async def test_save_to_sent_items_false_stores_no_copy(graph: GraphStandIn, client: GraphClient) -> None:
    assert (await client.send(message(), saveToSentItems=False)).status == 202
    assert graph.boxes[SENDER].folders["sentitems"] == []


def people(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]


WRONG_MESSAGES = {
    "no recipients": ({"toRecipients": [], "bccRecipients": []}, 400, "ErrorInvalidRecipients"),
    "no address": ({"toRecipients": people("nobody")}, 400, "ErrorInvalidRecipients"),
    "501 recipients": ({"toRecipients": people(*(f"r{n}@x.org" for n in range(501)))}, 400, "ErrorTooManyRecipients"),
    "other sender": ({"from": people("ceo@example.com")[0]}, 403, "ErrorSendAsDenied"),
    "header without x-": (
        {"internetMessageHeaders": [{"name": "List-Id", "value": "x"}]}, 400, "InvalidInternetMessageHeader"
    ),
    "six headers": (
        {"internetMessageHeaders": [{"name": f"X-{n}", "value": "x"} for n in range(6)]},
        400,
        "InvalidInternetMessageHeaderCollection",
    ),
    "malformed": ({"toRecipients": [{"address": "ada@example.org"}]}, 400, "ErrorInvalidRequest"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "status", "code"), WRONG_MESSAGES.values(), ids=WRONG_MESSAGES)
async def test_invalid_message_is_refused(
    graph: GraphStandIn, client: GraphClient, changes: dict[str, Any], status: int, code: str
) -> None:
    reply = await client.send(message(**changes))
    assert (reply.status, reply.code) == (status, code)
    assert set(reply.json["error"]["innerError"]) == {"date", "request-id", "client-request-id"}
    assert graph.inbox.accepted == 0


WRONG_REQUESTS = {
    "not base64": (b"not base64!", "text/plain", 400, "ErrorMimeContentInvalidBase64String"),
    "not JSON": (b"{", "application/json", 400, "BadRequest"),
    "no message": (b"{}", "application/json", 400, "ErrorInvalidParameter"),
    "above 4 MB": (b"A" * (MAX_REQUEST_BYTES + 1), "text/plain", 413, "BadRequest"),
}


@pytest.mark.parametrize(("body", "kind", "status", "code"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS)
async def test_invalid_request_is_refused(client: GraphClient, body: bytes, kind: str, status: int, code: str) -> None:
    reply = await client.call("POST", "/sendMail", body, Content_Type=kind)
    assert (reply.status, reply.code) == (status, code)


async def test_send_as_needs_a_grant(graph: GraphStandIn, client: GraphClient) -> None:
    graph.send_as[SENDER] = {"ceo@example.com"}
    assert (await client.send(message(**{"from": people("CEO@example.com")[0]}))).status == 202


async def test_oversized_message_is_refused_at_send(authority: Authority) -> None:
    async with GraphStandIn(authority=authority, max_message_bytes=1_000_000) as graph:
        connector = aiohttp.TCPConnector(ssl=authority.client_context())
        async with aiohttp.ClientSession(connector=connector) as https:
            client = GraphClient(https, graph)
            reply = await client.send(message(attachments=[file(bytes(1_000_001))]))
    assert (reply.status, reply.code) == (400, "ErrorMessageSizeExceeded")


async def test_missing_or_expired_token_is_401(graph: GraphStandIn, client: GraphClient) -> None:
    graph.issuer.revoke()
    reply = await client.send(message())
    assert (reply.status, reply.code) == (401, "InvalidAuthenticationToken")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer ")
    client.token = graph.issuer.issue("https://vault.azure.net")
    assert (await client.send(message())).status == 401


async def test_permission_scope_and_mailbox_are_checked(graph: GraphStandIn, client: GraphClient) -> None:
    graph.permissions = {"Mail.Send"}
    assert (await client.call("POST", "/messages", message())).code == "ErrorAccessDenied"
    assert (await client.send(message())).status == 202
    graph.scope = {"other@example.com"}
    assert (await client.send(message())).code == "ErrorAccessDenied"
    graph.scope = None
    reply = await client.call("POST", "/sendMail", {"message": message()}, user="nobody@example.com")
    assert (reply.status, reply.code) == (404, "ErrorInvalidUser")


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("access_denied", 403, "ErrorAccessDenied"),
        ("policy_denied", 403, "ErrorAccessDenied"),
        ("send_as_denied", 403, "ErrorSendAsDenied"),
        ("mailbox_missing", 404, "ErrorInvalidUser"),
        ("mailbox_on_premises", 404, "MailboxNotEnabledForRESTAPI"),
    ],
)
async def test_account_state_refuses_the_message(
    graph: GraphStandIn, client: GraphClient, state: str, status: int, code: str
) -> None:
    graph.account = state
    reply = await client.send(message())
    assert (reply.status, reply.code) == (status, code)
    reading = await client.call("GET", "/mailFolders/inbox")
    assert reading.status == (200 if state == "send_as_denied" else status)
    assert graph.inbox.accepted == 0


async def test_fifth_concurrent_request_to_a_mailbox_is_throttled(graph: GraphStandIn, client: GraphClient) -> None:
    graph.script.hang(times=4)
    waiting = [asyncio.create_task(client.send(message())) for _ in range(4)]
    await graph.inbox.wait_for_requests(4)
    reply = await client.send(message())
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "ApplicationThrottled", "1")
    graph.release()
    assert all(isinstance(end, aiohttp.ClientError) for end in await asyncio.gather(*waiting, return_exceptions=True))
    assert (await client.send(message())).status == 202
    assert graph.boxes[SENDER].peak == 4


async def test_scripted_fault_applies_to_its_operation(graph: GraphStandIn, client: GraphClient) -> None:
    graph.script.respond(429, headers={"Retry-After": "7"}, operation="send.draft")
    graph.script.accept_then(504, operation="send.mail")
    draft = (await client.call("POST", "/messages", message())).json["id"]
    reply = await client.call("POST", f"/messages/{draft}/send")
    assert (reply.status, reply.code, reply.headers["Retry-After"]) == (429, "ApplicationThrottled", "7")
    assert (await client.send(message())).status == 504
    assert graph.inbox.accepted == 1
    graph.script.respond(503, recipient="BOB@*")
    assert (await client.send(message(bccRecipients=[]))).status == 202
    assert (await client.send(message())).code == "ErrorServerBusy"
