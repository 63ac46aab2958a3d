"""Splitting mail into parts: bounded by depth, parts and lines, and by work, for any bytes."""

import base64
import binascii
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mime import addresses, parameters, parts, reader
from relay.mime.parts import Overflow, Part
from tests.work import counted

HEAD = b"From: a@example.com\r\n"


def nested(depth: int, content: bytes = b"x") -> bytes:
    opening = (b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))
    return HEAD + b"".join(opening) + b"\r\n" + content


def depth_of(part: Part) -> int:
    depth, level = 0, [part]
    while level:
        depth, level = depth + 1, [inner for each in level for inner in each.parts]
    return depth


@pytest.mark.parametrize("count", [parts.MAX_DEPTH + 1, 3_000])
def test_parts_below_the_maximum_depth_stay_content(count: int) -> None:
    mail = parts.parse(nested(count))
    assert mail.exceeded == {Overflow.DEPTH}
    assert depth_of(mail.root) == parts.MAX_DEPTH + 1
    assert reader.read(nested(count)).text is not None


def test_parts_up_to_the_maximum_depth_are_split() -> None:
    mail = parts.parse(nested(parts.MAX_DEPTH))
    assert not mail.exceeded
    assert [part.content for part in mail.root.walk() if not part.parts] == [b"x"]


def test_parts_beyond_the_maximum_number_are_not_read() -> None:
    mail = parts.parse(HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 5_000)
    assert mail.exceeded == {Overflow.PARTS}
    assert len(list(mail.root.walk())) == parts.MAX_PARTS


def test_header_beyond_the_maximum_lines_is_not_read() -> None:
    mail = parts.parse(b"A: b\r\n" * (parts.MAX_HEADER_LINES + 5) + b"\r\nHello")
    assert mail.exceeded == {Overflow.FIELDS}
    assert len(mail.root.fields) == parts.MAX_HEADER_LINES
    assert mail.root.content == b"Hello"


def test_too_long_field_is_cut() -> None:
    mail = parts.parse(b"A: " + b"b" * 100_000 + b"\r\nC: d\r\n\r\nHello")
    assert mail.exceeded == {Overflow.FIELDS}
    assert [len(field.line) for field in mail.root.fields] == [parts.MAX_FIELD_BYTES, 6]


HOSTILE: Mapping[str, Callable[[int], bytes]] = {
    "quotes in an address": lambda n: HEAD + b"Resent-From: " + b'"' * n + b"\r\n\r\nx",
    "at signs in an address": lambda n: HEAD + b"To: " + b"@," * (n // 2) + b"\r\n\r\nx",
    "brackets in an address": lambda n: HEAD + b"To: " + b"(<" * (n // 2) + b"\r\n\r\nx",
    "nested multiparts": lambda n: nested(n // 55),
    "nested messages": lambda n: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * (n // 32),
    "parts": lambda n: HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * (n // 7),
    "lines like a boundary": lambda n: nested(60, b"--b0x\r\n" * (n // 7)),
    "boundaries within lines": lambda n: nested(60, b"x--b0\r\n" * (n // 7)),
    "dashes": lambda n: HEAD + b"Content-Type: multipart/mixed; boundary=-\r\n\r\n" + b"-" * n,
    "fields": lambda n: b"A:b\r\n" * (n // 5) + b"\r\nx",
    "folded lines": lambda n: HEAD + b"A: b\r\n" + b" c\r\n" * (n // 4) + b"\r\nx",
    "parameters": lambda n: HEAD + b"Content-Type: a/b" + b";c=d" * (n // 4) + b"\r\n\r\nx",
    "quotes in parameters": lambda n: HEAD + b"Content-Type: a/b;" + b'"' * n + b"\r\n\r\nx",
    "pieces of a parameter": lambda n: HEAD + b"Content-Type: a/b" + b";c*1=d" * (n // 6) + b"\r\n\r\nx",
    "comments in parameters": lambda n: HEAD + b"Content-Type: " + b"(" * (n // 2) + b")" * (n // 2) + b"\r\n\r\nx",
    "encoded words": lambda n: HEAD + b"Subject: " + b"=?a?q?b?= " * (n // 10) + b"\r\n\r\nx",
    "half encoded words": lambda n: HEAD + b"Subject: " + b"=?a?q?" * (n // 6) + b"\r\n\r\nx",
    "escapes of ISO-2022-JP": lambda n: HEAD + b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + b"\x1b$B" * (n // 3),
    "base64 noise": lambda n: HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"*" * n,
    "uuencoded lines": lambda n: HEAD + b"Content-Transfer-Encoding: uuencode\r\n\r\n" + b"#\n" * (n // 2),
}  # fmt: skip
DEEP = ("nested multiparts", "nested messages", "lines like a boundary", "boundaries within lines")
"""Shapes that must be large to reach every bound."""


def read_everything(raw: bytes) -> None:
    reader.read(raw)
    for part in parts.parse(raw).root.walk():
        for field in part.fields:
            text = parts.field_text(field)
            addresses.mailboxes(text)
            parameters.file_names(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_work_grows_no_faster_than_the_mail(name: str) -> None:
    """Twice the mail is hardly more than twice the work; the library that was used before took its square."""
    work, size = [], 4_000 if name in DEEP else 2_000
    for factor in (1, 2):
        raw = HOSTILE[name](factor * size)
        with counted() as count:
            read_everything(raw)
        work.append(count.instructions)
    assert work[1] < 2.05 * work[0] + 2_000
    assert work[1] < 250 * 2 * size


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\r\n", b"\n", b" ", b"!", b"=", b"==", b"\xff"]),
    st.integers(0, 300),
)
def test_base64_is_decoded_as_the_standard_library_does(content: bytes, odd: bytes, at: int) -> None:
    encoded = base64.b64encode(content)
    text = encoded[:at] + odd + encoded[at:]
    try:
        expected = binascii.a2b_base64(text)
    except binascii.Error:
        return
    assert parts.decoded(text, "base64") == expected


def test_fields_after_many_lines_that_begin_with_a_boundary_are_read_once() -> None:
    mail = parts.parse(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--bx: y\r\nContent-Type: a/b\r\n" * 100)
    assert len(mail.similar) == 199


@pytest.mark.parametrize("name", [b"x" * 199, b"x" * 190 + b" " * 9])
def test_name_of_a_field_is_bounded(name: bytes) -> None:
    assert [len(field.line) for field in parts.read_fields(name + b": y\r\n z\r\n\r\n")] == [208]
    assert parts.read_fields(b"x" + name + b": y\r\n z\r\n\r\n") == ()


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_header_lines_are_bounded_whatever_ends_them(end: bytes) -> None:
    head = (b"a: b" + end + b" c" + end) * (parts.MAX_HEADER_LINES // 2)
    assert parts.parse(head).exceeded == frozenset()
    assert parts.parse(head[: -len(end)]).exceeded == frozenset()
    assert parts.parse(head + b" d").exceeded == {Overflow.FIELDS}
