"""Counting a span: what is in it, at what cost, and how a relay too busy to be counted whole is estimated."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from relay.core import ids
from relay.core.model import Attempt, MessageStatus, Part, State
from relay.journal.overview import Figures, Overview, Point, Span
from relay.journal.records import Journal
from tests.doubles import START, Clock, Watched, batch_of, entry_of, submission_of


def in_state(state: State, *, after: float | None = None) -> MessageStatus:
    """Return a message in a state; with `after`, sent that many seconds after `START`."""
    attempts: Sequence[Attempt] = ()
    if after is not None:
        at = START + timedelta(seconds=after - 0.5)
        attempts = (Attempt(number=1, route="main", provider="smtp", at=at, outcome="sent", seconds=0.5),)
    return MessageStatus(parts=(Part(route="main", state=state, attempts=tuple(attempts)),))


async def accepted(
    journal: Journal, *statuses: MessageStatus, at: datetime = START, shard: str = "0", number: int = 0
) -> None:
    batch = f"{ids.batch_floor(at)[:12]}7000a{number:014x}{shard}"
    body = entry_of(*(submission_of() for _ in statuses), batch=batch)
    await journal.open(batch_of(body), body, statuses)


def total(figures: Figures, name: str) -> int:
    return sum(getattr(point, name) for point in figures.points)


@pytest.mark.parametrize(
    ("span", "length", "points"), [(Span.HOUR, 3600, 60), (Span.DAY, 86_400, 48), (Span.WEEK, 604_800, 56)]
)
async def test_span_ends_with_the_current_step(
    journal: Journal, clock: Clock, span: Span, length: int, points: int
) -> None:
    figures = await Overview(journal, clock).figures(span)
    assert (figures.until - figures.since).total_seconds() == length
    assert figures.points[-1].at <= clock.now < figures.until
    assert len(figures.points) == points
    assert figures.points[0].at == figures.since
    assert (figures.share, figures.counted_until) == (1.0, figures.until)
    assert (figures.median_seconds, figures.p95_seconds) == (None, None)


async def test_message_is_counted_at_its_acceptance_by_its_current_state(journal: Journal, clock: Clock) -> None:
    await accepted(journal, *(in_state(state) for state in State))
    await accepted(journal, in_state(State.SENT), shard="f", at=START - timedelta(minutes=2))
    await accepted(journal, in_state(State.SENT), shard="3", at=START - timedelta(minutes=61))
    figures = await Overview(journal, clock).figures(Span.HOUR)
    assert figures.points[-1] == Point(
        at=figures.points[-1].at, accepted=10, sent=1, in_progress=3, deferred=1, held=1, failed=3, cancelled=1
    )
    assert figures.points[-3] == Point(at=figures.points[-3].at, accepted=1, sent=1)
    assert total(figures, "accepted") == 11


async def test_time_to_send_is_measured(journal: Journal, clock: Clock) -> None:
    for number in range(100):
        await accepted(journal, in_state(State.SENT, after=number), number=number)
    await accepted(journal, in_state(State.FAILED, after=5000), number=100)
    figures = await Overview(journal, clock).figures(Span.HOUR)
    assert (figures.median_seconds, figures.p95_seconds) == (50.0, 95.0)


async def test_quiet_relay_costs_one_query_per_shard(journal: Journal, tables: Watched, clock: Clock) -> None:
    await Overview(journal, clock).figures(Span.WEEK)
    assert dict(tables.calls) == {"query": 16}


async def test_counts_are_cached_for_seconds(journal: Journal, tables: Watched, clock: Clock) -> None:
    overview = Overview(journal, clock)
    first = await overview.figures(Span.HOUR)
    assert await overview.figures(Span.HOUR) is first
    clock.move(5)
    assert await overview.figures(Span.HOUR) is not first
    assert tables.calls["query"] == 32


async def test_slow_counts_are_cached_longer(journal: Journal, tables: Watched, clock: Clock) -> None:
    async def be_slow() -> None:
        clock.move(1)

    tables.before("query", be_slow)
    overview = Overview(journal, clock)
    first = await overview.figures(Span.HOUR)
    clock.move(19.9)
    assert await overview.figures(Span.HOUR) is first
    clock.move(0.2)
    assert await overview.figures(Span.HOUR) is not first


async def test_busy_relay_is_estimated_from_whole_shards(journal: Journal, tables: Watched, clock: Clock) -> None:
    for shard in ids.SHARDS:
        for number in range(8):
            await accepted(journal, in_state(State.SENT), in_state(State.DEFERRED), shard=shard, number=number)
    figures = await Overview(journal, clock, max_queries=10, page_rows=3).figures(Span.HOUR)
    assert tables.calls["query"] <= 10
    assert figures.share == 3 / 16
    assert figures.counted_until == figures.until
    assert (total(figures, "accepted"), total(figures, "sent"), total(figures, "deferred")) == (256, 128, 128)


async def test_shard_above_the_query_limit_is_counted_partially(
    journal: Journal, tables: Watched, clock: Clock
) -> None:
    for number in range(12):
        at = START - timedelta(minutes=50) + timedelta(minutes=number)
        await accepted(journal, in_state(State.SENT), at=at, number=number)
    figures = await Overview(journal, clock, max_queries=2, page_rows=3).figures(Span.HOUR)
    assert tables.calls["query"] == 2
    assert figures.share == 1 / 16
    assert figures.counted_until == START.replace(microsecond=250_000) - timedelta(minutes=45)
    assert total(figures, "accepted") == 6 * 16
