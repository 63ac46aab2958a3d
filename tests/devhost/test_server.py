"""The HTTP server: whole responses of any size, one write each, and keep-alive."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import pytest
import pytest_asyncio

from devhost.server import JoinedWrites, Server

LARGE = b"x" * 3_000_000


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Return the request's body, or a large one."""
    body = LARGE if scope["raw_path"] == b"/large" else (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(application, stop_seconds=1)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    yield sock.getsockname()[1]
    server.should_exit = True
    await serving


async def exchange(port: int, request: bytes) -> bytes:
    """Return everything the server sends until the connection closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    response = await reader.read()
    writer.close()
    await writer.wait_closed()
    return response


def request_for(path: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


LAST = b"Connection: close"


async def test_large_body_arrives_whole_before_the_connection_closes(port: int) -> None:
    response = await exchange(port, request_for(b"/large", LAST))
    assert response.partition(b"\r\n\r\n")[2] == LARGE


async def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    first, second = request_for(b"/", body=b"one"), request_for(b"/", LAST, body=b"two")
    response = await exchange(port, first + second)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in response.split(b"HTTP/1.1 200 OK")[1:]] == [b"one", b"two"]


async def test_expect_100_continue_is_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, _, body = request_for(b"/", b"Expect: 100-continue", LAST, body=b"asked").partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert (await reader.read()).endswith(b"\r\n\r\nasked")
    writer.close()
    await writer.wait_closed()


class Transport(asyncio.Transport):
    """Records writes and the close."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.steps.append(bytes(data))

    def close(self) -> None:
        self.steps.append(b"(closed)")


async def test_writes_of_one_iteration_are_sent_together() -> None:
    transport = Transport()
    joined = JoinedWrites(transport)
    joined.write(b"head ")
    joined.write(b"body")
    assert transport.steps == []
    await asyncio.sleep(0)
    joined.write(b"next")
    joined.close()
    await asyncio.sleep(0)
    assert transport.steps == [b"head body", b"next", b"(closed)"]


@pytest.mark.parametrize("garbage", [b"\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
async def test_invalid_http_is_refused(port: int, garbage: bytes) -> None:
    assert (await exchange(port, garbage)).startswith(b"HTTP/1.1 400 ")
