"""An event loop whose time passes only when nothing else can happen: hours of retries take milliseconds.

It is asyncio's own loop. Only the clock and the wait for sockets are replaced: when every task sleeps, time jumps to the
moment at which the first of them wakes.
"""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 1, 5, 9, 0, 0, tzinfo=UTC)
"""When virtual time begins. Before the day this is read, because names of messages carry the true time."""


class DeadlockError(Exception):
    """Every task waits, and nothing will ever wake one of them."""


class _Jumps(selectors.SelectSelector):
    """Waits for nothing: what would have been waited is added to the time instead."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; the time-out is over at once."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise DeadlockError("every task waits for another one")
            self.seconds += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio's loop in virtual time, which begins at `START`."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)
        self.set_exception_handler(_keep_still)

    def time(self) -> float:
        """Seconds since `START`."""
        return self._jumps.seconds

    def now(self) -> datetime:
        """The moment, aware."""
        return START + timedelta(seconds=self._jumps.seconds)


def _keep_still(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tasks of a process that died are never asked what became of them."""
