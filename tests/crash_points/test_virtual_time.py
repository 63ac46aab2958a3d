"""The event loop in virtual time keeps asyncio's rules."""

import asyncio
from collections.abc import Awaitable

import pytest

from tests.crash_points.virtual_time import DeadlockError, VirtualLoop


def run[T](work: Awaitable[T]) -> tuple[T, float]:
    """Return the result of some work, and the virtual seconds that it took."""

    async def whole() -> T:
        return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(whole()), runner.get_loop().time()


def test_waits_end_in_the_order_of_their_moments() -> None:
    ended: list[str] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        ended.append(name)

    async def work() -> None:
        await asyncio.gather(wait("day", 86_400), wait("first", 5), wait("second", 5), wait("moment", 0))

    assert run(work())[1] == 86_400
    assert ended == ["moment", "first", "second", "day"]


def test_cancelled_wait_takes_no_time() -> None:
    async def work() -> None:
        waiting = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait({waiting})

    assert run(work())[1] == 1


def test_timeout_ends_what_takes_longer() -> None:
    async def work() -> None:
        async with asyncio.timeout(9):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        run(work())


def test_wait_for_nothing_raises() -> None:
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError):
        run(work())


def test_work_of_a_thread_runs_at_once() -> None:
    assert run(asyncio.to_thread(sum, (1, 2))) == (3, 0)
