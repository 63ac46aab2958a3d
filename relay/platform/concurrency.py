"""Many calls, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable


async def gather_limited[T](calls: Iterable[Callable[[], Awaitable[T]]], *, limit: int) -> list[T]:
    """The results in order, with at most so many calls under way. Raises the first failure, when every call has ended."""
    gate = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    ended = await asyncio.gather(*(one(call) for call in calls), return_exceptions=True)
    results: list[T] = []
    for result in ended:
        if isinstance(result, BaseException):
            raise result
        results.append(result)
    return results
