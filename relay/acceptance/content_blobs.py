"""Encode submissions for an entry. Content that does not fit one is written to a blob first (claim check)."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec

from relay.core import entries, ids
from relay.core.model import Message, Submission
from relay.core.stored_content import encode_content
from relay.platform import concurrency
from relay.platform.resources import CONTENT_CONTAINER
from relay.platform.storage.ports import Blobs


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """A submission as it lies in an entry. `has_span`: its content is in a blob."""

    encoded: bytes
    has_span: bool = False


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
        # What is too large in any case is encoded once, for its blob.
        if message is None or message.content_size <= entries.MAX_INLINE_BYTES:
            encoded = entries.encode_submission(submission)
            if message is None or entries.fits_inline(encoded):
                return Element(encoded=encoded)
        stored = await concurrency.run_sized(partial(encode_content, message), message.content_size)
        claimed = msgspec.structs.replace(submission, blob=await self.put(stored), span=(0, len(stored)))
        return Element(encoded=_with_envelope(claimed, message), has_span=True)


def _with_envelope(claimed: Submission, message: Message) -> bytes:
    """Encode a submission whose content is in a blob: with its envelope, unless that is too long for an entry."""
    encoded = entries.encode_submission(msgspec.structs.replace(claimed, message=_envelope(message)))
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
