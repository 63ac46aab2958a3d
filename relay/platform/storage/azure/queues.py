"""Azure Storage queues behind the port `Queues`."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from html import escape
from typing import Any

from relay.core.errors import AlreadyExists, Changed, NotFound
from relay.platform.storage import limits
from relay.platform.storage.azure.errors import Boundary
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.session import API_VERSION, AzureSession
from relay.platform.storage.azure.settings import Service
from relay.platform.storage.ports import Received

_NEVER_EXPIRES = -1
_XML = {"content-type": "application/xml"}


class AzureQueues:
    """The port `Queues`. `put` sends its own request; everything else uses the SDK, imported at the first call."""

    def __init__(self, session: AzureSession, requests: AzureRequests) -> None:
        self._session = session
        self._requests = requests
        self._clients: dict[str, Any] = {}
        self._service: Any = None

    async def create(self, queue: str) -> None:
        """See the port."""
        with suppress(AlreadyExists):
            async with Boundary("queue create"):
                await self._client(queue).create_queue()

    async def exists(self, queue: str) -> bool:
        """See the port."""
        with suppress(NotFound):
            async with Boundary("queue exists"):
                await self._client(queue).get_queue_properties()
            return True
        return False

    async def names(self, prefix: str) -> Sequence[str]:
        """See the port."""
        if self._service is None:
            from azure.storage.queue.aio import QueueServiceClient

            self._service = self._session.service(QueueServiceClient, Service.QUEUE, api_version=API_VERSION)
        async with Boundary("queue list"):
            return sorted([str(each.name) async for each in self._service.list_queues(name_starts_with=prefix)])

    async def put(self, queue: str, body: bytes, *, delay_seconds: int = 0) -> None:
        """See the port."""
        text = limits.queue_text(body)
        limits.check_range("delay_seconds", delay_seconds, 0, limits.MAX_DELAY_SECONDS)
        await self._requests.send(
            "queue put",
            "POST",
            f"{queue}/messages?visibilitytimeout={delay_seconds}&messagettl={_NEVER_EXPIRES}",
            headers=_XML,
            body=self._encoded(f"<QueueMessage><MessageText>{escape(text, quote=False)}</MessageText></QueueMessage>"),
        )

    async def receive(self, queue: str, *, limit: int = 1, lease_seconds: int = 600) -> Sequence[Received]:
        """See the port."""
        limits.check_range("limit", limit, 1, limits.MAX_RECEIVED)
        limits.check_range("lease_seconds", lease_seconds, 1, limits.MAX_DELAY_SECONDS)
        client = self._client(queue)
        async with Boundary("queue receive"):
            pages = client.receive_messages(messages_per_page=limit, visibility_timeout=lease_seconds).by_page()
            # One page is one call. Do not fetch further pages.
            async for page in pages:
                return [_received(message) async for message in page]
        return []

    async def delete(self, queue: str, received: Received) -> None:
        """See the port."""
        with suppress(NotFound, Changed):
            async with Boundary("queue delete"):
                await self._client(queue).delete_message(received.id, received.receipt)

    async def count(self, queue: str) -> int:
        """See the port."""
        with suppress(NotFound):
            async with Boundary("queue count"):
                properties = await self._client(queue).get_queue_properties()
            return int(properties.approximate_message_count or 0)
        return 0

    async def oldest_inserted_at(self, queue: str) -> datetime | None:
        """See the port."""
        with suppress(NotFound):
            async with Boundary("queue peek"):
                peeked = await self._client(queue).peek_messages(max_messages=1)
            return peeked[0].inserted_on if peeked else None
        return None

    def _encoded(self, text: str) -> bytes:
        # Azurite decodes each chunk that it reads separately, which breaks a character at the end of a chunk.
        return text.encode("ascii", "xmlcharrefreplace") if self._requests.is_emulator else text.encode()

    def _client(self, queue: str) -> Any:
        client = self._clients.get(queue)
        if client is None:
            from azure.storage.queue.aio import QueueClient

            client = self._session.client(QueueClient, Service.QUEUE, queue, api_version=API_VERSION)
            self._clients[queue] = client
        return client


def _received(message: Any) -> Received:
    return Received(
        id=message.id,
        receipt=message.pop_receipt,
        # The SDK returns None for an empty text.
        body=(message.content or "").encode(),
        dequeue_count=int(message.dequeue_count),
        inserted_at=message.inserted_on,
    )
