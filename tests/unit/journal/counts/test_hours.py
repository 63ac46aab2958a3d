"""Counting an hour from the journal: what counts where, how often, and at what cost."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from relay.core import ids
from relay.core.arrival.arrivals import Reports
from relay.core.arrival.counts import OTHERS, Counts, Dimension
from relay.core.model import Message, MessageStatus, Part, Reported, State
from relay.journal.counts.hours import HOUR, RECOUNTED, TABLE, ArrivalHours, due_hours
from relay.platform.concurrency import NEVER, Deadline
from relay.platform.storage.ports import Entity
from tests.doubles import Place, batch_of, changed, entry_of, message_of, submission_of

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def hours_of(place: Place, *, max_queries: int = 80, page_rows: int = 500) -> ArrivalHours:
    return ArrivalHours(
        place.journal,
        place.storage.tables,
        lambda _: Reports.ALL,
        place.time,
        retention=timedelta(days=30),
        max_queries=max_queries,
        page_rows=page_rows,
    )


def sent(*reported: tuple[str, tuple[int, ...]], state: State = State.SENT, route: str = "main") -> MessageStatus:
    groups = tuple(Reported(word=word, attempt=1, recipients=recipients) for word, recipients in reported)
    return MessageStatus(parts=(Part(route=route, state=state, attempt=1),), reported=groups)


async def accepted(
    place: Place,
    message: Message,
    *statuses: MessageStatus,
    at: datetime = AT + timedelta(minutes=20),
    shard: str = "0",
    suppressed: Iterable[int] = (),
    number: int = 0,
) -> None:
    batch = f"{ids.batch_floor(at)[:12]}7000a{number:014x}{shard}"
    submission = changed(submission_of(message), suppressed=dict.fromkeys(suppressed, "manual"))
    body = entry_of(*[submission] * len(statuses), batch=batch)
    await place.journal.open(batch_of(body), body, statuses)


async def test_hour_counts_recipients_by_client_tag_route_and_domain(place: Place) -> None:
    message = changed(message_of("ada@One.example", "bob@two.example", "cleo@two.example"), tags=("invoice", "eu"))
    await accepted(place, message, sent(("bounced", (0,)), ("delivered", (1,))), suppressed=[2])
    await accepted(place, message_of("dan@one.example"), sent(("complained", (0,)), route="other"), shard="f")
    await accepted(place, message_of("eve@one.example"), sent(state=State.FAILED), shard="3")
    await accepted(place, message_of("fay@one.example"), sent(), at=AT + HOUR)
    hour = await hours_of(place).count(AT, NEVER)
    assert hour.share == 1.0
    first = Counts(sent=2, delivered=1, hard_bounced=1, suppressed=1)
    second = Counts(sent=1, delivered=1, complained=1)
    assert hour.counts.total == first + second
    assert hour.counts.by[Dimension.CLIENT] == {"shop": first + second}
    assert hour.counts.by[Dimension.TAG] == {"invoice": first, "eu": first}
    assert hour.counts.by[Dimension.ROUTE] == {"main": first, "other": second}
    assert hour.counts.by[Dimension.DOMAIN] == {
        "one.example": Counts(sent=1, hard_bounced=1) + second,
        "two.example": Counts(sent=1, delivered=1, suppressed=1),
    }
    assert await hours_of(place).between(AT, AT + HOUR) == [hour]


async def test_counting_again_replaces_what_was_counted(place: Place) -> None:
    await accepted(place, message_of("ada@one.example"), sent(("delivered", (0,))))
    first = await hours_of(place).count(AT, NEVER)
    assert (await hours_of(place).count(AT, NEVER)).counts == first.counts
    batch = f"{ids.batch_floor(AT + timedelta(minutes=20))[:12]}7000a{0:014x}0"
    record = await place.journal.read(batch)
    await place.journal.mark(record, {0: sent(("bounced", (0,)))})
    assert (await hours_of(place).count(AT, NEVER)).counts.total == Counts(sent=1, hard_bounced=1)
    assert len(place.memory.tables.rows(TABLE)) == 1


async def test_busy_hour_is_estimated_from_whole_shards(place: Place) -> None:
    for shard in ids.SHARDS:
        for number in range(4):
            await accepted(place, message_of("ada@one.example"), sent(), shard=shard, number=number)
    hour = await hours_of(place, max_queries=8, page_rows=2).count(AT, NEVER)
    assert hour.share == pytest.approx(4 / 16)
    assert hour.counts.total == Counts(sent=64)
    assert place.tables.calls["query"] <= 8


async def test_deadline_ends_a_count_after_a_whole_shard(place: Place) -> None:
    await accepted(place, message_of("ada@one.example"), sent(), shard="0")
    over = Deadline(place.time, 0.0)
    assert (await hours_of(place).count(AT, over)).share == pytest.approx(1 / 16)


async def test_message_without_readable_recipients_counts_without_domain(place: Place) -> None:
    await accepted(place, message_of("ada@one.example"), sent())
    batch = f"{ids.batch_floor(AT + timedelta(minutes=20))[:12]}7000a{0:014x}0"
    record = await place.journal.read(batch)
    await place.erasure.step("ada@one.example")
    assert (await place.journal.read(batch)) != record
    hour = await hours_of(place).count(AT, NEVER)
    assert hour.counts.by[Dimension.DOMAIN] == {OTHERS: Counts(sent=1)}
    assert hour.counts.by[Dimension.CLIENT] == {"shop": Counts(sent=1)}


def test_hour_is_counted_again_less_often_the_older_it_is() -> None:
    now = AT + timedelta(minutes=30)
    begun = {AT - RECOUNTED: AT - RECOUNTED}
    assert len(due_hours(now, begun, RECOUNTED)) == RECOUNTED // HOUR + 1
    assert due_hours(now, begun, RECOUNTED)[0] == AT
    everything = dict.fromkeys(due_hours(now, begun, RECOUNTED), now)
    assert due_hours(now, everything, RECOUNTED) == []
    later = now + timedelta(minutes=10)
    assert due_hours(later, everything, RECOUNTED) == [AT, AT - HOUR]
    assert due_hours(now + timedelta(hours=1), everything, RECOUNTED)[:3] == [AT + HOUR, AT, AT - HOUR]


def test_counting_begins_with_the_hour_before_the_first_run() -> None:
    assert due_hours(AT, {}, RECOUNTED) == [AT, AT - HOUR]


def test_hours_of_an_outage_are_counted_after_it() -> None:
    assert due_hours(AT, {AT - 4 * HOUR: AT}, RECOUNTED) == [AT - number * HOUR for number in range(4)]


def test_hour_is_counted_some_thirty_times_in_all() -> None:
    counted, counts, now = AT, 0, AT
    while now < AT + RECOUNTED:
        now += timedelta(minutes=10)
        if AT in due_hours(now, {AT: counted}, RECOUNTED):
            counted, counts = now, counts + 1
    assert 25 < counts < 45


async def test_hour_is_not_counted_again_when_its_records_may_be_purged(place: Place) -> None:
    hours = ArrivalHours(
        place.journal, place.storage.tables, lambda _: Reports.ALL, place.time, retention=timedelta(days=1)
    )
    old = Entity(
        partition="hour",
        row=f"{AT - timedelta(hours=24):%Y%m%d%H%M}",
        properties={"counted_at": AT - timedelta(days=1)},
    )
    await place.memory.tables.upsert(TABLE, old)
    assert min(await hours.due()) == AT - timedelta(hours=23)


async def test_due_hours_cost_one_query(place: Place) -> None:
    hours = hours_of(place)
    for hour in await hours.due():
        await place.memory.tables.upsert(
            TABLE, Entity(partition="hour", row=f"{hour:%Y%m%d%H%M}", properties={"counted_at": place.time()})
        )
    place.tables.calls.clear()
    assert await hours.due() == []
    assert place.tables.calls == {"query": 1}
