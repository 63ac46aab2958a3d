"""Re-encode what SMTP cannot carry: long lines and 8-bit text. Labels, other parts and signed parts stay unchanged."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mime import parts, reader
from relay.mime import raw as mime_raw
from relay.mime.writing import transfer
from tests.depth import examples
from tests.samples.mail.all import SAMPLES
from tests.samples.mail.sample import Sample

HEAD = b"From: a@example.com\r\nMIME-Version: 1.0\r\n"
LONG = b"<p>" + b"word " * 400 + b"</p>"


def normalized(raw: bytes) -> bytes:
    """Return a mail as Relay stores it, with CRLF at the end of every line."""
    head, body = mime_raw.split(raw)
    return head + b"\r\n" + body


def leaves(raw: bytes) -> list[tuple[str, str, bytes]]:
    """Return type, charset label and decoded content of every leaf."""
    found = [part for part in parts.parse(raw).root.walk() if not part.parts]
    return [(part.type, part.content_type.parameters.get("charset", ""), part.content) for part in found]


def labels(raw: bytes) -> list[str]:
    return [part.text("content-transfer-encoding") for part in parts.parse(raw).root.walk()]


def can_travel(raw: bytes) -> bool:
    return raw.isascii() and max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("length", [997, 998, 999, 1000, 5000])
def test_line_is_long_above_998_bytes(length: int) -> None:
    for before, after in ((b"", b""), (b"x\r\n" * 700, b""), (b"", b"\r\nx")):
        assert transfer.has_long_line(before + b"a" * length + after) == (length > 998)


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_sample_reads_the_same_after_it_was_re_encoded(sample: Sample) -> None:
    raw = normalized(sample.raw)
    try:
        converted = transfer.seven_bit(transfer.shortened(raw))
    except ValueError:
        # Header fields are not re-encoded; the intake of a raw message writes them in ASCII.
        assert any(not field.line.isascii() for part in parts.parse(raw).root.walk() for field in part.fields)
        return
    before, after = reader.read(raw), reader.read(converted)
    assert (after.text, after.html, after.files) == (before.text, before.html, before.files)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (b"text/plain; charset=Shift_JIS", "髙橋様、注文①".encode("cp932")),
        (b"text/plain; charset=euc-jp", "注文を受け付けました".encode("euc-jp")),
        (b"text/plain; charset=x-unheard-of", b"\xff\xfe\x80 text"),
        (b"text/csv; charset=utf-8; header=present", "größe;1\r\nlänge;2\r\n".encode()),
        (b"application/json", '{"größe": 1}'.encode()),
        (b"application/octet-stream", bytes(range(128, 256)) * 20),
        (b"text/plain; charset=utf-8", "grüße = ende \r\n.\r\n\r\nFrom x\r\n".encode()),
    ],
)
def test_eight_bit_part_keeps_its_label_and_content(kind: bytes, text: bytes) -> None:
    raw = HEAD + b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text
    mixed = (
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n--b\r\n\r\nhi\r\n"
        b"--b\r\nContent-Type: " + kind + b"\r\n\r\n" + text + b"\r\n--b--\r\n"
    )
    for mail in (raw, mixed):
        converted = transfer.seven_bit(mail)
        assert can_travel(converted)
        assert leaves(converted) == leaves(mail)
        assert kind in converted
        assert "8bit" not in labels(converted)


def test_mail_without_mime_fields_is_labeled_as_what_it_is() -> None:
    for text, charset in (("grüße\r\n".encode(), "utf-8"), (b"gr\xfc\xdfe\r\n", "unknown-8bit")):
        converted = transfer.seven_bit(b"From: a@example.com\r\nSubject: x\r\n\r\n" + text)
        assert leaves(converted) == [("text/plain", charset, text)]
        assert b"\r\nMIME-Version: 1.0\r\n" in converted


def test_parts_that_can_travel_stay_unchanged() -> None:
    first, last = b"Content-Type:  text/plain\r\n\r\nodd   spacing\t \r\n", b"content-type: image/png\r\n\r\n\r\n"
    between = b"Content-Type: text/html; charset=utf-8\r\n\r\n" + LONG
    raw = (
        HEAD
        + b"Content-Type: multipart/mixed;\r\n boundary=b\r\n\r\npreamble\r\n--b\r\n%b--b\r\n%b\r\n--b\r\n%b--b--\r\n"
    )
    mail = raw % (first, between, last)
    converted = transfer.shortened(mail)
    assert can_travel(converted)
    before, _, after = mail.partition(between)
    assert converted.startswith(before)
    assert converted.endswith(after)
    assert leaves(converted) == leaves(mail)


def test_base64_in_one_line_is_wrapped() -> None:
    content = bytes(range(256)) * 9
    encoded = base64.b64encode(content)
    raw = HEAD + b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: BASE64\r\n\r\n" + encoded + b"\r\n"
    converted = transfer.shortened(raw)
    assert can_travel(converted)
    assert leaves(converted) == [("application/pdf", "", content)]


def test_attached_message_is_re_encoded_within() -> None:
    inner = HEAD + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + "é".encode()
    raw = HEAD + b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner
    converted = transfer.seven_bit(raw)
    assert leaves(converted) == [("text/plain", "utf-8", "é".encode())]
    assert labels(converted) == ["7bit", "quoted-printable"]


@pytest.mark.parametrize("text", ["grüße".encode(), LONG])
def test_signed_message_that_cannot_travel_is_refused(text: bytes) -> None:
    raw = (
        HEAD + b'Content-Type: multipart/signed; boundary=s; protocol="application/pgp-signature"\r\n\r\n--s\r\n'
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + text + b"\r\n--b--\r\n--s\r\n"
        b"Content-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
    )
    convert = transfer.shortened if text.isascii() else transfer.seven_bit
    with pytest.raises(ValueError, match="signature"):
        convert(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/plain; charset=\xff\r\n\r\nx\r\n",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-own\r\n\r\n\xff\r\n",
        b"Content-Type: message/partial; id=1\r\n\r\n\xff\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\xff preamble\r\n--b\r\n\r\nx\r\n--b--\r\n",
    ],
)
def test_eight_bit_text_that_cannot_be_re_encoded_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"8-bit|Encoding|attached|malformed"):
        transfer.seven_bit(raw)


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Content-Type: text/plain; charset=utf-8\r\n",
                b"Content-Type: multipart/mixed; boundary=b\r\n",
                b"Content-Type: message/rfc822\r\n",
                b"Content-Transfer-Encoding: 8bit\r\n",
                b"Content-Transfer-Encoding: base64\r\n",
                b"Subject: gr\xc3\xbc\xc3\x9fe\r\n",
                b"\r\n",
                b"--b\r\n",
                b"--b--\r\n",
                b"gr\xc3\xbc\xc3\x9fe\r\n",
                b"x" * 1000 + b"\r\n",
            ]
        ),
        st.binary(max_size=30),
    ),
    max_size=10,
)


@given(pieces=PIECES)
@settings(max_examples=examples(100))
def test_any_message_can_travel_afterwards_or_is_refused(pieces: list[bytes]) -> None:
    try:
        assert can_travel(transfer.seven_bit(transfer.shortened(normalized(b"".join(pieces)))))
    except ValueError:
        return
