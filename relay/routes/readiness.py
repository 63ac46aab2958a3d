"""Report whether storage answers: it does when the routes' holds can be read.

Anyone may ask, so each process reads storage at most once in `CACHE_SECONDS`, for all callers, and caches a failure too.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.core.errors import StorageError
from relay.routes.holds import CACHE_SECONDS, Holds


class Readiness:
    """The result of reading storage, at most `CACHE_SECONDS` old."""

    def __init__(self, holds: Holds, clock: Callable[[], datetime]) -> None:
        self._holds = holds
        self._clock = clock
        self._reading = asyncio.Lock()
        self._failure = ""
        self._known_until = datetime.min.replace(tzinfo=clock().tzinfo)

    async def failure(self) -> str:
        """Return the kind of failure; empty when storage answers."""
        if not self._is_known():
            async with self._reading:
                if not self._is_known():
                    self._failure = await self._read()
                    self._known_until = self._clock() + timedelta(seconds=CACHE_SECONDS)
        return self._failure

    def _is_known(self) -> bool:
        return self._clock() < self._known_until

    async def _read(self) -> str:
        try:
            await self._holds.all(fresh=True)
        except StorageError as error:
            return type(error).__name__
        return ""
