"""Compare the estimated size of a message with the size of the built message."""

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.model import Address, Attachment, Message
from relay.core.send_request import SendRequest
from relay.mime import build
from relay.mime.size import base64_size, estimate_size, field_size
from tests.depth import examples

WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\x00", exclude_categories=["Cc", "Cs"]), max_size=120
)
BODIES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=3000)
NAMES = st.text(string.ascii_letters, min_size=1, max_size=30)
ADDRESSES = st.builds(
    lambda local, name: Address(email=f"{local}@example.com", name=name),
    st.from_regex(r"[a-z]{1,30}", fullmatch=True),
    WORDS,
)
ATTACHMENTS = st.builds(
    lambda name, content, inline: Attachment(
        name=name,
        content=content,
        size=len(content),
        disposition="inline" if inline else "attachment",
        content_id="c" if inline else None,
    ),
    WORDS,
    st.binary(max_size=3000),
    st.booleans(),
)
MESSAGES = st.builds(
    Message,
    sender=ADDRESSES,
    to=st.lists(ADDRESSES, min_size=1, max_size=20).map(tuple),
    cc=st.lists(ADDRESSES, max_size=3).map(tuple),
    reply_to=st.lists(ADDRESSES, max_size=3).map(tuple),
    subject=WORDS,
    text=st.none() | BODIES,
    html=st.none() | BODIES,
    headers=st.dictionaries(NAMES.map("X-{}".format), WORDS, max_size=5),
    attachments=st.lists(ATTACHMENTS, max_size=4).map(tuple),
)


def built(message: Message) -> int:
    send_request = SendRequest(
        id="msg_" + "0" * 40,
        message=message,
        recipients=tuple(range(len(message.recipients))),
        message_id_header="msg_" + "0" * 40 + "@example.com",
        attempt=1,
        attempt_id="0",
        date=datetime(2026, 3, 1, tzinfo=UTC),
    )
    return len(build.build(send_request))


@settings(max_examples=examples(50))
@given(MESSAGES)
def test_estimate_is_close_to_the_built_size(message: Message) -> None:
    size, estimate = built(message), estimate_size(message)
    assert size <= estimate * 1.02 + 100
    assert estimate <= size * 1.6 + 1200


def test_large_attachment_is_estimated_within_one_percent() -> None:
    content = bytes(range(256)) * 4000
    message = Message(
        sender=Address(email="a@example.com"),
        to=(Address(email="b@example.com"),),
        text="x",
        attachments=(Attachment(name="a.bin", content=content),),
    )
    assert estimate_size(message) == pytest.approx(built(message), rel=0.01)


def test_attachment_in_a_blob_counts_like_one_in_memory() -> None:
    here = Attachment(name="a.bin", content=b"x" * 5000)
    there = Attachment(name="a.bin", blob="b", size=5000)
    message = Message(sender=Address(email="a@example.com"), attachments=(here,))
    assert estimate_size(message) == estimate_size(Message(sender=message.sender, attachments=(there,)))


def test_raw_message_counts_with_its_own_size() -> None:
    raw = b"Subject: x\r\n\r\n" + b"y" * 10_000
    message = Message(sender=Address(email="a@example.com"), to=(Address(email="b@example.com"),), raw=raw)
    assert len(raw) < estimate_size(message) < len(raw) + 1000


@pytest.mark.parametrize(("size", "encoded"), [(0, 0), (1, 78), (57, 78), (58, 156), (5700, 7800)])
def test_base64_has_lines_of_76(size: int, encoded: int) -> None:
    assert base64_size(size) == encoded


@pytest.mark.parametrize(("text", "minimum"), [("", 0), ("plain", 5), ("é" * 40, 80 * 4 // 3), ("請求書", 24)])
def test_non_ascii_field_counts_as_encoded_words(text: str, minimum: int) -> None:
    assert minimum <= field_size(text) <= 3 * minimum + 100
