"""The SendGrid stand-in refuses what SendGrid refuses, and stores what it accepts."""

import base64
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from standins.sendgrid.events import SIGNATURE_HEADER, TIMESTAMP_HEADER
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.serving import serving

AUTH = {"Authorization": f"Bearer {DEFAULT_KEY}", "Content-Type": "application/json"}


@pytest.fixture
async def sendgrid() -> AsyncIterator[SendGridStandIn]:
    async with SendGridStandIn() as standin:
        yield standin


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


def mail(**changes: Any) -> dict[str, Any]:
    return {
        "personalizations": [{"to": [{"email": "ada@example.org", "name": "Ada"}]}],
        "from": {"email": "relay@example.com"},
        "subject": "件名",
        "content": [{"type": "text/plain", "value": "hello"}],
        "custom_args": {"relay_id": "m1"},
        **changes,
    }


async def send(
    http: aiohttp.ClientSession, standin: SendGridStandIn, body: dict[str, Any]
) -> tuple[int, list[dict[str, Any]]]:
    # A file, because aiohttp warns about large bodies of type bytes.
    raw = io.BytesIO(json.dumps(body).encode())
    async with http.post(f"{standin.url}/v3/mail/send", data=raw, headers=AUTH) as reply:
        text = await reply.text()
        return reply.status, json.loads(text)["errors"] if text else []


async def test_accepted_mail_has_a_message_id_and_the_exact_bytes(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession
) -> None:
    content = bytes(range(256)) * 5000
    attachment = {"content": base64.b64encode(content).decode(), "filename": "図.bin", "type": "image/png"}
    body = mail(attachments=[attachment])
    raw = io.BytesIO(json.dumps(body).encode())
    async with http.post(f"{sendgrid.url}/v3/mail/send", data=raw, headers=AUTH) as reply:
        assert (reply.status, await reply.text()) == (202, "")
        assert reply.headers["X-Message-Id"]
    (kept,) = sendgrid.inbox.messages
    assert (kept.subject, kept.text, kept.relay_id, kept.to[0].name) == ("件名", "hello", "m1", "Ada")
    assert (kept.attachments[0].content, kept.attachments[0].name) == (content, "図.bin")
    assert sendgrid.inbox.by_relay_id == {"m1": 1}


WRONG = {
    "no personalizations": ({"personalizations": []}, {"personalizations"}),
    "no to": ({"personalizations": [{"cc": [{"email": "a@example.org"}]}]}, {"personalizations.0.to"}),
    "bad address": (
        {"personalizations": [{"to": [{"email": "no at sign"}]}]},
        {"personalizations.0.to.0.email"},
    ),
    "duplicate": (
        {"personalizations": [{"to": [{"email": "a@x.org"}], "cc": [{"email": "A@x.org"}]}]},
        {"personalizations.0"},
    ),
    "1001 recipients": (
        {"personalizations": [{"to": [{"email": f"r{n}@example.org"} for n in range(1001)]}]},
        {"personalizations"},
    ),
    "comma in a name": (
        {"personalizations": [{"to": [{"email": "a@x.org", "name": "Doe, Jane"}]}]},
        {"personalizations.0.to.0.name"},
    ),
    "html before text": (
        {"content": [{"type": "text/html", "value": "x"}, {"type": "text/plain", "value": "x"}]},
        {"content"},
    ),
    "empty content": ({"content": [{"type": "text/plain", "value": ""}]}, {"content.0.value"}),
    "reserved header": ({"headers": {"reply-To": "x@example.org"}}, {"headers.reply-To"}),
    "too far ahead": ({"send_at": 2_000_000_000_000}, {"send_at"}),
    "large custom_args": ({"custom_args": {"a": "x" * 10_000}}, {"custom_args"}),
    "eleven categories": ({"categories": [str(n) for n in range(11)]}, {"categories"}),
    "not base64": (
        {"attachments": [{"content": "not base64!", "filename": "a"}]},
        {"attachments.0.content"},
    ),
    "unicode sender": ({"from": {"email": "josé@example.com"}}, {"from.email"}),
    "unknown batch": ({"batch_id": "nope"}, {"batch_id"}),
    "all at once": (
        {"from": None, "subject": "", "content": []},
        {"from.email", "subject", "content"},
    ),
}


@pytest.mark.parametrize(("changes", "fields"), WRONG.values(), ids=WRONG)
async def test_invalid_field_is_refused_by_name(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession, changes: dict[str, Any], fields: set[str]
) -> None:
    status, errors = await send(http, sendgrid, mail(**changes))
    assert (status, {error["field"] for error in errors}) == (400, fields)
    assert all(error["message"] and error["help"] for error in errors)
    assert sendgrid.inbox.accepted == 0


@pytest.mark.parametrize(
    ("state", "status", "message"),
    [
        ("revoked_key", 401, "authorization grant is invalid, expired, or revoked"),
        ("credits_exhausted", 401, "Maximum credits exceeded"),
        ("vetting", 403, "access forbidden"),
        ("sender_unverified", 403, "does not match a verified Sender Identity"),
    ],
)
async def test_account_state_refuses_the_message(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession, state: str, status: int, message: str
) -> None:
    sendgrid.account = state
    got, errors = await send(http, sendgrid, mail())
    assert got == status
    assert message in errors[0]["message"]
    assert sendgrid.inbox.accepted == 0


async def test_suspended_account_accepts_without_delivery(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession
) -> None:
    sendgrid.account = "suspended"
    assert (await send(http, sendgrid, mail()))[0] == 202
    assert sendgrid.inbox.messages[0].outcome == "queued"


async def test_unverified_sender_is_refused(http: aiohttp.ClientSession) -> None:
    async with SendGridStandIn(verified_senders={"example.com"}) as sendgrid:
        assert (await send(http, sendgrid, mail()))[0] == 202
        assert (await send(http, sendgrid, mail(**{"from": {"email": "a@other.example"}})))[0] == 403


async def test_sandbox_validates_and_stores_nothing(sendgrid: SendGridStandIn, http: aiohttp.ClientSession) -> None:
    body = mail(mail_settings={"sandbox_mode": {"enable": True}})
    assert await send(http, sendgrid, body) == (200, [])
    assert sendgrid.inbox.accepted == 0


async def test_body_above_30_megabytes_is_413(sendgrid: SendGridStandIn, http: aiohttp.ClientSession) -> None:
    attachment = {"content": "A" * (30 * 1024 * 1024), "filename": "a"}
    assert (await send(http, sendgrid, mail(attachments=[attachment])))[0] == 413


async def test_scripted_faults_act_in_order_a_limited_number_of_times(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession
) -> None:
    sendgrid.script.respond(429, headers={"Retry-After": "7"})
    sendgrid.script.accept_then(504)
    sendgrid.script.cut_before_body()
    sendgrid.script.cut_after_accept()
    async with http.post(f"{sendgrid.url}/v3/mail/send", json=mail(), headers=AUTH) as reply:
        assert (reply.status, reply.headers["Retry-After"]) == (429, "7")
    assert sendgrid.inbox.accepted == 0
    assert (await send(http, sendgrid, mail()))[0] == 504
    assert sendgrid.inbox.accepted == 1
    with pytest.raises(aiohttp.ClientConnectionError):
        await send(http, sendgrid, mail())
    assert sendgrid.inbox.accepted == 1
    with pytest.raises(aiohttp.ClientConnectionError):
        await send(http, sendgrid, mail())
    assert sendgrid.inbox.accepted == 2
    assert (await send(http, sendgrid, mail()))[0] == 202
    assert sendgrid.inbox.duplicates == {"m1": 3}


async def test_fault_by_recipient_acts_only_on_that_recipient(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession
) -> None:
    sendgrid.script.respond(500, recipient="grace@*", times=None)
    assert (await send(http, sendgrid, mail()))[0] == 202
    other = mail(personalizations=[{"to": [{"email": "Grace@example.org"}]}])
    assert [(await send(http, sendgrid, other))[0] for _ in range(2)] == [500, 500]


async def test_same_seed_gives_the_same_chaos(sendgrid: SendGridStandIn, http: aiohttp.ClientSession) -> None:
    runs = []
    for _ in range(2):
        sendgrid.script.chaos(5, {429: 0.3, "500_after": 0.3})
        runs.append([(await send(http, sendgrid, mail()))[0] for _ in range(30)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {202, 429, 500}


async def test_control_routes_script_faults_and_read_the_inbox(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession
) -> None:
    control = f"{sendgrid.control_url}/__standin__"
    async with http.post(f"{control}/script", json={"act": "respond", "status": 503}) as reply:
        assert reply.status == 204
    async with http.post(f"{control}/script", json={"act": "explode"}) as reply:
        assert reply.status == 400
    assert (await send(http, sendgrid, mail()))[0] == 503
    await send(http, sendgrid, mail())
    async with http.get(f"{control}/inbox") as reply:
        shown = await reply.json()
    assert shown["counters"]["by_relay_id"] == {"m1": 1}
    assert shown["messages"][0]["subject"] == "件名"
    async with http.delete(f"{control}/inbox") as reply:
        assert (reply.status, sendgrid.inbox.accepted) == (204, 0)


async def test_cancelled_batch_is_not_delivered(sendgrid: SendGridStandIn, http: aiohttp.ClientSession) -> None:
    async with http.post(f"{sendgrid.url}/v3/mail/batch", headers=AUTH) as reply:
        batch = (await reply.json())["batch_id"]
    soon = int(datetime.now(UTC).timestamp()) + 3600
    assert (await send(http, sendgrid, mail(batch_id=batch, send_at=soon)))[0] == 202
    order = {"batch_id": batch, "status": "cancel"}
    async with http.post(f"{sendgrid.url}/v3/user/scheduled_sends", json=order, headers=AUTH) as reply:
        assert reply.status == 201
    assert sendgrid.inbox.messages[0].outcome == "cancelled"


async def test_event_signature_covers_timestamp_and_body(
    sendgrid: SendGridStandIn, http: aiohttp.ClientSession
) -> None:
    await send(http, sendgrid, mail())
    posts: list[tuple[bytes, str, str]] = []

    async def receive(request: web.Request) -> web.Response:
        headers = request.headers
        posts.append((await request.read(), headers[SIGNATURE_HEADER], headers[TIMESTAMP_HEADER]))
        return web.Response()

    async with serving(receive) as url:
        assert await sendgrid.webhook.post(url, sendgrid.webhook.events(sendgrid.inbox.messages, "bounce")) == 200
    ((body, signature, timestamp),) = posts
    key = serialization.load_der_public_key(base64.b64decode(sendgrid.webhook.public_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(signature), timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    (event,) = json.loads(body)
    assert (event["event"], event["email"], event["relay_id"]) == ("bounce", "ada@example.org", "m1")


async def test_lean_mode_counts_by_relay_id_and_stores_no_mails(http: aiohttp.ClientSession) -> None:
    async with SendGridStandIn(lean=True) as sendgrid:
        assert (await send(http, sendgrid, mail()))[0] == 202
        assert (sendgrid.inbox.by_relay_id, sendgrid.inbox.messages) == ({"m1": 1}, [])
