"""Measure cost by scale: connections, backlog, message size, batch, journal, processes, shards of a lane."""

import asyncio
import base64
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from bench import acceptance, load
from bench.end_to_end import CONNECTIONS, arrive, deliver
from bench.journal import by_journal
from bench.results import Figure
from bench.systems import MESSAGE, Running, running, start_host
from relay.core.settings import Lane

BODY = msgspec.json.encode(MESSAGE)
BACKLOGS = (0, 1_000, 10_000, 100_000)
SIZES = (1_000, 10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
BATCHES = (1, 10, 100, 1_000)
PROCESSES = (1, 2, 4)
SHARDS = (1, 2, 4)
MESSAGES = 10_000
BARE_PUTS = 200
PARALLEL_FILES, PARALLEL_BATCHES = 4, 2
"""With more parallel requests, a process refuses some (`RELAY_MAX_WAITING_BYTES`, `RELAY_MAX_WAITING_MESSAGES`)."""
_SECONDS = 3.0


async def scale(_: int) -> AsyncIterator[Figure]:
    """Run all of these measurements."""
    parts: tuple[Callable[[], AsyncIterator[Figure]], ...] = (
        acceptance.by_connections, by_backlog, by_size, by_batch, by_journal, by_processes, by_shards,
    )  # fmt: skip
    for part in parts:
        async for figure in part():
            yield figure


async def by_backlog(backlogs: Sequence[int] = BACKLOGS) -> AsyncIterator[Figure]:
    """Measure acceptance with a backlog of undelivered messages, compared with bare puts to the same queue."""
    for waiting in backlogs:
        async with running("relay", delivers=False) as target:
            if waiting:
                await _post(target, 64, requests=waiting)
            before = target.usage()
            done = await _post(target, CONNECTIONS, seconds=_SECONDS)
            spent = target.spent(before, done.good)
            puts = await _bare_puts(target)
        yield Figure(name=f"by backlog/{waiting}", unit="/s", runs=[done.rate])
        yield Figure(name=f"by backlog/{waiting} host CPU", unit="ms a message", runs=[spent["host"]])
        yield Figure(name=f"by backlog/{waiting} azurite CPU", unit="ms a message", runs=[spent["azurite"]])
        yield Figure(name=f"by backlog/{waiting} bare puts", unit="/s", runs=[puts])


async def by_size(sizes: Sequence[int] = SIZES) -> AsyncIterator[Figure]:
    """Measure end to end by attachment size, over 4 connections."""
    for size in sizes:
        content = base64.b64encode(os.urandom(size)).decode()
        body = msgspec.json.encode({**MESSAGE, "attachments": [{"name": "file.bin", "content": content}]})
        messages = max(8, min(2_000, 40_000_000 // size))
        async with running("relay") as target:
            await deliver(target, 64)
            there, before, begun = await target.arrived(), target.usage(), time.monotonic()
            done = await _post(target, PARALLEL_FILES, body=body, requests=messages)
            await arrive(target, there + done.good)
            seconds, spent = time.monotonic() - begun, target.spent(before, done.good)
        yield Figure(name=f"by size/{size}", unit="/s", runs=[done.good / seconds])
        yield Figure(name=f"by size/{size} host CPU", unit="ms a message", runs=[spent["host"]])


async def by_batch(batches: Sequence[int] = BATCHES) -> AsyncIterator[Figure]:
    """Measure acceptance by POST /v1/messages/batch by batch size, over 2 connections."""
    for size in batches:
        defaults = {key: value for key, value in MESSAGE.items() if key != "to"}
        messages = [{"to": f"ada{number}@example.net"} for number in range(size)]
        body = msgspec.json.encode({"defaults": defaults, "messages": messages})
        async with running("relay", delivers=False) as target:
            await _post(target, 8, requests=64)
            before = target.usage()
            # A number of requests instead of a time limit, which would cut off large requests without counting them.
            requests = max(24, min(2_000, 24_000 // size))
            done = await _post(target, PARALLEL_BATCHES, "/batch", body, requests=requests)
            spent = target.spent(before, done.good * size)
        yield Figure(name=f"by batch/{size}", unit="/s", runs=[done.rate * size])
        yield Figure(name=f"by batch/{size} host CPU", unit="ms a message", runs=[spent["host"]])


async def by_processes(processes: Sequence[int] = PROCESSES, messages: int = MESSAGES) -> AsyncIterator[Figure]:
    """Measure end to end by number of hosts on the same storage and machine; each host gets an equal share of the requests."""
    for number in processes:
        async with running("relay") as target:
            hosts = [await start_host("relay", target.environment) for _ in range(number - 1)]
            others = [(await host.until_ready(timeout_seconds=60))[0]["url"] for host in hosts]
            targets = [msgspec.structs.replace(target, url=url) for url in (target.url, *others)]
            there = await _post_all(targets, 64)
            await arrive(target, there)
            begun = time.monotonic()
            posted = await _post_all(targets, messages)
            await arrive(target, there + posted)
            rate = posted / (time.monotonic() - begun)
            for host in hosts:
                await host.stop(grace_seconds=12)
        yield Figure(name=f"by processes/{number}", unit="/s", runs=[rate])


async def by_shards(shards: Sequence[int] = SHARDS, messages: int = MESSAGES) -> AsyncIterator[Figure]:
    """Measure acceptance and end to end by number of queues of a lane, and the share of the fullest queue."""
    for number in shards:
        lanes = {"transactional": {"shards": number}}
        settings = {"RELAY_LANES": msgspec.json.encode(lanes).decode()}
        async with running("relay", delivers=False, settings=settings) as target:
            await _post(target, CONNECTIONS, requests=64)
            done = await _post(target, CONNECTIONS, seconds=_SECONDS)
            fullest = await _fullest(target, Lane(shards=number).queues("transactional"))
        yield Figure(name=f"by shards/{number} accepted", unit="/s", runs=[done.rate])
        yield Figure(name=f"by shards/{number} fullest queue", unit="of the entries", runs=[fullest])
        async with running("relay", settings=settings) as target:
            await deliver(target, 64)
            delivered, seconds = await deliver(target, messages)
        yield Figure(name=f"by shards/{number} end to end", unit="/s", runs=[delivered / seconds])


async def _bare_puts(target: Running) -> float:
    """Return puts per second, one after the other, to the queue with the backlog."""
    async with target.storage() as storage:
        begun = time.monotonic()
        for _ in range(BARE_PUTS):
            await storage.queues.put("relay-transactional", b"{}")
        return BARE_PUTS / (time.monotonic() - begun)


async def _fullest(target: Running, queues: Sequence[str]) -> float:
    """Return the fullest queue's share of all entries; 1 divided by the number of queues is ideal."""
    async with target.storage() as storage:
        counts = [await storage.queues.count(queue) for queue in queues]
    return max(counts) / sum(counts)


async def _post_all(targets: Sequence[Running], messages: int) -> int:
    """Divide messages and connections among the targets. Return the number accepted, slightly less than `messages`."""
    shares = (_post(each, CONNECTIONS // len(targets), requests=messages // len(targets)) for each in targets)
    return sum(done.good for done in await asyncio.gather(*shares))


async def _post(target: Running, connections: int, path: str = "", body: bytes = BODY, **amount: Any) -> load.Load:
    url = f"{target.url}/v1/messages{path}"
    done = await load.post(url, body, headers=target.headers, connections=connections, **amount)
    if done.bad:
        raise RuntimeError(f"{done.bad} requests were not accepted")
    return done
