"""The connections of one SMTP route: few, kept while they are good, opened when needed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from relay.outcomes import Outcome
from relay.providers.smtp_connection import Connection, losses

MAX_IDLE_SECONDS = 45.0
"""Longer unused, a connection is not trusted: servers and address translation drop it without a word."""
MAX_TRANSACTIONS = 100
"""After so many a connection is given up, so that load spreads over the server's machines."""


class Pool:
    """At most `limit` connections at a time; those returned in order are used again, the latest first."""

    def __init__(
        self, *, limit: int, open_one: Callable[[], Awaitable[Connection | Outcome]], clock: Callable[[], datetime]
    ) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._open_one = open_one
        self._clock = clock
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """The right to use one connection."""
        async with self._slots:
            yield

    def idle(self) -> Connection | None:
        """A connection that was used before and seems good, or None. Those that are not are closed."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and self._clock().timestamp() - connection.idle_since < MAX_IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def fresh(self) -> Connection | Outcome:
        """A new connection, or why there is none."""
        return await self._open_one()

    async def give_back(self, connection: Connection, *, is_clean: bool) -> None:
        """Keep a connection for the next; a transaction that was not completed (not `is_clean`) is ended first."""
        try:
            if connection.transactions < MAX_TRANSACTIONS and (is_clean or await connection.reset()):
                connection.idle_since = self._clock().timestamp()
                self._idle.append(connection)
                return
        except losses():
            pass
        await connection.quit()

    async def close(self) -> None:
        """Take leave of all that are not in use."""
        while self._idle:
            await self._idle.pop().quit()
