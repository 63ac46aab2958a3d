"""From the caller to the provider: Relay, the tutorial's function and Postfix, and the least that storage asks for."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import aiohttp
import msgspec

from bench import load, postfix
from bench.results import Figure
from bench.systems import MESSAGE, Running, running
from relay.storage.azure import create_storage
from relay.storage.ports import Entity, Received, Storage

BODY = msgspec.json.encode(MESSAGE)
CONNECTIONS = 32
MESSAGES = {"relay": 10_000, "tutorial": 320, "postfix": 5_000, "bare": 10_000}
"""As many as each handles in a few seconds."""
PER_ENTRY = 16
_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 300


async def rates(runs: int) -> AsyncIterator[Figure]:
    """Messages a second from the first request until the provider has the last; CPU milliseconds of each process."""
    for system in ("relay", "tutorial"):
        async for figure in _functions(system, runs):
            yield figure
    found = [await postfix.relayed_per_second(MESSAGES["postfix"], CONNECTIONS) for _ in range(runs)]
    yield Figure(name="end to end/postfix", unit="/s", runs=[rate for rate, _ in found])
    yield Figure(name="end to end/postfix CPU", unit="ms a message", runs=[1000 * cpu for _, cpu in found])
    yield Figure(name="end to end/bare", unit="/s", runs=[await _bare() for _ in range(runs)])


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
            for name, usage in target.usage().items():
                spent = 1000 * (usage.cpu_seconds - before[name].cpu_seconds) / messages
                cpu.setdefault(name, []).append(spent)
    yield Figure(name=f"end to end/{system}", unit="/s", runs=speeds)
    for name, values in cpu.items():
        yield Figure(name=f"end to end/{system} {name} CPU", unit="ms a message", runs=values)


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


async def _bare() -> float:
    """Only what cannot be left out for entries of 16 messages: put, get, insert, 16 sends, merge, delete. No checks."""
    async with running("relay", delivers=False) as target:
        storage = create_storage({"AzureWebJobsStorage": target.azurite.connection_string})
        try:
            await storage.queues.create("bare")
            await storage.tables.create("bare")
            begun = time.monotonic()
            entries = MESSAGES["bare"] // PER_ENTRY
            await asyncio.gather(_put(storage, entries), _take(storage, entries, target.session, target.sink_url))
            return entries * PER_ENTRY / (time.monotonic() - begun)
        finally:
            await storage.close()


async def _put(storage: Storage, entries: int) -> None:
    body = b"[" + b",".join([BODY] * PER_ENTRY) + b"]"
    for _ in range(entries):
        await storage.queues.put("bare", body)


async def _take(storage: Storage, entries: int, session: aiohttp.ClientSession, sink: str) -> None:
    taken = 0
    while taken < entries:
        received = await storage.queues.receive("bare", most=16)
        await asyncio.gather(*(_handle(storage, entry, session, sink) for entry in received))
        taken += len(received)


async def _handle(storage: Storage, entry: Received, session: aiohttp.ClientSession, sink: str) -> None:
    row = Entity(partition=entry.id, row="batch", properties={"content": entry.body})
    etag = await storage.tables.insert("bare", row)
    messages: Sequence[object] = msgspec.json.decode(entry.body)
    await asyncio.gather(*(_send(session, sink, message) for message in messages))
    await storage.tables.merge("bare", Entity(partition=entry.id, row="batch", properties={"sent": True}), etag=etag)
    await storage.queues.delete("bare", entry)


async def _send(session: aiohttp.ClientSession, sink: str, message: object) -> None:
    async with session.post(f"{sink}/v3/mail/send", data=msgspec.json.encode(message)) as response:
        await response.read()
