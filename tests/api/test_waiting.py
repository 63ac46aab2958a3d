"""Polling a URL until a message is sent or delivered, as the HTTP action of Logic Apps does."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from relay.api.http import Request
from relay.bootstrap import Relay
from relay.clients.registry import Client
from standins.inbox import Mail
from tests.api.harness import BASE, ApiResponse, Harness, message
from tests.api.test_events import Vendors

PAGE = Path(__file__).parents[2] / "docs/api/waiting.md"


async def begin(relay: Harness, prefer: str = "wait=sent", query: str = "", **fields: Any) -> ApiResponse:
    """Send a message whose caller wants to wait."""
    headers = {"Prefer": prefer} if prefer else {}
    return await relay.call("POST", f"/v1/messages{query}", json=message(**fields), headers=headers)


async def follow(relay: Harness, location: str) -> ApiResponse:
    """Poll a `Location` without a key, as Logic Apps does."""
    assert location.startswith(BASE)
    return await relay.call("GET", location.removeprefix(BASE), client=None)


async def test_response_without_prefer_has_no_location_to_poll(relay: Harness) -> None:
    for prefer in ("", "wait=10", "respond-async", "wait=banana", "handling=strict; wait=sent"):
        response = await begin(relay, prefer)
        assert response.status == 202
        assert not {"location", "preference-applied"} & response.headers.keys()


@pytest.mark.parametrize("prefer", ["wait=sent", 'respond-async, Wait = "sent"; x=y', "wait=sent, wait=delivered"])
async def test_poll_returns_202_until_the_message_is_sent(relay: Harness, prefer: str) -> None:
    begun = await begin(relay, prefer)
    location = begun.headers["location"]
    assert (begun.status, begun.headers["preference-applied"]) == (202, "wait=sent")
    waiting = await follow(relay, location)
    assert (waiting.status, waiting.headers["location"]) == (202, location)
    assert int(waiting.headers["retry-after"]) == 5
    assert waiting.json["state"] == "queued"
    await relay.deliver()
    done = await follow(relay, location)
    assert done.status == 200
    assert "location" not in done.headers
    assert done.json == await relay.status(begun.json["id"])


async def test_query_overrides_the_prefer_header(relay: Harness) -> None:
    begun = await begin(relay, "", "?wait=delivered")
    assert "preference-applied" not in begun.headers
    assert dict(parse_qsl(urlsplit(begun.headers["location"]).query))["until"] == "delivered"
    refused = await begin(relay, "wait=sent", "?wait=read")
    assert (refused.status, refused.error["target"]) == (400, "wait")
    assert relay.waiting == 1


async def test_documented_examples_are_accepted_and_compile(relay: Harness) -> None:
    page = PAGE.read_text(encoding="utf-8")
    [sent] = re.findall(r"-d '(.*?)'", page)
    [prefer] = re.findall(r'-H "Prefer: ([^"]+)"', page)
    begun = await relay.call("POST", "/v1/messages", json=json.loads(sent), headers={"Prefer": prefer})
    assert f"Preference-Applied: {begun.headers['preference-applied']}" in page
    assert begun.status == 202
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    compile(code, PAGE, "exec")


async def test_raw_message_can_be_waited_for(relay: Harness) -> None:
    raw = b"From: shop@example.com\nTo: ada@example.org\nSubject: Your order\n\nHello.\n"
    headers = {"Content-Type": "message/rfc822", "Idempotency-Key": "k"}
    begun = await relay.call("POST", "/v1/messages?wait=sent", body=raw, headers=headers)
    assert begun.status == 202
    again = await relay.call("POST", "/v1/messages", body=raw, headers=headers)
    assert again.json == begun.json
    await relay.deliver()
    assert (await follow(relay, begun.headers["location"])).status == 200


async def test_dry_run_has_no_location(relay: Harness) -> None:
    response = await begin(relay, dry_run=True)
    assert response.status == 200
    assert "location" not in response.headers


async def test_repeated_request_may_wait(relay: Harness) -> None:
    headers = {"Prefer": "wait=sent", "Idempotency-Key": "k"}
    first, second = [await relay.call("POST", "/v1/messages", json=message(), headers=headers) for _ in range(2)]
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["location"] == first.headers["location"]


async def test_scheduled_message_has_a_longer_retry_after(relay: Harness) -> None:
    location = (await begin(relay, send_at="2026-03-01T12:02:00Z")).headers["location"]
    await relay.deliver()
    assert (await follow(relay, location)).headers["retry-after"] == "121"
    far = (await begin(relay, send_at="2026-04-01T12:00:00Z")).headers["location"]
    await relay.deliver()
    assert (await follow(relay, far)).headers["retry-after"] == "300"
    await relay.pass_time(121)
    assert (await follow(relay, location)).status == 200


async def test_failed_message_returns_422_with_each_reason(relay: Harness) -> None:
    begun = await begin(relay, to="rejected@relay.test")
    await relay.deliver()
    response = await follow(relay, begun.headers["location"])
    assert (response.status, response.error["code"]) == (422, "not_sent")
    assert response.problems == [("not_sent", "recipients[0]")]
    row = (await relay.status(begun.json["id"]))["recipients"][0]
    assert response.error["details"][0]["message"] == f"The state of this recipient is `failed`: `{row['code']}`."


async def test_cancelled_message_returns_422(relay: Harness) -> None:
    begun = await begin(relay, send_at="2026-03-02T12:00:00Z")
    await relay.deliver()
    assert (await relay.call("DELETE", f"/v1/messages/{begun.json['id']}")).status == 200
    response = await follow(relay, begun.headers["location"])
    assert (response.status, response.error["code"]) == (422, "not_sent")
    assert "`cancelled`" in response.error["message"]


async def test_unknown_outcome_returns_422(relay: Harness) -> None:
    begun = await begin(relay, to="unknown@relay.test", delivery="at_most_once")
    await relay.deliver()
    assert (await follow(relay, begun.headers["location"])).error["message"].count("`unknown`") == 1


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    harness = Vendors()
    await harness.start()
    yield harness
    await harness.relay.close()


async def sent(vendors: Vendors, *to: str) -> tuple[Mail, str]:
    """Send a mail. Returns it and the URL to poll for its delivery."""
    mail = await vendors.sent(to=list(to))
    again = await begin(vendors, "wait=delivered", to=list(to))
    await vendors.deliver()
    relay_id = again.json["id"]
    fields = {"custom_args": {"relay_id": relay_id, "relay_attempt": "1"}}
    named = Mail(
        id=mail.id,
        accepted_at=mail.accepted_at,
        sender=mail.sender,
        to=(),
        envelope=mail.envelope,
        subject="x",
        relay_id=relay_id,
        fields=fields,
    )
    return named, again.headers["location"]


async def test_wait_for_delivery_ends_when_all_recipients_are_delivered(vendors: Vendors) -> None:
    mail, location = await sent(vendors, "ada@example.org", "bob@example.org")
    ada, bob = vendors.sendgrid.events([mail], "delivered")
    waiting = await follow(vendors, location)
    assert (waiting.status, waiting.json["state"], waiting.headers["retry-after"]) == (202, "sent", "20")
    await vendors.post_sendgrid([ada])
    await vendors.apply()
    assert (await follow(vendors, location)).status == 202
    await vendors.post_sendgrid([bob])
    await vendors.apply()
    assert (await follow(vendors, location)).status == 200


async def test_one_bounce_ends_the_wait_for_delivery(vendors: Vendors) -> None:
    mail, location = await sent(vendors, "ada@example.org", "bob@example.org")
    await vendors.post_sendgrid(vendors.sendgrid.events([mail], "bounce")[1:])
    await vendors.apply()
    response = await follow(vendors, location)
    assert (response.status, response.error["code"]) == (422, "not_delivered")
    assert response.problems == [("not_delivered", "recipients[1]")]
    assert response.error["details"][0]["message"] == "The state of this recipient is `bounced`: `5.1.1`."


@pytest.mark.parametrize(
    "change",
    [
        {"sig": "x"},
        {"sig": "é"},
        {"sig": ""},
        {"until": "delivered"},
        {"until": "read"},
        {"expires": "9" * 12},
        {"expires": "9" * 13},
        {"expires": "²"},
        {"expires": ""},
    ],
)
async def test_changed_poll_url_is_refused(relay: Harness, change: dict[str, str]) -> None:
    parts = urlsplit((await begin(relay)).headers["location"])
    query = dict(parse_qsl(parts.query)) | change
    response = await relay.call("GET", f"{parts.path}?{urlencode(query)}", client=None)
    assert (response.status, response.error["code"]) == (403, "link_not_valid")


async def test_poll_url_is_for_one_message(relay: Harness) -> None:
    one, other = await begin(relay), await begin(relay)
    query = urlsplit(one.headers["location"]).query
    for name in (other.json["id"], "msg_x", f"msg_{'0' * 40}"):
        assert (await relay.call("GET", f"/v1/messages/{name}/wait?{query}", client=None)).status == 403


async def test_poll_url_expires_an_hour_after_the_message(relay: Harness) -> None:
    location = (await begin(relay, expires_in_seconds=600)).headers["location"]
    relay.clock.move(600 + 3600)
    assert (await follow(relay, location)).status == 202
    relay.clock.move(1)
    assert (await follow(relay, location)).error["code"] == "link_not_valid"


async def owner(relay: Harness) -> Client:
    return (await relay.relay.clients.all(older_than_seconds=0))["app"]


async def test_poll_urls_of_a_disabled_client_are_refused(relay: Harness) -> None:
    location = (await begin(relay)).headers["location"]
    assert (await relay.call("PATCH", "/v1/clients/app", json={"is_disabled": True}, client="boss")).status == 200
    assert (await owner(relay)).is_disabled
    assert (await follow(relay, location)).status == 403


async def test_instance_with_a_stale_cache_rereads_the_client(relay: Harness) -> None:
    other = Relay(relay.relay.settings, relay.relay.storage, clock=relay.clock, sleep=relay.clock.sleep)
    assert "late" not in await other.clients.all()
    await relay.add_client("late")
    headers = {"Prefer": "wait=sent"}
    begun = await relay.call("POST", "/v1/messages", json=message(), headers=headers, client="late")
    parts = urlsplit(begun.headers["location"])
    request = Request(method="GET", path=parts.path, url=begun.headers["location"], query=dict(parse_qsl(parts.query)))
    relay.clock.move(6)
    assert (await other.api.handle(request)).status == 202
    await other.close()
