"""Mails that `relay.mime.build` writes, read back by a parser."""

import re
from email.header import decode_header, make_header
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
import pytest

from relay.core.model import Address, Attachment
from relay.mime import build
from relay.mime.fields import addr_spec
from relay.mime.size import estimate_size
from tests.unit.mime.mime_reading import (
    DATE,
    PIXEL,
    RELAY_ID,
    STANDARD,
    fields,
    leaf,
    parts,
    people,
    read,
    send_request,
    types,
)


def test_plain_message_has_exactly_its_fields() -> None:
    content = build.build(send_request())
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
def test_names_and_subjects_are_read_back_unchanged(name: str, subject: str) -> None:
    content = build.build(send_request(to=(Address(email="ann@example.com", name=name),), subject=subject))
    message = read(content)
    assert people(message, "To") == [(name, "ann@example.com")]
    assert message["Subject"] == subject
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert message["To"].defects == ()


def test_name_with_an_at_sign_is_quoted_and_non_ascii_name_is_encoded() -> None:
    content = build.build(send_request(sender=Address(email="a@example.com", name="Sales @ Example, Inc.")))
    assert b'From: "Sales @ Example, Inc." <a@example.com>\r\n' in content


def test_long_header_is_folded_at_spaces_and_long_url_stays_whole() -> None:
    url = "<https://example.com/" + "u" * 200 + ">"
    references = " ".join(f"<{number}.{'r' * 30}@example.com>" for number in range(20))
    content = build.build(
        send_request(headers={"List-Unsubscribe": f"{url}, <mailto:u@example.com>", "References": references})
    )
    assert f"List-Unsubscribe: {url},\r\n <mailto:u@example.com>\r\n".encode() in content
    assert read(content)["References"] == references
    assert b"=?" not in content
    header = content.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 78 for line in header.split(b"\r\n") if b"https" not in line)


def test_long_recipient_list_is_folded_between_recipients() -> None:
    recipients = tuple(Address(email=f"person{number}@example.com", name=f"名 {number}") for number in range(500))
    content = build.build(send_request(to=recipients))
    assert people(read(content), "To") == [(address.name, address.email) for address in recipients]
    assert max(len(line) for line in content.split(b"\r\n")) <= 78


def test_large_file_keeps_its_bytes_in_short_lines_near_the_estimated_size() -> None:
    large = Attachment(name="data.bin", content=bytes(range(256)) * 4_096)
    whole = send_request(attachments=(large,))
    content = build.build(whole)
    assert leaf(read(content), "application/octet-stream").get_content() == large.content
    assert max(len(line) for line in content.split(b"\r\n")) <= 78
    assert len(content) <= estimate_size(whole.message) <= 1.02 * len(content)


def test_date_and_message_id_are_the_same_in_every_attempt() -> None:
    first, second = (send_request(headers={"X-Order": "42"}) for _ in range(2))
    again = msgspec.structs.replace(second, attempt=2, attempt_id="00000000-0000-0000-0000-000000000002")
    assert build.build(first).partition(b"\r\nMIME-Version")[0] == build.build(again).partition(b"\r\nMIME-Version")[0]
    forged = msgspec.structs.replace(first, message_id_header="a@b>\r\nBcc: <eve@example.com", id="m\r\nBcc: eve@x.com")
    assert fields(build.build(forged)) == [*STANDARD, "X-Order"]


def test_headers_of_any_name_are_written() -> None:
    message = read(
        build.build(send_request(headers={"X-Order": "42", "In-Reply-To": "<a@b>", "Auto-Submitted": "auto"}))
    )
    assert (message["X-Order"], message["In-Reply-To"], message["Auto-Submitted"]) == ("42", "<a@b>", "auto")


@pytest.mark.parametrize(
    "name", ["Bcc", "FROM", "Message-ID", "X-Relay-Id", "Content-Type", "a b", "a:b", "é", "", "a\n"]
)
def test_reserved_or_invalid_header_is_refused(name: str) -> None:
    assert build.header_problem(name)
    with pytest.raises(ValueError, match="header"):
        build.build(send_request(headers={name: "x"}))


def test_fields_name_all_recipients_but_bcc() -> None:
    ann, bob, eve = (Address(email=f"{name}@example.com") for name in ("ann", "bob", "eve"))
    whole = send_request(to=(ann,), cc=(bob,), bcc=(eve,), reply_to=(bob, eve))
    content = build.build(whole)
    assert fields(content) == ["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "X-Relay-Id"]
    assert people(read(content), "Reply-To") == [("", "bob@example.com"), ("", "eve@example.com")]
    part = send_request(recipients=(1,), to=(ann,), cc=(bob,), bcc=(eve,))
    assert people(read(build.build(part)), "To") == [("", "ann@example.com")]


def test_with_bcc_the_fields_name_the_envelope_of_the_attempt() -> None:
    ann, bob, eve = (Address(email=f"{name}@example.com") for name in ("ann", "bob", "eve"))
    whole = send_request(recipients=(1, 2), to=(ann,), cc=(bob,), bcc=(eve,))
    content = build.build(whole, with_bcc=True)
    assert fields(content) == ["From", "Cc", "Bcc", "Subject", "Date", "Message-ID", "X-Relay-Id"]
    assert people(read(content), "Bcc") == [("", "eve@example.com")]


def test_bcc_only_message_has_an_empty_group() -> None:
    content = build.build(send_request(to=(), bcc=(Address(email="eve@example.com"),)))
    assert b"To: undisclosed-recipients:;\r\n" in content
    assert b"eve" not in content


INVITATION = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Frühstück\r\nEND:VCALENDAR\r\n"
IMAGE = Attachment(name="logo.png", type="image/png", content=PIXEL, disposition="inline", content_id="logo")
FILE = Attachment(name="請求書.pdf", type="application/pdf", content=PIXEL)


@pytest.mark.parametrize(
    ("given_fields", "expected"),
    [
        ({}, "text/plain"),
        ({"text": None}, "text/plain"),
        ({"text": None, "html": "<p>"}, "text/html"),
        ({"html": "<p>"}, ("alternative", ["text/plain", "text/html"])),
        ({"calendar": INVITATION}, ("alternative", ["text/plain", "text/calendar"])),
        ({"text": None, "calendar": INVITATION}, "text/calendar"),
        (
            {"html": "<p>", "calendar": INVITATION, "attachments": (FILE,)},
            ("mixed", [("alternative", ["text/plain", "text/html", "text/calendar"]), "application/pdf"]),
        ),
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
    assert types(read(build.build(send_request(**given_fields)))) == expected


def test_invitation_states_its_method() -> None:
    part = leaf(read(build.build(send_request(html="<p>", calendar=INVITATION))), "text/calendar")
    assert part["Content-Type"].params == {"charset": "utf-8", "method": "REQUEST"}
    assert part["Content-Disposition"] is None
    assert part.get_content() == INVITATION


def test_files_keep_bytes_names_and_content_ids() -> None:
    message = read(build.build(send_request(html="<img src='cid:logo'>", attachments=(FILE, IMAGE))))
    file, image = leaf(message, "application/pdf"), leaf(message, "image/png")
    assert (file.get_filename(), file.get_content(), file.get_content_disposition()) == (
        "請求書.pdf",
        PIXEL,
        "attachment",
    )
    assert (image["Content-ID"], image.get_content(), image.get_content_disposition()) == ("<logo>", PIXEL, "inline")


def test_type_keeps_its_parameters_and_multipart_becomes_octet_stream() -> None:
    invitation = Attachment(name="i.ics", type="text/calendar; method=REQUEST; charset=UTF-8; name=x", content=b"BEGIN")
    mail = Attachment(name="m.eml", type="multipart/mixed; boundary=b", content=b"--b\r\n\r\nhi\r\n--b--")
    wrong = Attachment(name="w", type="image/png\r\nBcc: eve@example.com", content=b"1")
    *_, first, second, third = parts(read(build.build(send_request(attachments=(invitation, mail, wrong)))))
    assert first["Content-Type"].params == {"method": "REQUEST", "charset": "UTF-8", "name": "i.ics"}
    assert (second.get_content_type(), second.get_filename()) == ("application/octet-stream", "m.eml")
    assert second.get_content() == mail.content
    assert third["Bcc"] is None


@pytest.mark.parametrize(
    ("attached", "text"),
    [
        (b"Subject: x\n\nhi", "hi"),
        ("Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrüße".encode(), "grüße"),
    ],
)
def test_attached_message_keeps_its_type_without_base64(attached: bytes, text: str) -> None:
    """RFC 2046 section 5.2.1."""
    content = build.build(
        send_request(attachments=(Attachment(name="m.eml", type="message/rfc822", content=attached),))
    )
    assert content.isascii()
    *_, part = parts(read(content))
    assert (part.get_content_type(), part["Content-Transfer-Encoding"]) == ("message/rfc822", "7bit")
    assert (part.get_content()["Subject"], part.get_content().get_content().strip()) == ("x", text)


@pytest.mark.parametrize(
    "attached",
    [
        b"Subject: gr\xfc\xdfe\r\n\r\nhi",
        b"Subject: x\r\n\r\n\x00",
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xff",
    ],
)
def test_attached_message_that_needs_changes_is_a_file(attached: bytes) -> None:
    content = build.build(
        send_request(attachments=(Attachment(name="m.eml", type="message/rfc822", content=attached),))
    )
    *_, part = parts(read(content))
    assert (part.get_content_type(), part.get_content()) == ("application/octet-stream", attached)


def test_related_names_the_type_of_its_root() -> None:
    message = read(build.build(send_request(text=None, html="<p>", attachments=(IMAGE,))))
    assert message["Content-Type"].params["type"] == "text/html"


NAMES = ["請求書 2026年11月分.pdf", "invoice.pdf", 'Größe "A".txt', "x" * 200 + ".txt", "100%.csv"]


@pytest.mark.parametrize("name", NAMES)
def test_file_name_is_written_for_new_and_old_mail_programs(name: str) -> None:
    content = build.build(send_request(attachments=(Attachment(name=name, content=b"1"),)))
    *_, part = parts(read(content))
    assert part["Content-Disposition"].params["filename"] == name
    header = content.replace(b"\r\n ", b" ").decode()
    (written,) = re.findall(r'[^e]name="([^"]*)"', header)
    assert str(make_header(decode_header(written))) == name
    for piece in re.findall(r"filename\*\d+\*=(?:utf-8'')?([^;\s]*)", header):
        assert unquote_to_bytes(piece).decode()


def test_content_id_with_odd_characters_is_written_validly() -> None:
    ids = ("daily report.csv", "log(1).txt", "rapport_été.txt", "Example Content ID")
    files = tuple(Attachment(name="a", content=b"1", content_id=each) for each in ids)
    found = [part["Content-ID"] for part in parts(read(build.build(send_request(attachments=files))))]
    assert found[1:] == [
        "<daily%20report.csv>",
        "<log%281%29.txt>",
        "<rapport_%C3%A9t%C3%A9.txt>",
        "<Example%20Content%20ID>",
    ]


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
def test_any_text_is_encoded_in_seven_bits_and_short_lines(text: str) -> None:
    content = build.build(send_request(text=text, html=f"<p>{text}</p>"))
    assert content.isascii()
    assert not any(octet < 32 and octet not in b"\t\r\n" for octet in content)
    assert b"\x7f" not in content
    assert content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n")
    assert max(len(line) for line in content.split(b"\r\n")) <= 78
    wanted = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n") + "\n"
    assert leaf(read(content), "text/plain").get_content().replace("\r\n", "\n").replace("\r", "\n") == wanted


def test_non_ascii_domain_is_encoded_and_non_ascii_local_part_needs_smtputf8() -> None:
    ascii_only = send_request(to=(Address(email="ann@bücher.example"),))
    assert b"To: ann@xn--bcher-kva.example\r\n" in build.build(ascii_only)
    assert not build.needs_smtputf8(ascii_only)
    foreign = send_request(to=(Address(email="用户@例え.jp", name="用户"),))
    assert "<用户@xn--r8jz45g.jp>\r\n".encode() in build.build(foreign)
    assert build.needs_smtputf8(foreign)


@pytest.mark.parametrize(
    "email", ["ann", "@example.com", "ann@", "ann@exa mple.com", "ann@a>,<b", "a\r\nb@x.com", "a@x\n"]
)
def test_invalid_address_is_refused(email: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        build.build(send_request(to=(Address(email=email),)))


def test_local_part_is_quoted_if_needed() -> None:
    assert addr_spec("a b@example.com") == '"a b"@example.com'
    assert addr_spec('"a b"@example.com') == '"a b"@example.com'
    assert addr_spec('a"b,c>@example.com') == '"a\\"b,c>"@example.com'
