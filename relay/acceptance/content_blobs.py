"""Encode submissions for an entry. Content that does not fit one is written to a blob first (claim check).

Medium-sized messages that are submitted together share a blob: see docs/decisions/0051-shared-content.md.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec

from relay.core import entries, ids
from relay.core.model import Message, Span, Submission
from relay.core.stored_content import binary_of, encode_content, with_binary
from relay.platform import concurrency
from relay.platform.resources import CONTENT_CONTAINER
from relay.platform.storage.ports import Blobs

MAX_SHARED_BYTES = 524_288
"""Approximate limit of a shared blob: the delivery of its messages holds all of it in memory."""
_MOVED_ABOVE_BYTES = entries.MAX_ENTRY_BYTES // entries.MAX_BATCH_MESSAGES
"""A message with less content takes no more than its part of an entry."""
_LONGEST_BLOB, _LONGEST_SPAN = "20260101/" + "0" * 32, (9_999_999, 9_999_999)


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """A submission for an entry: how to encode it, and its weight there. `has_span`: its content is in a blob.

    `movable` is the submission if its content is in the entry, and could move to a blob that it shares with others.
    """

    encode: Callable[[], bytes]
    weight: int
    has_span: bool = False
    movable: Submission | None = None

    @classmethod
    def of(cls, encoded: bytes, *, has_span: bool = False, movable: Submission | None = None) -> "Element":
        """Return the element for a submission that is encoded already."""
        return cls(encode=lambda: encoded, weight=entries.weight(encoded), has_span=has_span, movable=movable)

    @property
    def moved_weight(self) -> int:
        """The weight in an entry once the content has moved, at most."""
        if self.movable is None:
            return self.weight
        return entries.weight(_claim(self.movable, _LONGEST_BLOB, _LONGEST_SPAN))

    @property
    def moved_size(self) -> int:
        """The bytes of content that would move, about."""
        return 0 if self.movable is None else _message_of(self.movable).content_size


class ContentBlobs:
    """Writes content to blobs."""

    def __init__(self, blobs: Blobs, clock: Callable[[], datetime]) -> None:
        self._blobs = blobs
        self._clock = clock

    async def put(self, body: bytes) -> str:
        """Write a new blob of today. Return its name."""
        name = f"{self._clock():%Y%m%d}/{ids.new_batch_id()}"
        await self._blobs.put(CONTENT_CONTAINER, name, body)
        return name

    async def element(self, submission: Submission) -> Element:
        """Encode a submission, and write its content to a blob if it is too large for an entry."""
        message = submission.message
        size = 0 if message is None else message.content_size
        # A submission that is certainly too large is encoded once, for its blob.
        if message is None or size <= entries.MAX_INLINE_BYTES:
            element = _inline(submission, size)
            if message is None or element.weight <= entries.MAX_INLINE_BYTES:
                return element
        stored = await concurrency.run_sized(partial(encode_content, message), size)
        return Element.of(_claim(submission, await self.put(stored), (0, len(stored))), has_span=True)

    async def share(self, elements: Sequence[Element]) -> list[Element]:
        """Move the content of those elements that allow it to one blob."""
        contents = [b"" if each.movable is None else encode_content(_message_of(each.movable)) for each in elements]
        blob, at, shared = await self.put(b"".join(contents)), 0, list[Element]()
        for element, content in zip(elements, contents, strict=True):
            if element.movable is None:
                shared.append(element)
            else:
                shared.append(Element.of(_claim(element.movable, blob, (at, len(content))), has_span=True))
            at += len(content)
        return shared


def _inline(submission: Submission, size: int) -> Element:
    """Return a submission with its content, which has this size, in the entry.

    Bytes become base64 there only when it is known that they stay.
    """
    message = submission.message
    if message is None or size <= _MOVED_ABOVE_BYTES:
        return Element.of(entries.encode_submission(submission))
    binary = binary_of(message)
    if not binary:
        return Element.of(entries.encode_submission(submission), movable=submission)
    # Weighed with the first three bytes of each: four characters, as every three that follow.
    light = msgspec.structs.replace(submission, message=with_binary(message, [each[:3] or each for each in binary]))
    weight = entries.weight(entries.encode_submission(light)) + sum(
        [4 * (max(0, len(each) - 1) // 3) for each in binary]
    )
    return Element(encode=partial(entries.encode_submission, submission), weight=weight, movable=submission)


def _message_of(submission: Submission) -> Message:
    if submission.message is None:
        raise ValueError("the content of this submission is in a blob already")
    return submission.message


def _claim(submission: Submission, blob: str, span: Span) -> bytes:
    """Encode a submission whose content is in a blob: with its envelope, unless that is too long for an entry."""
    claimed = msgspec.structs.replace(submission, blob=blob, span=span, message=_envelope(_message_of(submission)))
    encoded = entries.encode_submission(claimed)
    if entries.fits_inline(encoded):
        return encoded
    return entries.encode_submission(msgspec.structs.replace(claimed, message=None))


def _envelope(message: Message) -> Message:
    """Return the part of a message that stays in the entry when its content is in a blob: addresses, subject, tags."""
    return Message(
        sender=message.sender,
        to=message.to,
        cc=message.cc,
        bcc=message.bcc,
        subject=message.subject,
        tags=message.tags,
        metadata=message.metadata,
        return_path=message.return_path,
    )
