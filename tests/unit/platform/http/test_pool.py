"""Connections in the pool: reused, limited, dropped after anything unexpected."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from relay.platform.http.client import HttpClient
from relay.platform.http.connection import _idle_seconds
from relay.platform.http.errors import ResponseLost
from relay.platform.http.response import RawResponse
from tests.unit.platform.http.servers import (
    LARGE,
    OK,
    SMALL,
    Behavior,
    Peer,
    client_of,
    ended,
    listening,
    request,
    until,
)


def responding(*responses: bytes) -> Behavior:
    """Respond to each request with the next of these, and then with `OK`."""

    async def respond(peer: Peer) -> None:
        for response in responses:
            await peer.read_request()
            await peer.send(response)
        while True:
            await peer.read_request()
            await peer.send(OK)

    return respond


async def read_a_head(peer: Peer) -> None:
    await peer.read_head()


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with client_of() as opened:
        yield opened


async def get(client: HttpClient, url: str) -> RawResponse:
    return await request(client, url, method="GET")


async def test_sequential_requests_use_one_connection(client: HttpClient) -> None:
    async with listening(responding()) as server:
        for body in (SMALL, LARGE, b"", SMALL):
            assert (await request(client, server.url, body)).body == b"ok"
        assert len(server.peers) == 1


async def test_concurrent_requests_use_separate_connections_up_to_the_limit() -> None:
    begun, proceed = [0], asyncio.Event()

    async def wait(peer: Peer) -> None:
        while True:
            await peer.read_request()
            begun[0] += 1
            await proceed.wait()
            await peer.send(OK)

    async with listening(wait) as server, client_of(limit=4) as client:
        sent = [asyncio.create_task(get(client, server.url)) for _ in range(12)]
        await until(lambda: begun[0] == 4)
        proceed.set()
        assert [each.body for each in await asyncio.gather(*sent)] == [b"ok"] * 12
        assert len(server.peers) == 4, "no more than the limit, and each was used again"


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n",
        OK + OK,
        OK + b"HTT",
        OK + b"\0",
    ],
    ids=["close", "HTTP/1.0", "ends soon", "another response", "half of another", "garbage"],
)
async def test_connection_that_ends_or_says_more_than_was_asked_is_not_reused(
    client: HttpClient, response: bytes
) -> None:
    async with listening(responding(response), responding()) as server:
        assert (await get(client, server.url)).status == 200
        assert (await get(client, server.url)).body == b"ok"
        assert len(server.peers) == 2


async def test_data_on_an_idle_connection_is_not_the_next_response(client: HttpClient) -> None:
    async with listening(responding()) as server:
        await get(client, server.url)
        await server.peers[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert (await get(client, server.url)).body == b"ok"
        assert len(server.peers) == 2


async def test_end_that_the_loop_has_not_seen_yet_is_noticed_before_the_next_request(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        first = asyncio.create_task(get(client, url))
        opened, _ = await loop.sock_accept(listener)
        await loop.sock_recv(opened, 1000)
        opened.send(OK)
        await first
        again = asyncio.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        opened.close()
        # Without a turn of the loop in between: only the socket knows that the server closed.
        result = await ended(client, url, b"not to the closed connection", stalled_seconds=0.01)
        assert isinstance(result, ResponseLost)
        assert result.reason == "TimeoutError", "the second connection has the request, and no response"
        another, _ = await again
        another.close()


@pytest.mark.parametrize("response", [b"", b"HTTP/1.1 200"])
async def test_connection_lost_without_a_byte_of_response_is_stale_if_it_was_kept(
    client: HttpClient, response: bytes
) -> None:
    async def close_when_used_again(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(OK)
        await peer.read_request()
        if response:
            await peer.send(response)

    async with listening(close_when_used_again) as server:
        await get(client, server.url)
        result = await ended(client, server.url, SMALL)
        assert isinstance(result, ResponseLost)
        assert result.is_stale == (not response)
        assert len(server.peers) == 1, "nothing is sent twice without being asked for"


async def test_request_after_a_failure_uses_a_new_connection(client: HttpClient) -> None:
    async with listening(read_a_head, responding()) as server:
        assert isinstance(await ended(client, server.url, SMALL), ResponseLost)
        assert (await get(client, server.url)).body == b"ok"
        assert len(server.peers) == 2


async def test_origins_do_not_share_connections_and_idle_ones_are_limited_together() -> None:
    async with listening(responding()) as one, listening(responding()) as other, client_of(limit=2) as client:
        named = one.url.replace("127.0.0.1", "localhost")
        for url in (one.url, named, other.url):
            await get(client, url)
        assert (len(one.peers), len(other.peers)) == (2, 1)
        await until(lambda: one.finished == 1)
        await get(client, other.url)
        await get(client, named)
        assert (len(one.peers), len(other.peers)) == (2, 1), "the one that was unused for longest was closed"


async def test_idle_connection_is_closed_when_it_expires(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.platform.http.idle.IDLE_SECONDS", 0.01)
    expired = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n"
    async with listening(responding(expired), responding()) as server:
        await get(client, server.url)
        await until(lambda: server.finished == 1)
        await get(client, server.url)
        assert server.finished == 1, "one that has not expired stays"


async def test_close_ends_idle_connections_and_busy_ones_after_their_response(client: HttpClient) -> None:
    proceed = asyncio.Event()

    async def wait(peer: Peer) -> None:
        await peer.read_request()
        await proceed.wait()
        await peer.send(OK)
        await peer.read_to_the_end()

    async with listening(responding(), wait) as server:
        both = [asyncio.create_task(get(client, server.url)) for _ in range(2)]
        await until(lambda: len(server.peers) == 2 and any(task.done() for task in both))
        client.close()
        await until(lambda: server.finished == 1)
        proceed.set()
        assert [(await each).body for each in both] == [b"ok", b"ok"]
        await until(lambda: server.finished == 2)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("timeout=5", 4), ("timeout=5, max=100", 4), ("max=9, Timeout=30", 29), ("timeout=600", 60), ("timeout=0", 0),
     ("", 60), ("timeout", 60), ("timeout=x", 60), ("timeout=\xb2", 60), (f"timeout={'9' * 5000}", 60)],
)  # fmt: skip
def test_idle_time_follows_the_keep_alive_header(header: str, seconds: float) -> None:
    assert _idle_seconds({"keep-alive": header}) == seconds
