"""Measure the worker's CPU for each message when the app is called over gRPC, as in Azure."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from bench import load
from bench.meter import usage_of
from bench.over_grpc.host import Host, protos, worker
from bench.results import Figure
from bench.systems import MESSAGE, Running, running
from relay.platform.storage.ports import Queues

BODY = msgspec.json.encode(MESSAGE)
QUEUE = "relay-transactional"
FUNCTION = "deliver_transactional_1"
CONNECTIONS = 32
AT_ONCE = 24
"""Entries that the host gives an instance concurrently (host.json: batchSize and newBatchThreshold)."""
MESSAGES = 3_200
WARM_UP = 640


async def over_grpc(runs: int) -> AsyncIterator[Figure]:
    """Measure acceptance by 32 callers and delivery of their messages; in turns with it, acceptance by the local host."""
    figures: dict[str, list[float]] = {}
    async with running("relay", delivers=False) as target:
        environment = {name: value for name, value in target.environment.items() if not name.endswith("_Disabled")}
        async with worker(environment) as host, target.storage() as storage:
            for number in range(runs + 1):
                messages = MESSAGES if number else WARM_UP
                spent = {
                    "accepted, worker": await _spent(host.pid, messages, _acceptance(host, target)),
                    "accepted, local host": await _spent(target.host.pid, messages, partial(_post, target)),
                    "delivered, worker": await _spent(host.pid, 2 * messages, _delivery(host, storage.queues)),
                }
                for name, value in spent.items() if number else ():
                    figures.setdefault(name, []).append(value)
    for name, values in figures.items():
        yield Figure(name=f"grpc/{name} CPU", unit="ms a message", runs=values)


async def _spent(pid: int, messages: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Return the CPU milliseconds per message of a process for this work."""
    before = usage_of(pid)
    await work(messages)
    return 1000 * (usage_of(pid).cpu_seconds - before.cpu_seconds) / messages


async def _post(target: Running, messages: int) -> None:
    done = await load.post(
        f"{target.url}/v1/messages", BODY, headers=target.headers, connections=CONNECTIONS, requests=messages
    )
    if done.bad:
        raise RuntimeError(f"{done.bad} requests were not accepted")


def _acceptance(host: Host, target: Running) -> Callable[[int], Awaitable[None]]:
    headers = {
        **{name.lower(): value for name, value in target.headers.items()},
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "host": "relay.azurewebsites.net",
        "user-agent": "bench",
        "x-forwarded-for": "203.0.113.7:1234",
        "x-forwarded-proto": "https",
    }
    url = "https://relay.azurewebsites.net/v1/messages"
    http = protos.RpcHttp(method="POST", url=url, headers=headers, body=protos.TypedData(bytes=BODY))
    data = protos.TypedData(http=http)

    async def send(numbers: "itertools.count[int]", messages: int) -> None:
        while next(numbers) < messages:
            returned = await host.invoke("api", data)
            if returned.http.status_code != "202":
                raise RuntimeError(f"a message was answered by {returned.http.status_code}, expected 202")

    async def accept(messages: int) -> None:
        numbers = itertools.count()
        await asyncio.gather(*(send(numbers, messages) for _ in range(CONNECTIONS)))

    return accept


def _delivery(host: Host, queues: Queues) -> Callable[[int], Awaitable[None]]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(entry: Any) -> None:
        async with gate:
            await host.invoke(FUNCTION, protos.TypedData(string=entry.body.decode()), _metadata(entry))
            await queues.delete(QUEUE, entry)

    async def deliver(_: int) -> None:
        while entries := await queues.receive(QUEUE, limit=32, lease_seconds=600):
            await asyncio.gather(*(one(entry) for entry in entries))

    return deliver


def _metadata(entry: Any) -> Mapping[str, Any]:
    """Return the trigger's metadata, as the host sends it (github.com/Azure/azure-sdk-for-net, QueueTriggerBinding)."""
    at = protos.TypedData(json='"2026-01-05T09:00:00+00:00"')
    text = {"QueueTrigger": entry.body.decode(), "Id": "0" * 36, "PopReceipt": "0" * 24}
    return {
        **{name: protos.TypedData(string=value) for name, value in text.items()},
        **dict.fromkeys(("ExpirationTime", "InsertionTime", "NextVisibleTime"), at),
        "DequeueCount": protos.TypedData(json="1"),
    }
