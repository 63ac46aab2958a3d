"""The format of content in blobs: samples of both versions stay readable, and damaged content is refused."""

import msgspec
import pytest

from relay.core.errors import UnreadableEntry
from relay.core.model import Address, Attachment, Message
from relay.core.stored_content import decode_content, encode_content
from tests.unit.core.test_entries import MESSAGE, sample

RAW = Message(
    sender=Address(email="a@example.org"),
    to=(Address(email="b@example.com"),),
    subject="s",
    raw=b"From: a\r\n\r\nhi\xff",
)
EVERYTHING = msgspec.structs.replace(
    MESSAGE, attachments=(*MESSAGE.attachments, Attachment(name="b.bin", content=b"\n{}\n"), Attachment(name="empty"))
)
SAMPLES = pytest.mark.parametrize(
    ("name", "message"), [("content-2.bin", EVERYTHING), ("content-raw-2.bin", RAW)], ids=["files", "raw"]
)


@SAMPLES
def test_content_matches_its_sample(name: str, message: Message) -> None:
    assert encode_content(message) == sample(name)
    assert decode_content(sample(name), (0, len(sample(name)))) == message


@SAMPLES
def test_content_is_read_at_its_place_in_a_shared_blob(name: str, message: Message) -> None:
    around = encode_content(MESSAGE)
    shared = around + sample(name) + around
    assert decode_content(shared, (len(around), len(sample(name)))) == message


@pytest.mark.parametrize(("name", "message"), [("claim-check-1.json", MESSAGE), ("claim-check-raw-1.json", RAW)])
def test_content_without_a_span_is_json(name: str, message: Message) -> None:
    assert decode_content(sample(name), None) == message


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"from":{"email":"a@b"},"x":' + b"[" * 100_000]
)
def test_damaged_content_is_refused(body: bytes) -> None:
    for stored in (body, body + b"\n", b'{"lengths":[],"message":' + body + b"}\n"):
        for span in (None, (0, len(stored))):
            with pytest.raises(UnreadableEntry):
                decode_content(stored, span)


@pytest.mark.parametrize("lengths", [b"[]", b"[13]", b"[15]", b"[14,0]", b"[-1,15]"])
def test_content_with_wrong_lengths_is_refused(lengths: bytes) -> None:
    good = sample("content-raw-2.bin")
    assert b'"lengths":[14]' in good
    damaged = good.replace(b'"lengths":[14]', b'"lengths":' + lengths)
    with pytest.raises(UnreadableEntry):
        decode_content(damaged, (0, len(damaged)))


@pytest.mark.parametrize("span", [(0, 10), (1, 176), (0, 9_999), (9_999, 5), (180, 0), (2**70, 2**70)])
def test_place_that_does_not_hold_a_message_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(UnreadableEntry):
        decode_content(sample("content-raw-2.bin"), span)


def test_place_before_the_blob_is_refused() -> None:
    """Python counts a negative index from the end, where another message may be."""
    body = encode_content(MESSAGE)
    with pytest.raises(UnreadableEntry):
        decode_content(body * 2, (-len(body), 3 * len(body)))
