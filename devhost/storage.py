"""The host's own use of Azure Storage: the queues it listens to and the blobs that hold timer state.

The only module that imports the storage SDKs, and only once a trigger needs them.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any, Protocol

from devhost.queue_rules import QueueMessage

log = logging.getLogger("devhost.storage")


class StorageUnavailableError(Exception):
    """Storage cannot be used now (queue absent, server or connection failure); trying again may help."""


class MessageGoneError(Exception):
    """The lease on a message is lost or the message no longer exists."""


class Queue(Protocol):
    """A queue as the listener needs it. Durations are seconds.

    Every method raises StorageUnavailableError; `delete` and `extend` raise MessageGoneError.
    """

    name: str

    async def exists(self) -> bool: ...

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]: ...

    async def delete(self, message_id: str, pop_receipt: str) -> None: ...

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        """Sets the time until the message is visible; gives the new pop receipt."""

    async def put(self, text: str) -> None:
        """Adds a message with the default life of seven days; creates the queue if it is absent."""


class BlobTexts(Protocol):
    """Named texts in one container. Both raise StorageUnavailableError."""

    async def read(self, name: str) -> str | None: ...

    async def write(self, name: str, text: str) -> None: ...


class _Failure(Enum):
    UNAVAILABLE = "unavailable"
    GONE = "gone"
    UNEXPECTED = "unexpected"


def _classify(status: int | None, code: str) -> _Failure:
    if status is None or status >= 500:
        return _Failure.UNAVAILABLE
    if code in {"QueueNotFound", "QueueBeingDeleted", "QueueDisabled"}:
        return _Failure.UNAVAILABLE
    if status in {404, 409} or code == "PopReceiptMismatch":
        return _Failure.GONE
    return _Failure.UNEXPECTED


@asynccontextmanager
async def _mapped(queue: str) -> AsyncIterator[None]:
    """Maps SDK errors; what is neither passing nor a lost lease goes through and stops the host, as in Azure."""
    from azure.core.exceptions import AzureError, HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        code = str(getattr(error, "error_code", "") or "")
        match _classify(error.status_code, code):
            case _Failure.UNAVAILABLE:
                raise StorageUnavailableError(f"queue {queue}: {error.status_code} {code}") from error
            case _Failure.GONE:
                raise MessageGoneError(f"queue {queue}: {error.status_code} {code}") from error
            case _Failure.UNEXPECTED:
                raise
    except AzureError as error:
        raise StorageUnavailableError(f"queue {queue}: {type(error).__name__}") from error


class StorageQueue:
    """A queue in Azure Storage, its texts neither encoded nor decoded by the SDK."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.name: str = client.queue_name

    async def exists(self) -> bool:
        from azure.core.exceptions import ResourceNotFoundError

        async with _mapped(self.name):
            try:
                await self._client.get_queue_properties(logging_enable=False)
            except ResourceNotFoundError:
                return False
        return True

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
        async with _mapped(self.name):
            pages = self._client.receive_messages(
                messages_per_page=count, visibility_timeout=lease_seconds, logging_enable=False
            ).by_page()
            # Paging further would be a second poll: one page is one Get Messages call.
            async for page in pages:
                return [_message(item) async for item in page]
        return []

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        async with _mapped(self.name):
            await self._client.delete_message(message_id, pop_receipt, logging_enable=False)

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        async with _mapped(self.name):
            updated = await self._client.update_message(
                message_id, pop_receipt, visibility_timeout=seconds, logging_enable=False
            )
        return str(updated.pop_receipt)

    async def put(self, text: str) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        async with _mapped(self.name):
            try:
                await self._client.send_message(text, logging_enable=False)
            except ResourceNotFoundError:
                try:
                    await self._client.create_queue()
                except ResourceExistsError:
                    log.debug("Queue %s was created by another", self.name)
                await self._client.send_message(text, logging_enable=False)


def _message(item: Any) -> QueueMessage:
    return QueueMessage(
        id=item.id,
        pop_receipt=item.pop_receipt,
        text=item.content or "",
        dequeue_count=int(item.dequeue_count),
        inserted_at=item.inserted_on,
        expires_at=item.expires_on,
        next_visible_at=item.next_visible_on,
    )


class BlobContainer:
    """Texts in a container of Azure Storage, created when first written to."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def read(self, name: str) -> str | None:
        from azure.core.exceptions import AzureError, ResourceNotFoundError

        try:
            stream = await self._client.download_blob(name)
            return str((await stream.readall()).decode())
        except ResourceNotFoundError:
            return None
        except AzureError as error:
            raise StorageUnavailableError(f"blob {name}: {type(error).__name__}") from error

    async def write(self, name: str, text: str) -> None:
        from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError

        try:
            try:
                await self._client.upload_blob(name, text.encode(), overwrite=True)
            except ResourceNotFoundError:
                try:
                    await self._client.create_container()
                except ResourceExistsError:
                    log.debug("The container was created by another")
                await self._client.upload_blob(name, text.encode(), overwrite=True)
        except AzureError as error:
            raise StorageUnavailableError(f"blob {name}: {type(error).__name__}") from error


class Storage:
    """Makes clients over one pooled HTTP session; `close` ends them all."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._session: Any = None
        self._queues: dict[tuple[str, str], StorageQueue] = {}

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()

    def queue(self, connection_string: str, name: str) -> StorageQueue:
        """The queue of that name. The same arguments give the same object."""
        from azure.storage.queue.aio import QueueClient

        key = (connection_string, name)
        if key not in self._queues:
            client = QueueClient.from_connection_string(
                connection_string, name, transport=self._shared_transport(), message_encode_policy=None
            )
            self._queues[key] = StorageQueue(client)
        return self._queues[key]

    def container(self, connection_string: str, name: str) -> BlobContainer:
        """The blob container of that name."""
        from azure.storage.blob.aio import ContainerClient

        client = ContainerClient.from_connection_string(connection_string, name, transport=self._shared_transport())
        return BlobContainer(client)

    def _shared_transport(self) -> Any:
        if self._transport is None:
            import aiohttp
            from azure.core.pipeline.transport import AioHttpTransport

            # Each listener deletes up to 48 messages at a time; the default of 100 connections for all would queue them.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, trust_env=False
            )
            self._transport = AioHttpTransport(session=self._session, session_owner=False)
        return self._transport
