"""requests.http works; afterwards the logs contain no key, address or content, and storage no key."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from relay.core.settings import DEFAULT_LANES
from relay.platform.resources import CONTAINERS, TABLES, queues_of
from relay.platform.storage.azure.account_storage import AzureStorage, create_storage
from relay.platform.storage.ports import Query
from standins.sendgrid.server import SendGridStandIn
from tests.e2e.http_file import Written, filled, read, value_of
from tests.e2e.running import ROOT, RunningRelay, running_relay

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.1
# Words that occur nowhere by chance. Each part of a mail has its own, so that a failure names the part that leaked.
PROVIDER_KEY = "SG.nobody-may-read-this.ever"
OTHER_KEY = "SG.nor-this.neither"
PASSWORD = "quite-a-password-indeed"
WRONG_KEY = "relay_0badc0de_" + "nosuchkeynosuchkeynosuchkeynosuchkeynosuch0"
SENDER = "zebra-sender@example.com"
RECIPIENT = "yak-recipient@example.com"
MAIL = {
    "from": f"Xylophone <{SENDER}>",
    "to": RECIPIENT,
    "cc": "walrus-copy@example.com",
    "subject": "vulture subject",
    "text": "unicorn text",
    "html": "<p>tapir html</p>",
    "headers": {"X-Secret": "squid-header"},
    "attachments": [{"name": "rhino-file.txt", "content": base64.b64encode(b"quokka content").decode()}],
    "tags": ["panda-tag"],
    "metadata": {"animal": "ocelot-metadata"},
}
WORDS: tuple[str, ...] = (
    "zebra",
    "yak",
    "xylophone",
    "walrus",
    "vulture",
    "unicorn",
    "tapir",
    "squid",
    "rhino",
    "quokka",
)
WORDS += ("panda", "ocelot", base64.b64encode(b"quokka content").decode())
ROUTES: dict[str, dict[str, Any]] = {
    "good": {"provider": "sendgrid", "api_key": "setting:PROVIDER_KEY"},
    "refused": {"provider": "sendgrid", "api_key": "setting:OTHER_KEY"},
    "absent": {
        "provider": "smtp",
        "host": "127.0.0.1",
        "port": 9,
        "tls": "implicit",
        "username": "narwhal-user",
        "password": "setting:PASSWORD",
    },
    "caught": {"provider": "capture"},
}


@asynccontextmanager
async def run() -> AsyncIterator[tuple[RunningRelay, SendGridStandIn]]:
    async with SendGridStandIn(keys=[PROVIDER_KEY]) as sendgrid:
        routes = {name: dict(route) for name, route in ROUTES.items()}
        for name in ("good", "refused"):
            routes[name]["base_url"] = sendgrid.url
        settings = {
            "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
            "PROVIDER_KEY": PROVIDER_KEY,
            "OTHER_KEY": OTHER_KEY,
            "PASSWORD": PASSWORD,
        }
        async with running_relay(settings) as relay:
            yield relay, sendgrid


async def test_logs_contain_no_content_and_storage_no_key() -> None:
    async with run() as (relay, sendgrid):
        await _try_requests(relay)
        await _send_in_every_way(relay, sendgrid)
        kept = await _everything_in_storage(relay)
        logs = list(relay.logs)
    text = "\n".join(logs)

    assert _events(text) >= {"accepted", "attempt", "route_held"}
    leaked = [word for word in (*WORDS, "narwhal", "example.com") if word.lower() in text.lower()]
    assert leaked == [], [line for line in logs if any(word.lower() in line.lower() for word in leaked)]
    for secret in (PROVIDER_KEY, OTHER_KEY, PASSWORD, WRONG_KEY, relay.key):
        assert secret not in text
        assert secret.encode() not in kept
    assert b"unicorn text" in kept


async def _try_requests(relay: RunningRelay) -> None:
    """Send each request of requests.http and check its status."""
    variables, requests = read(ROOT / "requests.http")
    variables["url"] = relay.url
    responses: dict[str, Any] = {}
    for written in requests:
        status, body = await _perform(relay, written, variables, responses)
        assert re.match(written.status, str(status)), (written.title, status, body)
        responses[written.name] = body
    assert len(requests) >= 12


async def _perform(
    relay: RunningRelay, written: Written, variables: dict[str, str], responses: dict[str, Any]
) -> tuple[int, Any]:
    def values(expression: str) -> str:
        found = value_of(expression, variables, responses, relay.key)
        return filled(found, values)

    headers = {name: filled(value, values) for name, value in written.headers.items()}
    body = filled(written.body, values).encode()
    async with relay.session.request(
        written.method, filled(written.url, values), headers=headers, data=body
    ) as response:
        content = await response.read()
        return response.status, msgspec.json.decode(content) if content else None


async def _send_in_every_way(relay: RunningRelay, sendgrid: SendGridStandIn) -> None:
    """Send mail that is accepted, refused, held, unreachable, lost and malformed, and use wrong keys."""
    spoken = {"errors": [{"message": f"{RECIPIENT} is refused: vulture subject", "field": "to", "help": None}]}
    await _until_settled(relay, await _submit(relay, route="good"))
    sendgrid.script.respond(400, body=spoken)
    await _until_settled(relay, await _submit(relay, route="good"))
    sendgrid.script.cut_after_accept()
    await _until_settled(relay, await _submit(relay, route="good", delivery="at_most_once"))
    await _until_settled(relay, await _submit(relay, route="refused"))
    await _until_settled(relay, await _submit(relay, route="absent"))
    await _until_settled(relay, await _submit(relay, route="caught"))
    for body in (b'{"from": "zebra-sender@example.com", "subjekt": "vulture"', b'{"subject": "vulture", "to": "yak"}'):
        status, _, _ = await relay.call("POST", "/v1/messages", data=body, headers={"Content-Type": "application/json"})
        assert status == 400
    status, _, _ = await relay.call("GET", "/v1/routes", headers={"Authorization": f"Bearer {WRONG_KEY}"})
    assert status == 401
    status, _, _ = await relay.call("GET", f"/v1/messages/{RECIPIENT}?subject=vulture")
    assert status == 404


async def _submit(relay: RunningRelay, **fields: str) -> str:
    status, body, _ = await relay.call("POST", "/v1/messages", json={**MAIL, **fields})
    assert status == 202, body
    return str(body["id"])


async def _until_settled(relay: RunningRelay, name: str) -> None:
    """Wait until an attempt has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            _, history, _ = await relay.call("GET", f"/v1/messages/{name}")
            if history["state"] not in ("queued", "sending"):
                return
            await asyncio.sleep(POLL_SECONDS)


async def _everything_in_storage(relay: RunningRelay) -> bytes:
    """Return all rows, blobs and entries."""
    storage = create_storage(relay.environment)
    try:
        return b"\n".join([part async for part in _parts(storage)])
    finally:
        await storage.close()


async def _parts(storage: AzureStorage) -> AsyncIterator[bytes]:
    for table in TABLES:
        cursor = None
        while True:
            page = await storage.tables.query(table, Query(), cursor=cursor)
            for entity in page.entities:
                for value in entity.properties.values():
                    yield value if isinstance(value, bytes) else str(value).encode()
            cursor = page.next
            if cursor is None:
                break
    for container in CONTAINERS:
        blobs, _ = await storage.blobs.list(container)
        for blob in blobs:
            yield await storage.blobs.get(container, blob.name)
    for queue in queues_of(DEFAULT_LANES):
        for entry in await storage.queues.receive(queue, limit=32):
            yield entry.body


def _events(text: str) -> set[str]:
    return set(re.findall(r"\b([a-z_]+) \{\"", text))
