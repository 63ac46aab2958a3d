"""Measure a burst of delivery events: accepted per second (durable before the response), and recorded per second."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from itertools import batched

import aiohttp
import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.results import Figure
from bench.systems import MESSAGE, Running, running
from relay.events.provider_events import QUEUE
from relay.events.sendgrid import SIGNATURE, TIMESTAMP
from relay.platform.storage.ports import Queues

MESSAGES = 2_000
KINDS = ("processed", "deferred", "delivered", "open", "click")
EVENTS_A_POST = 500
CONNECTIONS = 8
TIMEOUT_SECONDS = 300


async def flood(runs: int) -> AsyncIterator[Figure]:
    """Post signed SendGrid webhooks: five events for each of 2,000 messages, sorted by kind."""
    taken, applied, cpu = [], [], []
    key = ec.generate_private_key(ec.SECP256R1())
    settings = {"RELAY_SENDGRID_EVENT_KEYS": _public(key)}
    async with running("relay", settings=settings) as target:
        names = await _sent(target)
        events = len(names) * len(KINDS)
        for run in range(runs):
            posts = [_signed(key, some) for some in batched(_events(names, run), EVENTS_A_POST, strict=True)]
            before, begun = target.usage(), time.monotonic()
            await _post_all(target, posts)
            taken.append(events / (time.monotonic() - begun))
            async with target.storage() as storage:
                await _until(lambda: _is_empty(storage.queues))
            applied.append(events / (time.monotonic() - begun))
            cpu.append(target.spent(before, events)["host"])
    yield Figure(name="events/taken", unit="/s", runs=taken)
    yield Figure(name="events/applied", unit="/s", runs=applied)
    yield Figure(name="events/host CPU", unit="ms an event", runs=cpu)


async def _sent(target: Running) -> Sequence[str]:
    """Send the messages. Return their ids once SendGrid has them."""
    names: list[str] = []
    for numbers in batched(range(MESSAGES), 1000, strict=True):
        messages = [{**MESSAGE, "to": f"n{number}@example.net"} for number in numbers]
        async with target.session.post(
            f"{target.url}/v1/messages/batch", json={"messages": messages}, headers=target.headers
        ) as response:
            names += [row["id"] for row in (await response.json())["value"]]
    await _until(lambda: _has_all(target))
    # The last outcomes are recorded shortly after the provider has the messages.
    await asyncio.sleep(2)
    return names


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            if await is_so():
                return
            await asyncio.sleep(0.1)


async def _is_empty(queues: Queues) -> bool:
    return not await queues.count(QUEUE)


async def _has_all(target: Running) -> bool:
    return await target.arrived() >= MESSAGES


def _events(names: Sequence[str], run: int) -> Sequence[Mapping[str, object]]:
    return [
        {
            "email": f"n{number}@example.net",
            "timestamp": int(time.time()),
            "event": kind,
            "relay_id": name,
            "relay_attempt": "1",
            "sg_event_id": f"{kind}-{run}-{number}",
            "sg_message_id": f"14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.{number}",
            "response": "250 2.0.0 OK",
            "useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "ip": "192.0.2.1",
        }
        for kind in KINDS
        for number, name in enumerate(names)
    ]


def _signed(key: ec.EllipticCurvePrivateKey, events: Sequence[Mapping[str, object]]) -> tuple[bytes, Mapping[str, str]]:
    body, stamp = msgspec.json.encode(list(events)), str(int(time.time()))
    signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: stamp, "Content-Type": "application/json"}
    return body, headers


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_key().public_bytes(serialization.Encoding.DER, form)).decode()


async def _post_all(target: Running, posts: Sequence[tuple[bytes, Mapping[str, str]]]) -> None:
    gate = asyncio.Semaphore(CONNECTIONS)

    async def post(session: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str]) -> None:
        async with gate, session.post(f"{target.url}/v1/events/sendgrid", data=body, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"posting events returned {response.status}, expected 200")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(post(session, body, headers) for body, headers in posts))
