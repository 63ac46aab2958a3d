"""The whole relay as real processes: Azurite, the local host with the function app, a first client."""

import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from devhost.azurite import Azurite
from devhost.children import Child
from relay.bootstrap import start
from relay.clients.keys import Role
from relay.clients.policy import Policy

ROOT = Path(__file__).parent.parent.parent
_READY = re.compile(r"Host is ready on (?P<url>http://\S+)")
_READY_SECONDS = 120


class RunningRelay:
    """A running relay. `logs` are the log lines of the host."""

    def __init__(
        self, *, url: str, key: str, session: aiohttp.ClientSession, host: Child, environment: Mapping[str, str],
        logs: list[str],
    ) -> None:  # fmt: skip
        self.url = url
        self.key = key
        self.session = session
        self.host = host
        self.environment = environment
        self.logs = logs

    async def call(self, method: str, path: str, **arguments: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Send a request with the client's key. Returns status, decoded body (None when empty) and headers."""
        headers = {"Authorization": f"Bearer {self.key}", **arguments.pop("headers", {})}
        async with self.session.request(method, f"{self.url}{path}", headers=headers, **arguments) as response:
            body = await response.read()
            return response.status, msgspec.json.decode(body) if body else None, response.headers


@asynccontextmanager
async def running_relay(settings: Mapping[str, str]) -> AsyncIterator[RunningRelay]:
    """Start a relay with these application settings and new storage."""
    async with AsyncExitStack() as exits:
        azurite = await Azurite.start()
        exits.push_async_callback(azurite.stop)
        environment = {**os.environ, **settings, "AzureWebJobsStorage": azurite.connection_string}
        key = await first_key(environment)
        logs: list[str] = []
        host = await start_host(environment, logs)
        exits.push_async_callback(host.stop, grace_seconds=15)
        [line] = await host.until_ready(timeout_seconds=_READY_SECONDS)
        # The host closes what is idle for five seconds; a request on such a connection would meet its end.
        connector = aiohttp.TCPConnector(keepalive_timeout=2)
        session = await exits.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield RunningRelay(url=line["url"], key=key, session=session, host=host, environment=environment, logs=logs)


async def first_key(environment: Mapping[str, str]) -> str:
    """Create the storage and the first client, as `relay init` does. Returns its key."""
    relay = start(environment)
    try:
        await relay.create_storage()
        return await relay.clients.create("first", role=Role.OPERATOR, policy=Policy(senders=("*",)))
    finally:
        await relay.close()


async def start_host(environment: Mapping[str, str], logs: list[str]) -> Child:
    """Start the local host on a free port; wait for it with `until_ready`."""
    return await Child.start(
        name="the local host",
        argv=(sys.executable, "-m", "devhost", "--port", "0"),
        ready=_READY,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        echo=logs.append,
    )
