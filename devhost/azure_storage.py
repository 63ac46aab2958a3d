"""Azure Storage over its REST interface: Queue and Blob calls on one pooled HTTP session.

The vendor's client would cost the host more than the invocation that it is for: a delete took 380 µs of CPU with it
and takes a third of that here. Which calls there are: learn.microsoft.com/rest/api/storageservices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import msgspec

from devhost.queue_rules import QueueMessage
from devhost.shared_key import Account, parse_account, request_url, signed_headers
from devhost.storage import MessageGoneError, StorageRefusedError, StorageUnavailableError

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger("devhost.storage")

TIMEOUT_SECONDS = 60
# Below the five seconds after which Azurite (a Node.js server) closes an idle connection.
KEEP_ALIVE_SECONDS = 3
# A settling call is tried so often again, as the vendor's client of the genuine host does.
RETRY_AFTER_SECONDS = (0.8, 1.6, 3.2)
type Pause = Callable[[float], Awaitable[None]]

QUEUE_AWAY = frozenset({"QueueNotFound", "QueueBeingDeleted", "QueueDisabled"})


class Answer(msgspec.Struct, frozen=True):
    """An answer that is no error, or one that the caller said it expects."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Service:
    """Signed requests to one end point of an account."""

    def __init__(self, session: aiohttp.ClientSession, account: Account, endpoint: str) -> None:
        self._session = session
        self._account = account
        self._endpoint = endpoint

    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        expects: frozenset[int] = frozenset(),
    ) -> Answer:
        """Sends once. Raises this package's storage errors; a status in `expects` is an answer."""
        import aiohttp
        from yarl import URL

        signed = signed_headers(
            self._account,
            method=method,
            endpoint=self._endpoint,
            path=path,
            query=query,
            body=body,
            date=format_datetime(datetime.now(UTC), usegmt=True),
            headers=headers or {},
        )
        url = URL(request_url(self._endpoint, path, query), encoded=True)
        try:
            async with self._session.request(method, url, data=body or None, headers=signed) as response:
                answer = Answer(response.status, await response.read(), response.headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StorageUnavailableError(f"{method} {path.split('/', 1)[0]}: {type(error).__name__}") from error
        if answer.status >= 400 and answer.status not in expects:
            raise _failure(method, path, answer)
        return answer


def _failure(method: str, path: str, answer: Answer) -> Exception:
    code = answer.headers.get("x-ms-error-code", "")
    text = f"{method} {path.split('/', 1)[0]}: {answer.status} {code}"
    if answer.status >= 500 or code in QUEUE_AWAY:
        return StorageUnavailableError(text)
    if answer.status in {404, 409} or code == "PopReceiptMismatch":
        return MessageGoneError(text)
    return StorageRefusedError(text)


class StorageQueue:
    """A queue in Azure Storage, its texts neither encoded nor decoded."""

    def __init__(self, service: Service, name: str, *, pause: Pause) -> None:
        self.name = name
        self._service = service
        self._pause = pause

    async def exists(self) -> bool:
        query = {"comp": "metadata"}
        return (await self._service.send("GET", self.name, query, expects=frozenset({404}))).status == 200

    async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
        query = {"numofmessages": str(count), "visibilitytimeout": str(lease_seconds)}
        answer = await self._service.send("GET", f"{self.name}/messages", query)
        # The text comes from the storage account that holds the host's own messages and keys.
        return [_message(item) for item in ElementTree.fromstring(answer.body)]  # noqa: S314

    async def delete(self, message_id: str, pop_receipt: str) -> None:
        path, query = f"{self.name}/messages/{message_id}", {"popreceipt": pop_receipt}
        await self._settled(lambda: self._service.send("DELETE", path, query))

    async def extend(self, message_id: str, pop_receipt: str, seconds: int) -> str:
        path = f"{self.name}/messages/{message_id}"
        query = {"popreceipt": pop_receipt, "visibilitytimeout": str(seconds)}
        answer = await self._settled(lambda: self._service.send("PUT", path, query))
        return answer.headers["x-ms-popreceipt"]

    async def put(self, text: str) -> None:
        # A bare carriage return would be read back as a line feed.
        body = f"<QueueMessage><MessageText>{escape(text, {'\r': '&#13;'})}</MessageText></QueueMessage>".encode()
        await self._settled(lambda: self._put(body))

    async def _settled[Result](self, call: Callable[[], Awaitable[Result]]) -> Result:
        """Calls again after a passing failure: unlike a poll, a settling call has no next round."""
        for seconds in RETRY_AFTER_SECONDS:
            try:
                return await call()
            except StorageUnavailableError as error:
                log.warning("Trying again in %s seconds: %s", seconds, error)
                await self._pause(seconds)
        return await call()

    async def _put(self, body: bytes) -> None:
        path, absent = f"{self.name}/messages", frozenset({404})
        if (await self._service.send("POST", path, {}, body=body, expects=absent)).status != 404:
            return
        # 409: created by another meanwhile.
        await self._service.send("PUT", self.name, {}, expects=frozenset({409}))
        await self._service.send("POST", path, {}, body=body)


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
    """Texts in a container of Azure Storage, created when first written to."""

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._name = name

    async def read(self, name: str) -> str | None:
        answer = await self._service.send("GET", f"{self._name}/{name}", {}, expects=frozenset({404}))
        return None if answer.status == 404 else answer.body.decode()

    async def write(self, name: str, text: str) -> None:
        absent = frozenset({404})
        if (await self._write(name, text, expects=absent)).status == 404:
            await self._service.send("PUT", self._name, {"restype": "container"}, expects=frozenset({409}))
            await self._write(name, text, expects=frozenset())

    async def _write(self, name: str, text: str, *, expects: frozenset[int]) -> Answer:
        return await self._service.send(
            "PUT",
            f"{self._name}/{name}",
            {},
            body=text.encode(),
            headers={"x-ms-blob-type": "BlockBlob"},
            expects=expects,
        )


class Storage:
    """Makes queues and containers over one HTTP session, opened when first needed; `close` ends it.

    `pause` waits so many seconds between the tries of a settling call.
    """

    def __init__(self, pause: Pause = asyncio.sleep) -> None:
        self._pause = pause
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()

    def queue(self, connection_string: str, name: str) -> StorageQueue:
        """The queue of that name. Raises FunctionConfigurationError."""
        account = parse_account(connection_string)
        return StorageQueue(Service(self._opened(), account, account.queue_endpoint), name, pause=self._pause)

    def container(self, connection_string: str, name: str) -> BlobContainer:
        """The blob container of that name. Raises FunctionConfigurationError."""
        account = parse_account(connection_string)
        return BlobContainer(Service(self._opened(), account, account.blob_endpoint), name)

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                # No limit: each listener settles up to 48 messages at a time, and none must wait for another's.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                auto_decompress=False,
                # What is not signed must not be sent.
                skip_auto_headers=("Content-Type", "User-Agent", "Accept-Encoding"),
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
