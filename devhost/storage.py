"""The host's own use of storage, as its parts need it: queues to listen to, and small texts in blobs."""

from __future__ import annotations

from typing import Protocol

from devhost.queue_rules import QueueMessage


class StorageUnavailableError(Exception):
    """Storage cannot be used now (queue absent, server or connection failure); trying again may help."""


class MessageGoneError(Exception):
    """The lease on a message is lost or the message no longer exists."""


class StorageRefusedError(Exception):
    """Storage refuses for good, such as a wrong key: the host stops, as in Azure."""


class Queue(Protocol):
    """A queue as the listener needs it. Durations are seconds.

    Every method raises StorageUnavailableError and StorageRefusedError; `delete` and `extend` raise MessageGoneError.
    """

    name: str

    async def exists(self) -> bool: ...

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
        """Takes up to `count` visible messages for so many seconds."""

    async def delete(self, message_id: str, pop_receipt: str) -> None: ...

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        """Sets the time until the message is visible; gives the new pop receipt."""

    async def put(self, text: str) -> None:
        """Adds a message with the default life of seven days; creates the queue if it is absent."""


class BlobTexts(Protocol):
    """Named texts in one container. Both raise StorageUnavailableError and StorageRefusedError."""

    async def read(self, name: str) -> str | None: ...

    async def write(self, name: str, text: str) -> None:
        """Replaces the text; creates the container if it is absent."""
