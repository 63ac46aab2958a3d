"""From the caller to the provider: Relay, the tutorial's function and Postfix."""

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
"""As many as each handles in a few seconds."""
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 300


async def rates(runs: int) -> AsyncIterator[Figure]:
    """Messages a second from the first request until the provider has the last; CPU milliseconds of each process."""
    for system in ("relay", "tutorial"):
        async for figure in _functions(system, runs):
            yield figure
    found = [await postfix.relayed_per_second(MESSAGES["postfix"], CONNECTIONS) for _ in range(runs)]
    yield Figure(name="end to end/postfix", unit="/s", runs=[rate for rate, _ in found])
    yield Figure(name="end to end/postfix host CPU", unit="ms a message", runs=[1000 * cpu for _, cpu in found])


async def _functions(system: str, runs: int) -> AsyncIterator[Figure]:
    speeds: list[float] = []
    cpu: dict[str, list[float]] = {}
    for _ in range(runs):
        # A fresh Azurite for each: its queues slow down with what they have held.
        async with running(system) as target:
            await deliver(target, 2 * CONNECTIONS)
            before = target.usage()
            messages, seconds = await deliver(target, MESSAGES[system])
            speeds.append(messages / seconds)
            for process, milliseconds in target.spent(before, messages).items():
                cpu.setdefault(process, []).append(milliseconds)
    yield Figure(name=f"end to end/{system}", unit="/s", runs=speeds)
    for process, values in cpu.items():
        yield Figure(name=f"end to end/{system} {process} CPU", unit="ms a message", runs=values)


async def deliver(target: Running, messages: int, connections: int = CONNECTIONS) -> tuple[int, float]:
    """Submit so many and wait until the provider has them: how many, and in how many seconds."""
    there, begun = await target.arrived(), time.monotonic()
    done = await load.post(
        f"{target.url}/v1/messages", BODY, headers=target.headers, connections=connections, requests=messages
    )
    if done.bad:
        raise RuntimeError(f"{done.bad} requests were not accepted")
    await arrive(target, there + done.good)
    return done.good, time.monotonic() - begun


async def arrive(target: Running, messages: int) -> None:
    """Wait until the provider has so many in all."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await target.arrived() < messages:  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(_POLL_SECONDS)
