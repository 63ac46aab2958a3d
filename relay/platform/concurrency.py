"""Run many calls, a limited number of them at once, and stop in time. Run work on large content off the event loop."""

import asyncio
import copy
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial

import msgspec

LARGE_BYTES = 262_144
"""Larger content takes some milliseconds to encode or decode, too long for other requests to wait."""


class Held:
    """A context manager that releases something at the end of its block. One made from a generator costs three times as much."""

    __slots__ = ("_release",)

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release

    def __enter__(self) -> None:
        """Begin the block. The caller has acquired before."""

    def __exit__(self, *_: object) -> None:
        self._release()


async def run_sized[T](work: Callable[[], T], size: int) -> T:
    """Run work on content of this many bytes: in a thread if that is large, else inline, which costs less."""
    return await asyncio.to_thread(work) if size > LARGE_BYTES else work()


async def gather_limited[T](calls: Iterable[Callable[[], Awaitable[T]]], *, limit: int) -> list[T]:
    """Return the results in order, running at most `limit` calls at once. Raises the first failure after all calls ended."""
    chosen = tuple(calls)
    if len(chosen) < 2:
        # Most timers find nothing, and most entries hold one message: they need no tasks.
        return [await call() for call in chosen]
    gate = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    ended = await asyncio.gather(*(one(call) for call in chosen), return_exceptions=True)
    results: list[T] = []
    for result in ended:
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results


def _all[Item](items: Iterable[Item]) -> int:
    return sum(1 for _ in items)


class Joined[Item, Result]:
    """Serves concurrent calls together: while one group is served, the next collects.

    `serve` gets the items of a group and returns a result for each, in order; `fitting` returns how many of the first items make
    a group. An error from `serve` goes to each caller of the group; an error of type `fails_all` also to all callers that wait.
    With a `gate`, a group collects until the gate opens.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        fitting: Callable[[Iterable[Item]], int] = _all,
        fails_all: type[Exception] | tuple[()] = (),
        gate: AbstractAsyncContextManager[object] | None = None,
    ) -> None:
        self._serve = serve
        self._fitting = fitting
        self._fails_all = fails_all
        self._gate = gate or nullcontext()
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._serving: asyncio.Task[None] | None = None

    async def call(self, item: Item) -> Result:
        """Return the result for this item. A caller that is cancelled before its group is served leaves it."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve_all())
        return await result

    async def _serve_all(self) -> None:
        try:
            # Let all callers of this turn of the event loop share the first group. The next group does not wait for a turn, in
            # which the callers of the previous group would run.
            await asyncio.sleep(0)
            while self._waiting:
                async with self._gate:
                    group = self._take()
                    if group:
                        await self._serve_group(group)
        finally:
            self._serving = None

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        wanted = self._fitting(item for item, result in self._waiting if not result.cancelled())
        group: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and (len(group) < wanted or self._waiting[0][1].cancelled()):
            item, result = self._waiting.popleft()
            if not result.cancelled():
                group.append((item, result))
        return group

    async def _serve_group(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._serve([item for item, _ in group])
        except Exception as error:
            if isinstance(error, self._fails_all):
                group += self._waiting
                self._waiting.clear()
            for _, future in group:
                if not future.done():
                    # Each caller gets a copy: an exception raised in several tasks collects the tracebacks of all.
                    future.set_exception(copy.copy(error))
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():
                    future.set_result(result)


class Deadline:
    """A time after which a timer starts no more work, because the host kills functions that exceed their time limit."""

    def __init__(self, clock: Callable[[], datetime], seconds: float) -> None:
        """Set the deadline, in seconds from now."""
        self._clock = clock
        self._at = clock() + timedelta(seconds=seconds)

    @property
    def is_over(self) -> bool:
        """True if the deadline has passed."""
        return self._clock() >= self._at

    def share(self, parts: int) -> "Deadline":
        """Return the deadline of the next of several parts that share the time left equally."""
        return Deadline(self._clock, max(0.0, (self._at - self._clock()).total_seconds()) / parts)


class _Never(Deadline):
    def __init__(self) -> None:
        pass

    @property
    def is_over(self) -> bool:
        return False

    def share(self, parts: int) -> Deadline:  # noqa: ARG002 - the parts share no limit
        return self


NEVER: Deadline = _Never()
"""No deadline: for work that a person waits for."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The number of items done, and whether nothing is left for the next run."""

    done: int = 0
    is_complete: bool = True

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(done=self.done + other.done, is_complete=self.is_complete and other.is_complete)


async def process[T](
    items: AsyncIterable[T],
    work: Callable[[T], Awaitable[bool]],
    *,
    limit: int,
    deadline: Deadline = NEVER,
    needs_work: Callable[[T], bool] = lambda _: True,
) -> Progress:
    """Work on items, `limit` of them at once, until there are no more or the deadline has passed.

    `needs_work` chooses the items. It is called here, because a scan that finds nothing must end at the deadline too. `work`
    returns whether it did anything; those items are counted. Items chosen before the deadline are finished. Raises the first
    failure after all items that were begun have ended.
    """
    done, waiting = 0, list[T]()

    async def finish() -> None:
        nonlocal done
        done += sum(await gather_limited([partial(work, item) for item in waiting], limit=limit))
        waiting.clear()

    async for item in items:
        if deadline.is_over:
            await finish()
            return Progress(done=done, is_complete=False)
        if needs_work(item):
            waiting.append(item)
        if len(waiting) >= limit:
            await finish()
    await finish()
    return Progress(done=done)
