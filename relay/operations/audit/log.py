"""The audit log: records are added and completed once, read in pages, and deleted when they are older than the retention.

A record is inserted before the effect of its call, with outcome `unknown`, and completed with the outcome before the response
is sent. Nothing else changes a record. Costs two writes a call; a page costs at most `MAX_QUERIES` queries of a thousand rows.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import AlreadyExists
from relay.operations.audit.record import (
    TABLE,
    AuditOutcome,
    AuditRecord,
    clipped,
    from_row,
    partition_of,
    partition_of_id,
    row_floor,
    to_row,
)
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.storage.ports import Entity, Query, Tables, Value, delete_where, every_row

MAX_QUERIES = 4
"""Queries for a page whose filter matches few records: after them the page is short, and has a next one."""
_AFTER = "~"
"""Makes a key an upper bound that includes it: it is greater than every digit."""


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects records from `since` (inclusive) to `before` (exclusive); an absent value matches every record."""

    since: datetime | None = None
    before: datetime | None = None
    client: str | None = None
    operation: str | None = None
    target: str | None = None
    outcome: AuditOutcome | None = None


class AuditLog:
    """Adds, completes, lists and deletes records."""

    def __init__(self, tables: Tables, *, days: int, clock: Callable[[], datetime]) -> None:
        """`days` is the retention."""
        self._tables = tables
        self._days = days
        self._clock = clock

    async def add(self, record: AuditRecord) -> None:
        """Insert a record. Ids are unique, so an existing row is this record: only the response to its write was lost."""
        with suppress(AlreadyExists):
            await self._tables.insert(TABLE, to_row(record))

    async def complete(self, record_id: str, outcome: AuditOutcome, status: int, code: str, after: str) -> None:
        """Complete a record that `add` inserted."""
        properties: dict[str, Value] = {"outcome": str(outcome), "status": status, "code": code, "after": after}
        row = Entity(partition=partition_of_id(record_id), row=record_id, properties=properties)
        await self._tables.merge(TABLE, row)

    async def page(
        self, wanted: AuditFilter, cursor: str | None, *, limit: int
    ) -> tuple[Sequence[AuditRecord], str | None]:
        """Return up to `limit` records, newest first, and the next page's cursor or None. Raises `ValueError` for a wrong cursor.

        A page may be short, or empty, and still have a next one.
        """
        query, found = _query(wanted), list[AuditRecord]()
        for _ in range(MAX_QUERIES):
            page = await self._tables.query(TABLE, query, limit=limit - len(found), cursor=cursor)
            found += map(from_row, page.entities)
            cursor = page.next
            if cursor is None or len(found) == limit:
                break
        return found, cursor

    async def every(self, wanted: AuditFilter) -> AsyncIterator[AuditRecord]:
        """Yield all records, newest first."""
        async for row in every_row(self._tables, TABLE, _query(wanted)):
            yield from_row(row)

    async def purge(self, deadline: Deadline = NEVER) -> Progress:
        """Delete the hours that ended before the retention. Reads nothing younger."""
        last_kept = partition_of(self._clock() - timedelta(days=self._days))
        query = Query(partition_from=last_kept + _AFTER, select=())
        return await delete_where(self._tables, TABLE, query, lambda _: True, deadline=deadline, keeps_changed=False)


def _query(wanted: AuditFilter) -> Query:
    """Return the query of a filter. The row keys bound the time, and the partition keys bound the scan."""
    target = None if wanted.target is None else clipped(wanted.target)
    named = {
        "client": wanted.client,
        "operation": wanted.operation,
        "target": target,
        "outcome": None if wanted.outcome is None else str(wanted.outcome),
    }
    since = wanted.since
    last = None if wanted.before is None else wanted.before - timedelta(milliseconds=1)
    return Query(
        partition_from=None if last is None else partition_of(last),
        partition_before=None if since is None else partition_of(since) + _AFTER,
        row_from=None if last is None else row_floor(last),
        row_before=None if since is None else row_floor(since) + _AFTER,
        equals={name: value for name, value in named.items() if value is not None},
    )
