"""POST /v1/messages with message/rfc822: the envelope, the header, and the refusal of ambiguous messages."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.acceptance.draft import Limits
from relay.api.http import Request
from relay.api.reading.raw.message import parse_raw
from relay.clients.policy import Policy
from relay.core.errors import Refusal
from relay.mime import raw
from tests.api.harness import NOON, ApiResponse, Harness
from tests.depth import examples

HEAD = "From: Shop <shop@example.com>\nTo: Ada <ada@example.org>\nSubject: Your order\n"
TYPE = "message/rfc822"


async def post(
    relay: Harness, text: str | bytes = f"{HEAD}\nHello.\n", headers: dict[str, str] | None = None, **query: Any
) -> ApiResponse:
    """Post a finished message; `from_` in the query is called `from`."""
    parameters = urlencode({name.rstrip("_"): value for name, value in query.items()})
    return await relay.call(
        "POST",
        f"/v1/messages?{parameters}",
        body=text.encode() if isinstance(text, str) else text,
        headers={"Content-Type": TYPE, **(headers or {})},
    )


async def caught(relay: Harness) -> dict[str, Any]:
    """Deliver, and show the one mail that was caught, with its source."""
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    source = await relay.call("GET", f"/v1/inbox/{mail['name']}/source", client="boss")
    head, body = raw.split(source.body)
    lines = [(field.name, field.value.decode()) for field in raw.fields_of(head)]
    return {"from": mail["from"], "lines": lines, "head": head, "body": body}


def values(mail: dict[str, Any], name: str) -> list[str]:
    return [value for key, value in mail["lines"] if key == name]


# ── what is accepted ──


async def test_finished_message_is_accepted_and_sent_unchanged(relay: Harness) -> None:
    text = f"{HEAD}Message-ID: <own@example.com>\nX-Order:  4711\nDKIM-Signature: v=1; a=x\n\nHello.\n.\nEnd\n"
    response = await post(relay, text)
    assert response.status == 202, response.body
    assert set(response.json) == {"id", "state"}
    mail = await caught(relay)
    assert mail["body"] == b"Hello.\r\n.\r\nEnd\r\n"
    for line in (b"X-Order:  4711", b"DKIM-Signature: v=1; a=x", b"From: Shop <shop@example.com>"):
        assert line in mail["head"].split(b"\r\n")
    assert values(mail, "message-id") == ["<own@example.com>"]
    history = await relay.status(response.json["id"])
    assert (history["state"], history["subject"]) == ("sent", "Your order")


async def test_bcc_moves_to_the_envelope(relay: Harness) -> None:
    text = f"{HEAD}Cc: bob@example.org, ADA@example.org\nBcc: eve@example.org,\n mallory@example.org\n\nHi\n"
    response = await post(relay, text)
    mail = await caught(relay)
    history = await relay.status(response.json["id"])
    people = [(each["kind"], each["email"]) for each in history["recipients"]]
    assert people == [
        ("to", "ada@example.org"),
        ("cc", "bob@example.org"),
        ("bcc", "eve@example.org"),
        ("bcc", "mallory@example.org"),
    ]
    assert b"eve" not in mail["head"]
    assert b"mallory" not in mail["head"]


@pytest.mark.parametrize("place", ["query", "header"])
async def test_given_envelope_replaces_the_recipients_of_the_header(relay: Harness, place: str) -> None:
    text = f"{HEAD}Bcc: eve@example.org\nResent-Bcc: eve@example.org\n\nHi\n"
    people = "bob@example.org, <ada@example.org>"
    if place == "query":
        response = await post(relay, text, to=people, from_="Bounces@example.com")
    else:
        response = await post(relay, text, {"X-Relay-Rcpt-To": people, "X-Relay-Mail-From": "<Bounces@example.com>"})
    assert response.status == 202, response.body
    await relay.deliver()
    history = await relay.status(response.json["id"])
    assert [(each["kind"], each["email"], each.get("name")) for each in history["recipients"]] == [
        ("to", "ada@example.org", "Ada"),
        ("bcc", "bob@example.org", None),
    ]
    [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    source = (await relay.call("GET", f"/v1/inbox/{mail['name']}/source", client="boss")).body
    assert b"eve" not in source


@pytest.mark.parametrize("envelope", [{"from_": "<>"}, {"headers": {"X-Relay-Mail-From": " <> "}}])
async def test_empty_envelope_sender_is_accepted(relay: Harness, envelope: dict[str, Any]) -> None:
    await post(relay, f"{HEAD}\nHi\n", **envelope)
    mail = await caught(relay)
    assert (mail["from"], values(mail, "from")) == ("<>", ["Shop <shop@example.com>"])


async def test_fields_that_only_servers_may_write_are_removed(relay: Harness) -> None:
    forged = (
        "Return-Path: <x@example.com>\nX-Relay-Id: forged\nX-MS-Exchange-Organization-SCL: -1\n"
        "Authentication-Results: mx; dkim=pass\nDelivered-To: x@example.com\nX-SG-EID: forged\n"
        "x-ms-acsemail-suppress-invalid-attachment: true\n"
    )
    assert (await post(relay, f"{forged}{HEAD}Received: from a by b\n\nHi\n")).status == 202
    mail = await caught(relay)
    names = [name for name, _ in mail["lines"]]
    assert values(mail, "x-relay-id") != ["forged"]
    assert len(values(mail, "x-relay-id")) == 1
    assert not {"return-path", "x-ms-exchange-organization-scl", "authentication-results"} & set(names)
    assert not {"x-sg-eid", "x-ms-acsemail-suppress-invalid-attachment"} & set(names)
    assert "received" in names


async def test_several_to_fields_are_merged(relay: Harness) -> None:
    """RFC 5322 section 4.5.3."""
    assert (await post(relay, f"{HEAD}To: bob@example.org\n\nHi\n")).status == 202
    assert values(await caught(relay), "to") == ["Ada <ada@example.org>, bob@example.org"]


@pytest.mark.parametrize(
    "line",
    [
        "From: (a) shop@example.com (x@evil.example)",
        'From: "x@evil.example" <shop@example.com>',
        "From: <shop@example.com>,",
    ],
)
async def test_ambiguous_from_is_rewritten(relay: Harness, line: str) -> None:
    assert (await post(relay, f"{line}\nTo: ada@example.org\n\nHi\n")).status == 202
    [written] = values(await caught(relay), "from")
    assert written.endswith("shop@example.com") or written.endswith("<shop@example.com>")
    assert "(" not in written


async def test_text_outside_ascii_in_a_header_is_encoded(relay: Harness) -> None:
    text = "From: Jürgen <shop@example.com>\nTo: Zoë <ada@bücher.example>\nSubject: Grüße\n\nGrüße\n"
    response = await post(relay, text)
    assert response.status == 202, response.body
    assert (await relay.status(response.json["id"]))["state"] == "queued"
    mail = await caught(relay)
    assert mail["head"].isascii()
    assert "xn--bcher-kva.example" in mail["head"].decode()
    assert (await relay.status(response.json["id"]))["subject"] == "Grüße"
    assert mail["body"] == "Grüße\r\n".encode()


async def test_options_are_read_from_the_query(relay: Harness) -> None:
    response = await post(relay, tags="eu,report", send_at="2026-03-02T12:00:00Z", delivery="at_most_once")
    assert response.json["state"] == "scheduled"
    await relay.deliver()
    assert (await relay.status(response.json["id"]))["tags"] == ["eu", "report"]


async def test_dry_run_explains_and_sends_nothing(relay: Harness) -> None:
    response = await post(relay, dry_run="true")
    assert response.status == 200
    assert response.json["routing"][0]["recipients"] == ["ada@example.org"]
    assert relay.waiting == 0


# ── what is refused ──


@pytest.mark.parametrize("name", ["X-SMTPAPI", "X-MSYS-API", "X-MC-BccAddress", "X-Mailgun-Drop-Message"])
async def test_commands_to_smtp_servers_are_refused(relay: Harness, name: str) -> None:
    response = await post(relay, f"{HEAD}{name}: eve@example.org\n\nHi\n")
    assert response.problems == [("forbidden_header", f"headers['{name}']")]
    assert relay.waiting == 0


async def test_all_problems_are_reported_together_and_nothing_is_queued(relay: Harness) -> None:
    text = (
        "From: one@example.com, two@example.com\nTo: nobody\nSubject: a\nsubject: b\nX-SMTPAPI: {}\n"
        "Sender: boss@example.com\nno field\nX-Bell: \x07\nContent-Type: text/plain; name=\u00fc\n\nHi\n"
    )
    response = await post(
        relay, text, form="x", dry_run="yes", delivery="twice", send_at="soon", expires_in_seconds="1"
    )
    assert response.status == 400
    assert set(response.problems) == {
        ("unknown_field", "query.form"),
        ("invalid_choice", "query.dry_run"),
        ("invalid_choice", "query.delivery"),
        ("invalid_time", "send_at"),
        ("out_of_range", "expires_in_seconds"),
        ("invalid_address", "headers.From"),
        ("invalid_address", "headers.To"),
        ("duplicate_header", "headers.subject"),
        ("forbidden_header", "headers['X-SMTPAPI']"),
        ("invalid_header_name", "headers"),
        ("invalid_text", "headers"),
        ("invalid_text", "headers['Content-Type']"),
    }
    assert "nobody" not in response.body.decode()
    assert relay.waiting == 0
    assert not relay.blobs.calls["put"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("To: ada@example.org\n\nHi\n", ("required", "headers.From")),
        ("From: shop@example.com\nSubject: x\n\nHi\n", ("no_recipients", "to")),
        (f"{HEAD}From: other@example.com\n\nHi\n", ("duplicate_header", "headers.From")),
        (f"{HEAD}Content-Type: text/plain\nContent-type: text/html\n\nHi\n", ("duplicate_header", "headers['Content-type']")),
        (f"From ada Thu Jan  1 00:00:00 2026\n{HEAD}\nHi\n", ("invalid_header_name", "headers")),
        (f" folded\n{HEAD}\nHi\n", ("invalid_header_name", "headers")),
        (f"{HEAD}Apparently-To: eve@example.org\n\nHi\n", ("forbidden_header", "headers['Apparently-To']")),
        (f"{HEAD}Resent-To: eve@example.org\n\nHi\n", ("not_applicable", "headers['Resent-To']")),
        (f"{HEAD}X-Long: {'x' * 1000}\n\nHi\n", ("too_long", "headers")),
        (HEAD + f"X-Many: {'x' * 900}\n" * 80 + "\nHi\n", ("too_large", "headers")),
        (HEAD + "Received: from a by b\n" * 100 + "\nHi\n", ("too_many", "headers.Received")),
        (HEAD.encode() + b"X-Odd: \xff\n\nHi\n", ("invalid_text", "headers['X-Odd']")),
        ("From: \nTo: ada@example.org\n\nHi\n", ("invalid_address", "headers.From")),
        ("From: shop@example.com\rBcc: x\n\nHi\n", ("invalid_address", "headers.Bcc")),
    ],
)  # fmt: skip
async def test_ambiguous_message_is_refused(relay: Harness, text: str | bytes, problem: tuple[str, str]) -> None:
    response = await post(relay, text)
    assert response.status == 400
    assert response.problems == [problem]
    assert relay.waiting == 0


@pytest.mark.parametrize(
    ("headers", "query", "problem"),
    [
        ({"X-Relay-Mail-From": "<>x"}, {}, ("invalid_address", "X-Relay-Mail-From")),
        ({"X-Relay-Rcpt-To": "a@example.org"}, {"to": "b@example.org"}, ("not_applicable", "query.to")),
        ({}, {"to": "a@example.org,b"}, ("invalid_address", "query.to")),
        ({}, {"to": ",".join(f"a{n}@example.org" for n in range(1001))}, ("too_many_recipients", "query.to")),
        ({}, {"from_": "nobody"}, ("invalid_address", "query.from")),
        ({}, {"expires_in_seconds": "soon"}, ("wrong_type", "query.expires_in_seconds")),
    ],
)
async def test_wrong_envelope_is_refused(
    relay: Harness, headers: dict[str, str], query: dict[str, str], problem: tuple[str, str]
) -> None:
    response = await post(relay, headers=headers, **query)
    assert response.status == 400
    assert response.problems == [problem]


async def test_empty_and_oversized_messages_are_refused(relay: Harness) -> None:
    assert (await post(relay, "\n")).error["code"] == "empty_body"
    small = await Harness({"RELAY_MAX_MESSAGE_BYTES": "70000"}).start()
    assert (await post(small, HEAD + "\n" + "x" * 70_001)).status == 413
    near = await post(small, HEAD + "\n" + "x" * 69_800)
    assert (near.status, near.error["code"]) == (413, "message_too_large")
    await small.relay.close()


# ── what real programs write ──


async def test_sender_is_held_to_the_policy(relay: Harness) -> None:
    """As the return path is: it names who sends (RFC 5322 section 3.6.2)."""
    await relay.add_client("tight", policy=Policy(senders=("shop@example.com", "desk@example.com")))
    for sender, status in (("desk@example.com", 202), ("boss@example.net", 403)):
        text = f"{HEAD}Sender: {sender}\n\nHi\n".encode()
        answer = await relay.call("POST", "/v1/messages", body=text, headers={"Content-Type": TYPE}, client="tight")
        assert answer.status == status
    assert answer.problems == [("sender_not_allowed", "headers.Sender")]


@pytest.mark.parametrize("name", ["Resent-From", "Resent-Sender"])
async def test_sender_of_a_resent_message_is_held_to_the_policy(relay: Harness, name: str) -> None:
    await relay.add_client("tight", policy=Policy(senders=("shop@example.com",)))
    answer = await relay.call(
        "POST",
        "/v1/messages",
        body=f"{HEAD}{name}: boss@example.net\n\nHi\n".encode(),
        headers={"Content-Type": TYPE},
        client="tight",
    )
    assert answer.status == 403
    assert answer.problems == [("sender_not_allowed", f"headers['{name}']")]


async def test_equal_copy_of_a_field_is_dropped(relay: Harness) -> None:
    answer = await post(relay, f"{HEAD}MIME-Version: 1.0\nMime-Version:  1.0\n\nHi\n")
    assert answer.status == 202, answer.body
    assert values(await caught(relay), "mime-version") == ["1.0"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("nobody", []),
        ("<>", []),
        ("nobody, desk@example.com", ["desk@example.com"]),
        ("\xff@example.com", []),
        ("", []),
    ],
)
async def test_malformed_reply_to_is_left_out_and_recorded(relay: Harness, value: str, kept: list[str]) -> None:
    answer = await post(relay, f"{HEAD}Reply-To: {value}\n\nHi\n".encode("latin-1"))
    assert answer.status == 202, answer.body
    mail = await caught(relay)
    assert values(mail, "reply-to") == kept
    assert values(mail, "x-relay-removed") == ["Reply-To"]


async def test_valid_reply_to_stays_unchanged(relay: Harness) -> None:
    await post(relay, f"{HEAD}Reply-To: Desk <desk@example.com>\n\nHi\n")
    mail = await caught(relay)
    assert values(mail, "reply-to") == ["Desk <desk@example.com>"]
    assert not values(mail, "x-relay-removed")


async def test_long_list_of_recipients_is_folded(relay: Harness) -> None:
    """Python's `as_string` writes To in one line, whatever its length."""
    people = [f"person-{number:03}@example.org" for number in range(50)]
    answer = await post(relay, f"From: shop@example.com\nTo: {', '.join(people)}\nSubject: x\n\nHi\n")
    assert answer.status == 202, answer.body
    mail = await caught(relay)
    assert max(map(len, mail["head"].splitlines())) <= 998
    assert values(mail, "to") == [", ".join(people)]


async def test_long_line_with_blanks_is_folded(relay: Harness) -> None:
    references = " ".join(f"<{number}@example.com>" for number in range(100))
    assert (await post(relay, f"{HEAD}References: {references}\n\nHi\n")).status == 202
    mail = await caught(relay)
    assert max(map(len, mail["head"].splitlines())) <= 998
    assert values(mail, "references") == [references]


async def test_received_in_utf_8_is_accepted(relay: Harness) -> None:
    """Postfix with SMTPUTF8 writes the recipient as it is (RFC 6532); the clause is optional (RFC 5321 section 4.4)."""
    field = "Received: from a by b for <jörg@example.org>; Sun, 1 Mar 2026 12:00:00 +0000"
    assert (await post(relay, f"{field}\n{HEAD}\nHi\n")).status == 202
    mail = await caught(relay)
    assert values(mail, "received") == ["from a by b; Sun, 1 Mar 2026 12:00:00 +0000"]
    assert mail["head"].isascii()


async def test_fields_of_envelopes_are_removed(relay: Harness) -> None:
    """Pickup folders and some servers write recipients into the header, hidden ones too."""
    text = "X-Sender: a@example.com\nX-Receiver: eve@example.org\nX-Envelope-To: eve@example.org\n"
    text += f"X-Rcpt-To: eve@example.org\nX-Bcc: eve@example.org\n{HEAD}\nHi\n"
    assert (await post(relay, text)).status == 202
    assert b"eve@" not in (await caught(relay))["head"]


@pytest.mark.parametrize("address", ["aaa..bb@docomo.ne.jp", '"aaa..bb"@docomo.ne.jp'])
async def test_carriers_address_is_quoted_on_the_wire_and_has_one_spelling(relay: Harness, address: str) -> None:
    """Japanese carriers gave these out; RFC 5321 section 4.1.2 allows them in quotes."""
    answer = await post(relay, f"From: shop@example.com\nTo: {address}\nSubject: x\n\nHi\n")
    assert answer.status == 202, answer.body
    mail = await caught(relay)
    assert [value.strip("<>") for value in values(mail, "to")] == ['"aaa..bb"@docomo.ne.jp']
    [recipient] = (await relay.status(answer.json["id"]))["recipients"]
    assert recipient["email"] == '"aaa..bb"@docomo.ne.jp'


async def test_hidden_recipients_and_a_comment_are_delivered(relay: Harness) -> None:
    answer = await post(
        relay, "From: shop@example.com\nTo: undisclosed-recipients:; (hidden)\nBcc: ada@example.org\n\nHi\n"
    )
    assert answer.status == 202, answer.body
    await relay.deliver()
    [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
    assert (await relay.call("GET", f"/v1/inbox/{mail['name']}", client="boss")).status == 200
    assert (await relay.status(answer.json["id"]))["state"] == "sent"


async def test_content_type_that_programs_read_differently_names_the_field(relay: Harness) -> None:
    answer = await post(relay, f"{HEAD}Content-Type: multipart/mixed; boundary=b; x*=a; x*1=b\n\n--b\n\nHi\n--b--\n")
    assert answer.status == 400
    assert answer.problems == [("ambiguous_part", "headers['Content-Type']")]


async def test_file_in_a_uuencoded_text_is_found(relay: Harness) -> None:
    answer = await post(relay, f"{HEAD}\nHi\nbegin 644 tool.exe\n#0V%T\n`\nend\n")
    assert answer.problems == [("attachment_not_allowed", "attachments[0].name")]


async def test_encoded_word_in_an_address_is_refused(relay: Harness) -> None:
    answer = await post(relay, "From: =?utf-8?q?shop?=@example.com\nTo: ada@example.org\n\nHi\n")
    assert answer.problems == [("invalid_address", "headers.From")]


# ── the client's policy ──


async def test_policy_applies_to_from_and_recipients(relay: Harness) -> None:
    await relay.add_client("tight", policy=Policy(senders=("*@example.net",), recipients=("*@example.net",)))
    text = f"{HEAD}Bcc: eve@example.net\n\nHi\n".encode()
    response = await relay.call("POST", "/v1/messages", body=text, headers={"Content-Type": TYPE}, client="tight")
    assert response.status == 403
    assert response.problems == [("sender_not_allowed", "from"), ("recipient_not_allowed", "to[0]")]


@pytest.mark.parametrize(
    "fields",
    [
        'Content-Disposition: attachment; filename="tool.exe"',
        'Content-Type: application/octet-stream; name="tool.exe"\nContent-Disposition: attachment; filename=fine.txt',
        "Content-Disposition: attachment; filename*0*=utf-8''tool; filename*1*=%2Eexe",
        'Content-Disposition: attachment; filename="=?utf-8?q?tool=2Eexe?="',
        'Content-Disposition: attachment; filename="tool.exe. "',
        "Content-Disposition: attachment; filename=fine.txt; filename=tool.exe",
        "Content-Disposition: attachment; filename=tool.exe filename=fine.txt",
        "Content-Disposition: attachment; filename=tool(x).exe",
        "Content-Disposition: attachment; filename==?utf-8?q?tool=2Eexe?=",
        "Content-Disposition: attachment;\n filename*=utf-8''tool.exe; filename=fine.txt",
        "Content-Disposition: attachment; filename=tül.exe",
        'Content-Disposition: attachment; filename="tool.exe\0.txt"',
        "Content-Disposition: attachment; filename*=utf-8''tool.exe%00.txt",
        "Content-Disposition: attachment; filename*=utf-8''tool.exe%0A",
        'Content-Disposition: attachment; filename="tool.\n\texe"',
        "Content-Disposition: attachment; filename='tool.exe'",
        "\0Content-Disposition: attachment; filename=tool.exe",
        "Content-Disposition\0: attachment; filename=tool.exe",
        "X-Text: a\n\n--b\0\nContent-Disposition: attachment; filename=tool.exe",
        "X-Text: a\n\n--\0b\nContent-Disposition: attachment; filename=tool.exe",
        "X-Text: a\n\n--bc\nContent-Disposition: attachment; filename=tool.exe",
        "Content-Disposition: attachment; filename*=utf-8''tool.exe%E2%80%8B",
        'Content-Disposition: attachment; filename="tool.exe::$DATA"',
        'Content-Disposition: attachment; filename="tool.exe/"',
        "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Disposition: attachment; filename=a.dat",
        "Content-Type: message/partial; id=a; number=1; total=2",
        'Content-Type: message/external-body; access-type=URL; URL="https://example.com/a"\n\nContent-Type: application/pdf',
        "Content-Type: text/plain\n\nHi\nbegin-base64 644 tool.exe\nTVo=\n====",
        "Content-Type: application/octet-stream\nContent-Transfer-Encoding: x-uuencode\n\nbegin 644 tool.exe\n#0V%T\n`\nend",
        "Content-Type: text/calendar; method=REQUEST\n\nATTACH;VALUE=BINARY;\n X-FILENAME=tool.exe:TVo=",
    ],
)
async def test_policy_applies_to_attached_files(relay: Harness, fields: str) -> None:
    inner = f"--b\nContent-Type: text/plain\n\nHi\n--b\n{fields}\n\nMZ\n--b--\n"
    response = await post(relay, f"{HEAD}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{inner}")
    assert response.status == 403
    assert {code for code, _ in response.problems} == {"attachment_not_allowed"}


async def test_ambiguous_file_name_is_refused(relay: Harness) -> None:
    twice = "Content-Disposition: attachment; filename=a.txt\nContent-Disposition: attachment; filename=tool.exe"
    inner = f"--b\n{twice}\n\nMZ\n--b\nContent-Disposition: attachment; filename==?none?b?x?=\n\nMZ\n--b--\n"
    response = await post(relay, f"{HEAD}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{inner}")
    assert response.status == 400
    assert response.problems == [("duplicate_header", "body"), ("invalid_file_name", "body")]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64", "duplicate_header"),
        ("Content-Transfer-Encoding: (c) base64", "ambiguous_part"),
        ('Content-Transfer-Encoding: "base64"', "ambiguous_part"),
    ],
)
async def test_attached_message_that_programs_decode_differently_is_refused(
    relay: Harness, fields: str, problem: str
) -> None:
    hidden = base64.b64encode(b"Content-Disposition: attachment; filename=tool.exe\n\nMZ").decode()
    inner = f"--b\nContent-Type: message/rfc822\n{fields}\n\n{hidden}\n--b--\n"
    response = await post(relay, f"{HEAD}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{inner}")
    assert response.status == 400
    assert response.problems == [(problem, "body")]


async def test_file_name_in_an_unknown_charset_of_a_parameter_is_refused(relay: Harness) -> None:
    field = "Content-Disposition: attachment; filename*=ebcdic-us''%85%A5%89%93%4B%85%A7%85"
    inner = f"--b\n{field}\n\nMZ\n--b--\n"
    response = await post(relay, f"{HEAD}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{inner}")
    assert response.problems == [("invalid_file_name", "body")]


async def test_boundary_that_begins_with_another_is_accepted(relay: Harness) -> None:
    inner = "--b\nContent-Type: multipart/mixed; boundary=bc\n\n--bc\n\nHi\n--bc--\n\n--b--\n"
    response = await post(relay, f"{HEAD}MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n{inner}")
    assert response.status == 202


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{HEAD}Content-Type: message/rfc822\n\n" + "Content-Type: message/rfc822\n\n" * 2000, ("too_deep", "body")),
        (f"{HEAD}Content-Type: multipart/mixed; boundary=b\n\n" + "--b\n\nx\n" * 1001, ("too_many", "body")),
        (f"{HEAD}Content-Type: a/b;" + "\n x=y;" * 1000 + "\n\nx", ("too_large", "body")),
        (f"{HEAD}Cc: " + ("a " * 400 + "\n ") * 60 + "\n\nx", ("too_long", "headers.Cc")),
        (f"{HEAD}Cc: " + '"' * 900 + "\n\nx", ("too_long", "headers.Cc")),
        (f"{HEAD}Cc: " + "a@b.example,\n " * 1001 + "\n\nx", ("too_many_recipients", "headers.Cc")),
    ],
)  # fmt: skip
async def test_content_that_is_slow_to_parse_is_refused(relay: Harness, text: str, problem: tuple[str, str]) -> None:
    assert (await post(relay, text)).problems == [problem]


async def test_empty_list_elements_are_removed(relay: Harness) -> None:
    assert (await post(relay, f"{HEAD}Cc: {',' * 900}bob@example.org\n\nx")).status == 202
    assert values(await caught(relay), "cc") == ["bob@example.org"]


CONTENT_ROUTES = {
    "sg": {"provider": "sendgrid", "api_key": "setting:KEY"},
    "acs": {"provider": "acs", "endpoint": "https://mail.europe.communication.azure.com", "access_key": "setting:KEY"},
}


@pytest.fixture
async def vendors() -> AsyncIterator[Harness]:
    """A relay with routes that take the content of a finished message only, and `keep`, which takes it as it is."""
    routes = {**CONTENT_ROUTES, "keep": {"provider": "capture"}}
    rules = [{"routes": [*CONTENT_ROUTES, "keep"]}]
    settings = {"RELAY_ROUTES": json.dumps(routes), "RELAY_ROUTING": json.dumps(rules), "KEY": "SG.x"}
    relay = await Harness(settings).start()
    yield relay
    await relay.relay.close()


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        (f"{HEAD}Message-ID: <a@example.com>\nReceived: from a by b\nX-Order: 1\n\nHi\n", ["sg", "acs", "keep"]),
        (f"{HEAD}DKIM-Signature: v=1\n\nHi\n", ["keep"]),
        (f"{HEAD}Content-Type: multipart/signed; boundary=b\n\n--b\n\nHi\n--b\n\nx\n--b--\n", ["keep"]),
        (
            f"{HEAD}Content-Type: text/calendar; method=REQUEST\n\nBEGIN:VCALENDAR\nMETHOD:REQUEST\nEND:VCALENDAR\n",
            ["sg", "keep"],
        ),
        (f"{HEAD}Content-Type: application/pdf; name=a.pdf\n\n", ["keep"]),
    ],
    ids=["plain", "DKIM", "signed", "calendar only", "empty file"],
)
async def test_finished_message_goes_by_routes_that_lose_nothing(
    vendors: Harness, text: str, routes: list[str]
) -> None:
    response = await post(vendors, text, dry_run="true")
    assert response.json["routing"] == [{"recipients": ["ada@example.org"], "routes": routes}]


async def test_envelope_of_others_than_to_and_cc_needs_a_finished_message(vendors: Harness) -> None:
    response = await post(vendors, to="bob@example.org", dry_run="true")
    assert response.json["routing"][0]["routes"] == ["keep"]
    response = await post(vendors, to="ada@example.org,bob@example.org", dry_run="true")
    assert response.json["routing"][0]["routes"] == ["sg", "acs", "keep"]


async def test_redirected_message_goes_by_its_content_too(vendors: Harness) -> None:
    policy = Policy(senders=("*",), recipients=("*@example.com",), redirect_to="test@example.com")
    await vendors.add_client("staging", policy=policy)
    query = urlencode({"dry_run": "true"})
    response = await vendors.call(
        "POST", f"/v1/messages?{query}", client="staging", body=f"{HEAD}\nHi\n".encode(), headers={"Content-Type": TYPE}
    )
    assert response.json["routing"] == [{"recipients": ["test@example.com"], "routes": ["sg", "acs", "keep"]}]


async def test_refusal_names_everything_that_each_route_would_lose(vendors: Harness) -> None:
    parts = "--b\n\nHi\n--b\nContent-Type: message/rfc822\n\nSubject: a\n\nb\n--b\nContent-Type: a/b\n\n\n--b--\n"
    text = f"{HEAD}DKIM-Signature: v=1\nX-A: 1\nX-A: 2\nContent-Type: multipart/mixed; boundary=b\n\n{parts}"
    problems = []
    for route in CONTENT_ROUTES:
        response = await post(vendors, text, route=route)
        assert (response.status, response.error["code"]) == (422, "not_carriable"), response.body
        problems += [detail["message"] for detail in response.error["details"]]
    assert problems == [
        f"route {name} ({provider}) cannot carry attachments of zero bytes and would lose parts of the finished message: "
        "DKIM signature, header X-A (2 times), nested message/rfc822 part"
        for name, provider in (("sg", "sendgrid"), ("acs", "acs"))
    ]
    assert vendors.waiting == 0


# ── once ──


async def test_idempotency_key_covers_message_and_envelope(relay: Harness) -> None:
    key = {"Idempotency-Key": "k1"}
    first = await post(relay, headers=key, to="bob@example.org")
    again = await post(relay, headers=key, to="bob@example.org")
    assert (again.json, again.headers["idempotency-replayed"]) == (first.json, "true")
    assert relay.waiting == 1
    for other in ({"to": "eve@example.org"}, {"to": "bob@example.org", "from_": "x@example.com"}):
        assert (await post(relay, headers=key, **other)).error["code"] == "idempotency_key_reused"


# ── whatever comes ──

PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"From: shop@example.com\n",
                b'To: ada@example.org, "x <y@z>\n',
                b"Bcc: eve@example.org\r",
                b"Cc: group: a@example.org;\r\n",
                b"Subject: =?utf-8?q?=0D=0ABcc: x?=\n",
                b"Content-Type: multipart/mixed; boundary=b\n",
                b"Content-Disposition: attachment; filename*0*=\n",
                b" folded\n",
                b"--b\n",
                b"\n",
            ]
        ),
        st.binary(max_size=20),
    ),
    max_size=12,
)


@given(pieces=PIECES)
@settings(max_examples=examples(100))
def test_any_bytes_are_refused_or_accepted_without_bcc(pieces: list[bytes]) -> None:
    request = Request(method="POST", path="/v1/messages", body=b"".join(pieces))
    try:
        draft = parse_raw(request, now=NOON, limits=Limits())
    except Refusal:
        return
    fields = raw.fields_of(raw.split(draft.message.raw or b"")[0])
    assert [field.name for field in fields].count("from") == 1
    assert not any(field.name == "bcc" for field in fields)
    assert draft.message.recipients
