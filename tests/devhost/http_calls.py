"""Send requests to the HTTP front over a connection without a socket."""

import asyncio
from collections.abc import Sequence

from devhost.connection import Connection, Connections
from devhost.http import HttpFront


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

    def resume_reading(self) -> None:
        """Nothing to resume."""


class Response:
    """A response without its date, which each has; status 0 if there is none."""

    def __init__(self, sent: bytes) -> None:
        head, _, self.body = sent.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        self.status = int(status.split()[1]) if status else 0
        pairs = [line.partition(b": ") for line in lines]
        self.headers = [(name, value) for name, _, value in pairs if name not in {b"date", b"connection"}]

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


async def call(
    front: HttpFront,
    method: str = "GET",
    target: str = "/",
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: Sequence[bytes] = (),
    is_chunked: bool = False,
    disconnects: bool = False,
) -> Response:
    """Send a request with its body in the given parts; `is_chunked` omits Content-Length, `disconnects` the rest."""
    length = [] if is_chunked or not body else [(b"content-length", b"%d" % sum(map(len, body)))]
    framing = [(b"transfer-encoding", b"chunked")] if is_chunked else length
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: localhost"]
    lines += [b"%s: %s" % header for header in (*framing, *headers)]
    connections, transport = Connections(front.respond), Transport()
    connection = Connection(connections)
    connection.connection_made(transport)
    for data in (b"\r\n".join(lines) + b"\r\n\r\n", *(map(_chunk, body) if is_chunked else body)):
        connection.data_received(data)
    if is_chunked:
        connection.data_received(_chunk(b""))
    if disconnects:
        connection.connection_lost(None)
    await asyncio.gather(*connections.tasks)
    return Response(b"".join(transport.steps))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
