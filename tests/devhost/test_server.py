"""The HTTP server: whole responses of any size, one write each, and keep-alive."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import pytest
import pytest_asyncio
from uvicorn.server import ServerState

from devhost.server import OneWriteProtocol, Server

LARGE = b"x" * 3_000_000


async def application(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Return the request's body, or a large one, or a header with a line break."""
    body = LARGE if scope["raw_path"] == b"/large" else (await receive())["body"]
    headers = [(b"content-length", b"%d" % len(body))]
    if scope["raw_path"] == b"/split":
        headers.append((b"x-note", b"one\r\nset-cookie: two"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
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
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.steps.append(bytes(data))

    def close(self) -> None:
        self.closed.set()

    def is_closing(self) -> bool:
        return self.closed.is_set()


async def test_head_and_body_of_a_response_are_one_write() -> None:
    transport = Transport()
    protocol = OneWriteProtocol(Server(application, stop_seconds=1).config, ServerState(), {})
    protocol.connection_made(transport)
    protocol.data_received(request_for(b"/", LAST, body=b"asked"))
    await transport.closed.wait()
    assert transport.steps == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nasked"]


async def test_head_request_gets_no_body(port: int) -> None:
    response = await exchange(port, request_for(b"/", LAST, body=b"asked").replace(b"POST", b"HEAD"))
    assert b"content-length: 5" in response
    assert response.endswith(b"\r\n\r\n")


async def test_header_with_a_line_break_is_not_sent(port: int) -> None:
    assert await exchange(port, request_for(b"/split", LAST)) == b""


@pytest.mark.parametrize("garbage", [b"\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
async def test_invalid_http_is_refused(port: int, garbage: bytes) -> None:
    assert (await exchange(port, garbage)).startswith(b"HTTP/1.1 400 ")
