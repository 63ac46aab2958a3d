"""The ports of storage: one protocol each for queues, tables and blobs.

Every method may raise `relay.core.errors.Unavailable` (throttled, down or timed out: the effect is unknown).
No adapter retries for longer than a few seconds: callers return 503 or leave the entry to the host.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from relay.platform.concurrency import NEVER, Deadline, Progress, process

DELETES_AT_ONCE = 8

type Value = str | int | bool | float | bytes | datetime
"""A value of a table property. Strings: at most 32,768 UTF-16 units; bytes: at most 65,536; ints are 64 bit."""


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A table row. At most 252 properties besides its keys and 1 MiB in all. `etag` is empty before the first write.

    `written_at` is the service's own time of the last write; None for a row that was not read.
    """

    partition: str
    row: str
    properties: Mapping[str, Value]
    etag: str = ""
    written_at: datetime | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of rows. `next` is an opaque cursor for the following page, or None on the last."""

    entities: Sequence[Entity]
    next: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A range of a table. Bounds compare as strings, `*_from` inclusive, `*_before` exclusive; None is open.

    `equals` filters on properties on the server's side: it saves transfer, not scanning.
    `select` names the properties wanted (keys always come); None means all.
    """

    partition: str | None = None
    partition_from: str | None = None
    partition_before: str | None = None
    row: str | None = None
    row_from: str | None = None
    row_before: str | None = None
    equals: Mapping[str, str | int | bool] = {}
    select: Sequence[str] | None = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A queue entry under lease. `delete` needs `receipt`. `dequeue_count` starts at 1."""

    id: str
    receipt: str
    body: bytes
    dequeue_count: int
    inserted_at: datetime


class Queues(Protocol):
    """Storage queues. Bodies are UTF-8 text of at most 65,536 bytes, put with TTL -1 (they never expire)."""

    async def create(self, queue: str) -> None:
        """Create the queue unless it exists."""

    async def exists(self, queue: str) -> bool:
        """Return whether the queue exists."""

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the sorted names of the queues whose names begin with `prefix`."""

    async def put(self, queue: str, body: bytes, *, delay_seconds: int = 0) -> None:
        """Put one entry, visible after `delay_seconds` (0 to 604,800). Raises `NotFound` when the queue is missing."""

    async def receive(self, queue: str, *, limit: int = 1, lease_seconds: int = 600) -> Sequence[Received]:
        """Take up to `limit` (1 to 32) visible entries under lease. The host takes entries for triggers itself."""

    async def delete(self, queue: str, received: Received) -> None:
        """Delete a received entry. A lost lease or a missing entry is not an error: the entry comes again, or is gone already."""

    async def count(self, queue: str) -> int:
        """Return the approximate number of entries, visible or not. 0 if the queue is missing."""

    async def oldest_inserted_at(self, queue: str) -> datetime | None:
        """Return when the first visible entry was put (a peek), or None."""


class Tables(Protocol):
    """Storage tables."""

    async def create(self, table: str) -> None:
        """Create the table unless it exists."""

    async def insert(self, table: str, entity: Entity) -> str:
        """Insert a row and return its ETag. Raises `AlreadyExists`."""

    async def get(self, table: str, partition: str, row: str) -> Entity:
        """Read one row. Raises `NotFound`."""

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        """Change the given properties, keep the others; return the new ETag.

        With `etag`, raises `Changed` if the row was written since. Raises `NotFound` when the row is missing.
        """

    async def merge_with(self, table: str, entity: Entity, others: Sequence[Entity], *, etag: str) -> None:
        """Merge a row, and insert or replace others of its partition: all or nothing, in one transaction.

        At most 100 rows, together far below 4 MiB. Raises as `merge` does.
        """

    async def upsert(self, table: str, entity: Entity) -> str:
        """Insert the row, or replace the existing one. Returns the ETag."""

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        """Insert or replace rows of one partition, 100 a transaction. They are distinct and together far below 4 MiB."""

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        """Delete a row. A missing row is not an error; with `etag`, a changed row raises `Changed`."""

    async def delete_all(self, table: str, partition: str, rows: Sequence[str]) -> None:
        """Delete rows of one partition, 100 a transaction; missing ones are not an error."""

    async def delete_unchanged(self, table: str, entities: Sequence[Entity]) -> int:
        """Delete rows of one partition, 100 a transaction, unless they changed since they were read.

        Returns how many are gone, missing ones included.
        """

    async def query(self, table: str, query: Query, *, limit: int = 1000, cursor: str | None = None) -> Page:
        """Return one page (at most 1000 rows), ordered by partition and row. A short or empty page may still have a `next`.

        Raises `ValueError` for an invalid cursor.
        """


async def every_page(tables: Tables, table: str, query: Query) -> AsyncIterator[Page]:
    """Yield all pages of a query."""
    cursor: str | None = None
    while True:
        page = await tables.query(table, query, cursor=cursor)
        yield page
        cursor = page.next
        if cursor is None:
            return


async def every_row(tables: Tables, table: str, query: Query) -> AsyncIterator[Entity]:
    """Yield all rows of a query, page by page."""
    # Does not use `every_page`: most queries find no row, and a generator in a generator would be half of their cost.
    page = await tables.query(table, query)
    while True:
        for entity in page.entities:
            yield entity
        if page.next is None:
            return
        page = await tables.query(table, query, cursor=page.next)


async def delete_where(
    tables: Tables,
    table: str,
    query: Query,
    is_chosen: Callable[[Entity], bool],
    *,
    deadline: Deadline = NEVER,
    keeps_changed: bool = True,
) -> Progress:
    """Delete the rows of a query that are chosen, partitions in parallel. Repeating it is safe.

    A row that changed after it was read is kept, because it might not be chosen any more; without `keeps_changed` it is deleted
    too. Returns the number of deleted rows.
    """

    async def chosen() -> AsyncIterator[list[Entity]]:
        """Yield the chosen rows of each page, by partition; for a page without any, an empty list."""
        async for page in every_page(tables, table, query):
            rows: dict[str, list[Entity]] = {}
            for entity in page.entities:
                if is_chosen(entity):
                    rows.setdefault(entity.partition, []).append(entity)
            for each in rows.values() or [[]]:
                yield each

    deleted = 0

    async def delete(group: list[Entity]) -> bool:
        nonlocal deleted
        if keeps_changed:
            deleted += await tables.delete_unchanged(table, group)
        else:
            await tables.delete_all(table, group[0].partition, [entity.row for entity in group])
            deleted += len(group)
        return True

    progress = await process(chosen(), delete, limit=DELETES_AT_ONCE, deadline=deadline, needs_work=bool)
    return Progress(done=deleted, is_complete=progress.is_complete)


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """A blob's name, its size in bytes, and the time when it was written."""

    name: str
    size: int
    modified_at: datetime


class Blobs(Protocol):
    """Storage blobs, in named containers."""

    async def create(self, container: str) -> None:
        """Create the container unless it exists."""

    async def put(
        self, container: str, name: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> None:
        """Write a whole blob, and replace an existing one."""

    async def replace(self, container: str, name: str, body: bytes, *, etag: str) -> None:
        """Replace a blob of a few MiB at most. Raises `Changed` if it was written or deleted since `read`."""

    async def put_stream(
        self,
        container: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str = "application/octet-stream",
    ) -> int:
        """Write a blob in blocks of a few MiB without holding it in memory; return its size in bytes."""

    async def get(self, container: str, name: str) -> bytes:
        """Read a whole blob. Raises `NotFound`."""

    async def read(self, container: str, name: str) -> tuple[bytes, str]:
        """Read a whole blob and its ETag. Raises `NotFound`."""

    def stream(self, container: str, name: str) -> AsyncIterator[bytes]:
        """Read a blob in chunks of a few MiB. Raises `NotFound` at the first step."""

    async def delete(self, container: str, name: str) -> None:
        """Delete a blob. A missing blob is not an error."""

    async def list(
        self, container: str, *, prefix: str = "", limit: int = 1000, cursor: str | None = None
    ) -> tuple[Sequence[Blob], str | None]:
        """Return one page of blobs whose names start with `prefix`, by name, and the cursor of the next page or None."""


async def every_blob(blobs: Blobs, container: str, *, prefix: str = "") -> AsyncIterator[Blob]:
    """Yield all blobs whose names start with `prefix`, by name, page by page."""
    cursor: str | None = None
    while True:
        page, cursor = await blobs.list(container, prefix=prefix, cursor=cursor)
        for blob in page:
            yield blob
        if cursor is None:
            return


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """The three ports together, as `bootstrap` wires them."""

    queues: Queues
    tables: Tables
    blobs: Blobs
