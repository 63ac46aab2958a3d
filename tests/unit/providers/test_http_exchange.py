"""HTTP exchanges: responses, and which lost ones are certain. Served by misbehaving sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from relay import __version__
from relay.core.outcomes import Deferred, Rejected, RouteFault, Unknown
from relay.platform.http.client import HttpClient, Timeouts
from relay.providers.http_exchange import (
    MAX_RESPONSE_BYTES,
    HttpResponse,
    LostResponse,
    ResponseRule,
    exchange,
    lost_outcome,
    outcome_by_rules,
    retry_after,
)
from tests.http_clients import http_client
from tests.ports import free_port

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LARGE = b"x" * 20_000_000
type Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that runs `handler` for each connection and then closes it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        server.close()
        server.abort_clients()


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with http_client() as opened:
        yield opened


async def read_head(reader: asyncio.StreamReader) -> int:
    """Read a request's head and return its Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    return next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(await read_head(reader))


async def post(client: HttpClient, url: str, body: bytes, **timeouts: float) -> HttpResponse | LostResponse:
    return await exchange(client, "POST", url, headers={}, body=body, timeouts=Timeouts(**timeouts))


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["small", "large"])
async def test_response_has_status_headers_and_body(client: HttpClient, body: bytes) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = len(await read_request(reader))
        writer.write(b"HTTP/1.1 202 Accepted\r\nX-Message-Id: abc\r\nContent-Length: 8\r\n\r\n%08d" % size)
        await writer.drain()

    async with serving(echo) as url:
        response = await post(client, url, body)
    assert isinstance(response, HttpResponse)
    assert (response.status, response.headers["x-message-id"], response.text) == (202, "abc", f"{len(body):08d}")
    assert response.reply == f"202 {len(body):08d}"


async def test_refused_connection_is_a_certain_loss(client: HttpClient) -> None:
    lost = await post(client, f"http://127.0.0.1:{free_port()}/", b"small")
    assert lost == LostResponse(is_certain=True, reason="ConnectionRefusedError")


async def test_pool_timeout_is_a_certain_loss() -> None:
    begun = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await reader.read()

    narrow = HttpClient(limit=1)
    async with serving(hang) as url:
        first = asyncio.create_task(post(narrow, url, b"first"))
        await begun.wait()
        lost = await post(narrow, url, b"second", wait_seconds=0.05)
        first.cancel()
    assert lost == LostResponse(is_certain=True, reason="TimeoutError")


async def test_connection_lost_during_the_body_is_a_certain_loss(client: HttpClient) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)

    async with serving(cut) as url:
        lost = await post(client, url, LARGE)
    assert isinstance(lost, LostResponse)
    assert lost.is_certain


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["small", "large"])
async def test_connection_lost_after_the_body_is_not_certain(client: HttpClient, body: bytes) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    async with serving(cut) as url:
        lost = await post(client, url, body)
    assert isinstance(lost, LostResponse)
    assert not lost.is_certain


async def test_unread_small_body_is_not_a_certain_loss(client: HttpClient) -> None:
    # It is in the socket's buffer before the server decides: from here this looks like a server that took it.
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)

    async with serving(cut) as url:
        lost = await post(client, url, b"small")
    assert isinstance(lost, LostResponse)
    assert not lost.is_certain


@pytest.mark.parametrize("body", [b"small", LARGE], ids=["after writing", "during writing"])
async def test_timeout_is_not_certain(client: HttpClient, body: bytes) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(hang) as url:
        # Long enough that even a machine that stands still for a moment has connected and begun to write by then.
        lost = await post(client, url, body, connect_seconds=5, total_seconds=1)
    assert isinstance(lost, LostResponse)
    assert not lost.is_certain


async def test_invalid_http_response_is_not_certain(client: HttpClient) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"220 mail.example.com ESMTP\r\n\r\n")
        await writer.drain()

    async with serving(babble) as url:
        lost = await post(client, url, b"small")
    assert isinstance(lost, LostResponse)
    assert not lost.is_certain


async def test_status_is_kept_when_the_body_breaks_off(client: HttpClient) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nno su")
        await writer.drain()

    async with serving(half) as url:
        response = await post(client, url, b"small")
    assert isinstance(response, HttpResponse)
    assert response.status == 401


async def test_body_is_read_up_to_the_limit(client: HttpClient) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 9000000\r\n\r\n" + b"y" * 9_000_000)
        await writer.drain()

    async with serving(flood) as url:
        response = await post(client, url, b"small")
    assert isinstance(response, HttpResponse)
    assert (response.status, len(response.body), len(response.reply)) == (500, MAX_RESPONSE_BYTES, 1000)


async def test_redirect_is_not_followed(client: HttpClient) -> None:
    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 307 Away\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(elsewhere) as url:
        response = await post(client, url, b"small")
    assert isinstance(response, HttpResponse)
    assert response.status == 307


@pytest.mark.parametrize(("method", "requests"), [("GET", 3), ("POST", 2), ("PUT", 2), ("DELETE", 2)])
async def test_only_a_read_is_repeated_when_a_kept_connection_was_closed(
    client: HttpClient, method: str, requests: int
) -> None:
    heads: list[bytes] = []

    async def close_when_used_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        heads.append(await reader.readuntil(b"\r\n\r\n"))

    async with serving(close_when_used_again) as url:
        results = [await exchange(client, method, url, headers={}, timeouts=Timeouts()) for _ in range(2)]
    assert len(heads) == requests
    second = LostResponse(is_certain=False, reason="ServerDisconnected")
    assert isinstance(results[1], HttpResponse) if method == "GET" else results[1] == second


async def test_request_names_relay_and_asks_for_plain_text(client: HttpClient) -> None:
    heads: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with serving(respond) as url:
        await exchange(client, "GET", url, headers={"Accept": "text/plain"}, timeouts=Timeouts())
    lines = heads[0].decode().split("\r\n")
    assert lines[2:] == [f"User-Agent: Relay/{__version__}", "Accept-Encoding: identity", "Accept: text/plain", "", ""]


async def test_request_that_cannot_be_written_is_a_certain_loss_without_its_text(client: HttpClient) -> None:
    lost = await exchange(
        client, "GET", "http://127.0.0.1:1/", headers={"Authorization": "Bearer a\nb"}, timeouts=Timeouts()
    )
    assert lost == LostResponse(is_certain=True, reason="InvalidHeader")
    lost = await exchange(client, "GET", "no url", headers={}, timeouts=Timeouts())
    assert lost == LostResponse(is_certain=True, reason="InvalidURL")


def test_lost_response_gives_deferred_or_unknown() -> None:
    assert lost_outcome(LostResponse(is_certain=True, reason="X")) == Deferred(code="unreachable", reply="X")
    assert lost_outcome(LostResponse(is_certain=False, reason="X"), "id") == Unknown(
        code="response_lost", reply="X", provider_id="id"
    )


RULES = (
    ResponseRule(first=401, pattern="Credits", kind=RouteFault, code="credits_exhausted", source="a page"),
    ResponseRule(first=400, last=499, kind=Rejected, code="invalid_message", source="a page"),
    ResponseRule(first=503, kind=Deferred, code="provider_unavailable", source="a page"),
)


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (
            HttpResponse(status=401, headers={}, body=b"no CREDITS"),
            RouteFault(code="credits_exhausted", reply="401 no CREDITS", retry_after_seconds=3),
        ),
        (HttpResponse(status=401, headers={}), Rejected(code="invalid_message", reply="401")),
        (
            HttpResponse(status=503, headers={}),
            Deferred(code="provider_unavailable", reply="503", retry_after_seconds=3),
        ),
        (HttpResponse(status=599, headers={}, body=b"\xff"), Unknown(code="response_lost", reply="599 \ufffd")),
    ],
)
def test_first_matching_rule_decides(response: HttpResponse, outcome: object) -> None:
    assert outcome_by_rules(RULES, response, 3) == outcome


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 1.5 ", 1.5),
        ("0", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        ("Wednesday, 04-Mar-26 05:06:37 GMT", 30),
        ("Wed Mar  4 05:07:07 2026", 60),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_is_read_in_every_form(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == seconds
    assert retry_after({}, NOW) is None


def test_json_body_is_decoded_or_none() -> None:
    assert HttpResponse(status=200, headers={}, body=b'{"a":[1]}').decoded() == {"a": [1]}
    assert HttpResponse(status=200, headers={}, body=b"<html>").decoded() is None
    assert HttpResponse(status=200, headers={}, body=b'"\xff"').decoded() is None


HOLDING = ResponseRule(
    first=403, pattern="suspended|ErrorSendAsDenied", kind=RouteFault, code="account_restricted", source="test"
)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "ErrorInvalidRecipients", "message": "Recipient \'suspended@example.com\' is not valid."}}',
        b'{"error": {"code": "ErrorX", "message": "Subject \\"suspended\\" is not allowed."}}',
        b'{"error": {"code": "ErrorX", "target": "suspended", "message": "no"}}',
        b'{"errors": [{"message": "no", "field": "subject.ErrorSendAsDenied"}]}',
        b"<suspended@example.com>: no",
    ],
)
def test_text_that_a_caller_can_write_never_holds_a_route(body: bytes) -> None:
    assert not HOLDING.matches(HttpResponse(status=403, headers={}, body=body))


BY_CODE = ResponseRule(first=403, error="ErrorSendAsDenied", kind=RouteFault, code="sender_not_verified", source="test")


@pytest.mark.parametrize(
    ("body", "matches"),
    [
        (b'{"error": {"code": "ErrorSendAsDenied", "message": "no"}}', True),
        (b'{"error": {"code": "X", "innerError": {"code": "ErrorSendAsDenied"}}}', True),
        (b'{"error": {"code": "X", "message": "Subject ErrorSendAsDenied is not allowed."}}', False),
        (b"ErrorSendAsDenied", False),
        (b'["ErrorSendAsDenied"]', False),
    ],
)
def test_error_code_is_matched_in_its_field_only(body: bytes, matches: bool) -> None:
    assert BY_CODE.matches(HttpResponse(status=403, headers={}, body=body)) is matches


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"code": "ErrorSendAsDenied", "message": "no"}}',
        b'{"error": {"code": "X", "innerError": {"code": "ErrorSendAsDenied"}}}',
        b'{"errors": [{"message": "This account is suspended", "field": null}]}',
        b"This account is suspended",
    ],
)
def test_vendors_own_words_hold_a_route(body: bytes) -> None:
    assert HOLDING.matches(HttpResponse(status=403, headers={}, body=body))
