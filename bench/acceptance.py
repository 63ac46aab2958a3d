"""Measure acceptance: the maximum rate by number of connections, and the latency at a fixed rate."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec

from bench import load
from bench.results import Figure
from bench.systems import MESSAGE, Running, running

BODY = msgspec.json.encode(MESSAGE)
SECONDS = 4.0
WARM_UP_SECONDS = 2.0
MESSAGES_PER_SECOND = 200.0
SYSTEMS = ("relay", "tutorial")


async def accepted(runs: int, connections: int = 32) -> AsyncIterator[Figure]:
    """Measure accepted messages per second with delivery disabled, and CPU milliseconds of the host and Azurite per message.

    The systems take turns, so that a temporary slowdown of the machine affects both.
    """
    rates: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    medians: dict[str, list[float]] = {system: [] for system in SYSTEMS}
    cpu: dict[tuple[str, str], list[float]] = {(system, name): [] for system in SYSTEMS for name in ("host", "azurite")}
    async with AsyncExitStack() as exits:
        targets = {system: await exits.enter_async_context(running(system, delivers=False)) for system in SYSTEMS}
        for target in targets.values():
            await _post(target, connections, WARM_UP_SECONDS)
        for _ in range(2 * runs):
            for system, target in targets.items():
                before = target.usage()
                done = await _post(target, connections, SECONDS / 2)
                rates[system].append(done.rate)
                medians[system].append(done.percentile(50))
                spent = target.spent(before, done.good)
                for name in ("host", "azurite"):
                    cpu[system, name].append(spent[name])
    for system in SYSTEMS:
        yield Figure(name=f"accepted/{system}/{connections}", unit="/s", runs=rates[system])
        yield Figure(name=f"accepted/{system}/{connections} p50", unit="ms", runs=medians[system])
        for name in ("host", "azurite"):
            yield Figure(
                name=f"accepted/{system}/{connections} {name} CPU", unit="ms a message", runs=cpu[system, name]
            )


async def latency(runs: int) -> AsyncIterator[Figure]:
    """Measure the latency of acceptance at 200 messages per second, with delivery disabled. The systems take turns.

    `hey` starts its connections together and paces each: ten bursts of 20 messages a second.
    The median is the time of half a burst.
    """
    found: dict[tuple[str, int], list[float]] = {(system, percent): [] for system in SYSTEMS for percent in (50, 99)}
    async with AsyncExitStack() as exits:
        targets = {system: await exits.enter_async_context(running(system, delivers=False)) for system in SYSTEMS}
        for target in targets.values():
            await _post(target, 16, WARM_UP_SECONDS)
        for _ in range(2 * runs):
            for system, target in targets.items():
                done = await _post(target, 20, SECONDS, per_second=MESSAGES_PER_SECOND)
                for percent in (50, 99):
                    found[system, percent].append(done.percentile(percent))
    for (system, percent), values in found.items():
        yield Figure(name=f"latency/{system}/p{percent}", unit="ms", runs=values)


async def by_connections(
    connections: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
) -> AsyncIterator[Figure]:
    """Measure the rate and CPU of acceptance by number of connections."""
    for system in SYSTEMS:
        async with running(system, delivers=False) as target:
            await _post(target, 16, WARM_UP_SECONDS)
            for number in connections:
                before = target.usage()
                done = await _post(target, number, SECONDS / 2)
                cpu = target.spent(before, done.good)["host"]
                yield Figure(name=f"by connections/{system}/{number}", unit="/s", runs=[done.rate])
                yield Figure(name=f"by connections/{system}/{number} host CPU", unit="ms a message", runs=[cpu])


async def _post(target: Running, connections: int, seconds: float, per_second: float | None = None) -> load.Load:
    done = await load.post(
        f"{target.url}/v1/messages", BODY,
        headers=target.headers, connections=connections, seconds=seconds, per_second=per_second,
    )  # fmt: skip
    if done.bad:
        raise RuntimeError(f"{done.bad} requests were not accepted")
    return done
