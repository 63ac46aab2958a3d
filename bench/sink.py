"""A provider that is not the bottleneck: answers every POST as SendGrid does, and counts. `python -m bench.sink`.

`GET /count` tells how many came. Prints its address as one line when it listens.
"""

import asyncio
from typing import Any

import httptools
import uvloop

_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: sink\r\nContent-Length: 0\r\n\r\n"


class Sink(asyncio.Protocol):
    """One connection. The count is the process's."""

    count = 0

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: Any = None
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Some of a request came."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """What is asked for."""
        self._url = url

    def on_message_complete(self) -> None:
        """A whole request came."""
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
