"""Delete what is older than the retention: records with their content, dead-letter rows, idempotency keys, groups, blobs.

Costs one operation for a thousand rows read and one for each batch deleted; nothing is deleted that still waits.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from relay.clients import idempotency, quotas
from relay.clients.uploads import Uploads
from relay.core import ids
from relay.core.outcomes import CAUSES
from relay.delivery import send_groups
from relay.journal import dead_letters
from relay.journal.records import Journal
from relay.platform.log import log_event
from relay.platform.resources import ATTACHMENTS_CONTAINER, CONTENT_CONTAINER
from relay.platform.storage.ports import Blobs, Query, Tables, Value, delete_where

ORPHAN_BLOBS = timedelta(days=130)
"""Blobs without a record are deleted this long after the retention: 90 days scheduled ahead, 30 of expiry, 10 held."""


class Purge:
    """Runs every night, on one instance."""

    def __init__(
        self,
        *,
        tables: Tables,
        blobs: Blobs,
        journal: Journal,
        uploads: Uploads,
        retention_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._tables = tables
        self._blobs = blobs
        self._journal = journal
        self._uploads = uploads
        self._retention = timedelta(days=retention_days)
        self._clock = clock

    async def run(self) -> None:
        """Delete everything that is old enough, and log the counts."""
        batches = await self._records()
        dead = await self._old_dead_letters()
        keys = await self._old_rows(idempotency.TABLE, idempotency.KEPT)
        await self._old_rows(quotas.TABLE, quotas.KEPT)
        # A stopped group must last as long as its messages may wait.
        grouped = await self._old_rows(send_groups.TABLE, ORPHAN_BLOBS + self._retention)
        orphans = await self._old_blobs(CONTENT_CONTAINER, ORPHAN_BLOBS + self._retention)
        orphans += await self._old_blobs(ATTACHMENTS_CONTAINER, ORPHAN_BLOBS + self._retention)
        uploads = await self._uploads.purge()
        kept = await self._old_blobs(dead_letters.UNREADABLE_CONTAINER, self._retention)
        log_event(
            "purged",
            batches=batches,
            dead_letters=dead,
            keys=keys,
            groups=grouped,
            uploads=uploads,
            blobs=orphans + kept,
        )

    async def _records(self) -> int:
        before, purged = self._clock() - self._retention, 0
        for shard in ids.SHARDS:
            cursor: str | None = None
            while True:
                page, cursor = await self._journal.old_rows(before=before, shard=shard, cursor=cursor)
                for old in page:
                    # Blobs first: after a crash the next run finds the record again, but not a blob without a record.
                    for blob in old.blobs:
                        await self._blobs.delete(CONTENT_CONTAINER, blob)
                    await self._journal.delete_rows(old.partition, old.rows)
                    purged += 1
                if cursor is None:
                    break
        return purged

    async def _old_dead_letters(self) -> int:
        """Delete the rows of messages that failed before the retention, which may have been accepted long before that."""
        before, purged = self._clock() - self._retention, 0
        for code in CAUSES:
            query = Query(partition=code, row_before=ids.batch_floor(before), select=("at",))
            purged += await delete_where(
                self._tables, dead_letters.TABLE, query, lambda entity: _is_before(entity.properties["at"], before)
            )
        return purged

    async def _old_rows(self, table: str, age: timedelta) -> int:
        """Delete rows older than the age. Scans the table."""
        before = self._clock() - age
        return await delete_where(
            self._tables,
            table,
            Query(select=("created_at",)),
            lambda entity: datetime.fromisoformat(str(entity.properties["created_at"])) < before,
        )

    async def _old_blobs(self, container: str, age: timedelta) -> int:
        """Delete blobs older than the age. Names begin with the day, so that the first younger one ends the scan."""
        newest = f"{(self._clock() - age).astimezone(UTC):%Y%m%d}"
        deleted = 0
        while True:
            page, cursor = await self._blobs.list(container)
            old = [blob.name for blob in page if blob.name[:8] < newest]
            for name in old:
                await self._blobs.delete(container, name)
            deleted += len(old)
            if len(old) < len(page) or cursor is None:
                return deleted


def _is_before(at: Value, before: datetime) -> bool:
    return isinstance(at, datetime) and at < before
