"""Where a text is stored: every row of every table, and every blob, of any adapter."""

from collections.abc import AsyncIterator

from relay.platform.resources import CONTAINERS, TABLES
from relay.platform.storage.ports import Query, Storage, every_row


async def traces(storage: Storage, *texts: str) -> list[str]:
    """The places where any of these texts is stored."""
    return [place async for place, stored in _everything(storage) if any(text.encode() in stored for text in texts)]


async def _everything(storage: Storage) -> AsyncIterator[tuple[str, bytes]]:
    for table in TABLES:
        async for row in every_row(storage.tables, table, Query()):
            values = (value if isinstance(value, bytes) else str(value).encode() for value in row.properties.values())
            yield f"{table}: {row.partition} {row.row}", b"\n".join((row.partition.encode(), row.row.encode(), *values))
    for container in CONTAINERS:
        cursor: str | None = None
        while True:
            page, cursor = await storage.blobs.list(container, cursor=cursor)
            for blob in page:
                yield f"{container}: {blob.name}", blob.name.encode() + await storage.blobs.get(container, blob.name)
            if cursor is None:
                break
