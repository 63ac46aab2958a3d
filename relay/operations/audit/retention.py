"""Archive the audit log, if the settings ask for it, and delete records older than its retention. Runs every night.

The archive is a blob for each day that has records, written once, after the day is over: a container whose policy forbids
changes accepts that, and refuses a second write with 409 (`BlobImmutableDueToPolicy`,
learn.microsoft.com/rest/api/storageservices/blob-service-error-codes). The newest blob is the archive's position, so a run
that died, or one that another run overtakes, writes nothing twice. Nothing is deleted before it is archived.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta

import msgspec

from relay.core.errors import AlreadyExists
from relay.operations.audit.log import AuditFilter, AuditLog
from relay.operations.audit.record import AuditRecord
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event
from relay.platform.resources import AUDIT_CONTAINER
from relay.platform.storage.ports import Blobs, every_blob

SETTLED_AFTER = timedelta(hours=1)
"""How long after its end a day is archived: by then every call has its outcome, whatever the clocks of the instances say."""
_ENDING = ".jsonl"
_DAY = timedelta(days=1)


class AuditRetention:
    """Archives and deletes records."""

    def __init__(
        self, log: AuditLog, blobs: Blobs, *, is_archived: bool, days: int, clock: Callable[[], datetime]
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._is_archived = is_archived
        self._days = days
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Archive every day that is over, then delete old hours."""
        archived = await self._archive(deadline.share(2)) if self._is_archived else Progress()
        return archived + await self._log.purge(deadline) if archived.is_complete else archived

    async def _archive(self, deadline: Deadline) -> Progress:
        done = 0
        for day in self._open_days(await self._last_day()):
            if deadline.is_over:
                return Progress(done=done, is_complete=False)
            done += await self._write(day)
        return Progress(done=done)

    def _open_days(self, last: date | None) -> Iterator[date]:
        """Yield the days after the last one in the archive that are over, oldest first."""
        end = (self._clock() - SETTLED_AFTER).astimezone(UTC).date()
        # A day more than the retention: the purge deletes whole hours.
        day = last + _DAY if last is not None else end - timedelta(days=self._days + 1)
        while day < end:
            yield day
            day += _DAY

    async def _last_day(self) -> date | None:
        """Return the last day in the archive. Costs one operation for a thousand days."""
        names = [blob.name async for blob in every_blob(self._blobs, AUDIT_CONTAINER)]
        return date.fromisoformat(names[-1].removesuffix(_ENDING)) if names else None

    async def _write(self, day: date) -> bool:
        """Write the blob of a day, newest record first. Returns whether it is new: a day without records has none."""
        since = datetime.combine(day, time(), UTC)
        records = self._log.every(AuditFilter(since=since, before=since + _DAY))
        first = await anext(records, None)
        if first is None:
            return False
        try:
            size = await self._blobs.put_stream(
                AUDIT_CONTAINER, f"{day}{_ENDING}", _lines(first, records), content_type="application/jsonl"
            )
        except AlreadyExists:
            # The container's policy refused it: a run that overtook this one wrote the day.
            return False
        log_event("audit_archived", day=str(day), bytes=size)
        return True


async def _lines(first: AuditRecord, others: AsyncIterator[AuditRecord]) -> AsyncIterator[bytes]:
    yield msgspec.json.encode(first) + b"\n"
    async for record in others:
        yield msgspec.json.encode(record) + b"\n"
