"""POST /v1/messages accepts valid messages, and leaves nothing of refused ones."""

import gzip
import json
import re
from typing import Any

import pytest

from relay.api.reading.headers import forbidden
from relay.mime import build
from tests.api.harness import BASE, Harness, file, message


async def test_accepted_message_is_queued_and_has_a_location(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json=message())
    assert response.status == 202
    assert response.json == {"id": response.json["id"], "state": "queued"}
    assert response.headers["operation-location"] == f"{BASE}/v1/messages/{response.json['id']}"
    assert response.headers["retry-after"] == "1"
    assert relay.waiting == 1
    assert (await relay.status(response.json["id"]))["state"] == "queued"


async def test_status_of_a_sent_message_lists_recipients_and_attempts(relay: Harness) -> None:
    name = await relay.send(cc=[{"email": "bob@example.org", "name": "Bob"}], tags=["eu"], metadata={"order": "4711"})
    await relay.deliver()
    history = await relay.status(name)
    assert history["state"] == "sent"
    assert history["tags"] == ["eu"]
    assert history["metadata"] == {"order": "4711"}
    assert history["recipients"] == [
        {"email": "ada@example.org", "kind": "to", "state": "sent", "route": "capture", "arrival": "not_reported"},
        {
            "email": "bob@example.org",
            "name": "Bob",
            "kind": "cc",
            "state": "sent",
            "route": "capture",
            "arrival": "not_reported",
        },
    ]
    [attempt] = history["attempts"]
    assert attempt["provider"] == "capture"
    assert attempt["outcome"] == "sent"
    assert attempt["reply"] == "250 2.0.0 kept in the inbox"


async def test_all_problems_are_reported_together_and_nothing_is_queued(relay: Harness) -> None:
    body = {
        "form": "a@example.com",
        "to": ["ada@example.org", {"email": "nobody", "name": "N\n"}, 7],
        "subject": "two\nlines",
        "headers": {"Bcc": "x@example.com", "X-Fine": "yes"},
        "attachments": [{"name": "a/b", "content": "?"}],
        "tags": ["ok", "ok"],
    }
    response = await relay.call("POST", "/v1/messages", json=body)
    assert response.status == 400
    assert set(response.problems) == {
        ("unknown_field", "form"),
        ("required", "from"),
        ("invalid_address", "to[1].email"),
        ("invalid_text", "to[1].name"),
        ("wrong_type", "to[2]"),
        ("invalid_text", "subject"),
        ("forbidden_header", "headers.Bcc"),
        ("invalid_file_name", "attachments[0].name"),
        ("invalid_base64", "attachments[0].content"),
        ("invalid_tag", "tags[1]"),
        ("no_content", "text"),
    }
    assert relay.waiting == 0
    assert not relay.queues.calls["put"]
    assert not relay.blobs.calls["put"]


@pytest.mark.parametrize(
    ("field", "suggestion"),
    [
        ("subjet", "`subject`"),
        ("Subject", "`subject`"),
        ("replyTo", "`reply_to`"),
        ("recipients", "`to`"),
        ("body", "`text` or `html`"),
        ("templateId", "`template`"),
        ("xyzzy", "Known fields: "),
    ],
)
async def test_unknown_field_error_suggests_the_nearest_name(relay: Harness, field: str, suggestion: str) -> None:
    response = await relay.call("POST", "/v1/messages", json=message() | {field: "x"})
    [detail] = response.error["details"]
    assert (detail["code"], detail["target"]) == ("unknown_field", field)
    assert suggestion in detail["message"]


async def test_unprintable_field_name_is_escaped(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json=message() | {"a'\n\u202e": 1})
    assert response.problems == [("unknown_field", "['a\\'\\n\\u202e']")]


@pytest.mark.parametrize("where", ["subject", "from", "to", "header", "file", "reply_to"])
@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\x1b", "\u2028", "\x85"])
async def test_control_character_in_a_header_is_refused(relay: Harness, where: str, character: str) -> None:
    text = f"a{character}b"
    choices: dict[str, dict[str, Any]] = {
        "subject": {"subject": text},
        "from": {"from": {"email": "a@example.com", "name": text}},
        "to": {"to": f"{text} <a@example.com>"},
        "reply_to": {"reply_to": [f'"{text}" <a@example.com>']},
        "header": {"headers": {"X-Order": text}},
        "file": {"attachments": [file(name=text)]},
    }
    response = await relay.call("POST", "/v1/messages", json=message(**choices[where]))
    assert [code for code, _ in response.problems] == ["invalid_text"]
    assert relay.waiting == 0


@pytest.mark.parametrize(
    "name",
    [
        "X-SMTPAPI", "X-SG-EID", "X-MSYS-API", "X-MC-BccAddress", "X-Mailgun-Drop-Message",
        "X-MS-Exchange-Organization-SCL", "x-ms-acsemail-suppress-invalid-attachment",
    ],
)  # fmt: skip
async def test_headers_that_control_a_provider_are_forbidden(relay: Harness, name: str) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(headers={name: "true"}))
    assert response.problems == [("forbidden_header", f"headers['{name}']")]


def test_headers_that_relay_writes_are_forbidden() -> None:
    assert [name for name in build.RESERVED if not forbidden(name)] == []


async def test_domains_and_names_may_use_any_script(relay: Harness) -> None:
    name = await relay.send(
        from_="ショップ <mail@例え.jp>",
        to=["Ada 🦆 <ada@xn--r8jz45g.JP>", {"email": "δοκιμή@παράδειγμα.ελ", "name": "محمد"}],
        subject="مرحبا 🎉 こんにちは",
    )
    await relay.deliver()
    history = await relay.status(name)
    assert history["from"] == {"email": "mail@xn--r8jz45g.jp", "name": "ショップ"}
    assert history["recipients"][0]["email"] == "ada@xn--r8jz45g.jp"
    assert history["recipients"][1]["email"] == "δοκιμή@xn--hxajbheg2az3al.xn--qxam"
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    assert mail["subject"] == "مرحبا 🎉 こんにちは"


async def test_one_string_may_contain_several_recipients(relay: Harness) -> None:
    name = await relay.send(to='"Lovelace, Ada" <ada@example.org>; bob@example.org, "C" <c@example.org>,')
    await relay.deliver()
    history = await relay.status(name)
    assert [(each["email"], each.get("name")) for each in history["recipients"]] == [
        ("ada@example.org", "Lovelace, Ada"),
        ("bob@example.org", None),
        ("c@example.org", "C"),
    ]


async def test_wrong_address_among_several_is_numbered(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(to="a@example.org, b@, c@example.org"))
    [detail] = response.error["details"]
    assert (detail["code"], detail["target"]) == ("invalid_address", "to")
    assert detail["message"].startswith("The 2nd address of to is not valid.")
    assert "b@" not in detail["message"]


@pytest.mark.parametrize("nobody", [None, [], "", "  ", " ; , "])
async def test_message_without_recipients_is_refused(relay: Harness, nobody: object) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(to=None) | {"to": nobody, "cc": nobody})
    assert response.status == 400
    assert ("no_recipients", "to") in response.problems or nobody is None
    assert relay.waiting == 0


async def test_duplicate_recipient_in_any_field_is_refused(relay: Harness) -> None:
    body = message(
        to=["Ada@Example.org", "bob@example.org"], cc="ada@example.ORG", bcc=["bob@example.org", "c@d.example"]
    )
    response = await relay.call("POST", "/v1/messages", json=body)
    assert response.problems == [("duplicate_recipient", "cc"), ("duplicate_recipient", "bcc[0]")]
    assert "to[0]" in response.error["details"][0]["message"]


async def test_maximum_number_of_recipients_is_accepted(relay: Harness) -> None:
    many = [f"r{number}@example.org" for number in range(500)]
    accepted = await relay.call(
        "POST", "/v1/messages", json=message(to=many, bcc=[f"b{n}@example.org" for n in range(500)])
    )
    assert accepted.status == 202
    refused = await relay.call(
        "POST", "/v1/messages", json=message(to=many, bcc=[f"b{n}@example.org" for n in range(501)])
    )
    assert refused.problems == [("too_many_recipients", "$")]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", "line 1, column 2"),
        (b'{"a": 1,}', "line 1"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1e999}', "308 digits"),
        (b'{"a": "\n"}', "raw line break"),
        (b'{"a": 1} x', "unexpected text"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
async def test_invalid_json_error_gives_line_and_column(relay: Harness, body: bytes, place: str) -> None:
    response = await relay.call("POST", "/v1/messages", body=body)
    assert response.status == 400
    assert place in response.error["message"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"7"])
async def test_body_that_is_not_an_object_is_refused(relay: Harness, body: bytes) -> None:
    response = await relay.call("POST", "/v1/messages", body=body)
    assert response.problems == [("wrong_type", "$")]


async def test_unpaired_surrogate_is_refused(relay: Harness) -> None:
    body = json.dumps(message(subject="\ud83d", text="\udc00")).encode()
    response = await relay.call("POST", "/v1/messages", body=body)
    assert response.problems == [("invalid_text", "subject"), ("invalid_text", "text")]


@pytest.mark.parametrize(
    ("content_type", "is_read"),
    [
        ("application/json", True),
        ("Application/JSON; charset=UTF-8", True),
        ("application/vnd.api+json", True),
        ("application/json; charset=latin-1", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("", False),
    ],
)
async def test_other_content_types_than_json_are_refused(relay: Harness, content_type: str, is_read: bool) -> None:
    body = json.dumps(message()).encode()
    response = await relay.call("POST", "/v1/messages", body=body, headers={"Content-Type": content_type})
    assert response.status == (202 if is_read else 415)


async def test_number_of_reported_problems_is_limited(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", body=b'{"attachments": [' + b"1," * 1_000_000 + b"1]}")
    assert response.status == 400
    assert response.problems[-1] == ("too_many_problems", "$")
    assert len(response.problems) == 1001


async def test_file_within_an_attached_message_is_refused(relay: Harness) -> None:
    inner = b"Content-Type: application/octet-stream; name=tool.exe\n\nMZ"
    attached = file(name="a.eml", type="message/rfc822", content=inner)
    response = await relay.call("POST", "/v1/messages", json=message(attachments=[attached]))
    assert (response.status, response.problems) == (403, [("attachment_not_allowed", "attachments")])
    batch = {"defaults": {"attachments": [attached]}, "messages": [message()]}
    response = await relay.call("POST", "/v1/messages/batch", json=batch)
    [problem] = response.json["value"][0]["error"]["details"]
    assert problem["code"] == "attachment_not_allowed"


async def test_attachments_arrive_unchanged(relay: Harness) -> None:
    content = bytes(range(256)) * 400
    logic_apps = {"$content-type": "application/pdf", "$content": file(b"%PDF-1.7")["content"]}
    await relay.send(
        html='<img src="cid:logo">',
        attachments=[
            file(content, name="Übersicht.bin"),
            {"name": "invoice.pdf", "content": logic_apps},
            file(b"\x89PNG", name="logo.png", content_id="<logo>"),
        ],
    )
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    shown = (await relay.call("GET", f"/v1/inbox/{mail['name']}")).json
    files = {each["name"]: (each["content"], each["type"], each["disposition"]) for each in shown["attachments"]}
    assert files == {
        "Übersicht.bin": (file(content)["content"], "application/octet-stream", "attachment"),
        "invoice.pdf": (file(b"%PDF-1.7")["content"], "application/pdf", "attachment"),
        "logo.png": (file(b"\x89PNG")["content"], "image/png", "inline"),
    }


@pytest.mark.parametrize("local", ["delivered", "deferred", "throttled", "rejected", "slow", "unknown"])
async def test_test_recipient_behaves_as_named(relay: Harness, local: str) -> None:
    name = await relay.send(to=f"{local}@relay.test", delivery="at_most_once")
    begun_at = relay.clock()
    await relay.deliver()
    first = await relay.status(name)
    expected = {"deferred": "deferred", "throttled": "deferred", "rejected": "failed", "unknown": "unknown"}
    assert first["state"] == expected.get(local, "sent")
    assert (relay.clock() - begun_at).total_seconds() == (5 if local == "slow" else 0)
    if first["state"] == "deferred":
        assert "next_attempt_at" in first
        await relay.pass_time(3600)
        assert (await relay.status(name))["state"] == "sent"
        assert len((await relay.status(name))["attempts"]) == 2


async def test_rejected_recipient_does_not_stop_the_others(relay: Harness) -> None:
    name = await relay.send(to=["delivered@relay.test", "rejected@relay.test"])
    await relay.deliver()
    history = await relay.status(name)
    assert {each["email"]: each["state"] for each in history["recipients"]} == {
        "delivered@relay.test": "sent",
        "rejected@relay.test": "failed",
    }


@pytest.mark.parametrize(
    ("return_path", "sender"),
    [("<>", "<>"), ("Bounces@Example.com", "Bounces@example.com"), (None, "orders@example.com")],
)
async def test_return_path_is_the_envelope_sender(relay: Harness, return_path: str | None, sender: str) -> None:
    await relay.send(return_path=return_path)
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    assert mail["from"] == sender


async def test_dry_run_explains_and_sends_nothing(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(dry_run=True, bcc="bob@example.org"))
    assert response.status == 200
    assert response.json["dry_run"] is True
    assert response.json["lane"] == "transactional"
    assert response.json["routing"] == [{"recipients": ["ada@example.org", "bob@example.org"], "routes": ["capture"]}]
    assert relay.waiting == 0
    refused = await relay.call("POST", "/v1/messages", json=message(dry_run=True, subject=None))
    assert refused.problems == [("required", "subject")]


async def test_message_expires(relay: Harness) -> None:
    name = await relay.send(to="deferred@relay.test", expires_in_seconds=60)
    relay.clock.move(61)
    await relay.deliver()
    assert (await relay.status(name))["state"] == "expired"


async def test_large_content_is_stored_in_a_blob(relay: Harness) -> None:
    text = "Zeile\r\n" * 20_000
    name = await relay.send(text=text)
    assert relay.blobs.calls["put"] == 1
    await relay.deliver()
    assert (await relay.status(name))["subject"] == "Order 4711"
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    shown = (await relay.call("GET", f"/v1/inbox/{mail['name']}")).json
    assert shown["text"].replace("\r\n", "\n") == text.replace("\r\n", "\n")


async def test_unavailable_storage_returns_503_and_accepts_nothing(relay: Harness) -> None:
    relay.queues.is_away = True
    response = await relay.call("POST", "/v1/messages", json=message())
    assert response.status == 503
    assert response.headers["retry-after"] == "7"
    assert relay.waiting == 0


async def test_trace_id_becomes_the_request_id(relay: Harness) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"traceparent": trace, "x-ms-client-request-id": "mine-1"}
    response = await relay.call("POST", "/v1/messages", json=message(), headers=headers)
    assert response.headers["x-ms-request-id"] == "0af7651916cd43dd8448eb211c80319c"
    assert response.headers["x-ms-client-request-id"] == "mine-1"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batch"])
async def test_compressed_body_is_refused(relay: Harness, path: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await relay.call("POST", path, body=gzip.compress(b"{}"), headers=headers)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in answer.error["message"]


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        ("aaa..bb@docomo.ne.jp", '"aaa..bb"@docomo.ne.jp'),
        ('"xxx.yyy."@docomo.ne.jp', '"xxx.yyy."@docomo.ne.jp'),
        ('"a b"@example.com', '"a b"@example.com'),
        ('"ada"@example.com', "ada@example.com"),
        ('Ada <"a b"@example.com>', '"a b"@example.com'),
        ("ａｄａ＠example.com", "ada@example.com"),
        ("ada@example.com (Lovelace, Ada)", "ada@example.com"),
    ],
)
async def test_unusual_recipient_is_accepted_in_one_spelling(relay: Harness, address: str, stored: str) -> None:
    name = await relay.send(to=address)
    await relay.deliver()
    [recipient] = (await relay.status(name))["recipients"]
    assert recipient["email"] == stored


async def test_two_dots_are_refused_where_no_carrier_gave_them_out(relay: Harness) -> None:
    answer = await relay.call("POST", "/v1/messages", json=message(to="john..smith@example.com"))
    assert answer.problems == [("invalid_address", "to")]


INVITATION = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"


async def test_calendar_invitation_is_a_part_with_its_method(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json=message(calendar=INVITATION))
    assert response.status == 202, response.body
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    source = (await relay.call("GET", f"/v1/inbox/{mail['name']}/source")).body
    assert re.search(rb'Content-Type: text/calendar;\s+charset="utf-8";\s+method="?REQUEST"?\r\n', source)


async def test_calendar_without_a_method_is_refused(relay: Harness) -> None:
    wrong = INVITATION.replace("METHOD", "X-METHOD")
    response = await relay.call("POST", "/v1/messages", json=message(calendar=wrong))
    assert (response.status, response.problems) == (400, [("invalid_value", "calendar")])
    response = await relay.call("POST", "/v1/messages", json=message(calendar=INVITATION, text=None))
    assert (response.status, response.problems) == (400, [("no_content", "text")])


@pytest.mark.parametrize(
    ("fields", "text"), [({}, "Hi **Ada**"), ({"text_from_html": False}, None), ({"text": "own"}, "own")]
)
async def test_html_only_message_gets_a_text_unless_it_refuses_one(
    relay: Harness, fields: dict[str, Any], text: str | None
) -> None:
    body = message(text=None, html="<p>Hi <b>Ada</b></p>") | fields
    assert (await relay.call("POST", "/v1/messages", json=body)).status == 202
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox")).json["value"]
    shown = (await relay.call("GET", f"/v1/inbox/{mail['name']}")).json["text"]
    assert (None if shown is None else shown.strip()) == text
