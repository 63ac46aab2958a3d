"""A process that dies at any storage operation of a run, before or after it took effect, loses no row and repeats no event."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

import pytest

from relay.core.errors import Unavailable
from relay.events.message_trace.budget import TraceBudget
from relay.events.message_trace.reader import LEASE, TraceReader
from relay.events.provider_events import QUEUE
from relay.platform.storage.ports import Storage
from relay.providers.graph.message_trace import MessageTraceClient, TracePage, TraceRow
from tests.doubles import Place, message_of, place_of, submission_of

PEOPLE = tuple(f"p{number}@example.com" for number in range(7))
PAGE = 3


class Life:
    """A process that dies at an operation of this number, from 1: before it, or after it took effect."""

    def __init__(self, at: int, *, is_done: bool) -> None:
        self.left = at
        self._is_done = is_done

    @property
    def is_over(self) -> bool:
        return self.left <= 0

    async def spend(self, act: Callable[[], Awaitable[Any]]) -> Any:
        self.left -= 1
        if self.left > 0:
            return await act()
        if self.left == 0 and self._is_done:
            await act()
        raise Unavailable("the process is dead")


class Mortal:
    """A storage port of a process."""

    def __init__(self, port: object, life: Life) -> None:
        self._port = port
        self._life = life

    def __getattr__(self, name: str) -> Any:
        target = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._life.spend(lambda: target(*args, **kwargs))

        return call


class Trace:
    """A trace whose rows come in pages of `PAGE`."""

    def __init__(self, rows: Sequence[TraceRow]) -> None:
        self._rows = rows

    async def window(self, since: datetime, until: datetime, *, limit: int) -> TracePage:
        assert limit >= PAGE
        return self._page(0, since, until)

    async def follow(self, link: str) -> TracePage:
        start, since, until = link.split(" ")
        return self._page(int(start), datetime.fromisoformat(since), datetime.fromisoformat(until))

    async def reason(self, row: TraceRow) -> str:
        return f"550 5.1.10 no such mailbox {row.recipient_address}"

    def _page(self, start: int, since: datetime, until: datetime) -> TracePage:
        found = [row for row in self._rows if since <= row.received_date_time <= until]
        following = f"{start + PAGE} {since.isoformat()} {until.isoformat()}"
        return TracePage(rows=found[start : start + PAGE], link=following if start + PAGE < len(found) else "")


def reader(place: Place, trace: Trace, storage: Storage) -> TraceReader:
    mine = Place(place.settings, place.time)
    mine.storage = storage
    return TraceReader(
        name="tenant",
        routes=("main",),
        client=cast(MessageTraceClient, trace),
        budget=TraceBudget(storage.tables, "tenant", place.time),
        events=mine.events,
        journal=mine.journal,
        tables=storage.tables,
        clock=place.time,
    )


def rows_of(name: str, at: datetime) -> list[TraceRow]:
    return [
        TraceRow(
            id="t1",
            received_date_time=at,
            message_id=f"<{name}@example.org>",
            recipient_address=each,
            status="failed" if each == PEOPLE[4] else "delivered",
        )
        for each in PEOPLE
    ]


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
async def test_death_at_any_operation_loses_nothing_and_repeats_nothing(*, is_done: bool) -> None:
    deaths = 0
    while await _dies_at(deaths + 1, is_done=is_done):
        deaths += 1
    assert deaths > 15


async def _dies_at(operation: int, *, is_done: bool) -> bool:
    """Run until the process dies at this operation, then in another process; check what is known. False if it did not die."""
    place, life = await place_of(), Life(operation, is_done=is_done)
    batch = await place.send(submission_of(message_of(*PEOPLE)))
    record = await place.journal.read(batch)
    trace = Trace(rows_of(record.message_id(0, record.entry()), place.time()))
    place.time.move(180)
    mortal = Storage(
        queues=cast(Any, Mortal(place.memory.queues, life)),
        tables=cast(Any, Mortal(place.memory.tables, life)),
        blobs=place.memory.blobs,
    )
    with suppress(Unavailable):
        await reader(place, trace, mortal).run()
    place.time.move(LEASE.total_seconds() + 1)
    for _ in range(16):
        await reader(place, trace, place.storage).run()
        await _apply(place)
        place.time.move(60)
    _, events = await place.journal.history(batch)
    assert sorted(event.recipient for event in events) == sorted(PEOPLE)
    assert [(event.recipient, event.code) for event in events if event.kind == "bounced"] == [(PEOPLE[4], "5.1.10")]
    return life.is_over


async def _apply(place: Place) -> None:
    while received := await place.memory.queues.receive(QUEUE, limit=32):
        for each in received:
            await place.events.apply(each.body)
            await place.memory.queues.delete(QUEUE, each)
