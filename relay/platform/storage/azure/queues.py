"""Azure Storage queues behind the port `Queues`."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from relay.core.errors import AlreadyExists, Changed, NotFound
from relay.platform.storage import limits
from relay.platform.storage.azure.errors import Boundary
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.session import API_VERSION, AzureSession
from relay.platform.storage.azure.settings import Service
from relay.platform.storage.ports import Received

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_NEVER_EXPIRES = -1
_XML = {"content-type": "application/xml"}


class AzureQueues:
    """The port `Queues`. The SDK creates queues and takes entries. All other operations, needed every minute or by messages, send
    their own requests: the SDK, imported at its first call, takes 20 MiB of a process.
    """

    def __init__(self, session: AzureSession, requests: AzureRequests) -> None:
        self._session = session
        self._requests = requests
        self._clients: dict[str, Any] = {}

    async def create(self, queue: str) -> None:
        """See the port."""
        with suppress(AlreadyExists):
            async with Boundary("queue create"):
                await self._client(queue).create_queue()

    async def exists(self, queue: str) -> bool:
        """See the port."""
        with suppress(NotFound):
            await self._requests.send("queue exists", "GET", f"{queue}?comp=metadata")
            return True
        return False

    async def names(self, prefix: str) -> Sequence[str]:
        """See the port."""
        found: list[str] = []
        query = {"comp": "list", "prefix": prefix}
        while True:
            response = await self._requests.send("queue list", "GET", f"?{urlencode(query, quote_via=quote)}")
            listed = _parsed(response.body)
            found += [name.text or "" for name in listed.iterfind("Queues/Queue/Name")]
            marker = listed.findtext("NextMarker")
            if not marker:
                return sorted(found)
            query["marker"] = marker

    async def put(self, queue: str, body: bytes, *, delay_seconds: int = 0) -> None:
        """See the port."""
        limits.check_queue_entry(body)
        limits.check_range("delay_seconds", delay_seconds, 0, limits.MAX_DELAY_SECONDS)
        await self._requests.send(
            "queue put",
            "POST",
            f"{queue}/messages?visibilitytimeout={delay_seconds}&messagettl={_NEVER_EXPIRES}",
            headers=_XML,
            body=b"<QueueMessage><MessageText>%s</MessageText></QueueMessage>" % self._escaped(body),
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
            response = await self._requests.send("queue count", "GET", f"{queue}?comp=metadata")
            return int(response.headers["x-ms-approximate-messages-count"])
        return 0

    async def oldest_inserted_at(self, queue: str) -> datetime | None:
        """See the port."""
        with suppress(NotFound):
            response = await self._requests.send("queue peek", "GET", f"{queue}/messages?peekonly=true&numofmessages=1")
            inserted_at = _parsed(response.body).findtext("QueueMessage/InsertionTime")
            return parsedate_to_datetime(inserted_at) if inserted_at else None
        return None

    def _escaped(self, body: bytes) -> bytes:
        # Escape bytes, not text: to replace a character that does not occur then takes a fiftieth of the time.
        escaped = body.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
        # Azurite decodes each chunk that it reads separately, which breaks a character at the end of a chunk.
        return escaped.decode().encode("ascii", "xmlcharrefreplace") if self._requests.is_emulator else escaped

    def _client(self, queue: str) -> Any:
        client = self._clients.get(queue)
        if client is None:
            from azure.storage.queue.aio import QueueClient

            client = self._session.client(QueueClient, Service.QUEUE, queue, api_version=API_VERSION)
            self._clients[queue] = client
        return client


def _parsed(body: bytes) -> "Element":
    from xml.etree import ElementTree

    return ElementTree.fromstring(body)  # noqa: S314 - the response of the account that holds the messages


def _received(message: Any) -> Received:
    return Received(
        id=message.id,
        receipt=message.pop_receipt,
        # The SDK returns None for an empty text.
        body=(message.content or "").encode(),
        dequeue_count=int(message.dequeue_count),
        inserted_at=message.inserted_on,
    )
