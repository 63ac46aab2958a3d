"""What a provider cannot carry is known at submission: another route takes it, or it is refused with the reason."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.harness import Harness, file, message

GRAPH = {"tenant_id": "0b1c2d3e-0000-4000-8000-000000000000", "client_id": "app", "client_secret": "setting:KEY"}
ROUTES: dict[str, dict[str, str]] = {
    "graph": {"provider": "graph", **GRAPH},
    "sendgrid": {"provider": "sendgrid", "api_key": "setting:KEY"},
    "acs": {"provider": "acs", "endpoint": "https://mail.europe.communication.azure.com", "access_key": "setting:KEY"},
    "smtp": {"provider": "smtp", "host": "mail.example.com"},
}
HUGE = "x" * 1_600_000
GRAPH_BODY = "route graph (graph) carries text and HTML up to 3000000 bytes; the message has "
"""How the reason begins for text and HTML that no request to Graph holds."""


@pytest.fixture
async def relay() -> AsyncIterator[Harness]:
    rules = [{"routes": list(ROUTES)}]
    settings = {"RELAY_ROUTES": json.dumps(ROUTES), "RELAY_ROUTING": json.dumps(rules), "KEY": "a2V5"}
    relay = await Harness(settings).start()
    yield relay
    await relay.relay.close()


@pytest.mark.parametrize(
    ("changes", "routes"),
    [
        ({"html": HUGE}, ["graph", "sendgrid", "acs", "smtp"]),
        ({"html": HUGE * 2}, ["sendgrid", "acs", "smtp"]),
        ({"html": HUGE, "text": HUGE}, ["sendgrid", "acs", "smtp"]),
        ({"attachments": [file(b"", name="empty.csv")]}, ["graph", "smtp"]),
        ({"attachments": [file(b"", name="empty.csv"), file(b"a", name="a.csv")]}, ["graph", "smtp"]),
    ],
    ids=["html that fits", "large html", "large html and text", "empty file", "empty file beside another"],
)
async def test_message_goes_by_routes_that_carry_it(relay: Harness, changes: dict[str, Any], routes: list[str]) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(**changes, dry_run=True))
    assert response.json["routing"] == [{"recipients": ["ada@example.org"], "routes": routes}], response.body


@pytest.mark.parametrize(
    ("changes", "route", "reason"),
    [
        ({"html": HUGE * 2}, "graph", GRAPH_BODY),
        ({"html": HUGE, "text": HUGE}, "graph", GRAPH_BODY),
        (
            {"attachments": [file(b"", name="empty.csv")]}, "sendgrid",
            "route sendgrid (sendgrid) cannot carry attachments of zero bytes",
        ),
        ({"attachments": [file(b"", name="empty.csv")]}, "acs", "route acs (acs) cannot carry attachments of zero bytes"),
    ],
)  # fmt: skip
async def test_route_that_cannot_carry_it_is_refused(
    relay: Harness, changes: dict[str, Any], route: str, reason: str
) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(**changes, route=route))
    assert (response.status, response.error["code"]) == (422, "not_carriable")
    [detail] = response.error["details"]
    assert detail["message"].startswith(reason)
    assert relay.waiting == 0
