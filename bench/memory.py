"""Resident memory of the worker while it accepts and delivers, over many messages."""

import asyncio
from collections.abc import AsyncIterator

from bench.end_to_end import deliver
from bench.results import Figure
from bench.systems import Running, running

MESSAGES = 100_000
POINTS = 50
"""How many points of the way are told."""
_EVERY_SECONDS = 0.5
MIB = 1024 * 1024


async def resident(messages: int = MESSAGES) -> AsyncIterator[Figure]:
    """MiB after a tenth of the messages, at the end, at its peak, and on the way, by how many messages were delivered."""
    async with running("relay") as target:
        # What the timer of each minute loads comes at the beginning, so that it does not look like growth.
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
    """The first that was seen of each step."""
    points = {delivered // step: (delivered, mebibytes) for delivered, mebibytes in reversed(seen)}
    return [points[number] for number in sorted(points)]


async def _watch(target: Running, seen: list[tuple[int, float]]) -> None:
    while True:
        seen.append((await target.arrived(), _now(target)))
        await asyncio.sleep(_EVERY_SECONDS)


def _now(target: Running) -> float:
    return target.usage()["host"].resident_bytes / MIB
