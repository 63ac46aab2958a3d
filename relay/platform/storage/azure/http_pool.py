"""Send HTTP/1.1 requests over pooled connections to one server. Supports only what small storage requests need.

The parser is httptools (Node's llhttp). A full client library takes longer to import than everything else that the first
message needs, and more time for each request than signing and sending it. Measurements:
docs/decisions/0016-storage-requests.md.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

if TYPE_CHECKING:
    from ssl import SSLContext

CONNECT_SECONDS = 3.0
"""Timeout for opening a connection, including TLS and name resolution."""
IDLE_SECONDS = 60.0
"""How long an unused connection is kept, unless the server's `Keep-Alive` says less. Azure's balancers forget after four
minutes (learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset)."""
_COPIED_BYTES = 65_536
"""Larger bodies are not joined with the head."""
_CLOSES_EARLIER = 1.0
"""Seconds subtracted from the server's `Keep-Alive`, so that no request is sent while the server closes the connection."""


class StorageResponse(msgspec.Struct, frozen=True):
    """A whole response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionPool:
    """Sends requests to the server of a base URL (`https://host:port`), at most `limit` at once. The others wait.

    Belongs to the event loop of its first request.
    """

    def __init__(self, base: str, *, limit: int) -> None:
        parts = urlsplit(base)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self._authority = parts.netloc
        self._free = asyncio.Semaphore(limit)
        # Last in, first out, so that connections left over from a burst expire.
        self._idle: deque[_PooledConnection] = deque()
        self._tls: SSLContext | None = None
        self._is_closed = False

    async def request(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
        *,
        stalled_seconds: float | None = None,
    ) -> StorageResponse:
        """Send once. `target` is path and query, encoded; Host and Content-Length are added. Nothing moves for `stalled_seconds`
        at most.

        Raises `OSError` when there is no connection or it ends before the response does; then the effect is unknown.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._authority}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        async with self._free:
            connection = self._take() or await self._connect()
            try:
                response = await connection.send(head, body, stalled_seconds)
            except BaseException:
                # A response that arrives now would belong to this abandoned request.
                connection.close()
                raise
        if connection.is_reusable and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def close(self) -> None:
        """Close the idle connections; those in use end with their response."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> "_PooledConnection | None":
        now = asyncio.get_running_loop().time()
        while self._idle and not self._idle[0].is_usable(now):
            self._idle.popleft().close()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable(now):
                return connection
            connection.close()
        return None

    async def _connect(self) -> "_PooledConnection":
        loop = asyncio.get_running_loop()
        if self._is_secure and self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(_PooledConnection, self._host, self._port, ssl=self._tls)
        return connection


class _PooledConnection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpResponseParser(self)
        self._response: asyncio.Future[StorageResponse] | None = None
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._expires = 0.0
        self.is_reusable = False

    async def send(self, head: bytes, body: bytes, stalled_seconds: float | None) -> StorageResponse:
        """Send a request and return its response. Raises `TimeoutError` if nothing moves for so long."""
        response: asyncio.Future[StorageResponse] = self._loop.create_future()
        self._response = response
        self._headers, self._parts, self.is_reusable = {}, [], False
        if len(body) > _COPIED_BYTES:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body)
        while stalled_seconds is not None and not response.done():
            moved = self._moved()
            await asyncio.wait((response,), timeout=stalled_seconds)
            if not response.done() and self._moved() == moved:
                raise TimeoutError
        return await response

    def _moved(self) -> tuple[int, int]:
        """Return how much is still to be sent, and how much was received."""
        return self._transport.get_write_buffer_size(), len(self._parts)

    def is_usable(self, now: float) -> bool:
        """Whether a request may be sent on this connection."""
        return self.is_reusable and now < self._expires

    def close(self) -> None:
        """Close the connection immediately."""
        self.is_reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"not an HTTP/1.1 response: {type(error).__name__}"))
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self.is_reusable = False
        self._fail(error if isinstance(error, OSError) else ConnectionError("the connection ended before the response"))

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self._response is None:
            # The next request would take this response for its own.
            raise ConnectionError("the server sent a response without a request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        status = self._parser.get_status_code()
        if status < 200:
            # Interim (RFC 9110 15.2): the response itself follows.
            self._headers, self._parts = {}, []
            return
        self.is_reusable = self._parser.should_keep_alive()
        self._expires = self._loop.time() + _idle_seconds(self._headers.get("keep-alive", ""))
        waiting, self._response = self._response, None
        if waiting is not None and not waiting.done():
            waiting.set_result(StorageResponse(status, self._headers, b"".join(self._parts)))

    def _fail(self, error: OSError) -> None:
        waiting, self._response = self._response, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)


def _idle_seconds(keep_alive: str) -> float:
    """How long a connection may stay idle after a response with this header (RFC 2068 19.7.1.1: `timeout=5`)."""
    for parameter in keep_alive.split(","):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "timeout" and value.isdigit():
            return min(IDLE_SECONDS, max(0.0, int(value) - _CLOSES_EARLIER))
    return IDLE_SECONDS
