"""The HTTP server: whole responses of any size, one write each, keep-alive, and the end of connections."""

import asyncio
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import pytest_asyncio

from devhost.connection import Connection, Connections
from devhost.replies import Reply
from devhost.requests import Request
from devhost.server import Server
from tests.devhost.http_calls import Transport

LARGE = b"x" * 3_000_000


async def respond(request: Request) -> Reply:
    """Return the request's body, or a large one, or a header with a line break."""
    body = LARGE if request.path == "/large" else await request.body()
    headers = [(b"content-length", b"%d" % len(body))]
    if request.path == "/split":
        headers.append((b"x-note", b"one\r\nset-cookie: two"))
    return Reply(200, body, headers)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    sock = socket.create_server(("127.0.0.1", 0))
    server = Server(respond, stop_seconds=1)
    serving = asyncio.create_task(server.serve(sock))
    yield sock.getsockname()[1]
    server.stop()
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


def connected(connections: Connections) -> tuple[Transport, Connection]:
    """Return a connection without a socket, and its transport."""
    transport, connection = Transport(), Connection(connections)
    connection.connection_made(transport)
    return transport, connection


async def exchanged(request: bytes) -> bytes:
    """Return the response to a request that closes its connection, which must be one write."""
    transport, connection = connected(Connections(respond))
    connection.data_received(request)
    await transport.closed.wait()
    [response] = transport.steps
    return response


async def test_head_and_body_of_a_response_are_one_write() -> None:
    response = await exchanged(request_for(b"/", LAST, body=b"asked"))
    head, _, body = response.partition(b"\r\n\r\n")
    status, date, *headers = head.split(b"\r\n")
    assert (status, body, headers) == (b"HTTP/1.1 200 OK", b"asked", [b"content-length: 5", b"connection: close"])
    assert parsedate_to_datetime(date.removeprefix(b"date: ").decode()) <= datetime.now(UTC)


async def test_head_request_gets_no_body(port: int) -> None:
    response = await exchange(port, request_for(b"/", LAST, body=b"asked").replace(b"POST", b"HEAD"))
    assert b"content-length: 5" in response
    assert response.endswith(b"\r\n\r\n")


async def test_header_with_a_line_break_is_not_sent(port: int) -> None:
    assert await exchange(port, request_for(b"/split", LAST)) == b""


@pytest.mark.parametrize("garbage", [b"\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"])
async def test_invalid_http_is_refused(port: int, garbage: bytes) -> None:
    assert (await exchange(port, garbage)).startswith(b"HTTP/1.1 400 ")


async def test_expect_100_continue_is_not_sent_for_a_refused_body() -> None:
    head, _, _ = request_for(b"/large", b"Expect: 100-continue", LAST, body=b"asked").rpartition(b"asked")
    refused = await exchanged(head)
    assert refused.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "lines",
    [
        b"POST / HTTP/1.0\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nx",
    ],
    ids=["old version", "upgrade"],
)
async def test_request_that_cannot_keep_its_connection_is_answered_and_closes_it(port: int, lines: bytes) -> None:
    response = await exchange(port, lines)
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in response


async def test_idle_connection_is_closed() -> None:
    transport, connection = connected(Connections(respond, idle_seconds=0))
    connection.data_received(request_for(b"/", body=b"asked"))
    await transport.closed.wait()
    assert len(transport.steps) == 1


async def test_slow_reader_gets_the_next_response_after_the_last_one() -> None:
    connections = Connections(respond)
    transport, connection = connected(connections)
    connection.pause_writing()
    connection.data_received(request_for(b"/", LAST, body=b"asked"))
    await asyncio.wait(connections.tasks, timeout=0)
    assert transport.steps == []
    connection.resume_writing()
    await transport.closed.wait()
    assert transport.steps[0].endswith(b"asked")


async def test_pipelined_request_may_arrive_in_pieces(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    second = request_for(b"/", LAST, body=b"two")
    writer.write(request_for(b"/", body=b"one") + second[:-2])
    await reader.readuntil(b"one")
    writer.write(second[-2:])
    assert (await reader.read()).endswith(b"two")
    writer.close()
    await writer.wait_closed()


async def test_body_without_a_length_is_not_kept() -> None:
    chunk = b"5\r\nasked\r\n0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert (await exchanged(head + chunk)).endswith(b"content-length: 0\r\nconnection: close\r\n\r\n")


async def test_stopped_server_responds_to_what_it_received_and_closes_the_rest() -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def late(request: Request) -> Reply:
        begun.set()
        await gate.wait()
        return await respond(request)

    sock = socket.create_server(("127.0.0.1", 0))
    server, port = Server(late, stop_seconds=60), sock.getsockname()[1]
    serving = asyncio.create_task(server.serve(sock))
    (idle, idle_writer), (busy, busy_writer) = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    busy_writer.write(request_for(b"/", body=b"asked"))
    await begun.wait()
    server.stop()
    assert await idle.read() == b""
    gate.set()
    response = await busy.read()
    assert response.endswith(b"asked")
    assert b"connection: close" in response
    await serving
    for writer in (idle_writer, busy_writer):
        writer.close()
        await writer.wait_closed()
