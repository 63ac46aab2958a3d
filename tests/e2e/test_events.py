"""Provider events, bounces in a mailbox and signed webhooks, through real processes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from standins.entra import DEFAULT_CLIENT, DEFAULT_TENANT
from standins.everything import Everything
from standins.http import utc_now
from tests.e2e.running import RunningRelay, running_relay
from tests.unit.events.webhooks.hook import Hook, hook

PATIENCE_SECONDS = 90
POLL_SECONDS = 0.3
SECRET = "a-secret-of-event-grid"


async def test_provider_events_are_recorded_and_posted_to_the_webhook(tmp_path: Path) -> None:
    async with Everything(tmp_path) as vendors, hook() as receiver, running_relay(_settings(vendors)) as relay:
        subscription = await _post(relay, "/v1/webhooks", {"url": receiver.url})
        async with asyncio.timeout(PATIENCE_SECONDS):
            name = await _sent(relay, ["ada@sendgrid.test", "bob@sendgrid.test", "eve@acs.test"])
            await _post_events(vendors, relay, name)
            status = await _until(lambda: _status(relay, name), _has_events)
            await _until(lambda: _received(receiver), lambda posts: posts >= 4)

        again = await _post(relay, "/v1/messages", {**MESSAGE, "to": ["bob@sendgrid.test", "new@sendgrid.test"]})
        refused = await relay.session.post(f"{relay.url}/v1/events/sendgrid", json=[{"event": "delivered"}])

    assert _ends(status) == {
        "ada@sendgrid.test": ("delivered", None),
        "bob@sendgrid.test": ("bounced", "address"),
        "eve@acs.test": ("bounced", "content"),
    }
    posted = {post.headers["webhook-id"]: post.verified(subscription["secret"]) for post in receiver.posts}
    assert sorted((each["type"], each["data"]["recipient"]) for each in posted.values()) == [
        ("message.bounced", "bob@sendgrid.test"),
        ("message.bounced", "eve@acs.test"),
        ("message.delivered", "ada@sendgrid.test"),
        ("message.opened", "ada@sendgrid.test"),
    ]
    assert {each["data"]["message"] for each in posted.values()} == {name}
    assert {each["data"]["metadata"]["order"] for each in posted.values()} == {"4711"}
    assert again["suppressed"] == [{"email": "bob@sendgrid.test", "reason": "bounced"}]
    assert refused.status == 403


async def test_bounce_in_the_mailbox_and_the_message_trace_are_recorded(tmp_path: Path) -> None:
    async with Everything(tmp_path) as vendors, running_relay(_settings(vendors)) as relay:
        # The trace is read two minutes behind: Exchange's clock is late.
        vendors.graph.clock = lambda: utc_now() - timedelta(minutes=5)
        vendors.graph.trace.statuses["eve@graph.test"] = "quarantined"
        async with asyncio.timeout(PATIENCE_SECONDS):
            name = await _sent(relay, ["ada@graph.test"])
            async with relay.session.post(
                f"{vendors.graph.control_url}/__standin__/bounce",
                json={"relay_id": name, "recipient": "ada@graph.test"},
            ) as response:
                assert (await response.json())["reports"] == 1
            await relay.session.post(f"{relay.url}/admin/functions/read_mailboxes", json={"input": ""})
            status = await _until(
                lambda: _status(relay, name), lambda found: found["recipients"][0]["state"] == "bounced"
            )
            traced = await _sent(relay, ["bob@graph.test", "eve@graph.test"])
            await relay.session.post(f"{relay.url}/admin/functions/read_message_trace", json={"input": ""})
            seen = await _until(lambda: _status(relay, traced), lambda found: len(found["events"]) == 2)
    assert _ends(seen) == {"bob@graph.test": ("delivered", None), "eve@graph.test": ("bounced", "content")}
    assert (status["recipients"][0]["code"], status["recipients"][0]["bounce_class"]) == ("5.1.10", "address")
    assert [event["provider"] for event in status["events"]] == ["graph"]


MESSAGE: dict[str, Any] = {
    "from": "relay@example.com",
    "subject": "第3四半期のご報告",
    "text": "Grüße",
    "metadata": {"order": "4711"},
}


def _settings(vendors: Everything) -> dict[str, str]:
    mailboxes = [{"route": "graph", "mailbox": "relay@example.com"}]
    trace = {"routes": ["graph"], "base_url": vendors.graph.url, **_identity(vendors)}
    return {
        **vendors.settings(),
        "RELAY_MESSAGE_TRACE": msgspec.json.encode([trace]).decode(),
        "RELAY_SENDGRID_EVENT_KEYS": vendors.sendgrid.webhook.public_key,
        "RELAY_EVENT_GRID_SECRET": "setting:GRID",
        "GRID": SECRET,
        "RELAY_WEBHOOKS_ALLOW_LOOPBACK": "true",
        "RELAY_BOUNCE_MAILBOXES": msgspec.json.encode(mailboxes).decode(),
        # A run of the timer before the test's own would read the minutes in which the test's mail appears later.
        "AzureWebJobs.read_message_trace.Disabled": "true",
    }


def _identity(vendors: Everything) -> dict[str, str]:
    return {
        "authority": vendors.graph.url,
        "tenant_id": DEFAULT_TENANT,
        "client_id": DEFAULT_CLIENT,
        "client_secret": "vault:graph-client-secret",
    }


async def _post_events(vendors: Everything, relay: RunningRelay, name: str) -> None:
    """Post events of SendGrid twice and out of order, and events of Event Grid once, after its handshake."""
    mails = vendors.sendgrid.inbox.of(name)
    hooks = vendors.sendgrid.webhook
    opened, delivered, bounced = (hooks.events(mails, kind) for kind in ("open", "delivered", "bounce"))
    ada = [event for event in (*opened, *delivered) if event["email"] == "ada@sendgrid.test"]
    posted = [*ada, *(event for event in bounced if event["email"] == "bob@sendgrid.test")]
    for events in (posted, posted[::-1]):
        assert await hooks.post(f"{relay.url}/v1/events/sendgrid", events) == 200
    where = f"{relay.url}/v1/events/acs?key={SECRET}"
    grid = vendors.acs.events
    assert await grid.validate(where)
    assert await grid.validate(where, "cloud_events")
    reports = grid.delivery_reports(vendors.acs.inbox.of(name), "Quarantined")
    assert await grid.post(where, reports, "cloud_events") == 200


async def _sent(relay: RunningRelay, to: list[str]) -> str:
    accepted = await _post(relay, "/v1/messages", {**MESSAGE, "to": to})
    await _until(lambda: _status(relay, accepted["id"]), lambda status: status["state"] == "sent")
    return str(accepted["id"])


async def _post(relay: RunningRelay, path: str, body: Any) -> dict[str, Any]:
    status, response, _ = await relay.call("POST", path, json=body)
    assert status < 300, response
    return dict(response)


async def _status(relay: RunningRelay, name: str) -> dict[str, Any]:
    return dict((await relay.call("GET", f"/v1/messages/{name}"))[1])


async def _received(receiver: Hook) -> int:
    return len({post.headers["webhook-id"] for post in receiver.posts})


async def _until[T](ask: Callable[[], Awaitable[T]], is_enough: Callable[[T], bool]) -> T:
    while True:
        found = await ask()
        if is_enough(found):
            return found
        await asyncio.sleep(POLL_SECONDS)


def _has_events(status: dict[str, Any]) -> bool:
    return all(state in ("delivered", "bounced") for state, _ in _ends(status).values())


def _ends(status: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {each["email"]: (each["state"], each.get("bounce_class")) for each in status["recipients"]}
