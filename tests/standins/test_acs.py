"""The ACS stand-in checks signatures, runs operations, and posts reports through Event Grid."""

import base64
import hashlib
import io
import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from standins.acs.auth import AUDIENCE, sign
from standins.acs.events import DELIVERY, STATUSES
from standins.acs.server import CUSTOM_DOMAIN, DEFAULT_KEY, AcsStandIn
from standins.http import utc_now
from tests.doubles import Clock
from tests.standins.receiver import receiving

SEND = "/emails:send?api-version=2025-09-01"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def acs(clock: Clock) -> AsyncIterator[AcsStandIn]:
    async with AcsStandIn(domains=["example.com"], clock=clock) as standin:
        yield standin


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


def message(**changes: Any) -> dict[str, Any]:
    return {
        "senderAddress": "relay@example.com",
        "content": {"subject": "件名", "plainText": "hello", "html": "<p>hello</p>"},
        "recipients": {
            "to": [{"address": "ada@example.org", "displayName": "Ada, A"}],
            "bcc": [{"address": "bob@example.org"}],
        },
        "headers": {"X-Relay-Id": "m1"},
        **changes,
    }


def signed(method: str, url: str, path: str, body: bytes, now: datetime, *, key: str = DEFAULT_KEY) -> dict[str, str]:
    """Return the headers of a client with an access key."""
    date, host = format_datetime(now, usegmt=True), url.removeprefix("http://")
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    signature = sign(method, path, f"{date};{host};{digest}", key)
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }


class Client:
    """Sends with the default key at the stand-in's time, unless the headers differ."""

    def __init__(self, http: aiohttp.ClientSession, acs: AcsStandIn) -> None:
        self._http = http
        self._acs = acs

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, Any]:
        sent = {
            **signed(method, self._acs.url, path, body, self._acs.clock()),
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = io.BytesIO(body) if body else None
        async with self._http.request(method, f"{self._acs.url}{path}", data=data, headers=sent) as reply:
            return reply.status, reply.headers, await reply.json(content_type=None)

    async def send(self, changes: dict[str, Any] | None = None, **headers: str) -> tuple[int, Any, Any]:
        return await self.call("POST", SEND, json.dumps(message(**(changes or {}))).encode(), **headers)

    async def status(self, operation: str) -> tuple[int, Any, Any]:
        return await self.call("GET", f"/emails/operations/{operation}?api-version=2025-09-01")


@pytest.fixture
def client(http: aiohttp.ClientSession, acs: AcsStandIn) -> Client:
    return Client(http, acs)


async def test_signed_message_is_accepted_with_an_operation_location(acs: AcsStandIn, client: Client) -> None:
    content = bytes(range(256)) * 1000
    file = {"name": "図.png", "contentType": "image/png", "contentInBase64": base64.b64encode(content).decode()}
    mine = str(uuid.uuid4())
    status, headers, body = await client.send({"attachments": [{**file, "contentId": "logo"}]}, Operation_Id=mine)
    assert (status, body["id"], body["status"]) == (202, mine, "Running")
    assert headers["Operation-Location"].startswith(f"{acs.url}/emails/operations/{mine}?")
    assert int(headers["retry-after"]) > 0
    (kept,) = acs.inbox.messages
    assert (kept.subject, kept.text, kept.html, kept.relay_id) == ("件名", "hello", "<p>hello</p>", "m1")
    assert (kept.to[0].name, kept.envelope) == ("Ada, A", ("ada@example.org", "bob@example.org"))
    assert (kept.attachments[0].content, kept.attachments[0].content_id) == (content, "logo")
    assert (await client.status(mine))[2] == {"id": mine, "status": "Succeeded", "error": None}


async def test_wrong_signature_is_refused(acs: AcsStandIn, client: Client, clock: Clock) -> None:
    body = json.dumps(message()).encode()
    other_key = base64.b64encode(b"another key").decode()
    wrong = {
        "another key": signed("POST", acs.url, SEND, body, clock.now, key=other_key),
        "another body": signed("POST", acs.url, SEND, b"{}", clock.now),
        "another path": signed("POST", acs.url, "/emails:send?api-version=2023-03-31", body, clock.now),
        "another host": signed("POST", "http://localhost", SEND, body, clock.now),
        "another method": signed("GET", acs.url, SEND, body, clock.now),
        "too old": signed("POST", acs.url, SEND, body, clock.now - timedelta(minutes=16)),
        "no key": {"Authorization": "HMAC-SHA256 Signature=x"},
        "no token": {"Authorization": "Bearer x"},
    }
    for name, headers in wrong.items():
        status, got, response = await client.call("POST", SEND, body, **headers)
        assert (name, status, response["error"]["code"]) == (name, 401, "Denied")
        assert got["x-ms-error-code"] == "Denied"
    assert acs.inbox.accepted == 0


async def test_two_keys_are_valid_during_a_rotation(acs: AcsStandIn, client: Client, clock: Clock) -> None:
    second = base64.b64encode(b"second key").decode()
    acs.keys.add(second)
    body = json.dumps(message()).encode()
    assert (await client.send())[0] == 202
    assert (await client.call("POST", SEND, body, **signed("POST", acs.url, SEND, body, clock.now, key=second)))[
        0
    ] == 202
    acs.keys.discard(DEFAULT_KEY)
    assert (await client.send())[0] == 401


async def test_token_for_the_service_is_accepted(acs: AcsStandIn, client: Client) -> None:
    good, other = acs.issuer.issue(AUDIENCE), acs.issuer.issue("https://graph.microsoft.com")
    assert (await client.send(Authorization=f"Bearer {good}"))[0] == 202
    assert (await client.send(Authorization=f"Bearer {other}"))[0] == 401


WRONG = {
    "51 recipients": (
        {"recipients": {"to": [{"address": f"r{n}@x.org"} for n in range(51)]}}, 400, "BadRequest"
    ),
    "no to": ({"recipients": {"to": [], "cc": [{"address": "a@x.org"}]}}, 400, "BadRequest"),
    "bad address": ({"recipients": {"to": [{"address": "nobody"}]}}, 400, "InvalidEmailAddress"),
    "no body": ({"content": {"subject": "x"}}, 400, "BadRequest"),
    "no subject": ({"content": {"subject": "", "html": "x"}}, 400, "BadRequest"),
    "wrong type": ({"headers": {"X-A": 1}}, 400, "BadRequest"),
    "not base64": (
        {"attachments": [{"name": "a", "contentType": "text/plain", "contentInBase64": "!"}]}, 400, "BadRequest"
    ),
    "other domain": ({"senderAddress": "relay@other.example"}, 404, "DomainNotLinked"),
    "above 10 MB": ({"content": {"subject": "x", "html": "x" * (10 * 1024 * 1024)}}, 413, "RequestEntityTooLarge"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "status", "code"), WRONG.values(), ids=WRONG)
async def test_invalid_message_is_refused(
    acs: AcsStandIn, client: Client, changes: dict[str, Any], status: int, code: str
) -> None:
    got, headers, body = await client.send(changes)
    assert (got, body["error"]["code"], headers["x-ms-error-code"]) == (status, code, code)
    assert acs.inbox.accepted == 0


async def test_missing_api_version_is_refused(client: Client) -> None:
    status, _, body = await client.call("POST", "/emails:send", json.dumps(message()).encode())
    assert (status, body["error"]["code"]) == (400, "MissingApiVersionParameter")


async def test_operation_id_of_another_message_is_refused(acs: AcsStandIn, client: Client) -> None:
    mine = str(uuid.uuid4())
    first = await client.send(Operation_Id=mine)
    again = await client.send(Operation_Id=mine)
    assert (first[0], again[0], again[2]) == (202, 202, first[2])
    assert acs.inbox.accepted == 1
    assert (await client.send({"headers": {}}, Operation_Id=mine))[0] == 400
    assert (await client.send(Operation_Id="not-a-uuid"))[0] == 400


async def test_operation_status_is_known_after_a_lost_response(acs: AcsStandIn, client: Client) -> None:
    mine, other = str(uuid.uuid4()), str(uuid.uuid4())
    acs.script.cut_after_accept()
    acs.script.cut_before_body()
    for operation in (mine, other):
        with pytest.raises(aiohttp.ClientError):
            await client.send(Operation_Id=operation)
    assert (await client.status(mine))[2]["status"] == "Succeeded"
    assert (await client.status(other))[0] == 404


async def test_rate_limits_apply_to_the_subscription(http: aiohttp.ClientSession, clock: Clock) -> None:
    async with AcsStandIn(limits=CUSTOM_DOMAIN, clock=clock) as acs:
        client = Client(http, acs)
        for minute in range(3):
            clock.now += timedelta(seconds=60)
            assert [(await client.send())[0] for _ in range(30)] == [202] * 30, minute
        status, headers, body = await client.send()
        assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "60", "TooManyRequests")
        clock.now += timedelta(seconds=60)
        assert [(await client.send())[0] for _ in range(11)] == [202] * 10 + [429]
        body = (await client.send())[2]
        assert body["error"]["message"].startswith("PerSubscriptionPerHourLimitExceeded")
        assert (acs.inbox.accepted, acs.inbox.max_within(60)) == (100, 30)


async def test_operations_end_with_the_configured_result(http: aiohttp.ClientSession, clock: Clock) -> None:
    async with AcsStandIn(running=timedelta(seconds=5), clock=clock) as acs:
        client = Client(http, acs)
        acs.end("bob@*", "Failed", "EmailDropped", "Email was dropped.")
        acs.suppressed.add("eve@example.org")
        failed = (await client.send())[2]["id"]
        suppressed = (await client.send({"recipients": {"to": [{"address": "Eve@example.org"}]}}))[2]["id"]
        running = await client.status(failed)
        assert (running[2]["status"], "retry-after" in running[1]) == ("Running", True)
        clock.now += timedelta(seconds=5)
        status, headers, body = await client.status(failed)
        assert (status, body["status"], body["error"]["code"]) == (200, "Failed", "EmailDropped")
        assert "retry-after" not in headers
        body = (await client.status(suppressed))[2]
        assert body["error"]["code"] == "EmailDroppedAllRecipientsSuppressed"
        assert [mail.outcome for mail in acs.inbox.messages] == ["dropped", "dropped"]


@pytest.mark.parametrize(
    ("state", "status", "is_readable"),
    [("role_missing", 403, False), ("domain_not_linked", 404, True), ("sender_unknown", 400, True)],
)
async def test_account_state_refuses_the_message(
    client: Client, acs: AcsStandIn, state: str, status: int, is_readable: bool
) -> None:
    operation = (await client.send())[2]["id"]
    acs.account = state
    assert (await client.send())[0] == status
    assert (await client.status(operation))[0] == (200 if is_readable else status)


async def test_fault_by_recipient_has_retry_after(acs: AcsStandIn, client: Client) -> None:
    acs.script.respond(429, headers={"Retry-After": "7"}, recipient="bob@*")
    status, headers, body = await client.send()
    assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "7", "TooManyRequests")
    assert (await client.send())[0] == 202


async def test_reports_are_posted_in_both_schemas(acs: AcsStandIn, client: Client) -> None:
    await client.send()
    reports = acs.events.delivery_reports(acs.inbox.messages, "Bounced", "550 5.1.1 unknown")
    async with receiving(lambda _request, _body: web.Response()) as receiver:
        assert await acs.events.post(receiver.url, reports) == 200
        assert await acs.events.post(receiver.url, reports, "cloud_events") == 200
    (headers, events), (cloud_headers, cloud) = receiver.posts
    assert headers["aeg-event-type"] == "Notification"
    assert [event["data"]["recipient"] for event in events] == ["ada@example.org", "bob@example.org"]
    event = events[0]
    assert (event["eventType"], event["data"]["status"]) == (DELIVERY, "Bounced")
    assert event["data"]["messageId"] == acs.inbox.messages[0].id
    assert event["data"]["deliveryStatusDetails"] == {"statusMessage": "550 5.1.1 unknown"}
    assert cloud_headers["Content-Type"].startswith("application/cloudevents-batch+json")
    assert (cloud[0]["specversion"], cloud[0]["type"], cloud[0]["data"]) == ("1.0", DELIVERY, event["data"])
    with pytest.raises(ValueError, match=STATUSES[0]):
        acs.events.delivery_reports(acs.inbox.messages, "Arrived")


async def test_handshake_passes_only_for_a_consenting_endpoint(acs: AcsStandIn) -> None:
    def consent(request: web.Request, body: Any) -> web.Response:
        if request.method == "OPTIONS":
            return web.Response(headers={"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]})
        return web.json_response({"validationResponse": body[0]["data"]["validationCode"]})

    async with receiving(consent) as receiver:
        assert await acs.events.validate(receiver.url)
        assert await acs.events.validate(receiver.url, "cloud_events")
    assert receiver.posts[0][0]["aeg-event-type"] == "SubscriptionValidation"
    async with receiving(lambda _request, _body: web.json_response({})) as receiver:
        assert not await acs.events.validate(receiver.url)
        assert not await acs.events.validate(receiver.url, "cloud_events")


async def test_control_route_posts_reports(http: aiohttp.ClientSession) -> None:
    async with AcsStandIn() as acs, receiving(lambda _request, _body: web.Response()) as receiver:
        body = json.dumps(message()).encode()
        headers = signed("POST", acs.url, SEND, body, utc_now())
        async with http.post(f"{acs.url}{SEND}", data=io.BytesIO(body), headers=headers) as reply:
            assert reply.status == 202
        order = {"url": receiver.url, "status": "Delivered", "relay_id": "m1"}
        async with http.post(f"{acs.control_url}/__standin__/events", json=order) as reply:
            assert await reply.json() == {"status": 200, "mails": 1}
    assert len(receiver.posts[0][1]) == 2
