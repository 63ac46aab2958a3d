"""Change a batch's record: decide, write by ETag, and decide again on the new record if another process wrote first."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from relay.core.model import MessageStatus
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.storage.rows import retry_races


class Decision[Result](msgspec.Struct, frozen=True, kw_only=True):
    """The statuses to write, by index (none: write nothing), and what the caller gets back beside the record."""

    statuses: Mapping[int, MessageStatus]
    result: Result


class RecordChange[Result](msgspec.Struct, frozen=True, kw_only=True):
    """The record that the decision was made on, and the record after the write (the same one if nothing was written)."""

    before: Record
    after: Record
    result: Result

    @property
    def is_written(self) -> bool:
        """Whether the decision changed anything."""
        return self.after is not self.before


async def change_record[Result](
    journal: Journal,
    record: Record,
    decide: Callable[[Record], Awaitable[Decision[Result]]],
    *,
    before_write: Callable[[Record, Mapping[int, MessageStatus]], Awaitable[None]] | None = None,
    write: Callable[[Record, Mapping[int, MessageStatus]], Awaitable[Record]] | None = None,
) -> RecordChange[Result]:
    """Write the statuses that `decide` makes of the record, as it is by then.

    `decide` may read, but must not write: it is called again, with the record read again, after each lost race.
    `before_write` runs before the statuses are recorded. `write` is `journal.settle` by default. Enqueue nothing before this
    returns: `FollowUp.run` does what follows from the statuses.

    Raises `Unavailable` after too many lost races, and `NotFound` if the record is purged in between.
    """
    write = write or journal.settle
    current: Record | None = record

    async def attempt() -> RecordChange[Result]:
        nonlocal current
        before = current or await journal.read(record.batch)
        current = None
        decision = await decide(before)
        after = before
        if decision.statuses:
            if before_write is not None:
                await before_write(before, decision.statuses)
            after = await write(before, decision.statuses)
        return RecordChange(before=before, after=after, result=decision.result)

    return await retry_races(attempt, subject="the record of a batch")
