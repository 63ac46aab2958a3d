"""Azure Storage blobs behind the port `Blobs`."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import quote

from relay.core.errors import AlreadyExists, NotFound
from relay.platform.http.response import RawResponse
from relay.platform.storage import limits
from relay.platform.storage.azure.errors import Boundary
from relay.platform.storage.azure.requests import AzureRequests, Transfer
from relay.platform.storage.azure.session import API_VERSION, READ_SECONDS, AzureSession
from relay.platform.storage.azure.settings import Service
from relay.platform.storage.ports import Blob

BLOCK_BYTES = 4 * 1024 * 1024
"""Larger bodies are uploaded in blocks, because a connection encrypts each write in one piece, which blocks the event loop."""
_WHOLE = {"x-ms-blob-type": "BlockBlob"}
TRANSFER_SECONDS = 120.0
"""Timeout for transferring a whole body. A pause without progress may take `READ_SECONDS` at most."""


class AzureBlobs:
    """The port `Blobs`. `put` and `get` send their own requests; the rest uses the SDK, imported at the first call."""

    def __init__(self, session: AzureSession, requests: AzureRequests) -> None:
        self._session = session
        self._requests = requests
        self._clients: dict[str, Any] = {}

    async def create(self, container: str) -> None:
        """See the port."""
        with suppress(AlreadyExists):
            async with Boundary("blob create"):
                await self._client(container).create_container()

    async def put(
        self, container: str, name: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> None:
        """See the port."""
        if len(body) > BLOCK_BYTES:
            await self.put_stream(container, name, _one(body), content_type=content_type)
            return
        headers = {"content-type": content_type, **_WHOLE}
        await self._send("blob put", "PUT", container, name, headers=headers, body=body)

    async def replace(self, container: str, name: str, body: bytes, *, etag: str) -> None:
        """See the port."""
        headers = {"content-type": "application/octet-stream", "if-match": etag, **_WHOLE}
        await self._send("blob replace", "PUT", container, name, headers=headers, body=body)

    async def put_stream(
        self,
        container: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str = "application/octet-stream",
    ) -> int:
        """See the port. Azure deletes blocks that are never committed after a week, free of charge."""
        blob = self._blob(container, name)
        size = 0
        blocks: list[str] = []
        async with aclosing(_in_blocks(chunks)) as parts:
            async for block in parts:
                size += len(block)
                blocks.append(f"{len(blocks):06}")
                async with Boundary("blob block", TRANSFER_SECONDS):
                    await blob.stage_block(blocks[-1], io.BytesIO(block), len(block))
        async with Boundary("blob commit"):
            await blob.commit_block_list(_block_list(blocks), content_settings=_settings(content_type))
        return size

    async def get(self, container: str, name: str) -> bytes:
        """See the port."""
        return (await self._send("blob get", "GET", container, name)).body

    async def read(self, container: str, name: str) -> tuple[bytes, str]:
        """See the port."""
        response = await self._send("blob get", "GET", container, name)
        return response.body, response.headers["etag"]

    async def stream(self, container: str, name: str) -> AsyncIterator[bytes]:
        """See the port."""
        blob = self._blob(container, name)
        async with Boundary("blob get"):
            download = await blob.download_blob()
        chunks = aiter(download.chunks())
        while True:
            async with Boundary("blob chunk", TRANSFER_SECONDS):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk

    async def delete(self, container: str, name: str) -> None:
        """See the port."""
        blob = self._blob(container, name)
        with suppress(NotFound):
            async with Boundary("blob delete"):
                await blob.delete_blob()

    async def list(
        self, container: str, *, prefix: str = "", limit: int = 1000, cursor: str | None = None
    ) -> tuple[Sequence[Blob], str | None]:
        """See the port."""
        limits.check_range("limit", limit, 1, limits.MAX_PAGE_ROWS)
        client = self._client(container)
        async with Boundary("blob list"):
            pages = client.list_blobs(name_starts_with=prefix or None, results_per_page=limit).by_page(cursor)
            blobs = [_blob(each) async for each in await anext(pages)]
        return blobs, pages.continuation_token or None

    async def _send(
        self, what: str, method: str, container: str, name: str, *, headers: Mapping[str, str] = {}, body: bytes = b""
    ) -> RawResponse:
        limits.check_blob_name(name)
        target = f"{container}/{quote(name, safe='~/')}"
        transfer = Transfer(seconds=TRANSFER_SECONDS, stalled_seconds=READ_SECONDS)
        return await self._requests.send(what, method, target, headers=headers, body=body, transfer=transfer)

    def _blob(self, container: str, name: str) -> Any:
        limits.check_blob_name(name)
        return self._client(container).get_blob_client(name)

    def _client(self, container: str) -> Any:
        client = self._clients.get(container)
        if client is None:
            from azure.storage.blob.aio import ContainerClient

            client = self._session.client(
                ContainerClient,
                Service.BLOB,
                container,
                api_version=API_VERSION,
                max_single_get_size=BLOCK_BYTES,
                max_chunk_get_size=BLOCK_BYTES,
            )
            self._clients[container] = client
        return client


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _in_blocks(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the same bytes in blocks of `BLOCK_BYTES`; the last may be shorter. Buffers about one block and one chunk."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        while len(held) >= BLOCK_BYTES:
            yield bytes(held[:BLOCK_BYTES])
            del held[:BLOCK_BYTES]
    if held:
        yield bytes(held)


def _settings(content_type: str) -> Any:
    from azure.storage.blob import ContentSettings

    return ContentSettings(content_type=content_type)


def _block_list(blocks: Sequence[str]) -> Sequence[Any]:
    from azure.storage.blob import BlobBlock

    return [BlobBlock(block) for block in blocks]


def _blob(properties: Any) -> Blob:
    return Blob(name=properties.name, size=properties.size, modified_at=properties.last_modified)
