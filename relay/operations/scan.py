"""Scan all records in steps: one request processes some pages and returns a cursor, at which the next request continues."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Self

import msgspec

from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.unreadable import UnreadableRecord
from relay.platform import concurrency

PAGE = 200
"""Records read with one query."""
MAX_PAGES = 25
"""Pages after which a step ends, however little it found."""
ENOUGH_MESSAGES = 100
"""Messages found after which a step ends."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CONCURRENCY = 8


class ScanStep(msgspec.Struct, frozen=True, kw_only=True):
    """The base of a step's counts, in messages. `cursor` is where the next step continues; None: the scan is complete.

    `unreadable` messages could not be searched: the scan does not know whether they match.
    """

    unreadable: int = 0
    cursor: str | None = None

    def plus(self, other: Self) -> Self:
        """Add the other's counts."""
        names = (name for name in self.__struct_fields__ if name != "cursor")
        return msgspec.structs.replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def matches(self) -> int:
        """The number of messages that match the scan's condition."""
        raise NotImplementedError


async def scan_step[Step: ScanStep](
    journal: Journal,
    process: Callable[[Record], Awaitable[Step]],
    empty: Step,
    *,
    before: datetime,
    cursor: str | None,
    with_content: bool = True,
) -> Step:
    """Process the records from `cursor` on, until enough messages or pages are done. Returns the sum of the counts.

    `before` ends the scan: the time of acceptance. Raises `ValueError` for an invalid cursor.
    """
    done = empty
    for _ in range(MAX_PAGES):
        records, cursor = await journal.page(
            since=_EPOCH, before=before, limit=PAGE, cursor=cursor, with_content=with_content
        )
        done = done.plus(type(empty)(unreadable=sum(map(_unreadable, records))))
        calls = (partial(process, record) for record in records if isinstance(record, Record))
        for step in await concurrency.gather_limited(calls, limit=_CONCURRENCY):
            done = done.plus(step)
        if cursor is None or done.matches >= ENOUGH_MESSAGES:
            break
    return msgspec.structs.replace(done, cursor=cursor)


def _unreadable(record: Record | UnreadableRecord) -> int:
    """Count the messages of an unreadable record, without those that are known to be erased."""
    if isinstance(record, Record):
        return 0
    return sum(status is None or status.erased is None for status in record.statuses)
