"""Measure the resident memory of the worker while it accepts and delivers many messages."""

import asyncio
from collections.abc import AsyncIterator

from bench.end_to_end import deliver
from bench.results import Figure
from bench.systems import Running, running

MESSAGES = 100_000
POINTS = 50
"""The number of points in the plot."""
_EVERY_SECONDS = 0.5
MIB = 1024 * 1024


async def resident(messages: int = MESSAGES) -> AsyncIterator[Figure]:
    """Measure MiB after a tenth of the messages, at the end, at the peak, and in between by number of delivered messages."""
    async with running("relay") as target:
        # Run the minute timer once first, so that the modules it loads do not count as growth.
        async with target.session.post(f"{target.url}/admin/functions/recover", json={"input": ""}) as response:
            response.raise_for_status()
        seen: list[tuple[int, float]] = []
        watching = asyncio.create_task(_watch(target, seen))
        await deliver(target, messages // 10)
        tenth = _now(target)
        await deliver(target, messages - messages // 10)
        end = _now(target)
        watching.cancel()
    yield Figure(name="memory/tenth", unit="MiB", runs=[tenth])
    yield Figure(name="memory/end", unit="MiB", runs=[end])
    yield Figure(name="memory/peak", unit="MiB", runs=[max(mebibytes for _, mebibytes in seen)])
    for delivered, mebibytes in _thinned(seen, messages // POINTS):
        yield Figure(name=f"memory/after {delivered}", unit="MiB", runs=[mebibytes])


def _thinned(seen: list[tuple[int, float]], step: int) -> list[tuple[int, float]]:
    """Return the first value of each step."""
    points = {delivered // step: (delivered, mebibytes) for delivered, mebibytes in reversed(seen)}
    return [points[number] for number in sorted(points)]


async def _watch(target: Running, seen: list[tuple[int, float]]) -> None:
    while True:
        seen.append((await target.arrived(), _now(target)))
        await asyncio.sleep(_EVERY_SECONDS)


def _now(target: Running) -> float:
    return target.usage()["host"].resident_bytes / MIB
