"""Read the records of a time range, or a fair sample of them, at a bounded cost.

A batch's shard is the last digit of its random id, so whole shards are a fair sample. A shard is begun only if it will probably
be read to its end. If not even one can be, it is read as far as the queries go.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec

from relay.core import ids
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.unreadable import UnreadableRecord
from relay.platform.concurrency import NEVER, Deadline


class ShardTally(Protocol):
    """Counts records. `latest` is when the last of them was accepted."""

    latest: datetime

    def note(self, record: Record | UnreadableRecord) -> None:
        """Count a batch."""


class Sample[Tallied](msgspec.Struct, frozen=True, kw_only=True):
    """The tallies of the shards that were read, and their share of all shards: below 1, the counts are estimates.

    `counted_until`: messages accepted later are not counted.
    """

    tallies: tuple[Tallied, ...]
    share: float
    counted_until: datetime


async def sample[Tallied: ShardTally](
    journal: Journal,
    tally: Callable[[], Tallied],
    *,
    since: datetime,
    until: datetime,
    max_queries: int,
    page_rows: int,
    with_content: bool = False,
    deadline: Deadline = NEVER,
) -> Sample[Tallied]:
    """Count the records that were accepted in a time range. After the deadline no further shard is begun."""
    left, tallies, counted_until = max_queries, list[Tallied](), until
    for shard in ids.SHARDS:
        if tallies and (deadline.is_over or left < (max_queries - left) / len(tallies)):
            break
        counted, cursor, queries = tally(), None, 0
        while queries < left:
            records, cursor = await journal.records(
                since=since, before=until, shard=shard, limit=page_rows, cursor=cursor, with_content=with_content
            )
            queries += 1
            for record in records:
                counted.note(record)
            if cursor is None:
                break
        left -= queries
        if cursor is not None and tallies:
            break
        tallies.append(counted)
        if cursor is not None:
            counted_until = counted.latest
            break
    return Sample(tallies=tuple(tallies), share=len(tallies) / len(ids.SHARDS), counted_until=counted_until)
