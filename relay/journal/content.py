"""Read the content of messages from the entry, or from blobs (claim check, uploaded attachments)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from relay.core import ids
from relay.core.errors import NotFound
from relay.core.memory import MemoryLimits
from relay.core.model import Attachment, Message, Span, Submission
from relay.core.stored_content import decode_content
from relay.platform.concurrency import run_sized
from relay.platform.resources import ATTACHMENTS_CONTAINER, CONTENT_CONTAINER
from relay.platform.storage.ports import Blobs

SHARED_ABOVE_BYTES = 8_192
"""Attachments that several messages have in common are stored once when they have more bytes than this together."""


class Budget:
    """A limit for the bytes in memory at once. A request above the limit waits until it is alone."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait until this number of bytes is free, and release it at the end."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._held == 0 or self._held + size <= self.total)
            self._held += size
        try:
            yield
        finally:
            async with self._freed:
                self._held -= size
                self._freed.notify_all()


class ContentReads:
    """Reads the blobs of a batch's messages.

    A blob that several of them share stays in memory as long as this object; acceptance bounds its size. A read that fails
    fails for each of them, so that an outage costs one timeout.
    """

    def __init__(self, blobs: Blobs, submissions: Iterable[Submission]) -> None:
        self._blobs = blobs
        counted = Counter(submission.blob for submission in submissions)
        self._shared = {blob for blob, messages in counted.items() if messages > 1}
        self._reads: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, blob: str) -> bytes:
        """Read a blob. Raises `NotFound`."""
        if blob not in self._shared:
            return await self._blobs.get(CONTENT_CONTAINER, blob)
        if blob not in self._reads:
            self._reads[blob] = asyncio.create_task(self._blobs.get(CONTENT_CONTAINER, blob))
        # The cancellation of one message must not cancel the read for the others.
        return await asyncio.shield(self._reads[blob])


class Content:
    """Reads content from blobs."""

    def __init__(self, blobs: Blobs, limits: MemoryLimits) -> None:
        """`limits` bound the content held for attempts in progress. Further attempts wait, so that memory stays flat."""
        self._blobs = blobs
        self.budget = Budget(limits.in_flight_bytes)

    def reads_of(self, submissions: Iterable[Submission]) -> ContentReads:
        """Read blobs that these messages of a batch share once."""
        return ContentReads(self._blobs, submissions)

    async def message(self, submission: Submission, reads: ContentReads | None = None) -> Message | None:
        """Return the message with its content except uploaded attachments; None when the blob is gone."""
        if submission.blob is None:
            return submission.message
        try:
            stored = await (reads or self.reads_of([submission])).get(submission.blob)
        except NotFound:
            return None
        size = len(stored) if submission.span is None else submission.span[1]
        return await run_sized(partial(decode_content, stored, submission.span), size)

    async def whole(self, submission: Submission, reads: ContentReads | None = None) -> Message | None:
        """Return the message with every attachment's bytes in memory; None when any of it is gone."""
        message = await self.message(submission, reads)
        if message is None or all(attachment.blob is None for attachment in message.attachments):
            return message
        try:
            attachments = [await self._filled(attachment) for attachment in message.attachments]
        except NotFound:
            return None
        return msgspec.structs.replace(message, attachments=tuple(attachments))

    async def keep_only(self, blob: str, spans: Sequence[Span]) -> None:
        """Overwrite what a blob holds outside of these places; without any, delete it. Raises `Changed` after a lost race."""
        if not spans:
            await self._blobs.delete(CONTENT_CONTAINER, blob)
            return
        try:
            stored, etag = await self._blobs.read(CONTENT_CONTAINER, blob)
        except NotFound:
            return
        kept = bytearray(len(stored))
        for start, size in spans:
            kept[start : start + size] = stored[start : start + size]
        await self._blobs.replace(CONTENT_CONTAINER, blob, bytes(kept), etag=etag)

    async def share_attachments(
        self, submissions: Sequence[Submission], new_name: Callable[[], str]
    ) -> list[Submission]:
        """Store attachments that submissions have in common once, and return the submissions. Small files stay in them."""
        first = submissions[0].message
        shared = first.attachments if first is not None else ()
        if sum(len(attachment.content) for attachment in shared) <= SHARED_ABOVE_BYTES:
            return list(submissions)
        stored = tuple([await self._stored(attachment, new_name()) for attachment in shared])
        return [_with_attachments(submission, stored) for submission in submissions]

    async def _stored(self, attachment: Attachment, name: str) -> Attachment:
        blob = f"{ids.created_at(name):%Y%m%d}/{name}"
        await self._blobs.put(ATTACHMENTS_CONTAINER, blob, attachment.content)
        return msgspec.structs.replace(attachment, content=b"", blob=blob, size=len(attachment.content))

    async def _filled(self, attachment: Attachment) -> Attachment:
        if attachment.blob is None:
            return attachment
        content = await self._blobs.get(ATTACHMENTS_CONTAINER, attachment.blob)
        return msgspec.structs.replace(attachment, content=content)


def _with_attachments(submission: Submission, attachments: tuple[Attachment, ...]) -> Submission:
    if submission.message is None:
        return submission
    message = msgspec.structs.replace(submission.message, attachments=attachments)
    return msgspec.structs.replace(submission, message=message)
