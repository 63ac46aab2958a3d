"""Four host processes with one storage keep the pace of a route together."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from devhost.azurite import Azurite
from relay.bootstrap import start
from relay.core.settings import Pace
from relay.platform.gcra import interval_of, reserve
from relay.platform.storage.ports import Query, every_row
from relay.routes.pacing import TABLE
from standins.sendgrid.server import SendGridStandIn
from tests.e2e.running import RunningRelay, first_key, start_host

HOSTS = 4
PACE = Pace(count=20, seconds=10)
EARLY_SECONDS = 1.0
"""A slot that is no further away is used at once."""
MESSAGES = 26
"""More than one window allows. Hosts without shared pacing would send them within two seconds."""
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
            "RELAY_LANES": msgspec.json.encode({"transactional": {"shards": HOSTS}}).decode(),
        }
        key = await first_key(environment)
        connector = aiohttp.TCPConnector(keepalive_timeout=2)
        session = await exits.enter_async_context(aiohttp.ClientSession(connector=connector))
        relays = []
        for number in range(HOSTS):
            logs: list[str] = []
            host = await start_host({**environment, **_only_queue(number)}, logs)
            exits.push_async_callback(host.stop, grace_seconds=15)
            relays.append((host, logs))
        running = []
        for host, logs in relays:
            [line] = await host.until_ready(timeout_seconds=READY_SECONDS)
            running.append(
                RunningRelay(url=line["url"], key=key, session=session, host=host, environment=environment, logs=logs)
            )
        yield running


def _only_queue(number: int) -> dict[str, str]:
    """Give each host its own queue: otherwise the fastest host could deliver everything."""
    others = (queue for queue in range(HOSTS) if queue != number)
    return {f"AzureWebJobs_deliver_transactional_{queue + 1}_Disabled": "1" for queue in others}


async def _submit_some(relay: RunningRelay, numbers: range) -> list[str]:
    """Send messages one by one, so that each is an entry and the entries are spread over the queues."""
    return [await _submit(relay, number) for number in numbers]


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


async def _reserved_until(environment: Mapping[str, str]) -> float:
    """Return the arrival time in the only row of pacing: where the reservations of all hosts end."""
    relay = start(environment)
    try:
        [row] = [row async for row in every_row(relay.storage.tables, TABLE, Query())]
        return float(str(row.properties["arrival"]))
    finally:
        await relay.close()


async def test_four_hosts_together_keep_the_pace_of_a_route() -> None:
    async with SendGridStandIn(keys=[KEY]) as sendgrid:
        route = {
            "provider": "sendgrid",
            "base_url": sendgrid.url,
            "api_key": "setting:PROVIDER_KEY",
            "paces": [msgspec.to_builtins(PACE)],
        }
        async with running_relays(route) as relays, asyncio.timeout(PATIENCE_SECONDS):
            begun = time.time()
            shares = (_submit_some(relay, range(n, MESSAGES, HOSTS)) for n, relay in enumerate(relays))
            ids = [name for share in await asyncio.gather(*shares) for name in share]
            await sendgrid.inbox.wait_for(MESSAGES)
            reserved_until = await _reserved_until(relays[0].environment)
            senders = [relay for relay in relays if any("attempt {" in line for line in relay.logs)]

    # However slow the machine is, no host reserves less than an interval for a message, and no message is before its slot.
    assert reserved_until >= begun + MESSAGES * interval_of(PACE)
    slots, _ = reserve(PACE, 0.0, begun, MESSAGES)
    accepted = sorted(mail.accepted_at.timestamp() for mail in sendgrid.inbox.messages)
    early = [slot - at for slot, at in zip(slots, accepted, strict=True) if at < slot - EARLY_SECONDS]
    assert early == []
    assert sendgrid.inbox.by_relay_id == dict.fromkeys(ids, 1)
    assert len(senders) == HOSTS
