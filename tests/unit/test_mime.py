"""What `relay.mime` writes, as a reader reads it; and that no text anywhere can become a header field."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address as ReadAddress
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay import mime, mime_raw
from relay.mime_fields import addr_spec, clean, text_field
from relay.model import Address, Attachment, Message
from relay.providers.contract import Parcel

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RELAY_ID = "msg_" + "0" * 40
STANDARD = ["From", "To", "Subject", "Date", "Message-ID", "X-Relay-Id"]
PIXEL = bytes(range(256)) * 3


def parcel(recipients: tuple[int, ...] | None = None, **fields: Any) -> Parcel:
    """A parcel to everybody, or to those numbers, of a short message changed by `fields`."""
    given_fields: dict[str, Any] = {
        "sender": Address(email="app@example.com", name="App"),
        "to": (Address(email="ann@example.com", name="Ann"),),
        "subject": "Hello",
        "text": "Hi Ann",
    }
    message = Message(**(given_fields | fields))
    return Parcel(
        id=RELAY_ID,
        message=message,
        recipients=tuple(range(len(message.recipients))) if recipients is None else recipients,
        message_id_header="0123.1@relay.example.com",
        attempt=1,
        attempt_id="00000000-0000-0000-0000-000000000001",
        date=DATE,
    )


def read(content: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(message, EmailMessage)
    return message


def fields(content: bytes) -> list[str]:
    """The names of the header fields but those of the body, by the lines themselves."""
    head = content.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    return [name for name in names if name != "MIME-Version" and not name.startswith("Content-")]


def people(message: EmailMessage, name: str) -> list[tuple[str, str]]:
    """Display names and addresses. The names by the library's older reader: the newer one, unlike mail programs and
    RFC 2047 section 6.2, keeps the space between two encoded words of a name."""
    header = message[name]
    assert isinstance(header, AddressHeader)
    found: tuple[ReadAddress, ...] = header.addresses
    raw = str(dict(message.raw_items())[name]).replace("\r\n", "")
    names = [str(make_header(decode_header(name))) for name, _ in getaddresses([raw])]
    return [(name, person.addr_spec) for name, person in zip(names, found, strict=True)]


def types(message: EmailMessage) -> Any:
    """The nesting: a type, or a pair of a type and what is in it."""
    if not message.is_multipart():
        return message.get_content_type()
    return message.get_content_subtype(), [types(part) for part in parts(message)]


def parts(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        yield part


def leaf(message: EmailMessage, kind: str) -> EmailMessage:
    found = next(part for part in message.walk() if part.get_content_type() == kind)
    assert isinstance(found, EmailMessage)
    return found


def test_a_plain_message_has_its_fields_and_nothing_else() -> None:
    content = mime.build(parcel())
    message = read(content)
    assert fields(content) == STANDARD
    assert message["Message-ID"] == "<0123.1@relay.example.com>"
    assert message["Date"].datetime == DATE
    assert message["X-Relay-Id"] == RELAY_ID
    assert people(message, "From") == [("App", "app@example.com")]
    assert types(message) == "text/plain"
    assert message.get_content() == "Hi Ann\r\n"


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("山田 太郎", "日本語の件名です。" * 20),
        ('Doe, John "JD" <jd@example.com>', "Re: a, b; c <d@example.com>"),
        ("ann@example.com", "=?utf-8?q?not_encoded?="),
        ("=?utf-8?q?Bcc=3A?=", "two  spaces   inside"),
        ("O'Neil \\ Sons", "word " * 60 + "end"),
        ("A" * 300, "x" * 1200),
        ("Zoë" * 40, "👩‍👩‍👧‍👦" * 30),
    ],
)
def test_names_and_subjects_come_back_as_they_were(name: str, subject: str) -> None:
    content = mime.build(parcel(to=(Address(email="ann@example.com", name=name),), subject=subject))
    message = read(content)
    assert people(message, "To") == [(name, "ann@example.com")]
    assert message["Subject"] == subject
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert message["To"].defects == ()


def test_a_name_with_an_at_sign_is_quoted_and_a_foreign_one_is_encoded() -> None:
    content = mime.build(parcel(sender=Address(email="a@example.com", name="Sales @ Example, Inc.")))
    assert b'From: "Sales @ Example, Inc." <a@example.com>\r\n' in content


def test_a_long_header_is_folded_at_its_spaces_and_a_long_url_stays_whole() -> None:
    url = "<https://example.com/" + "u" * 200 + ">"
    references = " ".join(f"<{number}.{'r' * 30}@example.com>" for number in range(20))
    content = mime.build(
        parcel(headers={"List-Unsubscribe": f"{url}, <mailto:u@example.com>", "References": references})
    )
    assert f"List-Unsubscribe: {url},\r\n <mailto:u@example.com>\r\n".encode() in content
    assert read(content)["References"] == references
    assert b"=?" not in content
    header = content.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 78 for line in header.split(b"\r\n") if b"https" not in line)


def test_headers_of_any_name_are_carried() -> None:
    message = read(mime.build(parcel(headers={"X-Order": "42", "In-Reply-To": "<a@b>", "Auto-Submitted": "auto"})))
    assert (message["X-Order"], message["In-Reply-To"], message["Auto-Submitted"]) == ("42", "<a@b>", "auto")


@pytest.mark.parametrize(
    "name", ["Bcc", "FROM", "Message-ID", "X-Relay-Id", "Content-Type", "a b", "a:b", "é", "", "a\n"]
)
def test_a_header_that_is_ours_or_no_header_is_refused(name: str) -> None:
    assert mime.header_fault(name)
    with pytest.raises(ValueError, match="header"):
        mime.build(parcel(headers={name: "x"}))


def test_everybody_is_shown_but_bcc() -> None:
    ann, bob, eve = (Address(email=f"{name}@example.com") for name in ("ann", "bob", "eve"))
    whole = parcel(to=(ann,), cc=(bob,), bcc=(eve,), reply_to=(bob, eve))
    content = mime.build(whole)
    assert fields(content) == ["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "X-Relay-Id"]
    assert people(read(content), "Reply-To") == [("", "bob@example.com"), ("", "eve@example.com")]
    part = parcel(recipients=(1,), to=(ann,), cc=(bob,), bcc=(eve,))
    assert people(read(mime.build(part)), "To") == [("", "ann@example.com")]


def test_with_bcc_the_fields_are_the_envelope_of_the_attempt() -> None:
    ann, bob, eve = (Address(email=f"{name}@example.com") for name in ("ann", "bob", "eve"))
    whole = parcel(recipients=(1, 2), to=(ann,), cc=(bob,), bcc=(eve,))
    content = mime.build(whole, with_bcc=True)
    assert fields(content) == ["From", "Cc", "Bcc", "Subject", "Date", "Message-ID", "X-Relay-Id"]
    assert people(read(content), "Bcc") == [("", "eve@example.com")]


def test_only_hidden_recipients_leave_an_empty_group() -> None:
    content = mime.build(parcel(to=(), bcc=(Address(email="eve@example.com"),)))
    assert b"To: undisclosed-recipients:;\r\n" in content
    assert b"eve" not in content


IMAGE = Attachment(name="logo.png", type="image/png", content=PIXEL, disposition="inline", content_id="logo")
FILE = Attachment(name="請求書.pdf", type="application/pdf", content=PIXEL)


@pytest.mark.parametrize(
    ("given_fields", "expected"),
    [
        ({}, "text/plain"),
        ({"text": None}, "text/plain"),
        ({"text": None, "html": "<p>"}, "text/html"),
        ({"html": "<p>"}, ("alternative", ["text/plain", "text/html"])),
        ({"attachments": (FILE,)}, ("mixed", ["text/plain", "application/pdf"])),
        ({"attachments": (IMAGE,)}, ("mixed", ["text/plain", "image/png"])),
        ({"text": None, "html": "<p>", "attachments": (IMAGE,)}, ("related", ["text/html", "image/png"])),
        (
            {"html": "<p>", "attachments": (IMAGE,)},
            ("alternative", ["text/plain", ("related", ["text/html", "image/png"])]),
        ),
        (
            {"html": "<p>", "attachments": (FILE, IMAGE, FILE)},
            (
                "mixed",
                [
                    ("alternative", ["text/plain", ("related", ["text/html", "image/png"])]),
                    "application/pdf",
                    "application/pdf",
                ],
            ),
        ),
    ],
)
def test_bodies_are_nested_as_readers_expect(given_fields: dict[str, Any], expected: Any) -> None:
    assert types(read(mime.build(parcel(**given_fields)))) == expected


def test_files_keep_bytes_names_and_content_ids() -> None:
    message = read(mime.build(parcel(html="<img src='cid:logo'>", attachments=(FILE, IMAGE))))
    file, image = leaf(message, "application/pdf"), leaf(message, "image/png")
    assert (file.get_filename(), file.get_content(), file.get_content_disposition()) == (
        "請求書.pdf",
        PIXEL,
        "attachment",
    )
    assert (image["Content-ID"], image.get_content(), image.get_content_disposition()) == ("<logo>", PIXEL, "inline")


def test_a_type_keeps_its_parameters_and_what_cannot_travel_in_base64_is_octets() -> None:
    invitation = Attachment(name="i.ics", type="text/calendar; method=REQUEST; charset=UTF-8; name=x", content=b"BEGIN")
    mail = Attachment(name="m.eml", type="message/rfc822", content=b"Subject: x\r\n\r\nhi")
    wrong = Attachment(name="w", type="image/png\r\nBcc: eve@example.com", content=b"1")
    *_, first, second, third = parts(read(mime.build(parcel(attachments=(invitation, mail, wrong)))))
    assert first["Content-Type"].params == {"method": "REQUEST", "charset": "UTF-8"}
    assert (second.get_content_type(), second.get_filename()) == ("application/octet-stream", "m.eml")
    assert second.get_content() == mail.content
    assert third["Bcc"] is None


@pytest.mark.parametrize(
    "text",
    [
        "grüße\r\nzwei",
        "日本語" * 500,
        "x" * 5000,
        "a\rb\nc",
        "nul\x00 bell\x07 del\x7f",
        ".\r\n..\r\nFrom me",
        "\ud800",
    ],
)
def test_any_text_travels_in_seven_bits_and_short_lines(text: str) -> None:
    content = mime.build(parcel(text=text, html=f"<p>{text}</p>"))
    assert content.isascii()
    assert not any(octet < 32 and octet not in b"\t\r\n" for octet in content)
    assert b"\x7f" not in content
    assert content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n")
    assert max(len(line) for line in content.split(b"\r\n")) <= 78
    wanted = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n") + "\n"
    assert leaf(read(content), "text/plain").get_content().replace("\r\n", "\n").replace("\r", "\n") == wanted


def test_foreign_domains_are_ascii_and_foreign_local_parts_ask_for_smtputf8() -> None:
    ascii_only = parcel(to=(Address(email="ann@bücher.example"),))
    assert b"To: ann@xn--bcher-kva.example\r\n" in mime.build(ascii_only)
    assert not mime.needs_smtputf8(ascii_only)
    foreign = parcel(to=(Address(email="用户@例え.jp", name="用户"),))
    assert "<用户@xn--r8jz45g.jp>\r\n".encode() in mime.build(foreign)
    assert mime.needs_smtputf8(foreign)


@pytest.mark.parametrize(
    "email", ["ann", "@example.com", "ann@", "ann@exa mple.com", "ann@a>,<b", "a\r\nb@x.com", "a@x\n"]
)
def test_what_is_no_address_is_not_written(email: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        mime.build(parcel(to=(Address(email=email),)))


def test_a_local_part_that_needs_quotes_gets_them() -> None:
    assert addr_spec("a b@example.com") == '"a b"@example.com'
    assert addr_spec('"a b"@example.com') == '"a b"@example.com'
    assert addr_spec('a"b,c>@example.com') == '"a\\"b,c>"@example.com'


# Letters of every kind, and what tries to end a line, a quoted string or an encoded word.
NASTY = st.text(
    st.one_of(st.sampled_from('\r\n\0\t \x0b\x0c\x1c\x85\u2028",;:<>@()[]\\=?_.'), st.characters()), max_size=120
)
BREAKOUTS = st.sampled_from(
    [
        "a\r\nBcc: eve@example.com",
        "a\nBcc: eve@example.com",
        "a\rBcc: eve@example.com",
        "a\r\n\r\n<body>",
        "=?utf-8?q?a=0D=0ABcc=3A_eve=40example.com?=",
        'a" <eve@example.com>, "b',
        "a\u2028Bcc: eve@example.com",
        "a\x85Bcc: eve@example.com",
    ]
)
TEXTS = st.one_of(NASTY, BREAKOUTS)


@given(texts=st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS))
@settings(max_examples=300, deadline=None)
@example(texts=("", "", "", "", "", ""))
@example(texts=("", "", "", "=??Q?=0A0=3A", "", ""))
@example(texts=("", "", "", "", 'text/calendar; method="=??Q?=0A0=3A"', ""))
def test_no_text_becomes_a_field(texts: tuple[str, str, str, str, str, str]) -> None:
    name, subject, header, filename, kind, content_id = texts
    person = Address(email="ann@example.com", name=name)
    inline = Attachment(name=filename, type=kind, content=b"1", disposition="inline", content_id=content_id)
    file = Attachment(name=filename, type=kind, content=b"2", content_id=content_id)
    whole = parcel(
        sender=person,
        to=(person, Address(email="bob@example.com", name=name)),
        reply_to=(person,),
        subject=subject,
        headers={"X-Custom": header},
        html="<p>",
        attachments=(inline, file),
    )
    content = mime.build(whole)
    message = read(content)
    assert fields(content) == [
        *["From", "Reply-To", "To", "Subject", "Date", "Message-ID", "X-Relay-Id", "X-Custom"],
    ]
    assert [email for _, email in people(message, "From")] == ["ann@example.com"]
    assert [email for _, email in people(message, "To")] == ["ann@example.com", "bob@example.com"]
    assert message["Subject"] == clean(subject)
    assert message["X-Custom"] == clean(header)
    assert all(part.get_filename() in (clean(filename).strip(), None) for part in message.iter_attachments())
    allowed = {"content-type", "content-transfer-encoding", "content-disposition", "content-id", "mime-version"}
    leaves = [part for part in message.walk() if not part.is_multipart()]
    assert len(leaves) == 4
    assert all(name.lower() in allowed for part in leaves for name in part)


@given(name=NASTY)
@settings(max_examples=300, deadline=None)
def test_a_display_name_comes_back(name: str) -> None:
    message = read(mime.build(parcel(sender=Address(email="ann@example.com", name=name))))
    assert people(message, "From") == [(clean(name), "ann@example.com")]


@given(email=st.one_of(NASTY, st.builds(lambda local, domain: f"{local}@{domain}", NASTY, NASTY)))
@settings(max_examples=300, deadline=None)
def test_an_address_is_refused_or_stays_one_address(email: str) -> None:
    try:
        content = mime.build(parcel(to=(Address(email=email),)))
    except ValueError:
        return
    assert fields(content) == STANDARD
    assert content.count(b"@" + addr_spec(email).rpartition("@")[2].encode()) >= 1


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_a_field_is_one_field(text: str) -> None:
    lines = text_field("X-A", text).split(b"\r\n")
    assert lines[-1] == b""
    assert all(line.startswith(b" ") and line.strip() for line in lines[1:-1])
    assert b"\n" not in b"".join(lines)
    assert b"\r" not in b"".join(lines)


RAW = (
    b"From: app@example.com\nTo: Ann <ann@example.com>\nCc: bob@example.com\nBcc: eve@example.com,\n secret@example.com\n"
    b"Subject: Hi\nX-Relay-Id: forged\n\nBody\n.\nEnd\n"
)


def raw_parcel(raw: bytes, *emails: str) -> Parcel:
    return parcel(raw=raw, to=tuple(Address(email=email) for email in emails), text=None)


def test_a_raw_message_gets_what_is_missing_and_loses_its_bcc() -> None:
    content = mime.build(raw_parcel(RAW, "ann@example.com", "eve@example.com"))
    assert fields(content) == ["Date", "Message-ID", "X-Relay-Id", "From", "To", "Cc", "Subject"]
    assert content.endswith(b"\r\n\r\nBody\r\n.\r\nEnd\r\n")
    assert b"secret" not in content
    message = read(content)
    assert (message["X-Relay-Id"], message["Message-ID"]) == (RELAY_ID, "<0123.1@relay.example.com>")


def test_a_raw_message_keeps_its_own_date_and_id() -> None:
    raw = b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMESSAGE-ID:\r\n <own@example.com>\r\nFrom: a@example.com\r\n\r\nx"
    content = mime.build(raw_parcel(raw, "ann@example.com"))
    assert fields(content) == ["X-Relay-Id", "Date", "MESSAGE-ID", "From"]
    assert mime_raw.message_id(raw) == "own@example.com"
    assert mime_raw.message_id(RAW) is None


def test_the_fields_of_a_raw_message_become_its_envelope() -> None:
    content = mime.build(raw_parcel(RAW, "ann@example.com", "new@example.com"), with_bcc=True)
    message = read(content)
    assert people(message, "To") == [("Ann", "ann@example.com")]
    assert people(message, "Bcc") == [("", "new@example.com")]
    assert message["Cc"] is None


@pytest.mark.parametrize("raw", [b"", b"\n\nbody only", b"no field here\n", b"Subject: x", b"Subject: x\n \n \n\nb"])
def test_a_strange_raw_message_still_gets_a_header(raw: bytes) -> None:
    content = mime.build(raw_parcel(raw, "ann@example.com"))
    assert fields(content)[:3] == ["Date", "Message-ID", "X-Relay-Id"]
    assert read(content)["X-Relay-Id"] == RELAY_ID


def test_an_eight_bit_message_can_be_made_seven_bit() -> None:
    raw = (
        b"From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n" + "grüße\r\n".encode()
    )
    converted = mime_raw.seven_bit(mime.build(raw_parcel(raw, "ann@example.com")))
    assert converted.isascii()
    assert read(converted).get_content() == "grüße\r\n"
