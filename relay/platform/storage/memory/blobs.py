"""Store blobs in memory: the double of Azure Storage blobs, for tests and local trials."""

from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.core.errors import Changed, NotFound
from relay.platform.storage import limits
from relay.platform.storage.ports import Blob

type Clock = Callable[[], datetime]

_CHUNK_BYTES = 4 * 1024 * 1024


class _StoredBlob(msgspec.Struct, frozen=True, kw_only=True):
    body: bytes
    content_type: str
    modified_at: datetime
    etag: str


class BlobsSnapshot(msgspec.Struct, frozen=True):
    """A copy of the contents of all containers."""

    containers: Mapping[str, Mapping[str, _StoredBlob]]


class MemoryBlobs:
    """The port `Blobs`. Modification times come from the clock, in whole seconds as in Azure."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._containers: dict[str, dict[str, _StoredBlob]] = {}
        self._writes = 0

    def snapshot(self) -> BlobsSnapshot:
        """Copy the current contents. The copy can be restored any number of times."""
        return BlobsSnapshot({name: dict(container) for name, container in self._containers.items()})

    def restore(self, snapshot: BlobsSnapshot) -> None:
        """Replace the contents with the snapshot."""
        self._containers = {name: dict(container) for name, container in snapshot.containers.items()}

    def content_type(self, container: str, name: str) -> str:
        """Return the content type that a blob was written with."""
        return self._blob(container, name).content_type

    async def create(self, container: str) -> None:
        """See the port."""
        self._containers.setdefault(container, {})

    async def put(
        self, container: str, name: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> None:
        """See the port."""
        limits.check_blob_name(name)
        self._writes += 1
        modified_at = self._clock().replace(microsecond=0)
        stored = _StoredBlob(
            body=bytes(body), content_type=content_type, modified_at=modified_at, etag=f'"{self._writes}"'
        )
        self._container(container)[name] = stored

    async def replace(self, container: str, name: str, body: bytes, *, etag: str) -> None:
        """See the port."""
        limits.check_blob_name(name)
        stored = self._container(container).get(name)
        if stored is None or stored.etag != etag:
            raise Changed("the blob was written or deleted since")
        await self.put(container, name, body)

    async def put_stream(
        self,
        container: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str = "application/octet-stream",
    ) -> int:
        """See the port. If the stream fails, the previous blob stays."""
        self._container(container)
        body = b"".join([chunk async for chunk in chunks])
        await self.put(container, name, body, content_type=content_type)
        return len(body)

    async def get(self, container: str, name: str) -> bytes:
        """See the port."""
        return self._blob(container, name).body

    async def read(self, container: str, name: str) -> tuple[bytes, str]:
        """See the port."""
        stored = self._blob(container, name)
        return stored.body, stored.etag

    async def stream(self, container: str, name: str) -> AsyncIterator[bytes]:
        """See the port."""
        body = self._blob(container, name).body
        for start in range(0, len(body), _CHUNK_BYTES):
            yield body[start : start + _CHUNK_BYTES]

    async def delete(self, container: str, name: str) -> None:
        """See the port."""
        limits.check_blob_name(name)
        self._containers.get(container, {}).pop(name, None)

    async def list(
        self, container: str, *, prefix: str = "", limit: int = 1000, cursor: str | None = None
    ) -> tuple[Sequence[Blob], str | None]:
        """See the port."""
        limits.check_range("limit", limit, 1, limits.MAX_PAGE_ROWS)
        stored = self._container(container)
        names = sorted(name for name in stored if name.startswith(prefix))
        start = 0 if cursor is None else bisect_left(names, cursor)
        page = [_blob(name, stored[name]) for name in names[start : start + limit]]
        following = names[start + limit : start + limit + 1]
        return page, following[0] if following else None

    def _container(self, container: str) -> dict[str, _StoredBlob]:
        try:
            return self._containers[container]
        except KeyError:
            raise NotFound(f"there is no container {container}") from None

    def _blob(self, container: str, name: str) -> _StoredBlob:
        limits.check_blob_name(name)
        try:
            return self._container(container)[name]
        except KeyError:
            raise NotFound(f"container {container} has no such blob") from None


def _blob(name: str, stored: _StoredBlob) -> Blob:
    return Blob(name=name, size=len(stored.body), modified_at=stored.modified_at)
