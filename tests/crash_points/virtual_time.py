"""An event loop whose time passes only when nothing else can happen: hours of retries take milliseconds.

It is asyncio's own loop. Only the clock and the wait for sockets are replaced: when every task sleeps, time jumps to the
moment at which the first of them wakes.
"""

import asyncio
import math
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, override

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
        """What is ready now; the timeout is over at once. Sockets are asked only when nothing else can happen."""
        if timeout is not None:
            self.seconds += max(0.0, timeout)
            return []
        ready = super().select(0)
        if not ready:
            raise DeadlockError("every task waits for another one")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio's loop in virtual time, which begins at `START`."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        self._now = 0.0, START
        self._skipped = timedelta()
        super().__init__(self._jumps)
        self.set_exception_handler(_keep_still)

    def time(self) -> float:
        """Seconds since `START`."""
        return self._jumps.seconds

    def now(self) -> datetime:
        """The moment, aware."""
        seconds = self._jumps.seconds
        if seconds != self._now[0]:
            self._now = seconds, START + self._skipped + timedelta(seconds=seconds)
        return self._now[1]

    def skip_to(self, moment: datetime) -> None:
        """Move the clock forward. No task wakes for it: waits last as long as before."""
        self._skipped += max(timedelta(), moment - self.now())
        self._now = -1.0, moment

    @override
    def run_in_executor[*Args, Result](
        self, executor: Executor | None, func: Callable[[*Args], Result], *args: *Args
    ) -> asyncio.Future[Result]:
        """Run the work now and without a thread: virtual time would not wait for one."""
        done: asyncio.Future[Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


class Poll:
    """The wait of a task that looks every few seconds. While nothing happens it sleeps through the looks, which would
    find what the last one found.
    """

    def __init__(self, loop: VirtualLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._begun = 0.0
        self._woken: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, most: float | None = None) -> None:
        """Wait until the next look after something has happened, or for `most` seconds."""
        self._begun = self._loop.time()
        self._woken = self._loop.create_future()
        if most is not None:
            self._timer = self._loop.call_at(self._begun + most, self.end)
        try:
            await self._woken
        finally:
            self._woken = None
            self._cancel()

    def stir(self) -> None:
        """Wake the next look because something has changed."""
        if self._woken is None:
            return
        looks = math.ceil((self._loop.time() - self._begun) / self._seconds)
        at = self._begun + looks * self._seconds
        if self._timer is None or at < self._timer.when():
            self._cancel()
            self._timer = self._loop.call_at(at, self.end)

    def end(self) -> None:
        """End the wait now."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _keep_still(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore exceptions of tasks whose process died."""
