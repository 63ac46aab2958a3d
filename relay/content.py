"""The content of messages, wherever it lies: in the entry, or in blobs (claim check, uploaded attachments)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from relay import wire
from relay.accept import CONTENT_CONTAINER
from relay.errors import NotFound
from relay.model import Attachment, Message, Submission
from relay.storage.ports import Blobs

MAX_BYTES_IN_FLIGHT = 96 * 1024 * 1024
"""Content that one process holds for attempts under way; more waits its turn, so that memory stays flat."""


class Budget:
    """A number of bytes that may be held at a time. One that asks for more than there is gets it when it is alone."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._held = 0
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait for so many bytes, and give them back at the end."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._held == 0 or self._held + size <= self._total)
            self._held += size
        try:
            yield
        finally:
            async with self._freed:
                self._held -= size
                self._freed.notify_all()


class Content:
    """Reads content from blobs."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.budget = Budget(MAX_BYTES_IN_FLIGHT)

    async def message(self, submission: Submission) -> Message | None:
        """The message with all it has except uploaded attachments; None when the blob is gone."""
        if submission.blob is None:
            return submission.message
        try:
            return wire.decode_message(await self._blobs.get(CONTENT_CONTAINER, submission.blob))
        except NotFound:
            return None

    async def whole(self, submission: Submission) -> Message | None:
        """The message with every attachment's bytes in memory; None when any of it is gone."""
        message = await self.message(submission)
        if message is None or all(attachment.blob is None for attachment in message.attachments):
            return message
        try:
            attachments = [await self._filled(attachment) for attachment in message.attachments]
        except NotFound:
            return None
        return msgspec.structs.replace(message, attachments=tuple(attachments))

    async def _filled(self, attachment: Attachment) -> Attachment:
        if attachment.blob is None:
            return attachment
        content = await self._blobs.get(ATTACHMENTS_CONTAINER, attachment.blob)
        return msgspec.structs.replace(attachment, content=content)


ATTACHMENTS_CONTAINER = "attachments"
