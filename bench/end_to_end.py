"""Measure throughput from the caller to the provider: Relay, the tutorial's function and Postfix."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from bench import load, postfix
from bench.results import Figure
from bench.systems import MESSAGE, Running, running

BODY = msgspec.json.encode(MESSAGE)
CONNECTIONS = 32
MESSAGES = {"relay": 10_000, "tutorial": 320, "postfix": 5_000}
"""The number that each system handles in a few seconds."""
_POLL_SECONDS = 0.02
_TIMEOUT_SECONDS = 300


async def rates(runs: int) -> AsyncIterator[Figure]:
    """Measure messages per second from the first request until the provider has the last, and CPU milliseconds per process.

    Relay runs once with all functions in one process, and once with HTTP and the queue functions in a process each.
    """
    for system, is_split in (("relay", False), ("relay", True), ("tutorial", False)):
        async for figure in _functions(system, runs, is_split=is_split):
            yield figure
    found = [await postfix.relayed_per_second(MESSAGES["postfix"], CONNECTIONS) for _ in range(runs)]
    yield Figure(name="end to end/postfix", unit="/s", runs=[rate for rate, _ in found])
    yield Figure(name="end to end/postfix host CPU", unit="ms a message", runs=[1000 * cpu for _, cpu in found])


async def _functions(system: str, runs: int, *, is_split: bool) -> AsyncIterator[Figure]:
    speeds: list[float] = []
    cpu: dict[str, list[float]] = {}
    for _ in range(runs):
        # A new Azurite for each run: its queues become slower the more messages they have stored.
        async with running(system, is_split=is_split) as target:
            await deliver(target, 2 * CONNECTIONS)
            before = target.usage()
            messages, seconds = await deliver(target, MESSAGES[system])
            speeds.append(messages / seconds)
            for process, milliseconds in target.spent(before, messages).items():
                cpu.setdefault(process, []).append(milliseconds)
    name = f"end to end/{system}{' in two processes' if is_split else ''}"
    yield Figure(name=name, unit="/s", runs=speeds)
    for process, values in cpu.items():
        yield Figure(name=f"{name} {process} CPU", unit="ms a message", runs=values)


async def deliver(target: Running, messages: int, connections: int = CONNECTIONS) -> tuple[int, float]:
    """Submit messages and wait until the provider has them. Return their number and the seconds."""
    there, begun = await target.arrived(), time.monotonic()
    done = await load.post(
        f"{target.url}/v1/messages", BODY, headers=target.headers, connections=connections, requests=messages
    )
    if done.bad:
        raise RuntimeError(f"{done.bad} requests were not accepted")
    await arrive(target, there + done.good)
    return done.good, time.monotonic() - begun


async def arrive(target: Running, messages: int) -> None:
    """Wait until the provider has received `messages` in total."""
    async with asyncio.timeout(_TIMEOUT_SECONDS):
        while await target.arrived() < messages:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(_POLL_SECONDS)
