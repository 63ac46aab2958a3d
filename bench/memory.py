"""Resident memory of the worker while it accepts and delivers, over many messages."""

import asyncio
from collections.abc import AsyncIterator

from bench.end_to_end import deliver
from bench.results import Figure
from bench.systems import Running, running

MESSAGES = 100_000
_EVERY_SECONDS = 0.5
MIB = 1024 * 1024


async def resident(messages: int = MESSAGES) -> AsyncIterator[Figure]:
    """MiB at its peak, after a tenth of the messages, and at the end."""
    async with running("relay") as target:
        await deliver(target, messages // 10)
        tenth = _now(target)
        seen: list[float] = []
        watching = asyncio.create_task(_watch(target, seen))
        await deliver(target, messages - messages // 10)
        watching.cancel()
        yield Figure(name="memory/tenth", unit="MiB", runs=[tenth])
        yield Figure(name="memory/end", unit="MiB", runs=[_now(target)])
        yield Figure(name="memory/peak", unit="MiB", runs=[max(seen)])


async def _watch(target: Running, seen: list[float]) -> None:
    while True:
        seen.append(_now(target))
        await asyncio.sleep(_EVERY_SECONDS)


def _now(target: Running) -> float:
    return target.usage()["host"].resident_bytes / MIB
