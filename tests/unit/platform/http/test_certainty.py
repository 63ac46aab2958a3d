"""What is certain of a request without a response: by each way in which a server or a connection can fail.

What matters is one implication: if the client says that the server cannot have the whole request, the server does not have it.
"""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Sequence

import pytest

from relay.platform.http.client import HttpClient
from relay.platform.http.connection import STEP_BYTES
from relay.platform.http.errors import NoResponse, NotSent, ResponseLost
from relay.platform.http.response import RawResponse
from standins.tls import Authority
from tests.unit.platform.http.servers import (
    AUTHORITY,
    BUFFERS,
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

BODIES = pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> ssl.SSLContext | None:
    return AUTHORITY.server_context() if request.param == "tls" else None


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with client_of() as opened:
        yield opened


# ── the server fails while the request is sent ──


async def cut_in_the_head(peer: Peer) -> None:
    await peer.read(10)


async def cut_after_the_head(peer: Peer) -> None:
    await peer.read_head()


async def reset_in_the_body(peer: Peer) -> None:
    await peer.read_head()
    await peer.read(1)
    peer.reset()


async def end_in_the_body_and_read_on(peer: Peer) -> None:
    await peer.read_head()
    await peer.read(1)
    if peer.writer.can_write_eof():
        peer.writer.write_eof()
        await peer.read_to_the_end()


UNREAD = (cut_in_the_head, cut_after_the_head, reset_in_the_body, end_in_the_body_and_read_on)


@pytest.mark.parametrize("behavior", UNREAD)
async def test_connection_lost_while_a_large_body_is_sent_is_certain(
    client: HttpClient, tls: ssl.SSLContext | None, behavior: Behavior
) -> None:
    async with listening(behavior, tls=tls) as server:
        result = await ended(client, server.url, LARGE)
        await until(lambda: server.finished == 1)
    assert isinstance(result, NotSent)
    assert server.peers[0].received < len(LARGE)


@pytest.mark.parametrize("behavior", UNREAD)
async def test_connection_lost_with_a_small_body_is_not_certain(
    client: HttpClient, tls: ssl.SSLContext | None, behavior: Behavior
) -> None:
    # The body is in the socket's buffer before the server decides: from here this looks like a server that took it.
    async with listening(behavior, tls=tls) as server:
        result = await ended(client, server.url, SMALL)
    assert isinstance(result, ResponseLost)


async def test_body_of_one_step_is_not_certain_and_one_byte_more_is_written_in_steps(client: HttpClient) -> None:
    received: list[int] = []

    async def read_a_step(peer: Peer) -> None:
        await peer.read_head()
        await peer.read(STEP_BYTES)
        peer.writer.write_eof()
        await peer.read_to_the_end()
        received.append(peer.received - len(peer.head))

    async with listening(read_a_step) as server:
        result = await ended(client, server.url, bytes(STEP_BYTES))
        assert isinstance(result, ResponseLost)
        await until(lambda: len(received) == 1)
        assert isinstance(await ended(client, server.url, bytes(STEP_BYTES + 1)), NoResponse)
        await until(lambda: len(received) == 2)
    assert received[0] == STEP_BYTES


# ── the server fails when it has the request ──


async def close(peer: Peer) -> None:
    await peer.read_request()


async def reset(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def babble(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"220 mail.example.com ESMTP\r\n\r\n")


async def half_a_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 202 Accepted\r\nX-Id: 1\r\n")


async def switch_protocols(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nxyz")


async def interim_only(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 16)


async def interim_without_end(peer: Peer) -> None:
    await peer.read_request()
    while True:
        await peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")


async def header_without_end(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        await peer.send(b"x" * 10_000)


async def headers_without_end(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await peer.send(b"X: y\r\n" * 1000)


@BODIES
@pytest.mark.parametrize("behavior", [close, reset, half_a_head, interim_only])
async def test_connection_lost_after_the_request_is_not_certain(
    client: HttpClient, tls: ssl.SSLContext | None, behavior: Behavior, body: bytes
) -> None:
    async with listening(behavior, tls=tls) as server:
        result = await ended(client, server.url, body)
    assert isinstance(result, ResponseLost)
    assert not result.is_stale
    assert server.peers[0].received == len(server.peers[0].head) + len(body)


@pytest.mark.parametrize(
    "behavior", [babble, switch_protocols, interim_without_end, header_without_end, headers_without_end]
)
async def test_invalid_response_is_not_certain_and_not_read_on(
    client: HttpClient, tls: ssl.SSLContext | None, behavior: Behavior
) -> None:
    async with listening(behavior, tls=tls) as server:
        result = await ended(client, server.url, SMALL, total_seconds=5)
        await until(lambda: server.finished == 1)
    assert isinstance(result, ResponseLost)
    assert result.reason == "InvalidResponse"
    assert server.peers[0].sent < BUFFERS


# ── no connection ──


async def test_refused_connection_is_certain(client: HttpClient) -> None:
    async with listening(close) as server:
        pass
    result = await ended(client, server.url, SMALL)
    assert isinstance(result, NotSent)
    assert result.reason == "ConnectionRefusedError"


async def test_unknown_name_is_certain() -> None:
    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async with client_of(resolve=nowhere) as client:
        result = await ended(client, "http://nowhere.example/", SMALL)
    assert isinstance(result, NotSent)
    assert result.reason == "gaierror"


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_impossible_name_is_certain(client: HttpClient, host: str) -> None:
    assert isinstance(await ended(client, f"http://{host}/", SMALL), NotSent)


async def test_timeout_of_the_name_or_the_handshake_is_certain(client: HttpClient) -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    async with client_of(resolve=never) as unresolved:
        assert isinstance(await ended(unresolved, "http://slow.example/", connect_seconds=0.02), NotSent)
        assert isinstance(await ended(unresolved, "http://slow.example/", total_seconds=0.02), NotSent)
    async with listening(Peer.read_to_the_end) as server:
        secure = server.url.replace("http:", "https:")
        result = await ended(client, secure, SMALL, connect_seconds=0.1)
    assert isinstance(result, NotSent)
    assert result.reason == "TimeoutError"


async def test_server_without_tls_is_certain(client: HttpClient) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with listening(plain) as server:
        result = await ended(client, server.url.replace("http:", "https:"), SMALL)
    assert isinstance(result, NotSent)
    assert result.reason == "SSLError"


async def test_certificate_of_another_name_or_authority_is_certain(client: HttpClient) -> None:
    for context in (AUTHORITY.server_context("other.example"), Authority().server_context()):
        async with listening(close, tls=context) as server:
            result = await ended(client, server.url, SMALL)
        assert isinstance(result, NotSent)
        assert result.reason == "SSLCertVerificationError"
        assert server.peers == []


async def test_server_that_speaks_first_is_certain_only_if_nothing_was_written(client: HttpClient) -> None:
    async def greet(peer: Peer) -> None:
        await peer.send(b"220 mail.example.com ESMTP\r\n")
        await peer.read_to_the_end()

    async with listening(greet) as server:
        result = await ended(client, server.url, SMALL)
        await until(lambda: server.finished == 1)
    assert isinstance(result, NoResponse)
    assert isinstance(result, ResponseLost) or server.peers[0].received == 0


async def test_wait_for_the_pool_is_certain(client: HttpClient) -> None:
    async with listening(Peer.read_to_the_end) as server, client_of(limit=1) as narrow:
        first = asyncio.create_task(ended(narrow, server.url, SMALL))
        await until(lambda: server.peers != [])
        for limit in ({"wait_seconds": 0.02}, {"total_seconds": 0.02}):
            result = await ended(narrow, server.url, SMALL, **limit)
            assert isinstance(result, NotSent)
        first.cancel()


# ── timeouts and cancelled calls ──


async def hang(peer: Peer) -> None:
    await asyncio.Event().wait()


async def hang_after_the_request(peer: Peer) -> None:
    await peer.read_request()
    await asyncio.Event().wait()


async def hang_in_the_response(peer: Peer) -> None:
    await peer.read_request()
    await peer.send(b"HTTP/1.1 202 Acc")
    await asyncio.Event().wait()


HANGING = (hang, hang_after_the_request, hang_in_the_response)


@BODIES
@pytest.mark.parametrize("behavior", HANGING)
async def test_timeout_is_not_certain(
    client: HttpClient, tls: ssl.SSLContext | None, behavior: Behavior, body: bytes
) -> None:
    async with listening(behavior, tls=tls) as server:
        # The connection is made first, so that the timeout is one of the exchange however slow this machine is.
        result = await ended(client, server.url, body, stalled_seconds=0.05)
    assert isinstance(result, ResponseLost)
    assert result.reason == "TimeoutError"


async def test_total_timeout_ends_a_response_that_still_comes(client: HttpClient) -> None:
    async def trickle(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(OK)
        await peer.read_request()
        await peer.send(b"HTTP/1.1 202 Accepted\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.001)

    async with listening(trickle) as server:
        await request(client, server.url, SMALL)
        result = await ended(client, server.url, SMALL, total_seconds=0.2)
    assert isinstance(result, RawResponse)
    assert (result.status, result.is_whole) == (202, False)


@BODIES
@pytest.mark.parametrize("behavior", HANGING)
async def test_cancelled_request_frees_its_place_and_its_connection_is_not_used_again(
    tls: ssl.SSLContext | None, behavior: Behavior, body: bytes
) -> None:
    async def respond(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(OK)

    async with listening(behavior, respond, tls=tls) as server, client_of(limit=1) as client:
        task = asyncio.create_task(request(client, server.url, body))
        await until(lambda: server.peers != [])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await request(client, server.url, SMALL)).body == b"ok"
        assert len(server.peers) == 2


@BODIES
async def test_connection_of_a_cancelled_request_is_closed_at_once(
    client: HttpClient, tls: ssl.SSLContext | None, body: bytes
) -> None:
    async with listening(Peer.read_to_the_end, tls=tls) as server:
        task = asyncio.create_task(request(client, server.url, body))
        await until(lambda: server.peers != [] and server.peers[0].received > 0)
        task.cancel()
        await until(lambda: server.finished == 1)
        assert task.cancelled()


async def test_request_cancelled_before_it_has_a_connection_frees_its_place() -> None:
    waits = asyncio.Event()

    async def slow(host: str, port: int) -> Sequence[str]:
        if not waits.is_set():
            waits.set()
            await asyncio.Event().wait()
        return ("127.0.0.1",)

    async def respond(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(OK)

    async with listening(respond) as server, client_of(limit=1, resolve=slow) as client:
        resolving = asyncio.create_task(request(client, server.url))
        await waits.wait()
        waiting = asyncio.create_task(request(client, server.url))
        await asyncio.sleep(0)
        for task in (waiting, resolving):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (await request(client, server.url)).body == b"ok"


# ── a response before the body ends ──


@pytest.mark.parametrize("status", [b"413 Content Too Large", b"401 Unauthorized", b"302 Found"])
async def test_refusal_before_the_body_ends_is_the_response(
    client: HttpClient, tls: ssl.SSLContext | None, status: bytes
) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status)
        await peer.read_to_the_end()

    async with listening(refuse, tls=tls) as server:
        for _ in range(2):
            result = await ended(client, server.url, LARGE)
            assert isinstance(result, RawResponse)
            assert (result.status, result.body) == (int(status[:3]), b"no")
        await until(lambda: server.finished == 2)
    assert len(server.peers) == 2, "half a request is on the first connection"
    assert all(peer.received < len(LARGE) for peer in server.peers)


async def test_refusal_that_breaks_off_before_the_body_ends_is_the_response(client: HttpClient) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\nno")
        peer.writer.write_eof()
        await peer.read_to_the_end()

    async with listening(refuse) as server:
        result = await ended(client, server.url, LARGE)
    assert isinstance(result, RawResponse)
    assert (result.status, result.body, result.is_whole) == (413, b"no", False)


async def test_success_before_the_body_ends_counts_when_all_is_written(
    client: HttpClient, tls: ssl.SSLContext | None
) -> None:
    async def accept_early(peer: Peer) -> None:
        length = await peer.read_head()
        await peer.send(OK)
        await peer.read(length)

    async with listening(accept_early, tls=tls) as server:
        result = await ended(client, server.url, LARGE)
        await until(lambda: server.finished == 1)
    assert isinstance(result, RawResponse)
    assert server.peers[0].received == len(server.peers[0].head) + len(LARGE)


async def test_success_before_the_body_ends_is_neither_a_response_nor_certain_if_the_connection_is_lost(
    client: HttpClient, tls: ssl.SSLContext | None
) -> None:
    async def accept_early(peer: Peer) -> None:
        await peer.read_head()
        await peer.send(OK)

    async with listening(accept_early, tls=tls) as server:
        result = await ended(client, server.url, LARGE)
    assert isinstance(result, ResponseLost)


# ── any of it, at any byte ──


class Fuzzing:
    """A server that does something at a random byte of the request, and counts all that it gets in spite of it."""

    def __init__(self, draw: random.Random, size: int) -> None:
        self.at = draw.choice((draw.randrange(1, 80), draw.randrange(1, size), size - 1, size))
        self.act = draw.choice(("close", "reset", "end", "garbage", "refuse", "accept", "half", "hang"))
        self.slowly = draw.random() < 0.3

    async def __call__(self, peer: Peer) -> None:
        while peer.received < self.at:
            data = await peer.reader.read(min(self.at - peer.received, 10_000 if self.slowly else 300_000))
            if not data:
                return
            peer.received += len(data)
        match self.act:
            case "close":
                return
            case "reset":
                peer.reset()
            case "end" if peer.writer.can_write_eof():
                peer.writer.write_eof()
            case "garbage":
                await peer.send(b"EHLO\r\n\r\n")
            case "refuse":
                await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            case "accept":
                await peer.send(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            case "half":
                await peer.send(b"HTTP/1.1 202 Acc")
            case _:
                pass
        await peer.read_to_the_end()


@pytest.mark.parametrize("seed", range(40))
async def test_server_never_has_the_whole_of_a_request_that_was_certainly_not_sent(
    client: HttpClient, tls: ssl.SSLContext | None, seed: int
) -> None:
    draw = random.Random(f"{seed}")
    body = bytes(draw.choice((draw.randrange(1, 2 * STEP_BYTES), draw.randrange(STEP_BYTES, 4_000_000))))
    whole = len(body) + 150
    server_side = Fuzzing(draw, whole)
    async with listening(server_side, tls=tls) as server:
        head = len(f"POST /there HTTP/1.1\r\nHost: {server.url.split('/')[2]}\r\nContent-Length: {len(body)}\r\n\r\n")
        result = await ended(client, server.url, body, stalled_seconds=0.05)
        if isinstance(result, RawResponse) and result.status < 300:
            # Accepted means that all of it was handed over, so all of it arrives.
            await until(lambda: server.peers[0].received == head + len(body))
        client.close()
        await until(lambda: server.finished == len(server.peers) == 1)
    has_the_whole = server.peers[0].received >= head + len(body)
    assert not (isinstance(result, NotSent) and has_the_whole), (server_side.act, server_side.at)
