"""HTTP requests in, mail out through SendGrid, with real processes and storage."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from functools import partial
from io import BytesIO
from typing import Any

import msgspec

from standins.inbox import Mail
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.e2e.running import RunningRelay, running_relay
from tests.e2e.varied import varied_messages

COUNT = 300
SENDERS = 16
PATIENCE_SECONDS = 120
POLL_SECONDS = 0.2


async def test_mail_arrives_as_submitted_and_every_message_ends_sent() -> None:
    requests = list(varied_messages(COUNT, seed=20_260_301))
    async with SendGridStandIn() as sendgrid, running_relay(_settings(sendgrid)) as relay:
        ids = await _concurrently([partial(_submit, relay, request) for request in requests])
        async with asyncio.timeout(PATIENCE_SECONDS):
            mails = await sendgrid.inbox.wait_for(COUNT)
            histories = await _concurrently([partial(_until_final, relay, name) for name in ids])

    assert len(set(ids)) == COUNT
    assert [history["state"] for history in histories] == ["sent"] * COUNT
    assert all(len(history["attempts"]) == 1 for history in histories)
    arrived = {mail.relay_id: mail for mail in mails}
    assert arrived.keys() == set(ids)
    assert not sendgrid.inbox.duplicates
    for name, request in zip(ids, requests, strict=True):
        _compare(request, arrived[name])


def _settings(sendgrid: SendGridStandIn) -> dict[str, str]:
    route = {"sendgrid": {"provider": "sendgrid", "base_url": sendgrid.url}}
    return {"RELAY_ROUTES": msgspec.json.encode(route).decode(), "SENDGRID_API_KEY": DEFAULT_KEY}


async def _concurrently[T](calls: list[Callable[[], Awaitable[T]]]) -> list[T]:
    gate = asyncio.Semaphore(SENDERS)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    return await asyncio.gather(*(one(call) for call in calls))


async def _submit(relay: RunningRelay, request: dict[str, Any]) -> str:
    content = BytesIO(msgspec.json.encode(request))
    json_type = {"Content-Type": "application/json"}
    status, body, headers = await relay.call("POST", "/v1/messages", data=content, headers=json_type)
    assert status == 202, body
    assert headers["Operation-Location"] == f"{relay.url}/v1/messages/{body['id']}"
    assert body["state"] == "queued"
    return str(body["id"])


async def _until_final(relay: RunningRelay, name: str) -> dict[str, Any]:
    while True:
        status, history, headers = await relay.call("GET", f"/v1/messages/{name}")
        assert status == 200, history
        if "Retry-After" not in headers:
            return dict(history)
        await asyncio.sleep(POLL_SECONDS)


def _compare(request: dict[str, Any], mail: Mail) -> None:
    assert mail.subject == request["subject"]
    assert mail.text == request["text"]
    assert mail.html == request.get("html")
    assert _pairs([request["from"]]) == [(mail.sender.address, mail.sender.name)]
    for field in ("to", "cc", "bcc", "reply_to"):
        assert [(person.address, person.name) for person in getattr(mail, field)] == _pairs(request.get(field, [])), (
            field
        )
    assert request.get("headers", {}).items() <= mail.headers.items()
    assert [(item.name, item.content) for item in mail.attachments] == [
        (item["name"], base64.b64decode(item["content"])) for item in request["attachments"]
    ]


def _pairs(people: list[Any]) -> list[tuple[str, str]]:
    return [(person, "") if isinstance(person, str) else (person["email"], person["name"]) for person in people]
