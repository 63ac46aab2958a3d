"""`python -m bench.sink`: a fast provider that responds to every POST as SendGrid does, and counts.

`GET /count` returns the number of posts. Prints one line with its address when it listens.
"""

import asyncio
from typing import Any

import httptools
import uvloop

_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: sink\r\nContent-Length: 0\r\n\r\n"


class Sink(asyncio.Protocol):
    """One connection. The count is shared by all connections of the process."""

    count = 0

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Called by the parser."""
        self._url = url

    def on_message_complete(self) -> None:
        """Called by the parser after a whole request."""
        if self._parser.get_method() == b"POST":
            Sink.count += 1
            self._transport.write(_ACCEPTED)
            return
        body = b'{"count":%d}' % Sink.count
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=2048)
    host, port = server.sockets[0].getsockname()
    print(f"sink listens on http://{host}:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
