"""Responses in every form, whole and cut, within their bounds."""

from collections.abc import AsyncIterator

import pytest

from relay.platform.http.client import HttpClient
from relay.platform.http.errors import ResponseLost
from relay.platform.http.response import RawResponse
from tests.unit.platform.http.servers import BUFFERS, OK, Behavior, Peer, client_of, ended, listening, request, until


def once(response: bytes) -> Behavior:
    """Respond to the first request with this and to the others with `OK`."""

    async def respond(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(response)
        if b"ends with the connection" in response:
            return
        while True:
            await peer.read_request()
            await peer.send(OK)

    return respond


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with client_of() as opened:
        yield opened


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
        (CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, b"ok"),
        (CHUNKED + b"2;a=b\r\nok\r\n0\r\nX: trailer\r\n\r\n", 200, b"ok"),
        (CHUNKED + b"".join(b"1\r\nx\r\n" for _ in range(50_000)) + b"0\r\n\r\n", 200, b"x" * 50_000),
        (b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" * 16 + OK, 200, b"ok"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", 404, b"gone"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 202 Accepted\r\nA: b\r\n c\r\nD: \x01\r\nContent-Length: 2\r\n\r\nok", 202, b"ok"),
        (b"HTTP/1.1 202 Accepted\nContent-Length: 2\n\nok", 202, b"ok"),
        (CHUNKED + b"2 \r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n" + bytes(range(256)) * 8192, 200, bytes(range(256)) * 8192),
    ],
    ids=[
        "length", "no content", "not modified", "chunked", "trailer", "small chunks", "interim", "many interim", "error",
        "no reason", "folded header", "bare line feeds", "space after the size", "large",
    ],
)  # fmt: skip
async def test_every_form_of_response_is_read_and_the_connection_reused(
    client: HttpClient, response: bytes, status: int, body: bytes
) -> None:
    async with listening(once(response)) as server:
        first = await request(client, server.url)
        assert (first.status, first.body, first.is_whole) == (status, body, True)
        assert "x" not in first.headers, "those of an interim response or a trailer are not the response's"
        assert (await request(client, server.url)).body == b"ok"
        assert len(server.peers) == 1


async def test_body_without_a_length_ends_with_the_connection(client: HttpClient) -> None:
    async with listening(once(b"HTTP/1.1 200 OK\r\n\r\nends with the connection")) as server:
        response = await request(client, server.url)
    assert (response.body, response.is_whole) == (b"ends with the connection", True)


async def test_head_request_has_no_body(client: HttpClient) -> None:
    announced = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    async with listening(once(announced), once(OK)) as server:
        response = await request(client, server.url, method="HEAD")
        assert (response.body, response.headers["content-length"]) == (b"", "100")
        assert (await request(client, server.url)).body == b"ok"


async def test_header_names_are_in_lower_case_and_the_first_of_a_name_counts(client: HttpClient) -> None:
    async with listening(
        once(b'HTTP/1.1 200 OK\r\nETag: W/"1"\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n')
    ) as server:
        headers = (await request(client, server.url)).headers
    assert headers == {"etag": 'W/"1"', "x-a": "1", "content-length": "0"}


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nno such key; ends with the connection",
        b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nno such key; ends with the connection",
        b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n26\r\nno such key; ends with the connection.\r\nzz\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"40\r\nno such key; ends with the connection",
    ],
    ids=["length", "chunked", "invalid chunk", "two transfer codings"],
)
async def test_status_and_what_came_are_kept_when_the_body_breaks_off(client: HttpClient, response: bytes) -> None:
    async with listening(once(response)) as server:
        got = await request(client, server.url)
    assert (got.status, got.body[:11], got.is_whole) == (401, b"no such key", False)


@pytest.mark.parametrize(
    ("length", "is_whole", "connections"), [(999, True, 1), (1000, True, 1), (1001, False, 2), (5_000_000, False, 2)]
)
async def test_body_is_kept_up_to_the_limit(client: HttpClient, length: int, is_whole: bool, connections: int) -> None:
    response = b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % length + b"y" * length
    async with listening(once(response)) as server:
        got = await request(client, server.url, max_body_bytes=1000)
        assert (got.status, got.body, got.is_whole) == (500, b"y" * min(length, 1000), is_whole)
        await request(client, server.url)
        assert len(server.peers) == connections


async def test_body_without_end_is_cut(client: HttpClient) -> None:
    async def flood(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"5\r\nxxxxx\r\n" * 1000)

    async with listening(flood) as server:
        got = await request(client, server.url, max_body_bytes=100_000)
    assert (len(got.body), got.is_whole) == (100_000, False)


@pytest.mark.parametrize("more", [b"X: y\r\n", b"x" * 100], ids=["trailers", "one trailer"])
async def test_trailers_without_end_cut_the_response(client: HttpClient, more: bytes) -> None:
    async def flood(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(CHUNKED + b"2\r\nok\r\n0\r\nX: ")
        while True:
            await peer.send(more * 1000)

    async with listening(flood) as server:
        got = await request(client, server.url, total_seconds=5)
        await until(lambda: server.finished == 1)
    assert (got.status, got.body, got.is_whole) == (200, b"ok", False)
    assert server.peers[0].sent < BUFFERS


@pytest.mark.parametrize(
    "response",
    [
        b"220 mail.example.com ESMTP\r\n",
        b"\x16\x03\x01\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 17 + OK,
    ],
    ids=["another protocol", "no text", "two lengths", "two framings", "status", "headers", "interim"],
)
async def test_invalid_response_is_lost(client: HttpClient, response: bytes) -> None:
    async with listening(once(response)) as server:
        result = await ended(client, server.url)
    assert isinstance(result, ResponseLost)
    assert result.reason == "InvalidResponse"


async def test_compressed_body_stays_as_it_is(client: HttpClient) -> None:
    compressed = b"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"
    async with listening(once(compressed)) as server:
        response: RawResponse = await request(client, server.url)
    assert response.body == b"\x1f\x8b\x08"
