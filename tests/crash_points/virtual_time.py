"""An event loop whose time passes only when nothing else can happen: hours of retries take milliseconds.

Tasks, futures, locks and timeouts are asyncio's own. Only the loop below them is replaced: it has no sockets, signals and
threads to ask, and when every task sleeps, time jumps to the moment at which the first of them wakes.
"""

import asyncio
import contextvars
import heapq
import itertools
import math
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, override

START = datetime(2026, 1, 5, 9, 0, 0, tzinfo=UTC)
"""When virtual time begins. Before the day this is read, because names of messages carry the true time."""
SAME_MOMENT_SECONDS = 1e-9
"""Moments this close are one: sums of the same waits in another order differ by less."""


class DeadlockError(Exception):
    """Every task waits, and nothing will ever wake one of them."""


class _Call(asyncio.TimerHandle):
    """A call to come. Lighter than asyncio's, which keeps what only its debug mode needs."""

    __slots__ = ("args", "at", "callback", "context")

    def __init__(
        self, at: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self.at = at
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context or contextvars.copy_context()

    @override
    def cancel(self) -> None:
        self.callback, self.args = None, ()

    @override
    def cancelled(self) -> bool:
        return self.callback is None

    @override
    def when(self) -> float:
        return self.at


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop in virtual time, which begins at `START`."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: deque[_Call] = deque()
        self._timers: list[tuple[float, int, _Call | asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._is_ending = False
        self._seconds = 0.0
        self._now = 0.0, START
        self._skipped = timedelta()

    @override
    def time(self) -> float:
        """Seconds since `START`."""
        return self._seconds

    def now(self) -> datetime:
        """The moment, aware."""
        if self._seconds != self._now[0]:
            self._now = self._seconds, START + self._skipped + timedelta(seconds=self._seconds)
        return self._now[1]

    def skip_to(self, moment: datetime) -> None:
        """Move the clock forward. No task wakes for it: waits last as long as before."""
        self._skipped += max(timedelta(), moment - self.now())
        self._now = -1.0, moment

    @override
    def call_soon[*Args](
        self, callback: Callable[[*Args], object], *args: *Args, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        call = _Call(self._seconds, callback, args, context)
        self._calls.append(call)
        return call

    @override
    def call_at[*Args](
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        call = _Call(when, callback, args, context)
        heapq.heappush(self._timers, (when, next(self._numbers), call))
        return call

    @override
    def call_later[*Args](
        self,
        delay: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._seconds + delay, callback, *args, context=context)

    @override
    def run_forever(self) -> None:
        """Run until stopped. Raises `DeadlockError`, and whatever a callback raises."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._close_generator)
        asyncio._set_running_loop(self)
        self._is_ending = False
        try:
            while not self._is_ending:
                if not self._calls:
                    self._jump()
                call = self._calls.popleft()
                if call.callback is not None:
                    call.context.run(call.callback, *call.args)
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    @override
    def stop(self) -> None:
        self._is_ending = True

    def pause(self, seconds: float) -> asyncio.Future[None]:
        """Return a future that is done after some seconds. Less work than `asyncio.sleep`: it needs no call and no context."""
        paused: asyncio.Future[None] = asyncio.Future(loop=self)
        heapq.heappush(self._timers, (self._seconds + seconds, next(self._numbers), paused))
        return paused

    def _jump(self) -> None:
        """Go to the moment of the next call. Raises `DeadlockError` if there is none."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise DeadlockError("every task waits for another one")
        self._seconds = max(self._seconds, timers[0][0])
        while timers and timers[0][0] < self._seconds + SAME_MOMENT_SECONDS:
            due = heapq.heappop(timers)[2]
            if isinstance(due, _Call):
                self._calls.append(due)
            elif not due.done():
                due.set_result(None)

    def _close_generator(self, generator: AsyncGenerator[object, object]) -> None:
        """Close a generator that its task has left, as a process that died leaves it."""
        # The coroutine is made when the loop gets there: one that is made and never runs, because the loop ended, is a warning.
        self.call_soon(lambda: self.create_task(generator.aclose()))

    @override
    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Ignore exceptions of tasks whose process died."""

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
        self._is_stirred = False

    async def wait(self, most: float | None = None) -> None:
        """Wait until the next look after something has happened, or for `most` seconds."""
        self._begun = self._loop.time()
        self._is_stirred = False
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
        if self._woken is None or self._is_stirred:
            return
        self._is_stirred = True
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
