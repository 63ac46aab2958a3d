"""Failover through a real host: only to an allowed route, and only after a certain failure."""

import asyncio
from typing import Any

import msgspec

from standins.script import Act, Fault
from standins.sendgrid.server import SendGridStandIn
from tests.e2e.running import RunningRelay, running_relay

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.2
KEY = "SG.failing.over"
FROM = "relay@example.com"


def settings(first: SendGridStandIn, others: SendGridStandIn, second: SendGridStandIn) -> dict[str, str]:
    """Three routes in order, of which the middle one may not send for `FROM`."""

    def route(standin: SendGridStandIn, senders: str) -> dict[str, Any]:
        return {"provider": "sendgrid", "base_url": standin.url, "api_key": "setting:KEY", "senders": [senders]}

    routes = {"first": route(first, "*"), "others": route(others, "*@other.example"), "second": route(second, FROM)}
    rules = [{"when": {"sender_domains": ["example.com"]}, "routes": list(routes)}]
    return {
        "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
        "RELAY_ROUTING": msgspec.json.encode(rules).decode(),
        "KEY": KEY,
    }


async def test_route_fault_fails_over_and_alerts_and_lost_response_does_not() -> None:
    async with (
        SendGridStandIn(keys=[KEY]) as first,
        SendGridStandIn(keys=[KEY]) as others,
        SendGridStandIn(keys=[KEY]) as second,
        running_relay(settings(first, others, second)) as relay,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        first.script.add(Fault(act=Act.CUT_AFTER_ACCEPT))
        lost = await _tried(relay, "lost")
        assert [attempt["outcome"] for attempt in lost["attempts"]] == ["unknown"]
        assert (first.inbox.accepted, second.inbox.requests) == (1, 0)
        assert _alerts(relay) == []

        first.account = "revoked_key"
        moved = await _tried(relay, "moved", until="sent")
        tried = [(attempt["route"], attempt["outcome"]) for attempt in moved["attempts"]]
        assert tried == [("first", "route_fault"), ("second", "sent")]
        assert [mail.relay_id for mail in second.inbox.messages] == [moved["id"]]
        assert (first.inbox.accepted, others.inbox.requests) == (1, 0)
        [alert] = _alerts(relay)
        assert '"route":"first"' in alert
        assert '"to":"second"' in alert


async def _tried(relay: RunningRelay, subject: str, *, until: str = "") -> dict[str, Any]:
    """Return the status of a new message once an attempt has ended, or once it is in a state."""
    mail = {"from": FROM, "to": "reader@example.net", "subject": subject, "text": "x", "delivery": "at_most_once"}
    status, accepted, _ = await relay.call("POST", "/v1/messages", json=mail)
    assert status == 202, accepted
    while True:
        _, history, _ = await relay.call("GET", f"/v1/messages/{accepted['id']}")
        settled = [attempt for attempt in history.get("attempts", ()) if attempt.get("outcome")]
        if settled and until in ("", history["state"]):
            return dict(history)
        await asyncio.sleep(POLL_SECONDS)


def _alerts(relay: RunningRelay) -> list[str]:
    """Return the log lines that the alert rules search for."""
    return [line for line in relay.logs if "failed_over {" in line]
