"""A pace that four host processes keep together: what the far end counts, with one storage between them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from devhost.azurite import Azurite
from standins.sendgrid import SendGridStandIn
from tests.e2e.running import RunningRelay, first_key, start_host

HOSTS = 4
COUNT, SECONDS = 20, 10
MESSAGES = 26
"""More than a window may have: hosts that paced alone would send them in two seconds, four bursts of four at once."""
READY_SECONDS = 120
PATIENCE_SECONDS = 90
KEY = "SG.paced.key"


@asynccontextmanager
async def running_relays(route: dict[str, Any]) -> AsyncIterator[list[RunningRelay]]:
    """Host processes of one application: the same settings, the same storage."""
    async with AsyncExitStack() as exits:
        azurite = await Azurite.start()
        exits.push_async_callback(azurite.stop)
        environment = {
            **os.environ,
            "AzureWebJobsStorage": azurite.connection_string,
            "RELAY_ROUTES": msgspec.json.encode({"mail": route}).decode(),
            "PROVIDER_KEY": KEY,
        }
        key = await first_key(environment)
        session = await exits.enter_async_context(aiohttp.ClientSession())
        relays = []
        for _ in range(HOSTS):
            logs: list[str] = []
            host = await start_host(environment, logs)
            exits.push_async_callback(host.stop, grace_seconds=15)
            relays.append((host, logs))
        running = []
        for host, logs in relays:
            [line] = await host.until_ready(timeout_seconds=READY_SECONDS)
            running.append(
                RunningRelay(url=line["url"], key=key, session=session, host=host, environment=environment, logs=logs)
            )
        yield running


async def _submit(relay: RunningRelay, number: int) -> str:
    mail = {
        "from": "relay@example.com",
        "to": f"reader{number}@example.net",
        "subject": f"Number {number}",
        "text": "One of many.",
    }
    status, accepted, _ = await relay.call("POST", "/v1/messages", json=mail)
    assert status == 202, accepted
    return str(accepted["id"])


async def test_four_hosts_together_keep_the_pace_of_a_route() -> None:
    async with SendGridStandIn(keys=[KEY]) as sendgrid:
        route = {
            "provider": "sendgrid",
            "base_url": sendgrid.url,
            "api_key": "setting:PROVIDER_KEY",
            "paces": [{"count": COUNT, "seconds": SECONDS}],
        }
        async with running_relays(route) as relays, asyncio.timeout(PATIENCE_SECONDS):
            ids = await asyncio.gather(*(_submit(relays[n % HOSTS], n) for n in range(MESSAGES)))
            await sendgrid.inbox.wait_for(MESSAGES)
            senders = [relay for relay in relays if any("attempt {" in line for line in relay.logs)]

    assert sendgrid.inbox.most_within(SECONDS) <= COUNT
    assert sendgrid.inbox.by_relay_id == dict.fromkeys(ids, 1)
    assert len(senders) > 1, "one host sent everything, which shows nothing about a shared pace"
