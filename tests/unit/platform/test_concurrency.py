"""Concurrent calls with a limit and a deadline."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from relay.platform.concurrency import NEVER, Deadline, Joined, Progress, gather_limited, process
from tests.doubles import Clock


async def test_results_are_in_order_and_the_limit_is_kept() -> None:
    under_way: set[int] = set()
    peak = 0

    async def call(number: int) -> int:
        nonlocal peak
        under_way.add(number)
        peak = max(peak, len(under_way))
        for _ in range(10 - number):
            await asyncio.sleep(0)
        under_way.remove(number)
        return number

    assert await gather_limited((partial(call, number) for number in range(10)), limit=3) == list(range(10))
    assert peak == 3


async def test_first_failure_is_raised_after_all_calls_ended() -> None:
    ended: list[int] = []

    async def call(number: int) -> None:
        if number in (1, 2):
            raise ValueError(str(number))
        await asyncio.sleep(0)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        await gather_limited((partial(call, number) for number in range(5)), limit=2)
    assert ended == [0, 3, 4]


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_items_are_worked_on_until_there_are_no_more() -> None:
    async def is_even(number: int) -> bool:
        return number % 2 == 0

    assert await process(numbers(9), is_even, limit=4) == Progress(done=5)
    assert await process(numbers(0), is_even, limit=4) == Progress()


async def test_after_the_deadline_nothing_begins_and_what_began_is_finished() -> None:
    clock = Clock()
    begun: list[int] = []

    async def work(number: int) -> bool:
        begun.append(number)
        clock.move(1.0)
        return True

    assert await process(numbers(100), work, limit=4, deadline=Deadline(clock, 10.0)) == Progress(
        done=12, is_complete=False
    )
    assert begun == list(range(12))


async def test_exception_is_raised_after_the_other_items_have_ended() -> None:
    ended: list[int] = []

    async def work(number: int) -> bool:
        if number == 1:
            raise ValueError("one")
        await asyncio.sleep(0)
        ended.append(number)
        return True

    with pytest.raises(ValueError, match="one"):
        await process(numbers(100), work, limit=4)
    assert ended == [0, 2, 3]


async def test_scan_that_finds_nothing_ends_at_the_deadline() -> None:
    clock = Clock()
    scanned: list[int] = []

    def is_chosen(number: int) -> bool:
        scanned.append(number)
        clock.move(1.0)
        return False

    async def work(_: int) -> bool:
        raise AssertionError("no item is chosen")

    progress = await process(numbers(100), work, limit=4, deadline=Deadline(clock, 10.0), needs_work=is_chosen)
    assert progress == Progress(done=0, is_complete=False)
    assert scanned == list(range(10))


async def test_parts_share_the_time_that_is_left() -> None:
    clock = Clock()
    whole = Deadline(clock, 90.0)

    def seconds_of(part: Deadline) -> int:
        began = clock.now
        while not part.is_over:
            clock.move(1.0)
        return round((clock.now - began).total_seconds())

    assert seconds_of(whole.share(3)) == 30
    clock.move(20.0)
    assert seconds_of(whole.share(2)) == 20
    clock.move(100.0)
    assert seconds_of(whole.share(1)) == 0
    assert not NEVER.share(9).is_over


async def test_calls_that_arrive_while_a_group_is_served_share_the_next_one() -> None:
    groups: list[list[int]] = []
    first_is_served, first_may_end = asyncio.Event(), asyncio.Event()

    async def serve(numbers: Sequence[int]) -> list[int]:
        groups.append(list(numbers))
        first_is_served.set()
        await first_may_end.wait()
        return [number * 10 for number in numbers]

    joined = Joined(serve)
    first = asyncio.create_task(joined.call(1))
    await first_is_served.wait()
    others = [asyncio.create_task(joined.call(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    others[1].cancel()
    first_may_end.set()
    assert (await first, await others[0], await others[2]) == (10, 20, 40)
    assert groups == [[1], [2, 4]]


async def test_failure_of_a_group_reaches_each_of_its_callers_and_none_of_the_next() -> None:
    failures: list[Exception] = [ValueError("away")]

    async def serve(numbers: Sequence[int]) -> Sequence[int]:
        if failures:
            raise failures.pop()
        return numbers

    joined = Joined(serve)
    ended = await asyncio.gather(*(joined.call(number) for number in range(3)), return_exceptions=True)
    assert [str(error) for error in ended] == ["away"] * 3
    assert await joined.call(7) == 7


async def test_group_collects_until_its_gate_is_open() -> None:
    groups: list[Sequence[int]] = []

    async def serve(numbers: Sequence[int]) -> Sequence[int]:
        groups.append(numbers)
        return numbers

    gate = asyncio.Semaphore(0)
    joined = Joined(serve, gate=gate)
    calls = []
    for number in range(3):
        calls.append(asyncio.create_task(joined.call(number)))
        await asyncio.sleep(0)
    gate.release()
    assert await asyncio.gather(*calls) == [0, 1, 2]
    assert groups == [[0, 1, 2]]
