"""Keep unused connections for the next request to the same server."""

import asyncio
from collections import defaultdict

from relay.platform.http.connection import IDLE_SECONDS, Connection
from relay.platform.http.url import Origin


class IdleConnections:
    """Unused connections to all servers, at most `limit`. Last in, first out, so that those left over from a burst expire."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Oldest first.
        self._all: dict[Connection, Origin] = {}
        self._by_origin: defaultdict[Origin, dict[Connection, None]] = defaultdict(dict)
        self._sweep: asyncio.TimerHandle | None = None

    def put(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection, and close the one that is unused for longest if there are too many."""
        self._all[connection] = origin
        self._by_origin[origin][connection] = None
        if len(self._all) > self._limit:
            self._close(next(iter(self._all)))
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_unusable)

    def take(self, origin: Origin) -> Connection | None:
        """Take a connection on which a request may be sent."""
        now = asyncio.get_running_loop().time()
        while connections := self._by_origin.get(origin):
            connection = next(reversed(connections))
            if connection.is_usable(now):
                self._forget(connection)
                return connection
            self._close(connection)
        return None

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._all):
            self._close(connection)
        if self._sweep is not None:
            self._sweep.cancel()

    def _close_unusable(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in list(self._all):
            if not connection.is_usable(loop.time()):
                self._close(connection)
        self._sweep = loop.call_later(IDLE_SECONDS, self._close_unusable) if self._all else None

    def _close(self, connection: Connection) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: Connection) -> None:
        origin = self._all.pop(connection)
        connections = self._by_origin[origin]
        del connections[connection]
        if not connections:
            del self._by_origin[origin]
