"""The host's queues and blobs in Azure Storage, over Relay's signed requests (`relay.platform.storage.azure.requests`).

The app's own storage ports do not fit: they have no lease renewal, pop receipts or message times, and they map a wrong
key to a passing error, where the genuine host stops. Reference: learn.microsoft.com/rest/api/storageservices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from html import escape
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from devhost.queue_rules import QueueMessage
from devhost.settings import FunctionConfigurationError
from devhost.storage import MessageGoneError, StorageRefusedError, StorageUnavailableError
from relay.core.errors import Unavailable
from relay.platform.http.response import RawResponse
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.session import AzureSession
from relay.platform.storage.azure.settings import Service, read_account

log = logging.getLogger("devhost.azure_storage")

# The pauses between attempts of a settling call, as in the vendor's client that the genuine host uses.
RETRY_AFTER_SECONDS = (0.8, 1.6, 3.2)
type Pause = Callable[[float], Awaitable[None]]

QUEUE_AWAY = frozenset({"QueueNotFound", "QueueBeingDeleted", "QueueDisabled"})
_XML = {"content-type": "application/xml"}
_BLOB = {"content-type": "application/octet-stream", "x-ms-blob-type": "BlockBlob"}


async def _send(
    requests: AzureRequests,
    method: str,
    path: str,
    query: Mapping[str, str] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    expects: frozenset[int] = frozenset(),
) -> RawResponse:
    """Send once. Raises this package's storage errors; a status in `expects` is returned instead."""
    target = f"{quote(path)}?{urlencode(query, quote_via=quote, safe='')}" if query else quote(path)
    what = f"{method} {path.split('/', 1)[0]}"
    try:
        response = await requests.exchange(what, method, target, headers=headers, body=body)
    except Unavailable as error:
        raise StorageUnavailableError(str(error)) from error
    if response.status >= 400 and response.status not in expects:
        raise _failure(what, response)
    return response


def _failure(what: str, response: RawResponse) -> Exception:
    code = response.headers.get("x-ms-error-code", "")
    text = f"{what}: {response.status} {code}"
    if response.status >= 500 or code in QUEUE_AWAY:
        return StorageUnavailableError(text)
    if response.status in {404, 409} or code == "PopReceiptMismatch":
        return MessageGoneError(text)
    return StorageRefusedError(text)


class StorageQueue:
    """A queue in Azure Storage. Message texts are neither encoded nor decoded."""

    def __init__(self, requests: AzureRequests, name: str, *, pause: Pause) -> None:
        self.name = name
        self._requests = requests
        self._pause = pause

    async def exists(self) -> bool:
        query = {"comp": "metadata"}
        return (await _send(self._requests, "GET", self.name, query, expects=frozenset({404}))).status == 200

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
        query = {"numofmessages": str(count), "visibilitytimeout": str(lease_seconds)}
        response = await _send(self._requests, "GET", f"{self.name}/messages", query)
        # The text comes from the storage account that holds the host's own messages and keys.
        return [_message(item) for item in ElementTree.fromstring(response.body)]  # noqa: S314

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        await self._settled("DELETE", f"{self.name}/messages/{message_id}", {"popreceipt": pop_receipt})

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        query = {"popreceipt": pop_receipt, "visibilitytimeout": str(seconds)}
        response = await self._settled("PUT", f"{self.name}/messages/{message_id}", query)
        return response.headers["x-ms-popreceipt"]

    async def put(self, text: str) -> None:
        # XML parsers read a bare carriage return as a line feed, and Azurite can break a character that is not ASCII.
        escaped = escape(text, quote=False).replace("\r", "&#13;")
        body = f"<QueueMessage><MessageText>{escaped}</MessageText></QueueMessage>".encode("ascii", "xmlcharrefreplace")
        path, absent = f"{self.name}/messages", frozenset({404})
        if (await self._settled("POST", path, body=body, expects=absent)).status == 404:
            # 409: another host has created it since.
            await self._settled("PUT", self.name, expects=frozenset({409}))
            await self._settled("POST", path, body=body)

    async def _settled(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        expects: frozenset[int] = frozenset(),
    ) -> RawResponse:
        """Send a call that settles a message, with retries: unlike a poll, it has no next round."""
        headers = _XML if body else None

        async def call() -> RawResponse:
            return await _send(self._requests, method, path, query, headers=headers, body=body, expects=expects)

        for seconds in RETRY_AFTER_SECONDS:
            try:
                return await call()
            except StorageUnavailableError as error:
                log.warning("Retrying in %s seconds: %s", seconds, error)
                await self._pause(seconds)
        return await call()


def _message(item: ElementTree.Element) -> QueueMessage:
    fields = {child.tag: child.text or "" for child in item}
    return QueueMessage(
        id=fields["MessageId"],
        pop_receipt=fields["PopReceipt"],
        text=fields["MessageText"],
        dequeue_count=int(fields["DequeueCount"]),
        inserted_at=parsedate_to_datetime(fields["InsertionTime"]),
        expires_at=parsedate_to_datetime(fields["ExpirationTime"]),
        next_visible_at=parsedate_to_datetime(fields["TimeNextVisible"]),
    )


class BlobContainer:
    """Texts in a container of Azure Storage, created by the first write."""

    def __init__(self, requests: AzureRequests, name: str) -> None:
        self._requests = requests
        self._name = name

    async def read(self, name: str) -> str | None:
        response = await _send(self._requests, "GET", f"{self._name}/{name}", expects=frozenset({404}))
        return None if response.status == 404 else response.body.decode()

    async def write(self, name: str, text: str) -> None:
        if (await self._write(name, text, expects=frozenset({404}))).status == 404:
            await _send(self._requests, "PUT", self._name, {"restype": "container"}, expects=frozenset({409}))
            await self._write(name, text, expects=frozenset())

    async def _write(self, name: str, text: str, *, expects: frozenset[int]) -> RawResponse:
        path, body = f"{self._name}/{name}", text.encode()
        return await _send(self._requests, "PUT", path, headers=_BLOB, body=body, expects=expects)


class Storage:
    """Makes queues and containers; `close` ends their connections. `pause` waits between attempts of a settling call."""

    def __init__(self, pause: Pause = asyncio.sleep) -> None:
        self._pause = pause
        self._requests: dict[tuple[str, Service, str], AzureRequests] = {}

    async def close(self) -> None:
        """Close the connections."""
        for requests in self._requests.values():
            requests.close()

    def queue(self, connection_string: str, name: str) -> StorageQueue:
        """Return the queue of that name. Raises FunctionConfigurationError for a wrong connection string."""
        return StorageQueue(self._requests_to(connection_string, Service.QUEUE, name), name, pause=self._pause)

    def container(self, connection_string: str, name: str) -> BlobContainer:
        """Return the blob container of that name. Raises FunctionConfigurationError for a wrong connection string."""
        return BlobContainer(self._requests_to(connection_string, Service.BLOB, name), name)

    def _requests_to(self, connection_string: str, service: Service, name: str) -> AzureRequests:
        # Each queue has its own connections, so that no listener waits for another's.
        wanted = (connection_string, service, name)
        if wanted not in self._requests:
            try:
                account = read_account(connection_string)
            except ValueError as error:
                raise FunctionConfigurationError(f"the storage connection string {error}.") from None
            self._requests[wanted] = AzureRequests(AzureSession(account), service)
        return self._requests[wanted]
