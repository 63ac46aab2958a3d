"""Delete data older than the retention: records with their content, dead-letter rows, idempotency keys, groups, blobs.

Costs one operation for a thousand rows read and one for each batch deleted; nothing is deleted that still waits.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from relay.clients import idempotency, quotas
from relay.clients.uploads import Uploads
from relay.core import ids
from relay.core.outcomes import CAUSES
from relay.delivery import send_groups
from relay.journal import dead_letters
from relay.journal.counts.hours import rows_before
from relay.journal.old_batches import OldBatch, old_batches
from relay.journal.search.postings import old_rows
from relay.operations.rotation import Rotation
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.log import log_event, log_failure
from relay.platform.resources import (
    ARRIVALS_TABLE,
    ATTACHMENTS_CONTAINER,
    CONTENT_CONTAINER,
    JOURNAL_TABLE,
    SEARCH_TABLE,
)
from relay.platform.storage.ports import Blobs, Query, Tables, delete_where, every_blob
from relay.platform.storage.readable import is_older

ORPHAN_BLOBS = timedelta(days=130)
"""Blobs without a record are kept this long beyond the retention: 90 days scheduled ahead, 30 of expiry, 10 held."""

RECORDS_AT_ONCE = 16
BLOBS_AT_ONCE = 16


class Purge:
    """Deletes old data. Runs every night, on one instance."""

    def __init__(
        self,
        *,
        tables: Tables,
        blobs: Blobs,
        uploads: Uploads,
        retention_days: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._tables = tables
        self._blobs = blobs
        self._uploads = uploads
        self._retention = timedelta(days=retention_days)
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Delete everything that is old enough. The next run does the rest.

        The kinds of data share the time, so that neither a kind with more work than a run can do nor one that fails keeps the
        others from being deleted. Raises the first failure after all kinds.
        """
        # A stopped group must last as long as its messages may wait.
        long = ORPHAN_BLOBS + self._retention
        steps: Mapping[str, Callable[[Deadline], Awaitable[Progress]]] = {
            "keys": partial(self._old_rows, idempotency.TABLE, idempotency.KEPT),
            "rates": partial(self._old_rows, quotas.TABLE, quotas.KEPT),
            "groups": partial(self._old_rows, send_groups.TABLE, long),
            "unreadable": partial(self._old_blobs, dead_letters.UNREADABLE_CONTAINER, self._retention),
            "dead_letters": self._old_dead_letters,
            "hours": self._old_hours,
            "uploads": self._uploads.purge,
            "batches": self._records,
            "blobs": partial(self._old_blobs, CONTENT_CONTAINER, long),
            "attachments": partial(self._old_blobs, ATTACHMENTS_CONTAINER, long),
        }
        counts, total, failures = dict.fromkeys(steps, 0), Progress(), list[Exception]()
        for number, (name, step) in enumerate(steps.items()):
            try:
                progress = await step(deadline.share(len(steps) - number))
            except Exception as error:
                log_failure("purge_failed", kind=name)
                failures.append(error)
                continue
            counts[name] = progress.done
            total += progress
        log_event(
            "purged",
            is_complete=total.is_complete,
            batches=counts["batches"],
            dead_letters=counts["dead_letters"],
            keys=counts["keys"],
            groups=counts["groups"],
            uploads=counts["uploads"],
            blobs=counts["blobs"] + counts["attachments"] + counts["unreadable"],
        )
        if failures:
            raise failures[0]
        return total

    async def _records(self, deadline: Deadline) -> Progress:
        before = self._clock() - self._retention

        async def of_shard(shard: str, deadline: Deadline) -> Progress:
            batches = old_batches(self._tables, shard, before=before)
            return await process(batches, self._delete_record, limit=RECORDS_AT_ONCE, deadline=deadline)

        return await Rotation(self._tables, "batches").run(ids.SHARDS, of_shard, deadline)

    async def _delete_record(self, old: OldBatch) -> bool:
        # Blobs first: after a crash the next run finds the record again, but not a blob without a record.
        for blob in old.blobs:
            await self._blobs.delete(CONTENT_CONTAINER, blob)
        await self._tables.delete_all(JOURNAL_TABLE, old.partition, old.rows)
        return True

    async def _old_dead_letters(self, deadline: Deadline) -> Progress:
        """Delete the rows of messages that failed before the retention, which may have been accepted long before that."""
        before = self._clock() - self._retention

        async def of_cause(code: str, deadline: Deadline) -> Progress:
            query = Query(partition=code, row_before=ids.batch_floor(before), select=("at",))
            return await delete_where(
                self._tables,
                dead_letters.TABLE,
                query,
                lambda entity: is_older(entity, "at", before),
                deadline=deadline,
            )

        return await Rotation(self._tables, "dead_letters").run(list(CAUSES), of_cause, deadline)

    async def _old_hours(self, deadline: Deadline) -> Progress:
        """Delete the counts and the search index, both made from the journal, of hours older than the retention."""
        before = self._clock() - self._retention
        old = [(ARRIVALS_TABLE, rows_before(before)), *((SEARCH_TABLE, query) for query in old_rows(before))]
        progress = Progress()
        for table, query in old:
            progress += await delete_where(self._tables, table, query, lambda _: True, deadline=deadline)
        return progress

    async def _old_rows(self, table: str, age: timedelta, deadline: Deadline) -> Progress:
        """Delete rows older than the age. Scans the table."""
        before = self._clock() - age
        return await delete_where(
            self._tables,
            table,
            Query(select=("created_at",)),
            lambda entity: is_older(entity, "created_at", before),
            deadline=deadline,
        )

    async def _old_blobs(self, container: str, age: timedelta, deadline: Deadline) -> Progress:
        """Delete blobs older than the age."""

        async def delete(name: str) -> bool:
            await self._blobs.delete(container, name)
            return True

        return await process(self._old_names(container, age), delete, limit=BLOBS_AT_ONCE, deadline=deadline)

    async def _old_names(self, container: str, age: timedelta) -> AsyncIterator[str]:
        """Yield the names of old blobs. Names begin with the day, so that the first younger one ends the scan."""
        newest = f"{(self._clock() - age).astimezone(UTC):%Y%m%d}"
        async for blob in every_blob(self._blobs, container):
            if blob.name[:8] >= newest:
                return
            yield blob.name
