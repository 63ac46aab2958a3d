"""Many calls, a few at a time."""

import asyncio
from functools import partial

import pytest

from relay.platform.concurrency import gather_limited


async def test_results_are_in_order_and_few_are_under_way() -> None:
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


async def test_the_first_failure_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    async def call(number: int) -> None:
        if number in (1, 2):
            raise ValueError(str(number))
        await asyncio.sleep(0)
        ended.append(number)

    with pytest.raises(ValueError, match="1"):
        await gather_limited((partial(call, number) for number in range(5)), limit=2)
    assert ended == [0, 3, 4]
