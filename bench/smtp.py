"""Measure mail that arrives by SMTP: `relay smtp` in front of a relay on the same machine."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.meter import usage_of
from bench.results import Figure
from bench.systems import ROOT, Running, running
from devhost.children import Child

BYTES = 4_096
CONNECTIONS = 64
MESSAGES = 2_000
WARM_UP = 300
VARIANTS = {"keys": (), "no keys": ("--no-idempotency-keys",)}
_READY = re.compile(r"Listening on 127\.0\.0\.1:(?P<port>\d+)")
_READY_SECONDS = 60


async def smtp(runs: int) -> AsyncIterator[Figure]:
    """Measure messages of 4 KB per second by SMTP, with delivery disabled, and CPU milliseconds of each process per message."""
    for name, options in VARIANTS.items():
        rates: list[float] = []
        cpu: dict[str, list[float]] = {"smtp": [], "host": [], "azurite": []}
        async with running("relay", delivers=False) as target, _server(target, options) as server:
            [line] = await server.until_ready(timeout_seconds=_READY_SECONDS)
            port = int(line["port"])
            await send(port, WARM_UP)
            for _ in range(runs):
                before, own = target.usage(), usage_of(server.pid).cpu_seconds
                begun = time.monotonic()
                await send(port, MESSAGES)
                rates.append(MESSAGES / (time.monotonic() - begun))
                cpu["smtp"].append(1000 * (usage_of(server.pid).cpu_seconds - own) / MESSAGES)
                spent = target.spent(before, MESSAGES)
                for process in ("host", "azurite"):
                    cpu[process].append(spent[process])
        yield Figure(name=f"smtp/{name}", unit="/s", runs=rates)
        for process, values in cpu.items():
            yield Figure(name=f"smtp/{name} {process} CPU", unit="ms a message", runs=values)


async def send(port: int, messages: int) -> None:
    """Send messages over connections that stay open, with Postfix's `smtp-source`."""
    process = await asyncio.create_subprocess_exec(
        "smtp-source",
        *("-d", "-s", str(CONNECTIONS), "-m", str(messages), "-l", str(BYTES)),
        *("-f", "shop@example.com", "-t", "ada@example.net", f"127.0.0.1:{port}"),
    )
    if await process.wait() != 0:
        raise RuntimeError("smtp-source failed")


@asynccontextmanager
async def _server(target: Running, options: Sequence[str]) -> AsyncIterator[Child]:
    key = target.headers["Authorization"].removeprefix("Bearer ")
    server = await Child.start(
        name="the SMTP server",
        argv=(sys.executable, "-m", "relay.cli", "smtp", "--listen", "127.0.0.1:0", *options),
        ready=_READY,
        env={**os.environ, "RELAY_URL": target.url, "RELAY_KEY": key, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
    )
    try:
        yield server
    finally:
        await server.stop(grace_seconds=10)
