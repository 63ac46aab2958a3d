"""Send requests over pooled connections to any server, each request once: without retries, redirects, cookies and proxies.

The parser is httptools. A full client library takes longer to import than everything else that the first message needs, takes
several times the CPU for each request, or cannot say whether the server may have a request whose response is missing:
docs/decisions/0052-http-client.md.
"""

import asyncio
import math
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from relay.platform.http.connect import Resolve, connect, system_resolve
from relay.platform.http.connection import Connection, Limits
from relay.platform.http.errors import NotSent
from relay.platform.http.idle import IdleConnections
from relay.platform.http.request_head import request_head
from relay.platform.http.response import RawResponse
from relay.platform.http.url import Origin, Url

if TYPE_CHECKING:
    from ssl import SSLContext

MAX_IDLE = 256


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts in seconds: waiting for a free connection, opening one, the whole exchange, and no byte moved within it.

    The whole limits the others.
    """

    wait_seconds: float = math.inf
    connect_seconds: float = 10.0
    total_seconds: float = 60.0
    stalled_seconds: float = math.inf


class HttpClient:
    """Sends at most `limit` requests at once (0: any number). The others wait.

    `tls` replaces the default context. `resolve` returns the addresses that it may connect to. Belongs to the event loop of its
    first request.
    """

    def __init__(self, *, limit: int = 0, tls: "SSLContext | None" = None, resolve: Resolve = system_resolve) -> None:
        self._free = asyncio.Semaphore(limit or sys.maxsize)
        self._idle = IdleConnections(limit or MAX_IDLE)
        self._tls = tls
        self._resolve = resolve
        self._is_closed = False

    async def request(
        self,
        method: str,
        url: Url,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeouts: Timeouts,
        max_body_bytes: int,
    ) -> RawResponse:
        """Send once. Host and Content-Length are added. Raises `NotSent` or `ResponseLost`."""
        deadline = asyncio.get_running_loop().time() + timeouts.total_seconds
        head = request_head(method, url.target, url.origin.authority, headers.items(), len(body))
        limits = Limits(max_body_bytes=max_body_bytes, deadline=deadline, stalled_seconds=timeouts.stalled_seconds)
        connection = await self._connection(url.origin, timeouts, deadline)
        try:
            response = await connection.send(head, body, limits, is_head=method == "HEAD")
        except BaseException:
            # A response that arrives now would belong to this abandoned request.
            connection.close()
            raise
        finally:
            self._free.release()
        if connection.is_reusable and not self._is_closed:
            self._idle.put(url.origin, connection)
        else:
            connection.close()
        return response

    def close(self) -> None:
        """Close the idle connections. Those in use end with their response."""
        self._is_closed = True
        self._idle.close()

    async def _connection(self, origin: Origin, timeouts: Timeouts, deadline: float) -> Connection:
        """Wait until a request may begin, then take an idle connection or open one. Raises `NotSent`."""
        if not self._free.locked() and (connection := self._idle.take(origin)):
            # Does not wait, so it needs no timeout.
            await self._free.acquire()
            return connection
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout_at(min(deadline, clock() + timeouts.wait_seconds)) as timeout:
                await self._free.acquire()
                try:
                    timeout.reschedule(min(deadline, clock() + timeouts.connect_seconds))
                    return self._idle.take(origin) or await connect(origin, self._resolve, self._tls)
                except BaseException:
                    self._free.release()
                    raise
        except (OSError, UnicodeError) as error:
            # Name resolution raises UnicodeError for text that cannot be a host name.
            raise NotSent(type(error).__name__) from error
