"""Messages sent by every provider: the relay and all stand-ins as real processes."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from devhost.children import Child
from tests.e2e.running import ROOT, RunningRelay, running_relay

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.2
DOMAINS = ("sendgrid.test", "graph.test", "acs.test", "smtp.test", "elsewhere.test")


class _Found(msgspec.Struct):
    settings: dict[str, str]
    inboxes: dict[str, str]


@asynccontextmanager
async def running_standins() -> AsyncIterator[_Found]:
    """`python -m standins`, as `make run PROVIDERS=all` starts it."""
    child = await Child.start(
        name="the stand-ins",
        argv=(sys.executable, "-m", "standins"),
        ready=re.compile(r"^(?P<found>\{.*\})$"),
        cwd=ROOT,
    )
    try:
        [line] = await child.until_ready(timeout_seconds=PATIENCE_SECONDS)
        yield msgspec.json.decode(line["found"], type=_Found)
    finally:
        await child.stop(grace_seconds=5)


async def test_one_message_leaves_by_five_providers_and_is_reported_as_one() -> None:
    request = {
        "from": {"email": "relay@example.com", "name": "Sales @ Example, Inc."},
        "to": [f"ada@{domain}" for domain in DOMAINS],
        "subject": "第3四半期のご報告",
        "text": "Grüße",
    }
    public = {"RELAY_PUBLIC_URL": "https://relay.example.com"}
    async with running_standins() as standins, running_relay({**standins.settings, **public}) as relay:
        async with asyncio.timeout(PATIENCE_SECONDS):
            history = await _sent(relay, request)
        arrived = {name: await _mails(relay, url) for name, url in standins.inboxes.items()}
        async with asyncio.timeout(PATIENCE_SECONDS):
            await _check_unsubscribe_links(relay, standins)
        _, local, _ = await relay.call("GET", "/v1/inbox")
        _, examined, _ = await relay.call("GET", "/v1/doctor")

    assert history["state"] == "sent", history
    assert {name: [mail["envelope"] for mail in mails] for name, mails in arrived.items()} == {
        name: [[f"ada@{name}.test"]] for name in standins.inboxes
    }
    assert {mail["subject"] for mails in arrived.values() for mail in mails} == {request["subject"]}
    assert {mail["relay_id"] for mails in arrived.values() for mail in mails} == {history["id"]}
    assert [mail["to"] for mail in local["value"]] == [["ada@elsewhere.test"]]
    assert [finding for finding in examined["value"] if finding["health"] == "fault"] == []
    routes = {finding["about"] for finding in examined["value"] if finding["health"] == "ok"}
    assert {f"route {name}" for name in (*standins.inboxes, "capture")} <= routes


async def _check_unsubscribe_links(relay: RunningRelay, standins: _Found) -> None:
    """By every provider the link arrives with both fields, and a POST to it unsubscribes from the topic alone."""
    await relay.call("PUT", "/v1/topics/news", json={})
    about = {"from": "relay@example.com", "subject": "News", "text": "New.", "unsubscribe": {"topic": "news"}}
    for name, url in standins.inboxes.items():
        reader = f"reader@{name}.test"
        history = await _sent(relay, {**about, "to": reader})
        assert history["state"] == "sent", history
        [mail] = [mail for mail in await _mails(relay, url) if mail["relay_id"] == history["id"]]
        fields = {field.lower(): value for field, value in mail["headers"].items()}
        assert fields["list-unsubscribe-post"] == "List-Unsubscribe=One-Click", name
        link = re.sub(r"\s", "", fields["list-unsubscribe"]).strip("<>")
        assert link.startswith("https://relay.example.com/unsubscribe/1-"), name
        assert link.endswith(f"/{history['id']}"), name
        path = link.removeprefix("https://relay.example.com")
        async with relay.session.post(f"{relay.url}{path}", data={"List-Unsubscribe": "One-Click"}) as response:
            assert response.status == 200, name
        _, accepted, _ = await relay.call("POST", "/v1/messages", json={**about, "to": reader})
        assert accepted["suppressed"] == [{"email": reader, "reason": "topic_unsubscribed"}]
        receipt = {key: value for key, value in about.items() if key != "unsubscribe"}
        assert (await _sent(relay, {**receipt, "to": reader}))["state"] == "sent"


async def _sent(relay: RunningRelay, request: dict[str, Any]) -> dict[str, Any]:
    """Return the message's status once it is final."""
    status, accepted, _ = await relay.call("POST", "/v1/messages", json=request)
    assert status == 202, accepted
    while True:
        _, history, headers = await relay.call("GET", f"/v1/messages/{accepted['id']}")
        if "Retry-After" not in headers:
            return dict(history)
        await asyncio.sleep(POLL_SECONDS)


async def _mails(relay: RunningRelay, url: str) -> list[dict[str, Any]]:
    async with relay.session.get(url) as response:
        shown: dict[str, Any] = await response.json()
        return list(shown["messages"])
