"""The storage interfaces of the host: queues to listen to, and small texts in blobs."""

from __future__ import annotations

from typing import Protocol

from devhost.queue_rules import QueueMessage


class StorageUnavailableError(Exception):
    """Storage is unavailable (missing queue, server error, no connection); a retry may succeed."""


class MessageGoneError(Exception):
    """The lease on a message is lost or the message no longer exists."""


class StorageRefusedError(Exception):
    """Storage refuses permanently, for example because of a wrong key: the host stops, as in Azure."""


class Queue(Protocol):
    """A queue as the listener needs it. Durations are seconds.

    Every method raises StorageUnavailableError and StorageRefusedError; `delete` and `extend` raise MessageGoneError.
    """

    name: str

    async def exists(self) -> bool: ...

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
        """Take up to `count` visible messages, leased for `lease_seconds`."""

    async def delete(self, message_id: str, pop_receipt: str) -> None: ...

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        """Set the seconds until the message is visible. Return the new pop receipt."""

    async def put(self, text: str) -> None:
        """Add a message that expires after seven days (the default); create the queue if it is missing."""


class BlobTexts(Protocol):
    """Named texts in one container. Both raise StorageUnavailableError and StorageRefusedError."""

    async def read(self, name: str) -> str | None: ...

    async def write(self, name: str, text: str) -> None:
        """Replace the text; create the container if it is missing."""
