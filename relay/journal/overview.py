"""Count the messages of the last hour, day or week by state.

The figures are counted from the journal, so they are exact, and sending mail does not have to maintain them: each
message is counted at the time of its acceptance, by the state it has now. A message that is on a queue for the first time
is not in the journal yet: the depth of the queues includes it.

Cost: 16 table queries (one for each shard) while the span holds few batches, one more for each thousand batches, at most
`MAX_QUERIES`. If these do not suffice, Relay counts whole shards until they are used up and extrapolates: batches fall on
shards at random, and `share` is the part that was counted. Figures are cached, longer if counting took longer, so a second
viewer costs nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from relay.core import ids
from relay.core.model import DEAD, MessageStatus, State
from relay.journal.counts.sampling import sample
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.unreadable import UnreadableRecord

MAX_QUERIES = 40
KEPT_SECONDS = 4.0
KEPT_TIMES = 20.0
"""Totals are cached for this many times the duration of counting, so that counting takes at most 5 % of the time."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(StrEnum):
    """The period that the overview counts."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


class _Scale(msgspec.Struct, frozen=True):
    length: timedelta
    step: timedelta


_SCALES = {
    Span.HOUR: _Scale(timedelta(hours=1), timedelta(minutes=1)),
    Span.DAY: _Scale(timedelta(days=1), timedelta(minutes=30)),
    Span.WEEK: _Scale(timedelta(days=7), timedelta(hours=3)),
}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Messages accepted in one step of time, by their current state.

    `in_progress` counts scheduled, queued and sending messages; `failed` counts failed, expired and unknown ones.
    """

    at: datetime
    accepted: int = 0
    sent: int = 0
    in_progress: int = 0
    deferred: int = 0
    held: int = 0
    failed: int = 0
    cancelled: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A span, counted. `share` is how much of all was counted: below 1 the numbers are estimates.

    `counted_until`: messages accepted later are not counted. It equals `until`, unless even a sixteenth of the span is too much
    to count. `unreadable` messages have a record that cannot be read, and are in no point. `median_seconds` and
    `p95_seconds` are from acceptance to when the provider took it.
    """

    span: Span
    since: datetime
    until: datetime
    counted_until: datetime
    step_seconds: float
    share: float
    points: Sequence[Point]
    unreadable: int = 0
    median_seconds: float | None = None
    p95_seconds: float | None = None


_GROUPS: Mapping[State, str] = {
    **dict.fromkeys(DEAD, "failed"),
    State.SCHEDULED: "in_progress",
    State.QUEUED: "in_progress",
    State.SENDING: "in_progress",
    State.DEFERRED: "deferred",
    State.HELD: "held",
    State.SENT: "sent",
    State.CANCELLED: "cancelled",
}


class Overview:
    """Counts, and keeps what it counted for a while."""

    def __init__(
        self, journal: Journal, clock: Callable[[], datetime], *, max_queries: int = MAX_QUERIES, page_rows: int = 1000
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._max_queries = max_queries
        self._page_rows = page_rows
        self._kept: dict[Span, tuple[datetime, Figures]] = {}
        self._turn = asyncio.Lock()

    async def figures(self, span: Span) -> Figures:
        """Return the figures of a span that ends now, some seconds old at most."""
        async with self._turn:
            known = self._kept.get(span)
            began = self._clock()
            if known is not None and began < known[0]:
                return known[1]
            figures = await self._count(span, began)
            now = self._clock()
            kept = max(timedelta(seconds=KEPT_SECONDS), (now - began) * KEPT_TIMES)
            self._kept[span] = (now + kept, figures)
            return figures

    async def _count(self, span: Span, now: datetime) -> Figures:
        scale = _SCALES[span]
        steps = (now - _EPOCH) // scale.step + 1
        until = _EPOCH + steps * scale.step
        since = until - scale.length
        found = await sample(
            self._journal,
            lambda: _Tally(since, scale),
            since=since,
            until=until,
            max_queries=self._max_queries,
            page_rows=self._page_rows,
        )
        tally = _Tally(since, scale)
        for each in found.tallies:
            tally.add(each)
        return tally.figures(span, until, found.counted_until, found.share)


class _Tally:
    """Counts of messages by step and group, and how long those that were sent took."""

    def __init__(self, since: datetime, scale: _Scale) -> None:
        self._since = since
        self._scale = scale
        self._counts: Counter[tuple[int, str]] = Counter()
        self._seconds: list[float] = []
        self._unreadable = 0
        self.latest = since

    def note(self, record: Record | UnreadableRecord) -> None:
        """Count a batch."""
        at = ids.created_at(record.batch)
        self.latest = max(self.latest, at)
        step = (at - self._since) // self._scale.step
        for status in record.statuses:
            if status is None:
                self._unreadable += 1
                continue
            self._counts[step, _GROUPS[status.state]] += 1
            self._seconds += _seconds_to_sent(status, at)

    def add(self, other: "_Tally") -> None:
        """Add the counts of another tally."""
        self._counts += other._counts
        self._seconds += other._seconds
        self._unreadable += other._unreadable

    def figures(self, span: Span, until: datetime, counted_until: datetime, share: float) -> Figures:
        """Return the figures, scaled up if only a share was counted."""
        points = [self._point(step, share) for step in range(self._scale.length // self._scale.step)]
        took = sorted(self._seconds)
        return Figures(
            span=span,
            since=self._since,
            until=until,
            counted_until=counted_until,
            step_seconds=self._scale.step.total_seconds(),
            share=share,
            points=points,
            unreadable=round(self._unreadable / share),
            median_seconds=took[len(took) // 2] if took else None,
            p95_seconds=took[len(took) * 95 // 100] if took else None,
        )

    def _point(self, step: int, share: float) -> Point:
        counts = {group: round(self._counts[step, group] / share) for group in set(_GROUPS.values())}
        at = self._since + step * self._scale.step
        return Point(at=at, accepted=sum(counts.values()), **counts)


def _seconds_to_sent(status: MessageStatus, accepted_at: datetime) -> Iterator[float]:
    """Yield the seconds from acceptance to sending of each sent part; a scheduled message includes the wait for its time."""
    for part in status.parts:
        if part.state is State.SENT and part.attempts:
            last = part.attempts[-1]
            yield max(0.0, (last.at - accepted_at).total_seconds() + last.seconds)
