"""Pooled HTTP/1.1 connections, against a scripted server on real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.platform.storage.azure.http_pool import ConnectionPool, StorageResponse, _idle_seconds
from standins.tls import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Responds to each request with the next of `responses` and keeps the request. None closes without a response."""

    def __init__(self) -> None:
        self.responses: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.answering = asyncio.Event()
        self.answering.set()
        self.url = ""
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                await self.answering.wait()
                response = self.responses.pop(0)
                if response is None:
                    break
                writer.write(response)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def hang_up(self) -> None:
        """Close every connection, and let the client notice it."""
        for writer in self._writers:
            writer.close()
        await until(lambda: self.open == 0)
        await asyncio.sleep(0.01)


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - what is waited for happens at the other side
            await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    await server.hang_up()
    listener.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def connections(server: Server) -> AsyncIterator[ConnectionPool]:
    connections = ConnectionPool(server.url, limit=4)
    yield connections
    connections.close()


async def get(connections: ConnectionPool) -> StorageResponse:
    return await connections.request("GET", "/a?b=c", [("x-one", "1")], b"")


async def test_request_has_the_right_lines_and_body(server: Server, connections: ConnectionPool) -> None:
    server.responses = [OK]
    await connections.request("POST", "/queue/messages?ttl=-1", [("x-one", "1"), ("accept", "*/*")], b"body")
    host = server.url.removeprefix("http://").encode()
    assert server.requests == [
        b"POST /queue/messages?ttl=-1 HTTP/1.1\r\nHost: " + host + b"\r\nContent-Length: 4\r\n"
        b"x-one: 1\r\naccept: */*\r\n\r\nbody"
    ]


@pytest.mark.parametrize(
    ("response", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", 404, b"gone"),
    ],
    ids=["length", "no content", "chunked", "interim", "error"],
)
async def test_every_form_of_response_is_read_and_the_connection_reused(
    server: Server, connections: ConnectionPool, response: bytes, status: int, body: bytes
) -> None:
    server.responses = [response, OK]
    first = await get(connections)
    assert (first.status, first.body) == (status, body)
    assert "x" not in first.headers, "the interim response's are not the response's"
    assert (await get(connections)).body == b"ok"
    assert server.connections == 1


async def test_header_names_are_in_lower_case(server: Server, connections: ConnectionPool) -> None:
    server.responses = [b'HTTP/1.1 200 OK\r\nETag: W/"1"\r\nX-MS-Error-Code: None\r\nContent-Length: 0\r\n\r\n']
    headers = (await get(connections)).headers
    assert headers["etag"] == 'W/"1"'
    assert headers["x-ms-error-code"] == "None"


async def test_large_response_is_read_completely(server: Server, connections: ConnectionPool) -> None:
    content = bytes(range(256)) * 8192
    server.responses = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content]
    assert (await get(connections)).body == content


async def test_concurrent_requests_use_separate_connections(server: Server, connections: ConnectionPool) -> None:
    server.responses = [OK] * 12
    server.answering.clear()
    sent = [asyncio.create_task(get(connections)) for _ in range(12)]
    await until(lambda: len(server.requests) == 4)
    server.answering.set()
    assert [each.body for each in await asyncio.gather(*sent)] == [b"ok"] * 12
    assert server.connections == 4, "no more than were allowed, and each was used again"


@pytest.mark.parametrize(
    "response",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"\x16\x03\x01\x00",
    ],
    ids=["nothing", "half a body", "no chunk", "another protocol", "no text"],
)
async def test_invalid_response_raises_connection_error(
    server: Server, connections: ConnectionPool, response: bytes | None
) -> None:
    server.responses = [response, None]
    request = asyncio.create_task(get(connections))
    await until(lambda: len(server.responses) == 1)
    await asyncio.sleep(0.01)
    await server.hang_up()
    with pytest.raises(ConnectionError):
        await request


async def test_request_after_a_failure_uses_a_new_connection(server: Server, connections: ConnectionPool) -> None:
    server.responses = [None, OK]
    with pytest.raises(ConnectionError):
        await get(connections)
    assert (await get(connections)).body == b"ok"
    assert server.connections == 2
    assert len(server.requests) == 2, "nothing is sent twice by itself"


async def test_connection_closed_by_the_server_is_not_reused(server: Server, connections: ConnectionPool) -> None:
    server.responses = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", OK, OK]
    await get(connections)
    await get(connections)
    await server.hang_up()
    await get(connections)
    assert server.connections == 3


async def test_connection_is_dropped_before_the_servers_keep_alive_ends(
    server: Server, connections: ConnectionPool
) -> None:
    server.responses = [b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n", OK]
    await get(connections)
    await get(connections)
    assert server.connections == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("timeout=5", 4), ("timeout=5, max=100", 4), ("max=9, Timeout=30", 29), ("timeout=600", 60), ("timeout=0", 0),
     ("", 60), ("timeout", 60), ("timeout=x", 60)],
)  # fmt: skip
def test_idle_time_follows_the_keep_alive_header(header: str, seconds: float) -> None:
    assert _idle_seconds(header) == seconds


async def test_unsolicited_response_is_not_used_for_the_next_request(
    server: Server, connections: ConnectionPool
) -> None:
    server.responses = [OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK]
    assert (await get(connections)).body == b"ok"
    assert (await get(connections)).body == b"ok"
    assert server.connections == 2


async def test_cancelled_request_leaves_no_response_for_the_next(server: Server, connections: ConnectionPool) -> None:
    server.responses = [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate", OK]
    server.answering.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await get(connections)
    server.answering.set()
    await until(lambda: len(server.responses) == 1)
    assert (await get(connections)).body == b"ok"
    assert server.connections == 2


async def test_large_body_arrives_whole(server: Server, connections: ConnectionPool) -> None:
    body = bytes(range(256)) * 4_096
    server.responses = [OK]
    response = await connections.request("PUT", "/there", {}.items(), body, stalled_seconds=10)
    assert response.body == b"ok"
    assert server.requests[0].partition(b"\r\n\r\n")[2] == body


async def test_request_that_stalls_raises_a_timeout(server: Server, connections: ConnectionPool) -> None:
    server.responses = [OK, OK]
    server.answering.clear()
    with pytest.raises(TimeoutError):
        await connections.request("GET", "/there", {}.items(), b"", stalled_seconds=0.01)
    server.answering.set()
    assert (await get(connections)).body == b"ok"


async def test_refused_connection_raises_connection_refused() -> None:
    async with serving() as server:
        pass
    with pytest.raises(ConnectionRefusedError):
        await get(ConnectionPool(server.url, limit=1))


async def test_untrusted_certificate_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = Authority()
    async with serving(authority.server_context()) as server:
        server.responses = [OK]
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await get(ConnectionPool(server.url, limit=1))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "authority.pem")))
        connections = ConnectionPool(server.url, limit=1)
        assert (await get(connections)).body == b"ok"
        connections.close()
    async with serving(authority.server_context("other.example")) as other:
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            await get(ConnectionPool(other.url, limit=1))


async def test_close_ends_idle_connections_and_busy_ones_after_their_response(server: Server) -> None:
    connections = ConnectionPool(server.url, limit=4)
    server.responses = [OK, OK]
    await get(connections)
    server.answering.clear()
    in_use = asyncio.create_task(get(connections))
    await until(lambda: len(server.requests) == 2)
    connections.close()
    server.answering.set()
    assert (await in_use).body == b"ok"
    await until(lambda: server.open == 0)
