"""Encode and decode content in a blob, a durable format: a line of JSON, then the bytes that JSON would hold as base64.

    {"message":{…},"lengths":[20000,512]}\\n<the finished message><the file>

`lengths` are those of the finished message, if the message is one, and of each file that has no blob of its own. A blob holds the
content of one message or of several, one after the other; `Submission.span` is the place of each. Content without a span is
the message as JSON, as entries of version 1 refer to it (docs/decisions/0011-blobs.md).
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from relay.core.errors import UnreadableEntry
from relay.core.model import Message, Span


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """The line of JSON, in which the finished message and the files are empty."""

    message: Message
    lengths: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]


_encoder = msgspec.json.Encoder()
_head_decoder = msgspec.json.Decoder(_Head)
_message_decoder = msgspec.json.Decoder(Message)


def encode_content(message: Message) -> bytes:
    """Encode a message for a blob."""
    binary = binary_of(message)
    head = _Head(message=with_binary(message, [b""] * len(binary)), lengths=tuple(map(len, binary)))
    return b"".join((_encoder.encode(head), b"\n", *binary))


def decode_content(stored: bytes, span: Span | None) -> Message:
    """Read a message from a blob. Raises `UnreadableEntry`."""
    try:
        return _message_decoder.decode(stored) if span is None else _decode(stored, *span)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableEntry("stored message cannot be read") from error


def _decode(stored: bytes, start: int, size: int) -> Message:
    at = stored.index(b"\n", start, start + size) + 1
    head = _head_decoder.decode(memoryview(stored)[start : at - 1])
    binary = list[bytes]()
    for length in head.lengths:
        binary.append(stored[at : at + length])
        at += length
    if start < 0 or at != start + size or at > len(stored) or len(binary) != len(binary_of(head.message)):
        raise ValueError("lengths do not fit the content")
    return with_binary(head.message, binary)


def binary_of(message: Message) -> Sequence[bytes]:
    """Return the finished message and the files."""
    raw = () if message.raw is None else (message.raw,)
    return (*raw, *(each.content for each in message.attachments if each.blob is None))


def with_binary(message: Message, binary: Iterable[bytes]) -> Message:
    """Replace what `binary_of` returns."""
    rest = iter(binary)
    raw = None if message.raw is None else next(rest)
    attachments = [
        each if each.blob is not None else msgspec.structs.replace(each, content=next(rest))
        for each in message.attachments
    ]
    return msgspec.structs.replace(message, raw=raw, attachments=tuple(attachments))
