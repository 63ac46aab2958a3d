"""Count the arrivals of each hour from the journal, and keep the counts in the table `arrivals`, a row an hour.

A message belongs to the hour of its acceptance, and counts by its arrivals when the hour is counted. An hour is counted again
while it can still change, less often the older it is (`due_hours`). Nothing is added up when mail is sent or an event comes: a
count is always made from the records, so that no repetition, lost response or death of a process can make it wrong. See
docs/decisions/0041-arrival-counts.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.arrival.arrivals import Reports, arrivals_of, recipient_count
from relay.core.arrival.brake import lane_key, vouched_counts
from relay.core.arrival.counts import Counts, Dimension, HourCounts, Named, Tally, counts_of
from relay.core.model import MessageStatus, Part, Submission
from relay.journal.counts.rechecks import pause, start_of_hour
from relay.journal.counts.sampling import sample
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.unreadable import UnreadableRecord
from relay.platform import resources
from relay.platform.concurrency import Deadline
from relay.platform.storage.ports import Entity, Query, Tables
from relay.platform.storage.readable import readable_rows

TABLE = resources.ARRIVALS_TABLE
HOUR = timedelta(hours=1)
RECOUNTED = timedelta(days=7)
"""How long an hour is counted again: later bounces are rare, and a complaint comes within days."""
MAX_QUERIES = 120
"""Queries for an hour: about 50,000 batches are counted whole, of more a sample of whole shards."""
_PARTITION = "hour"
_LANES = "lanes"
_NEVER_RELEASED: Mapping[str, datetime] = {}
_PAGE_ROWS = 500
_named_decoder = msgspec.json.Decoder(dict[str, Counts])
_total_decoder = msgspec.json.Decoder(Counts)
_encoder = msgspec.json.Encoder()


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of the hour that begins at `at`, and when they were made. `share` below 1: they are estimates.

    `lanes` are the counts of clients' lanes (`relay.core.arrival.brake.lane_key`) that the brake decides by. They are what was
    read, not an estimate, and only of mail that was sent since the client was last released.
    """

    at: datetime
    counted_at: datetime
    share: float
    counts: HourCounts
    lanes: Named = {}


class ArrivalHours:
    """Counts hours and reads their counts."""

    def __init__(
        self,
        journal: Journal,
        tables: Tables,
        reports: Callable[[str], Reports],
        clock: Callable[[], datetime],
        *,
        retention: timedelta,
        max_queries: int = MAX_QUERIES,
        page_rows: int = _PAGE_ROWS,
    ) -> None:
        self._journal = journal
        self._tables = tables
        self._reports = reports
        self._clock = clock
        # An hour that the purge has begun to delete must not be counted again.
        self._recounted = min(RECOUNTED, retention - HOUR)
        self._max_queries = max_queries
        self._page_rows = page_rows

    async def due(self) -> Sequence[datetime]:
        """Return the hours to be counted now, the newest first. One query."""
        now = self._clock()
        query = _query(now - self._recounted - HOUR, now + HOUR, ("counted_at",))
        counted = {at: when async for at, when in readable_rows(self._tables, TABLE, query, _counted)}
        return due_hours(now, counted, self._recounted)

    async def count(self, at: datetime, deadline: Deadline, released: Mapping[str, datetime] = _NEVER_RELEASED) -> Hour:
        """Count an hour, and replace its row. `released` is when each client (by its id) was last released."""
        now = self._clock()
        found = await sample(
            self._journal,
            lambda: _Records(self._reports, released),
            since=at,
            until=at + HOUR,
            max_queries=self._max_queries,
            page_rows=self._page_rows,
            with_content=True,
            deadline=deadline,
        )
        tally, lanes = Tally(), Tally()
        for each in found.tallies:
            tally.merge(each.tally)
            lanes.merge(each.lanes)
        hour = Hour(
            at=at,
            counted_at=now,
            share=found.share,
            counts=tally.hour(found.share),
            lanes=lanes.hour(1.0).by[Dimension.CLIENT],
        )
        await self._tables.upsert(TABLE, _row(hour))
        return hour

    async def between(
        self, since: datetime, before: datetime, dimensions: Iterable[Dimension] = tuple(Dimension)
    ) -> Sequence[Hour]:
        """Return the counted hours that begin in a range of time, oldest first. One query for a thousand hours."""
        select = ("counted_at", "share", "total", _LANES, *(_property(each) for each in dimensions))
        return [hour async for hour in readable_rows(self._tables, TABLE, _query(since, before, select), _hour)]


def rows_before(before: datetime) -> Query:
    """Return the query for the hours that begin before a moment."""
    return Query(partition=_PARTITION, row_before=_key(before), select=())


def due_hours(now: datetime, counted: Mapping[datetime, datetime], recounted: timedelta) -> Sequence[datetime]:
    """Return the hours to be counted now, the newest first, by when each was counted last; none older than `recounted`.

    The running hour and the one before are counted every ten minutes, older ones when a quarter of their age has passed since.
    Counting begins with the hour before the first run: a new relay has no mail of earlier hours.
    """
    newest = start_of_hour(now)
    first = min(counted, default=newest - HOUR)
    hours = (hour for number in range(recounted // HOUR + 1) if (hour := newest - HOUR * number) >= first)
    return [hour for hour in hours if hour not in counted or now - counted[hour] >= pause(now - hour, steady=HOUR)]


class _Records:
    """The tally of one shard's records."""

    def __init__(self, reports: Callable[[str], Reports], released: Mapping[str, datetime]) -> None:
        self.tally = Tally()
        self.lanes = Tally()
        self._released = released
        self.latest = datetime.min.replace(tzinfo=UTC)
        self._reports = reports

    def note(self, record: Record | UnreadableRecord) -> None:
        """Count the recipients of a batch. A record that cannot be read is left out."""
        self.latest = max(self.latest, ids.created_at(record.batch))
        if not isinstance(record, Record):
            return
        for submission, status in zip(record.entry().messages, record.statuses, strict=True):
            self._add(submission, status, record.lane)

    def _add(self, submission: Submission, status: MessageStatus, lane: str) -> None:
        message = submission.message
        count = recipient_count(message, status)
        own = vouched_counts(status, submission.suppressed, count, self._released.get(submission.client_id))
        self.lanes.add(own, [(Dimension.CLIENT, lane_key(submission.client_id, lane))])
        common = [(Dimension.CLIENT, submission.client)]
        common += [(Dimension.TAG, tag) for tag in dict.fromkeys(message.tags if message is not None else ())]
        routes = dict(_routes(status.parts, count))
        emails = () if message is None else message.recipients
        for number, arrival in arrivals_of(status, submission.suppressed, count, self._reports).items():
            domain = emails[number].domain if number < len(emails) else ""
            further = [(Dimension.ROUTE, routes.get(number, "")), (Dimension.DOMAIN, domain)]
            self.tally.add(counts_of(arrival), [*common, *further])


def _routes(parts: Iterable[Part], count: int) -> Iterator[tuple[int, str]]:
    for part in parts:
        for number in range(count) if part.recipients is None else part.recipients:
            yield number, part.route


def _query(since: datetime, before: datetime, select: Sequence[str]) -> Query:
    return Query(partition=_PARTITION, row_from=_key(since), row_before=_key(before), select=select)


def _key(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%d%H%M}"


def _row(hour: Hour) -> Entity:
    named = {_property(dimension): _encoder.encode(named) for dimension, named in hour.counts.by.items()}
    return Entity(
        partition=_PARTITION,
        row=_key(hour.at),
        properties={
            "counted_at": hour.counted_at,
            "share": hour.share,
            "total": _encoder.encode(hour.counts.total),
            _LANES: _encoder.encode(hour.lanes),
            **named,
        },
    )


def _property(dimension: Dimension) -> str:
    return f"by_{dimension}"


def _at(row: Entity) -> datetime:
    return datetime.strptime(row.row, "%Y%m%d%H%M").replace(tzinfo=UTC)


def _counted(row: Entity) -> tuple[datetime, datetime]:
    return _at(row), msgspec.convert(row.properties["counted_at"], datetime)


def _hour(row: Entity) -> Hour:
    by: dict[Dimension, Named] = {
        dimension: _named_decoder.decode(bytes(row.properties[_property(dimension)]))  # type: ignore[arg-type] # bytes
        for dimension in Dimension
        if _property(dimension) in row.properties
    }
    return Hour(
        at=_at(row),
        counted_at=msgspec.convert(row.properties["counted_at"], datetime),
        share=msgspec.convert(row.properties["share"], float),
        counts=HourCounts(
            total=_total_decoder.decode(bytes(row.properties["total"])),  # type: ignore[arg-type] # bytes
            by=by,
        ),
        lanes=_named_decoder.decode(bytes(row.properties.get(_LANES, b"{}"))),  # type: ignore[arg-type] # bytes
    )
