"""Pool the connections of one SMTP route."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from relay.providers.smtp.connection import SmtpConnection

MAX_IDLE_SECONDS = 45.0
"""A connection that was idle longer is closed: servers and NAT drop idle connections silently."""
MAX_TRANSACTIONS = 100
"""Transactions after which a connection is closed, so that load spreads over the server's machines."""


class Pool:
    """Keeps at most `limit` connections and reuses those returned in a clean state, the latest first."""

    def __init__(self, *, limit: int, wait_seconds: float, clock: Callable[[], datetime]) -> None:
        """`wait_seconds` is the timeout for a free slot."""
        self._slots = asyncio.Semaphore(limit)
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._idle: list[SmtpConnection] = []
        self._is_closed = False

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[bool]:
        """Acquire the right to use one connection. Yields False if none became free in time."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._slots.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._slots.release()

    def idle(self) -> SmtpConnection | None:
        """Return an idle connection that seems usable, or None. Closes the unusable ones."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and self._clock().timestamp() - connection.idle_since < MAX_IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def give_back(self, connection: SmtpConnection, *, is_clean: bool) -> None:
        """Keep a connection for reuse. Resets an incomplete transaction (not `is_clean`) first."""
        try:
            is_wanted = connection.transactions < MAX_TRANSACTIONS and not self._is_closed
            if is_wanted and connection.is_open and (is_clean or await connection.reset()):
                connection.idle_since = self._clock().timestamp()
                self._idle.append(connection)
                return
        except OSError:
            pass
        await connection.quit()

    async def close(self) -> None:
        """Quit all idle connections, and the others when they are given back."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().quit()
