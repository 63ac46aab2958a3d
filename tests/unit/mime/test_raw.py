"""Prepare raw messages: which fields are added and removed, and that nothing else changes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.model import Address
from relay.core.send_request import SendRequest
from relay.mime import build
from relay.mime import raw as mime_raw
from tests.unit.mime.mime_reading import RELAY_ID, fields, people, read, send_request

RAW = (
    b"From: app@example.com\nTo: Ann <ann@example.com>\nCc: bob@example.com\nBcc: eve@example.com,\n secret@example.com\n"
    b"Subject: Hi\nX-Relay-Id: forged\n\nBody\n.\nEnd\n"
)


def raw_request(raw: bytes, *emails: str) -> SendRequest:
    return send_request(raw=raw, to=tuple(Address(email=email) for email in emails), text=None)


def test_raw_message_gets_missing_fields_and_loses_bcc() -> None:
    content = build.build(raw_request(RAW, "ann@example.com", "eve@example.com"))
    assert fields(content) == ["Date", "Message-ID", "X-Relay-Id", "From", "To", "Cc", "Subject"]
    assert content.endswith(b"\r\n\r\nBody\r\n.\r\nEnd\r\n")
    assert b"secret" not in content
    message = read(content)
    assert (message["X-Relay-Id"], message["Message-ID"]) == (RELAY_ID, "<0123.1@relay.example.com>")


def test_raw_message_keeps_its_own_date_and_id() -> None:
    raw = b"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMESSAGE-ID:\r\n <own@example.com>\r\nFrom: a@example.com\r\n\r\nx"
    content = build.build(raw_request(raw, "ann@example.com"))
    assert fields(content) == ["X-Relay-Id", "Date", "MESSAGE-ID", "From"]
    assert mime_raw.message_id(raw) == "own@example.com"
    assert mime_raw.message_id(RAW) is None


def test_with_bcc_raw_message_fields_name_the_envelope() -> None:
    content = build.build(raw_request(RAW, "ann@example.com", "new@example.com"), with_bcc=True)
    message = read(content)
    assert people(message, "To") == [("Ann", "ann@example.com")]
    assert people(message, "Bcc") == [("", "new@example.com")]
    assert message["Cc"] is None


@pytest.mark.parametrize("raw", [b"", b"\n\nbody only", b"no field here\n", b"Subject: x", b"Subject: x\n \n \n\nb"])
def test_malformed_raw_message_still_gets_a_header(raw: bytes) -> None:
    content = build.build(raw_request(raw, "ann@example.com"))
    assert fields(content)[:3] == ["Date", "Message-ID", "X-Relay-Id"]
    assert read(content)["X-Relay-Id"] == RELAY_ID


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\r\n", b"a", b""]), max_size=12))
def test_every_line_end_of_a_raw_message_becomes_crlf(pieces: list[bytes]) -> None:
    raw = b"X: y\n\n" + b"".join(pieces)
    _, body = mime_raw.split(raw)
    assert body == re.sub(rb"\r{1,2}\n|\r|\n", b"\r\n", raw).partition(b"\r\n\r\n")[2]


def test_byte_order_mark_before_the_header_is_removed() -> None:
    assert mime_raw.split(b"\xef\xbb\xbf" + RAW) == mime_raw.split(RAW)
    assert mime_raw.split(b"Subject: x\n\n\xef\xbb\xbfHi")[1] == b"\xef\xbb\xbfHi"


@example([b"\r\n", b"a:b", b"\r\n\r\n"])
@example([b"a:b", b"\n", b"\n", b"a", b"\r\n\r\n"])
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"a:b", b"\xef\xbb\xbf"]), max_size=9))
def test_header_alone_is_the_header_of_the_split_message(pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    text = re.sub(rb"\r{1,2}\n|\r|\n", b"\r\n", raw.removeprefix(b"\xef\xbb\xbf"))
    head, found, body = text.partition(b"\r\n\r\n")
    whole = (b"", text[2:]) if text.startswith(b"\r\n") else (head + b"\r\n" * bool(found), body)
    assert mime_raw.split(raw)[1] == whole[1]
    assert mime_raw.head_of(raw) == mime_raw.split(raw)[0]
    assert mime_raw.head_of(raw).rstrip(b"\r\n") == whole[0].rstrip(b"\r\n")
