"""The connections of one SMTP route: few, kept while they are good, opened when needed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from relay.providers.smtp.connection import SmtpConnection
from relay.providers.smtp.outcomes import connection_errors

MAX_IDLE_SECONDS = 45.0
"""Longer unused, a connection is not trusted: servers and address translation drop it without a word."""
MAX_TRANSACTIONS = 100
"""After so many a connection is given up, so that load spreads over the server's machines."""


class Pool:
    """At most `limit` connections at a time; those returned in order are used again, the latest first."""

    def __init__(self, *, limit: int, wait_seconds: float, clock: Callable[[], datetime]) -> None:
        """`wait_seconds` is how long one may wait for a connection to become free."""
        self._slots = asyncio.Semaphore(limit)
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._idle: list[SmtpConnection] = []
        self._is_closed = False

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[bool]:
        """The right to use one connection: True, or False when none became free in time."""
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
        """A connection that was used before and seems good, or None. Those that are not are closed."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and self._clock().timestamp() - connection.idle_since < MAX_IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def give_back(self, connection: SmtpConnection, *, is_clean: bool) -> None:
        """Keep a connection for the next; a transaction that was not completed (not `is_clean`) is ended first."""
        try:
            is_wanted = connection.transactions < MAX_TRANSACTIONS and not self._is_closed
            if is_wanted and connection.is_open and (is_clean or await connection.reset()):
                connection.idle_since = self._clock().timestamp()
                self._idle.append(connection)
                return
        except connection_errors():
            pass
        await connection.quit()

    async def close(self) -> None:
        """Take leave of all that are not in use, and of the others when they are given back."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().quit()
