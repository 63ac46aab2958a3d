"""Start the measured systems: Relay and the tutorial's function on the same local host, each with a new Azurite."""

import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from bench.meter import Usage, usage_of
from devhost.azurite import Azurite
from devhost.children import Child
from relay.platform.environment import load_lanes
from relay.platform.storage.azure.account_storage import create_storage
from relay.platform.storage.ports import Storage

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "bench" / "tutorial"
_HOST_READY = re.compile(r"Host is ready on (?P<url>http://\S+)")
_SINK_READY = re.compile(r"sink listens on (?P<url>http://\S+)")
_KEY = re.compile(r'"key":"(?P<key>[^"]+)"')
_READY_SECONDS = 60
MESSAGE = {
    "from": "shop@example.com",
    "to": ["ada@example.net"],
    "subject": "Your order",
    "text": "Thank you for your order. " * 32,
}
"""A request of about 1 KiB, as in the design's figures."""


class Running(msgspec.Struct, kw_only=True):
    """A running system: its URL, headers, processes, and the request log of Azurite."""

    url: str
    headers: Mapping[str, str]
    host: Child
    queue_host: Child | None = None
    """The process of the queue functions, if HTTP has its own."""
    azurite: Azurite
    sink_url: str
    sink: Child
    session: aiohttp.ClientSession
    requests: list[str]
    environment: Mapping[str, str]

    async def arrived(self) -> int:
        """Return the number of messages that the provider has."""
        async with self.session.get(f"{self.sink_url}/count") as response:
            return int(msgspec.json.decode(await response.read())["count"])

    @asynccontextmanager
    async def storage(self) -> AsyncIterator[Storage]:
        """Open the system's storage with Relay's adapter."""
        storage = create_storage({"AzureWebJobsStorage": self.azurite.connection_string})
        try:
            yield storage
        finally:
            await storage.close()

    def usage(self) -> Mapping[str, Usage]:
        """Return CPU and memory of each process; `host` includes the queue functions in a process of their own."""
        queues = [self.queue_host.pid] if self.queue_host is not None else []
        return {
            "host": usage_of(self.host.pid, *queues),
            **({"queue host": usage_of(*queues)} if queues else {}),
            "azurite": usage_of(self.azurite.child.pid),
            "sink": usage_of(self.sink.pid),
        }

    def spent(self, before: Mapping[str, Usage], messages: int) -> Mapping[str, float]:
        """Return CPU milliseconds per message of each process since `before`."""
        now = self.usage()
        return {name: 1000 * (now[name].cpu_seconds - was.cpu_seconds) / messages for name, was in before.items()}


@asynccontextmanager
async def running(
    system: str,
    *,
    delivers: bool = True,
    is_split: bool = False,
    logs_requests: bool = False,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Running]:
    """Run `relay` or `tutorial` with a provider. Without `delivers`, its queue functions are disabled.

    `is_split`: HTTP has one process and the queue functions another, as Flex Consumption always separates them.
    """
    requests: list[str] = []
    async with AsyncExitStack() as exits:
        azurite = await Azurite.start(logs_requests=logs_requests, echo=requests.append)
        exits.push_async_callback(azurite.stop)
        sink = await _child("the sink", ("-m", "bench.sink"), _SINK_READY, os.environ)
        exits.push_async_callback(sink.stop, grace_seconds=1)
        [listening] = await sink.until_ready(timeout_seconds=_READY_SECONDS)
        environment = {
            **os.environ,
            "AzureWebJobsStorage": azurite.connection_string,
            "AzureFunctionsJobHost__logging__logLevel__default": "Warning",
            **(_relay(listening["url"]) if system == "relay" else _tutorial(listening["url"])),
            **(settings or {}),
        }
        headers = await _prepare(system, environment)
        off = _disabled(environment) if is_split or not delivers else {}
        host = await start_host(system, {**environment, **off})
        exits.push_async_callback(host.stop, grace_seconds=12)
        [ready] = await host.until_ready(timeout_seconds=_READY_SECONDS)
        queue_host = await start_host(system, {**environment, **_HTTP_DISABLED}) if is_split else None
        if queue_host is not None:
            exits.push_async_callback(queue_host.stop, grace_seconds=12)
            await queue_host.until_ready(timeout_seconds=_READY_SECONDS)
        session = await exits.enter_async_context(aiohttp.ClientSession())
        yield Running(
            url=ready["url"],
            headers=headers,
            host=host,
            queue_host=queue_host,
            azurite=azurite,
            sink_url=listening["url"],
            sink=sink,
            session=session,
            requests=requests,
            environment={**environment, **off},
        )


async def start_host(system: str, environment: Mapping[str, str]) -> Child:
    """Start the local host with one of the two apps, on a free port."""
    folder = ROOT if system == "relay" else TUTORIAL
    arguments = ("-m", "devhost", "--port", "0", "--app-root", str(folder))
    return await _child("the local host", arguments, _HOST_READY, environment)


async def _prepare(system: str, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Create the system's queues and tables. Return the headers for its API."""
    if system == "tutorial":
        code = "import asyncio, function_app; asyncio.run(function_app.create_queue())"
        made = await _child("the queue", ("-c", code), _KEY, environment, TUTORIAL)
        await made.until_ended()
        return {}
    made = await _child("relay init", ("-m", "relay.cli", "init"), _KEY, environment)
    [line] = await made.until_ready(timeout_seconds=_READY_SECONDS)
    await made.stop(grace_seconds=5)
    return {"Authorization": f"Bearer {line['key']}"}


async def _child(
    name: str,
    arguments: tuple[str, ...],
    ready: re.Pattern[str],
    environment: Mapping[str, str],
    folder: Path = ROOT,
) -> Child:
    return await Child.start(
        name=name,
        argv=(sys.executable, *arguments),
        ready=ready,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        cwd=folder,
    )


def _relay(sink: str) -> Mapping[str, str]:
    route = {"sendgrid": {"provider": "sendgrid", "base_url": sink, "concurrency": 64}}
    return {"RELAY_ROUTES": msgspec.json.encode(route).decode(), "SENDGRID_API_KEY": "SG.bench"}


def _tutorial(sink: str) -> Mapping[str, str]:
    return {"SENDGRID_HOST": sink, "SENDGRID_API_KEY": "SG.bench"}


def _disabled(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return settings that disable all functions except the HTTP ones, for all lanes."""
    delivering = (
        f"{what}_{lane}_{shard}"
        for lane, settings in load_lanes(environment).items()
        for shard in range(1, settings.shards + 1)
        for what in ("deliver", "poison")
    )
    return {f"AzureWebJobs_{name}_Disabled": "1" for name in (*delivering, *_WITHOUT_CALLS)}


_HTTP_DISABLED = {"AzureWebJobs_api_Disabled": "1"}
_WITHOUT_CALLS = (
    "deliver", "recover", "purge", "apply_events", "poison_events", "post_webhooks", "poison_webhooks", "read_mailboxes",
)  # fmt: skip
"""`deliver` is the tutorial's function."""
