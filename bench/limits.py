"""Measure the limits of the benchmark: a loop of only the necessary calls, and the provider's stand-in alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from bench import load
from bench.results import Figure
from bench.systems import MESSAGE, Running, running
from relay.platform.http.client import HttpClient, Timeouts
from relay.platform.http.url import Url, parse_url
from relay.platform.storage.ports import Entity, Received, Storage

BODY = msgspec.json.encode(MESSAGE)
CONNECTIONS = 32
MESSAGES = 10_000
AT_THE_SINK = 40_000
PER_ENTRY = 16
"""Messages per entry with 32 callers: half of them wait for the current put, half for the next."""
_NAME = "bare"
_JSON = {"Content-Type": "application/json"}

type _Measure = Callable[[Running], Awaitable[tuple[int, float]]]
"""Performs a measurement. Returns the number of messages and the seconds."""


async def limits(runs: int) -> AsyncIterator[Figure]:
    """Measure messages per second and CPU milliseconds per process: the bare loop end to end, its puts alone, the sink alone."""
    for name, (measure, processes) in _MEASURES.items():
        speeds: list[float] = []
        cpu: dict[str, list[float]] = {}
        for _ in range(runs):
            # A new Azurite for each run: its queues become slower the more messages they have stored.
            async with running("relay", delivers=False) as target:
                before, own = target.usage(), time.process_time()
                messages, seconds = await measure(target)
                # The loop runs in this process and takes the place of the host.
                spent = {**target.spent(before, messages), "host": 1000 * (time.process_time() - own) / messages}
                speeds.append(messages / seconds)
                for process in processes:
                    cpu.setdefault(process, []).append(spent[process])
        yield Figure(name=name, unit="/s", runs=speeds)
        for process, values in cpu.items():
            yield Figure(name=f"{name} {process} CPU", unit="ms a message", runs=values)


async def _sink(target: Running) -> tuple[int, float]:
    """Post to the sink alone: the upper bound for everything that sends to it."""
    done = await load.post(
        f"{target.sink_url}/v3/mail/send", BODY, headers={}, connections=CONNECTIONS, requests=AT_THE_SINK
    )
    return done.good, done.seconds


async def _put_only(target: Running) -> tuple[int, float]:
    """Put entries of 16 messages one after the other: acceptance without HTTP, validation and ids."""
    async with _storage(target) as storage:
        begun = time.monotonic()
        await _put(storage, MESSAGES // PER_ENTRY)
        return MESSAGES, time.monotonic() - begun


async def _put_and_take(target: Running) -> tuple[int, float]:
    """Make only the necessary calls for entries of 16 messages: put, get, insert, 16 sends, merge, delete. No validation."""
    entries = MESSAGES // PER_ENTRY
    async with _storage(target) as storage:
        client, url = HttpClient(), parse_url(f"{target.sink_url}/v3/mail/send")
        begun = time.monotonic()
        await asyncio.gather(_put(storage, entries), _take(storage, entries, client, url))
        client.close()
        return MESSAGES, time.monotonic() - begun


@asynccontextmanager
async def _storage(target: Running) -> AsyncIterator[Storage]:
    async with target.storage() as storage:
        await storage.queues.create(_NAME)
        await storage.tables.create(_NAME)
        yield storage


async def _put(storage: Storage, entries: int) -> None:
    body = b"[" + b",".join([BODY] * PER_ENTRY) + b"]"
    for _ in range(entries):
        await storage.queues.put(_NAME, body)


async def _take(storage: Storage, entries: int, client: HttpClient, url: Url) -> None:
    taken = 0
    while taken < entries:
        received = await storage.queues.receive(_NAME, limit=16)
        await asyncio.gather(*(_handle(storage, entry, client, url) for entry in received))
        taken += len(received)


async def _handle(storage: Storage, entry: Received, client: HttpClient, url: Url) -> None:
    row = Entity(partition=entry.id, row="batch", properties={"content": entry.body})
    etag = await storage.tables.insert(_NAME, row)
    messages: Sequence[object] = msgspec.json.decode(entry.body)
    await asyncio.gather(*(_send(client, url, message) for message in messages))
    await storage.tables.merge(_NAME, Entity(partition=entry.id, row="batch", properties={"sent": True}), etag=etag)
    await storage.queues.delete(_NAME, entry)


async def _send(client: HttpClient, url: Url, message: object) -> None:
    body = msgspec.json.encode(message)
    await client.request("POST", url, headers=_JSON, body=body, timeouts=Timeouts(), max_body_bytes=1_000)


_MEASURES: Mapping[str, tuple[_Measure, Sequence[str]]] = {
    "accepted/bare": (_put_only, ("host", "azurite")),
    "end to end/bare": (_put_and_take, ("host", "azurite", "sink")),
    "sink alone": (_sink, ("sink",)),
}
"""The measurements, and the processes whose CPU each reports."""
