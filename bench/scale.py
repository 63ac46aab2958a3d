"""Cost against scale: connections, backlog, message size, the size of a batch, the size of the journal, processes."""

import base64
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from bench import acceptance, load
from bench.counting import CountingTables
from bench.end_to_end import arrive, deliver
from bench.results import Figure
from bench.systems import MESSAGE, Running, running, start_host
from relay import ids, settings, wire
from relay.bootstrap import Relay
from relay.journal import Journal
from relay.model import Address, Message, MessageStatus, Part, State, Submission
from relay.storage.azure import create_storage
from relay.storage.memory import memory_storage
from relay.storage.ports import Storage

BODY = msgspec.json.encode(MESSAGE)
BACKLOGS = (0, 1_000, 10_000, 100_000)
SIZES = (1_000, 10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
BATCHES = (1, 10, 100, 1_000)
ROWS = (1_000, 10_000, 100_000)
PROCESSES = (1, 2)


async def scale(_: int) -> AsyncIterator[Figure]:
    """All of them."""
    parts: tuple[Callable[[], AsyncIterator[Figure]], ...] = (
        acceptance.by_connections, by_backlog, by_size, by_batch, by_journal, by_processes,
    )  # fmt: skip
    for part in parts:
        async for figure in part():
            yield figure


async def by_backlog() -> AsyncIterator[Figure]:
    """Acceptance while so many messages wait undelivered; beside it a bare put to a queue that holds as many entries."""
    for waiting in BACKLOGS:
        async with running("relay", delivers=False) as target:
            if waiting:
                await _post(target, 64, requests=waiting)
            done = await _post(target, 32, seconds=3)
            storage = create_storage({"AzureWebJobsStorage": target.azurite.connection_string})
            entries = await storage.queues.count("relay-transactional")
            begun = time.monotonic()
            for _ in range(100):
                await storage.queues.put("relay-transactional", b"{}")
            bare = (time.monotonic() - begun) / 100
            await storage.close()
        yield Figure(name=f"by backlog/{waiting}", unit="/s", runs=[done.rate])
        yield Figure(name=f"by backlog/{waiting} entries", unit="", runs=[float(entries)])
        yield Figure(name=f"by backlog/{waiting} bare put", unit="ms", runs=[1000 * bare])


async def by_size() -> AsyncIterator[Figure]:
    """End to end with an attachment of so many bytes."""
    for size in SIZES:
        content = base64.b64encode(os.urandom(size)).decode()
        body = msgspec.json.encode({**MESSAGE, "attachments": [{"name": "file.bin", "content": content}]})
        messages = max(8, min(2_000, 40_000_000 // size))
        async with running("relay") as target:
            await deliver(target, 64)
            there, before, begun = await target.arrived(), target.usage()["host"].cpu_seconds, time.monotonic()
            done = await load.post(
                f"{target.url}/v1/messages", body, headers=target.headers, connections=8, requests=messages
            )
            await arrive(target, there + done.good)
            seconds = time.monotonic() - begun
            cpu = 1000 * (target.usage()["host"].cpu_seconds - before) / done.good
        yield Figure(name=f"by size/{size}", unit="/s", runs=[done.good / seconds])
        yield Figure(name=f"by size/{size} host CPU", unit="ms a message", runs=[cpu])


async def by_batch() -> AsyncIterator[Figure]:
    """Acceptance by POST /v1/messages/batch, messages a second over 8 connections."""
    for size in BATCHES:
        defaults = {key: value for key, value in MESSAGE.items() if key != "to"}
        messages = [{"to": f"ada{number}@example.net"} for number in range(size)]
        body = msgspec.json.encode({"defaults": defaults, "messages": messages})
        async with running("relay", delivers=False) as target:
            await _post(target, 8, requests=64)
            done = await load.post(
                f"{target.url}/v1/messages/batch", body, headers=target.headers, connections=8, seconds=3
            )
        yield Figure(name=f"by batch/{size}", unit="/s", runs=[done.rate * size])


async def by_journal() -> AsyncIterator[Figure]:
    """Operations of a status read, and of a purge for each batch deleted, against the rows the journal holds."""
    for rows in ROWS:
        now = datetime.now(UTC)
        memory = memory_storage(partial(_same, now))
        counting = CountingTables(memory.tables)
        storage = Storage(queues=memory.queues, tables=counting, blobs=memory.blobs)
        relay = Relay(settings.load({}), storage, clock=partial(_same, now))
        await relay.create_storage()
        ages = (timedelta(days=20 if number % 100 else 1) for number in range(rows))
        batches = [await _record(relay.journal, now - age) for age in ages]
        counting.operations = 0
        await relay.journal.story(batches[-1])
        yield Figure(name=f"by journal/{rows} status", unit="operations", runs=[float(counting.operations)])
        counting.operations = 0
        await relay.purge.run()
        yield Figure(name=f"by journal/{rows} purge", unit="ops a batch", runs=[counting.operations / rows])


async def by_processes() -> AsyncIterator[Figure]:
    """End to end with several hosts on the same storage, on this machine's cores."""
    for processes in PROCESSES:
        async with running("relay") as target:
            hosts = [await start_host("relay", target.environment) for _ in range(processes - 1)]
            for host in hosts:
                await host.until_ready(timeout_seconds=60)
            await deliver(target, 64)
            messages, seconds = await deliver(target, 10_000)
            for host in hosts:
                await host.stop(grace_seconds=12)
        yield Figure(name=f"by processes/{processes}", unit="/s", runs=[messages / seconds])


def _same(now: datetime) -> datetime:
    return now


async def _record(journal: Journal, at: datetime) -> str:
    batch = ids.batch_floor(at)[:12] + ids.new_batch_id()[12:]
    submission = Submission(client="bench", expires_at=at, message=Message(sender=Address(email="a@example.com")))
    entry = wire.BatchEntry(relay=1, batch=batch, lane="transactional", macs=("0" * 16,), messages=(submission,))
    await journal.open(entry, b"{}", [MessageStatus(parts=(Part(route="r", state=State.SENT),))])
    return batch


async def _post(target: Running, connections: int, **much: Any) -> load.Load:
    done = await load.post(f"{target.url}/v1/messages", BODY, headers=target.headers, connections=connections, **much)
    if done.bad:
        raise RuntimeError(f"{done.bad} requests were not accepted")
    return done
