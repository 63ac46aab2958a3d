"""Servers on loopback that behave as a test says, plain or with TLS, and requests to them."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from relay.platform.http.client import HttpClient, Timeouts
from relay.platform.http.errors import NoResponse
from relay.platform.http.response import RawResponse
from relay.platform.http.url import parse_url
from standins.tls import Authority

AUTHORITY = Authority()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SMALL, LARGE = b"small", b"x" * 8_000_000
"""One body that is written at once, and one that does not fit into the buffers of both sides."""
NO_LIMIT = 100_000_000
BUFFERS = 30_000_000
"""More than a server can send before it notices that the client has closed."""


class Peer:
    """The server's side of one connection. It counts what it got and sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = self.sent = 0
        self.head = b""

    async def read_head(self) -> int:
        """Read the head of a request and return the length of its body."""
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        self.received += len(self.head)
        return int(self.head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)

    async def read_request(self) -> bytes:
        """Read a whole request and return its body."""
        return await self.read(await self.read_head())

    async def read(self, count: int) -> bytes:
        """Read exactly so much."""
        data = await self.reader.readexactly(count)
        self.received += count
        return data

    async def read_to_the_end(self) -> None:
        """Read what still comes until the client closes."""
        with suppress(OSError):
            while data := await self.reader.read(65_536):
                self.received += len(data)

    async def send(self, data: bytes) -> None:
        """Send this."""
        self.sent += len(data)
        self.writer.write(data)
        await self.writer.drain()
        # `drain` lets others run only if the buffer is full.
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Close so that the client gets a reset."""
        opened = self.writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


type Behavior = Callable[[Peer], Awaitable[None]]


class Listening:
    """A server's address, and its side of each connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.peers: list[Peer] = []
        self.finished = 0


@asynccontextmanager
async def listening(*behaviors: Behavior, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listening]:
    """Run a behavior for each connection, the last for all further ones, and then close the connection."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        place.peers.append(peer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await behaviors[min(len(place.peers), len(behaviors)) - 1](peer)
        finally:
            writer.close()
            place.finished += 1

    opened = socket.create_server(("127.0.0.1", 0))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    server = await asyncio.start_server(connected, sock=opened, ssl=tls)
    place = Listening(f"http{'s' if tls else ''}://127.0.0.1:{opened.getsockname()[1]}/there")
    async with server:
        try:
            yield place
        finally:
            server.close()
            server.abort_clients()


@asynccontextmanager
async def client_of(**options: Any) -> AsyncIterator[HttpClient]:
    """Yield a client that trusts the tests' authority."""
    client = HttpClient(tls=AUTHORITY.client_context(), **options)
    yield client
    client.close()


async def request(
    client: HttpClient,
    url: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    max_body_bytes: int = NO_LIMIT,
    **timeouts: float,
) -> RawResponse:
    """Send a request."""
    limits = {"total_seconds": 20.0, **timeouts}
    return await client.request(
        method,
        parse_url(url),
        headers={},
        body=body,
        timeouts=Timeouts(**limits),
        max_body_bytes=max_body_bytes,
    )


async def ended(client: HttpClient, url: str, body: bytes = b"", **options: Any) -> RawResponse | NoResponse:
    """Send a request and return its response, or why there is none."""
    try:
        return await request(client, url, body, **options)
    except NoResponse as lost:
        return lost


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something at the other side."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - what is waited for happens at the other side
            await asyncio.sleep(0.002)
