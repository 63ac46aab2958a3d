"""SendGrid's API on a complete relay: acceptance, errors in SendGrid's format, stopped batches."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.clients.policy import Policy
from relay.core.model import State
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.api.harness import ApiResponse, Harness
from tests.api.sendgrid_requests import mail, to

SEND = "/v3/mail/send"
HOUR = 3600
LONG = [{"type": "text/plain", "value": "x" * 2500}]
"""A body of which some 20 fill an entry, so that its length decides where a request is cut."""


async def post(
    relay: Harness, client: str = "app", headers: dict[str, str] | None = None, **changes: Any
) -> ApiResponse:
    return await relay.call("POST", SEND, json=mail(**changes), client=client, headers=headers)


async def sent(relay: Harness, **changes: Any) -> str:
    """Accept a mail; the id of its first message."""
    response = await post(relay, **changes)
    assert (response.status, response.body) == (202, b"")
    return response.headers["x-message-id"]


async def caught(relay: Harness) -> list[tuple[str, ...]]:
    """Return the recipients of the captured mails, in the order they were sent."""
    return [each.recipients async for each in relay.relay.inbox.all()][::-1]


def fields(response: ApiResponse) -> list[str | None]:
    """The fields of a refusal, whose shape is checked."""
    body = response.json
    assert set(body) == {"errors", "id"}
    for error in body["errors"]:
        assert set(error) == {"message", "field", "help"}
        assert error["message"]
        assert error["help"].startswith("docs/errors.md#")
    return [error["field"] for error in body["errors"]]


async def test_own_message_id_is_sent(relay: Harness) -> None:
    await relay.call("POST", SEND, json=mail(headers={"Message-ID": "<own@example.com>"}))
    await relay.deliver()
    [found] = (await relay.call("GET", "/v1/inbox")).json["value"]
    headers = (await relay.call("GET", f"/v1/inbox/{found['name']}")).json["headers"]
    assert [each["value"] for each in headers if each["name"].lower() == "message-id"] == ["<own@example.com>"]


async def test_accepted_mail_has_an_empty_body_and_a_message_id(relay: Harness) -> None:
    name = await sent(relay, custom_args={"order": "7"}, categories=["welcome"])
    assert relay.queues.calls["put"] == 1
    await relay.deliver()
    status = await relay.status(name)
    assert (status["state"], status["subject"]) == ("sent", "Hello")
    assert (status["metadata"], status["tags"]) == ({"order": "7"}, ["welcome"])


async def test_accepted_mail_has_a_status_address(relay: Harness) -> None:
    response = await post(relay)
    name = response.headers["x-message-id"]
    assert response.headers["operation-location"] == f"https://relay.example/v1/messages/{name}"


async def test_each_personalization_becomes_one_mail(relay: Harness) -> None:
    await sent(relay, personalizations=[to(f"r{number}@example.org") for number in range(1000)])
    assert (relay.queues.calls["put"], relay.waiting) == (1, 1)
    await relay.deliver()
    assert sorted(await caught(relay)) == sorted((f"r{number}@example.org",) for number in range(1000))


async def test_shared_attachments_are_stored_once(relay: Harness) -> None:
    content = bytes(range(256)) * 400
    file = {"content": base64.b64encode(content).decode(), "filename": "a.bin"}
    await sent(relay, attachments=[file], personalizations=[to("a@example.org"), to("b@example.org")])
    assert (relay.blobs.calls["put"], relay.queues.calls["put"]) == (1, 1)
    await relay.deliver()
    for name in [each.name async for each in relay.relay.inbox.all()]:
        source = await relay.call("GET", f"/v1/inbox/{name}/source")
        assert base64.b64encode(content)[:50] in source.body


async def test_one_wrong_personalization_refuses_the_request(relay: Harness) -> None:
    response = await post(relay, personalizations=[to("a@example.org"), to("nobody")])
    assert (response.status, fields(response)) == (400, ["personalizations.1.to.0.email"])
    assert relay.waiting == 0


async def test_unavailable_storage_returns_503_and_accepts_nothing(relay: Harness) -> None:
    relay.queues.is_away = True
    response = await post(relay, personalizations=[to("a@example.org"), to("b@example.org")])
    assert (response.status, fields(response), response.headers["retry-after"]) == (503, [None], "7")
    assert relay.waiting == 0


async def test_gzip_body_is_read_and_broken_or_large_ones_are_refused(relay: Harness) -> None:
    headers = {"Content-Encoding": "gzip"}
    whole = gzip.compress(json.dumps(mail()).encode())
    assert (await relay.call("POST", SEND, body=whole, headers=headers)).status == 202
    for broken in (whole[:-4], b"{}", whole[:20]):
        response = await relay.call("POST", SEND, body=broken, headers=headers)
        assert (response.status, fields(response)) == (400, ["Content-Encoding"])
    bomb = gzip.compress(b" " * 100_000_000)
    assert (await relay.call("POST", SEND, body=bomb, headers=headers)).status == 413
    assert (await relay.call("POST", SEND, body=whole, headers={"Content-Encoding": "br"})).status == 415


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b"{", {}, 400, None),
        (b"", {}, 400, None),
        (b"[]", {}, 400, ""),
        (b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type"),
        (b"{}", {"On-Behalf-Of": "subuser"}, 400, "on-behalf-of"),
        (b"", {"Transfer-Encoding": "chunked"}, 400, None),
    ],
)
async def test_unreadable_request_is_refused(
    relay: Harness, body: bytes, headers: dict[str, str], status: int, field: str | None
) -> None:
    response = await relay.call("POST", SEND, body=body, headers=headers)
    assert response.status == status
    assert field in fields(response)


async def test_duplicate_name_is_refused_with_its_field(relay: Harness) -> None:
    body = json.dumps(mail()).replace('"email": "ada@example.org"', '"email": "a@x.org", "email": "b@x.org"').encode()
    response = await relay.call("POST", SEND, body=body)
    assert (response.status, fields(response)) == (400, ["personalizations.0.to.0.email"])


async def test_errors_under_v3_have_sendgrids_format(relay: Harness) -> None:
    for method, path, client, status in (
        ("POST", SEND, None, 401),
        ("GET", "/v3/nothing", "app", 404),
        ("GET", SEND, "app", 405),
    ):
        response = await relay.call(method, path, client=client)
        assert (response.status, fields(response)) == (status, [None])
        assert response.json["id"] == response.headers["x-ms-request-id"]
    relay.tables.is_away = True
    assert fields(await post(relay)) == [None]


async def test_policy_refusal_names_each_field(relay: Harness) -> None:
    policy = Policy(senders=("*@example.com",), recipients=("*@example.org",))
    await relay.add_client("bound", policy=policy)
    response = await post(
        relay,
        client="bound",
        from_={"email": "a@other.example"},
        personalizations=[
            to("a@example.org"),
            to("b@example.org", cc=[{"email": "c@other.example"}]),
            {**to("d@example.org"), "from": {"email": "e@other.example"}},
        ],
        attachments=[{"content": "aGk=", "filename": "virus.exe"}],
    )
    assert response.status == 403
    assert fields(response) == [
        "from",
        "attachments.0.filename",
        "personalizations.1.cc.0.email",
        "personalizations.2.from",
    ]


async def test_file_that_cannot_be_checked_is_refused_at_its_field(relay: Harness) -> None:
    inner = base64.b64encode(b"Content-Type: application/octet-stream; name=tool.exe\n\nMZ").decode()
    files = [
        {"content": "aGk=", "filename": "a", "type": "application/ms-tnef"},
        {"content": inner, "filename": "a.eml", "type": "message/rfc822"},
    ]
    response = await post(relay, attachments=files)
    assert (response.status, fields(response)) == (403, ["attachments", "attachments.0.type"])


async def test_option_that_no_route_carries_is_refused_by_name(relay: Harness) -> None:
    response = await post(
        relay,
        subject=None,
        content=None,
        template_id="d-1",
        tracking_settings={"subscription_tracking": {"enable": True}, "click_tracking": {"enable": True}},
    )
    assert (response.status, fields(response)) == (400, ["template_id", "tracking_settings.subscription_tracking"])
    assert "capture" in response.json["errors"][0]["message"]


async def test_what_old_and_other_libraries_send_is_accepted(relay: Harness) -> None:
    """nodemailer-sendgrid and Anymail (headers), django-sendgrid-v5 (tracking), the vendor's types (contentId)."""
    headers = {
        **{"Message-ID": "<own.1@example.com>", "Date": "Thu, 01 Jan 2026 00:00:00 +0000", "X-Own": "1"},
        **{"Sender": "x@example.com", "Return-Path": "<x@example.com>"},
    }
    accepted = await sent(
        relay,
        personalizations=[{"to": [{"email": "ada@example.org"}], "headers": headers}],
        attachments=[
            {
                "content": "YQ==",
                "filename": "a.png",
                "type": "image/png",
                "disposition": "inline",
                "contentId": "Example ID",
            }
        ],
        tracking_settings={"click_tracking": {"enable": True}, "open_tracking": {"enable": True}},
        mail_settings={"bcc": {"enable": False, "email": ""}, "spam_check": {"enable": False, "threshold": 1}},
    )
    await relay.deliver()
    (name,) = [each["name"] for each in (await relay.call("GET", "/v1/inbox")).json["value"]]
    shown = (await relay.call("GET", f"/v1/inbox/{name}")).json
    written = {field["name"]: field["value"] for field in shown["headers"]}
    assert (written["Message-ID"], written["X-Own"]) == ("<own.1@example.com>", "1")
    assert not {"Sender", "Return-Path"} & written.keys()
    assert written["Date"] != "Thu, 01 Jan 2026 00:00:00 +0000"
    [attempt] = (await relay.call("GET", f"/v1/messages/{accepted}")).json["attempts"]
    assert attempt["ignored"] == [
        "sendgrid.tracking_settings.click_tracking",
        "sendgrid.tracking_settings.open_tracking",
    ]


INVITATION = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
TEXT = {"type": "text/plain", "value": "Breakfast"}


@pytest.mark.parametrize(
    "kind", ["text/calendar; method=REQUEST", "text/calendar;charset=utf-8;method=request", "text/calendar"]
)
async def test_calendar_invitation_leaves_by_any_route_that_carries_it(relay: Harness, kind: str) -> None:
    await sent(relay, content=[TEXT, {"type": kind, "value": INVITATION}])
    await relay.deliver()
    (name,) = [each["name"] for each in (await relay.call("GET", "/v1/inbox")).json["value"]]
    shown = (await relay.call("GET", f"/v1/inbox/{name}")).json
    assert (shown["text"].strip(), [each["type"] for each in shown["attachments"]]) == ("Breakfast", ["text/calendar"])


async def test_calendar_invitation_with_another_method_is_refused(relay: Harness) -> None:
    response = await post(relay, content=[TEXT, {"type": "text/calendar; method=CANCEL", "value": INVITATION}])
    assert (response.status, fields(response)) == (400, ["content.1.type"])
    response = await post(relay, content=[TEXT, {"type": "text/calendar; method=CANCEL", "value": "CANCEL"}])
    assert (response.status, fields(response)) == (400, ["content.1.value"])


async def test_retired_copy_of_every_mail_is_refused(relay: Harness) -> None:
    response = await post(relay, mail_settings={"bcc": {"enable": True, "email": "spy@example.com"}})
    assert (response.status, fields(response)) == (400, ["mail_settings.bcc"])


async def test_settings_that_are_off_can_leave_by_any_route(relay: Harness) -> None:
    await sent(
        relay,
        tracking_settings={"click_tracking": {"enable": False, "enable_text": False}},
        mail_settings={"footer": {"enable": False, "text": "unused"}, "sandbox_mode": {"enable": False}},
    )
    await relay.deliver()
    assert await caught(relay) == [("ada@example.org",)]


async def test_sandbox_mode_checks_everything_and_sends_nothing(relay: Harness) -> None:
    settings = {"sandbox_mode": {"enable": True}}
    response = await post(relay, mail_settings=settings)
    assert (response.status, response.body, relay.waiting) == (200, b"", 0)
    assert (await post(relay, mail_settings=settings, asm={"group_id": 1})).status == 400


async def test_same_request_with_the_same_key_is_accepted_once(relay: Harness) -> None:
    key = {"Idempotency-Key": "k1"}
    many = [to(f"r{number}@example.org") for number in range(40)]
    first = await post(relay, headers=key, personalizations=many)
    again = await post(relay, headers=key, personalizations=many)
    assert first.headers["x-message-id"] == again.headers["x-message-id"]
    assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
    other = await post(relay, headers=key)
    assert (other.status, fields(other)) == (400, ["Idempotency-Key"])
    await relay.deliver()
    assert len(await caught(relay)) == 40


@pytest.mark.parametrize("seconds", [0, 40, 600])
async def test_repetition_after_a_lost_response_sends_nothing_twice(relay: Harness, seconds: int) -> None:
    key = {"Idempotency-Key": "k1"}
    at = {"send_at": later(relay, seconds)} if seconds else {}
    many = [to(f"{'r' * 50}{number}@example.org", **at) for number in range(400)]
    relay.queues.losing = frozenset({"put"})
    assert (await post(relay, headers=key, content=LONG, personalizations=many)).status == 503
    relay.queues.losing = frozenset()
    await relay.deliver()
    await relay.pass_time(61.5)
    assert (await post(relay, headers=key, content=LONG, personalizations=many)).status == 202
    await relay.pass_time(600)
    assert len(await caught(relay)) == 400


async def batch_of(relay: Harness, client: str = "app") -> str:
    response = await relay.call("POST", "/v3/mail/batch", client=client)
    assert response.status == 201
    return str(response.json["batch_id"])


async def stop(relay: Harness, batch: str, status: str = "cancel") -> ApiResponse:
    order = {"batch_id": batch, "status": status}
    return await relay.call("POST", "/v3/user/scheduled_sends", json=order)


def later(relay: Harness, seconds: int = HOUR) -> int:
    return int(relay.clock().timestamp()) + seconds


async def test_scheduled_mail_is_sent_when_due(relay: Harness) -> None:
    name = await sent(relay, send_at=later(relay))
    await relay.deliver()
    assert (await relay.status(name))["state"] == "scheduled"
    await relay.pass_time(HOUR)
    assert (await relay.status(name))["state"] == "sent"


async def test_cancelled_batch_is_never_sent(relay: Harness) -> None:
    batch = await batch_of(relay)
    names = [
        await sent(relay, batch_id=batch, send_at=later(relay)),
        await sent(
            relay,
            batch_id=batch,
            personalizations=[to("a@x.org", send_at=later(relay)), to("b@x.org", send_at=later(relay, 90))],
        ),
    ]
    await relay.deliver()
    response = await stop(relay, batch)
    assert (response.status, response.json) == (201, {"batch_id": batch, "status": "cancel", "already_sent": 0})
    await relay.pass_time(HOUR)
    assert await caught(relay) == []
    assert [(await relay.status(name))["state"] for name in names] == ["cancelled", "cancelled"]


async def test_queued_message_of_a_cancelled_batch_is_cancelled(relay: Harness) -> None:
    batch = await batch_of(relay)
    name = await sent(relay, batch_id=batch)
    assert (await stop(relay, batch)).json["already_sent"] == 0
    await relay.deliver()
    assert ((await relay.status(name))["state"], await caught(relay)) == ("cancelled", [])


async def test_message_sent_after_the_cancellation_is_cancelled(relay: Harness) -> None:
    batch = await batch_of(relay)
    await stop(relay, batch)
    name = await sent(relay, batch_id=batch)
    await relay.deliver()
    assert ((await relay.status(name))["state"], await caught(relay)) == ("cancelled", [])


async def test_late_stop_counts_the_messages_already_sent(relay: Harness) -> None:
    batch = await batch_of(relay)
    await sent(relay, batch_id=batch, personalizations=[to(f"r{number}@x.org") for number in range(40)])
    await sent(relay, batch_id=batch, send_at=later(relay))
    await relay.deliver()
    assert (await stop(relay, batch)).json["already_sent"] == 40


async def test_paused_batch_waits_and_resumes(relay: Harness) -> None:
    batch = await batch_of(relay)
    name = await sent(relay, batch_id=batch)
    await stop(relay, batch, "pause")
    await relay.deliver()
    status = await relay.status(name)
    assert (status["state"], status["recipients"][0]["code"]) == (State.DEFERRED, "paused")
    await relay.pass_time(301)
    assert await caught(relay) == []
    assert (await relay.call("DELETE", f"/v3/user/scheduled_sends/{batch}")).status == 204
    await relay.pass_time(301)
    assert ((await relay.status(name))["state"], await caught(relay)) == ("sent", [("ada@example.org",)])


async def test_batch_paused_for_too_long_expires(relay: Harness) -> None:
    batch = await batch_of(relay)
    name = await sent(relay, batch_id=batch)
    await stop(relay, batch, "pause")
    await relay.deliver()
    await relay.pass_time(86_401)
    status = await relay.status(name)
    assert (status["state"], await caught(relay)) == ("expired", [])


async def test_cancellation_can_be_removed_until_the_message_is_due(relay: Harness) -> None:
    batch = await batch_of(relay)
    name = await sent(relay, batch_id=batch, send_at=later(relay))
    await relay.deliver()
    await stop(relay, batch)
    assert (await relay.call("DELETE", f"/v3/user/scheduled_sends/{batch}")).status == 204
    await relay.pass_time(HOUR)
    assert (await relay.status(name))["state"] == "sent"


async def test_nothing_is_sent_while_the_stop_cannot_be_read(relay: Harness) -> None:
    batch = await batch_of(relay)
    name = await sent(relay, batch_id=batch)
    relay.tables.failing = frozenset({"get"})
    await relay.deliver()
    assert await caught(relay) == []
    relay.tables.failing = frozenset()
    await relay.pass_time(31)
    assert (await relay.status(name))["state"] == "sent"


async def test_message_that_a_stop_could_not_count_is_not_accepted(relay: Harness) -> None:
    batch = await batch_of(relay)
    relay.tables.failing = frozenset({"upsert"})
    assert (await post(relay, batch_id=batch)).status == 503
    assert relay.waiting == 0


async def test_scheduled_sends_are_listed_changed_and_released(relay: Harness) -> None:
    one, two = await batch_of(relay), await batch_of(relay)
    assert (await relay.call("GET", f"/v3/mail/batch/{one}")).json == {"batch_id": one}
    assert (await relay.call("GET", f"/v3/user/scheduled_sends/{one}")).json == []
    await stop(relay, one)
    await stop(relay, two, "pause")
    rows = [{"batch_id": one, "status": "cancel"}, {"batch_id": two, "status": "pause"}]
    listed = (await relay.call("GET", "/v3/user/scheduled_sends")).json
    assert sorted(listed, key=lambda row: row["status"]) == rows
    path = f"/v3/user/scheduled_sends/{one}"
    assert (await relay.call("PATCH", path, json={"status": "pause"})).status == 204
    assert (await relay.call("GET", path)).json == [{"batch_id": one, "status": "pause"}]
    assert (await relay.call("DELETE", path)).status == 204
    missing = await relay.call("DELETE", path)
    assert (missing.status, fields(missing)) == (404, ["batch_id"])
    assert (await relay.call("PATCH", path, json={"status": "pause"})).status == 404
    assert (await relay.call("GET", path)).json == []


async def test_repeated_stop_succeeds_and_another_status_is_refused(relay: Harness) -> None:
    batch = await batch_of(relay)
    assert [(await stop(relay, batch)).status for _ in range(2)] == [201, 201]
    other = await stop(relay, batch, "pause")
    assert (other.status, fields(other)) == (400, ["batch_id"])


async def test_batch_belongs_to_its_client(relay: Harness) -> None:
    await relay.add_client("other")
    batch = await batch_of(relay, "other")
    for response in (
        await relay.call("GET", f"/v3/mail/batch/{batch}"),
        await stop(relay, batch),
        await post(relay, batch_id=batch),
        await post(relay, batch_id="no id at all"),
    ):
        assert (response.status, fields(response)) == (400, ["batch_id"])
    wrong = await stop(relay, await batch_of(relay), "end")
    assert (wrong.status, fields(wrong)) == (400, ["status"])


async def test_scopes_are_limited_to_sending(relay: Harness) -> None:
    response = await relay.call("GET", "/v3/scopes")
    assert response.status == 200
    assert {"mail.send", "mail.batch.create", "user.scheduled_sends.create"} <= set(response.json["scopes"])


@pytest.fixture
async def standin() -> AsyncIterator[SendGridStandIn]:
    async with SendGridStandIn() as opened:
        yield opened


@pytest.fixture
async def by_sendgrid(standin: SendGridStandIn) -> AsyncIterator[Harness]:
    """An application whose one route is the stand-in."""
    routes = {"mail": {"provider": "sendgrid", "base_url": standin.url, "api_key": "setting:KEY"}}
    harness = await Harness({"RELAY_ROUTES": json.dumps(routes), "KEY": DEFAULT_KEY}).start()
    yield harness
    await harness.relay.close()


async def test_stop_during_an_attempt_counts_it_as_sent(by_sendgrid: Harness, standin: SendGridStandIn) -> None:
    batch = await batch_of(by_sendgrid)
    await sent(by_sendgrid, batch_id=batch)
    standin.script.hang(after_accept=True)
    delivering = asyncio.create_task(by_sendgrid.deliver())
    await standin.inbox.wait_for_requests(1)
    assert (await stop(by_sendgrid, batch)).json["already_sent"] == 1
    standin.release()
    await delivering


async def test_template_reaches_sendgrid_unchanged(by_sendgrid: Harness, standin: SendGridStandIn) -> None:
    await sent(
        by_sendgrid,
        subject=None,
        content=None,
        template_id="d-1",
        personalizations=[
            to("a@example.org", dynamic_template_data={"name": "Ada"}),
            to("b@example.org", dynamic_template_data={"name": "Bob"}),
        ],
        custom_args={"order": "7"},
        asm={"group_id": 1},
    )
    await by_sendgrid.deliver()
    assert sorted(each.envelope for each in standin.inbox.messages) == [("a@example.org",), ("b@example.org",)]
    assert {each.fields["custom_args"]["order"] for each in standin.inbox.messages} == {"7"}
    assert standin.inbox.refused == {}
