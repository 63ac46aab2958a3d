"""The shared rate limit: computed slots, at most `count` in any window, and several instances on one row."""

import asyncio
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.errors import Changed, Unavailable
from relay.core.settings import Pace
from relay.platform.gcra import burst_of, interval_of, reserve
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.platform.storage.rows import MAX_RACES
from relay.routes.pacing import TABLE, Pacing
from tests.depth import examples
from tests.doubles import START, Clock, Watched

MAILBOX = Pace(count=30, seconds=60)
"""A burst of 6, then one every 2.5 seconds."""


@pytest.fixture
async def tables(clock: Clock) -> Watched:
    memory = memory_storage(clock)
    await memory.tables.create(TABLE)
    return Watched(memory.tables)


@pytest.mark.parametrize(
    ("count", "seconds", "burst", "interval"),
    [(30, 60, 6, 2.5), (100, 3600, 20, 45), (5, 60, 1, 15), (4, 60, 1, 20), (2, 60, 1, 60), (1, 60, 1, 60)],
)
def test_pace_is_a_burst_and_an_interval(count: int, seconds: float, burst: int, interval: float) -> None:
    pace = Pace(count=count, seconds=seconds)
    assert (burst_of(pace), interval_of(pace)) == (burst, interval)


@pytest.mark.parametrize(
    ("arrival", "now", "wanted", "slots", "after"),
    [
        # idle: a burst at once, the rest evenly
        (0, 1000, 1, [1000], 1002.5),
        (0, 1000, 8, [1000] * 6 + [1002.5, 1005], 1020),
        # burst used up: evenly spaced
        (1015, 1000, 2, [1002.5, 1005], 1020),
        # half the burst is left
        (1007.5, 1000, 4, [1000, 1000, 1000, 1002.5], 1017.5),
        # a backlog
        (2000, 1000, 2, [1987.5, 1990], 2005),
        # idle for long: at most one burst accumulates
        (10, 1000, 7, [1000] * 6 + [1002.5], 1017.5),
        (1000, 1000, 0, [], 1000),
    ],
)
def test_reserved_slots_follow_the_arrival_time(
    arrival: float, now: float, wanted: int, slots: list[float], after: float
) -> None:
    found = reserve(MAILBOX, arrival, now, wanted)
    assert found[0] == pytest.approx(slots)
    assert found[1] == pytest.approx(after)


@settings(max_examples=examples(100))
@given(
    st.integers(1, 120),
    st.sampled_from([1.0, 60.0, 3600.0]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(1, 40)), min_size=1, max_size=30),
)
def test_no_window_exceeds_the_pace(count: int, seconds: float, wishes: list[tuple[float, int]]) -> None:
    pace, arrival, now = Pace(count=count, seconds=seconds), 0.0, START.timestamp()
    slots: list[float] = []
    for pause, wanted in wishes:
        now += pause * seconds
        reserved, arrival = reserve(pace, arrival, now, wanted)
        assert all(slot >= now for slot in reserved)
        slots += reserved
    slots.sort()
    # Of any count + 1 consecutive slots the last is a window after the first, within the precision of a float.
    for first, last in zip(slots, slots[count:], strict=False):
        assert last - first >= seconds - 1e-5


async def test_instances_share_a_row(tables: Watched, clock: Clock) -> None:
    instances = [Pacing(tables, clock) for _ in range(4)]
    slots: list[datetime] = []
    for number in range(40):
        slots += await instances[number % 4].slots([MAILBOX], ["shop@example.org"], 1)
    offsets = [(slot - START).total_seconds() for slot in slots]
    assert offsets == pytest.approx([0] * 6 + [2.5 * number for number in range(1, 35)], abs=1e-5)


async def test_concurrent_reservations_get_different_slots(tables: Watched, clock: Clock) -> None:
    one, other = Pacing(tables, clock), Pacing(tables, clock)
    taken: list[datetime] = []

    async def reserve_concurrently() -> None:
        taken.extend(await other.slots([MAILBOX], ["a"], 6))

    tables.before("insert", reserve_concurrently)
    first = await one.slots([MAILBOX], ["a"], 6)
    tables.before("merge", reserve_concurrently)
    second = await one.slots([MAILBOX], ["a"], 6)
    offsets = sorted((slot - START).total_seconds() for slot in [*first, *second, *taken])
    assert offsets == pytest.approx([0] * 6 + [2.5 * number for number in range(1, 19)], abs=1e-5)


async def test_concurrent_senders_of_a_process_reserve_together(tables: Watched, clock: Clock) -> None:
    pacing = Pacing(tables, clock)
    tables.calls.clear()
    slots = await asyncio.gather(*(pacing.slots([MAILBOX], ["a"], wanted) for wanted in (1, 2, 3, 4)))
    offsets = [[(slot - START).total_seconds() for slot in each] for each in slots]
    assert offsets == [[0], [0, 0], [0, 0, 0], pytest.approx([2.5, 5, 7.5, 10], abs=1e-5)]
    assert tables.calls == {"get": 1, "insert": 1}


async def test_each_resource_and_pace_has_its_own_row(tables: Watched, clock: Clock) -> None:
    pacing = Pacing(tables, clock)
    hourly = Pace(count=100, seconds=3600)
    assert await pacing.slots([MAILBOX], ["a"], 6) == await pacing.slots([MAILBOX], ["b"], 6) == [START] * 6
    assert await pacing.slots([hourly], ["a"], 1) == [START]


async def test_send_waits_for_every_pace_of_its_route(tables: Watched, clock: Clock) -> None:
    minutely, hourly = Pace(count=30, seconds=60), Pace(count=100, seconds=3600)
    slots = await Pacing(tables, clock).slots([minutely, hourly], ["acs", "acs"], 22)
    offsets = [(slot - START).total_seconds() for slot in slots]
    assert offsets[:6] == [0] * 6
    assert offsets[19] == pytest.approx(2.5 * 14, abs=1e-5)
    assert offsets[20:] == pytest.approx([45, 90], abs=1e-5)


async def test_slots_become_free_with_time(tables: Watched, clock: Clock) -> None:
    pacing = Pacing(tables, clock)
    await pacing.slots([MAILBOX], ["a"], 30)
    clock.move(75)
    assert await pacing.slots([MAILBOX], ["a"], 6) == [START + timedelta(seconds=75)] * 6


async def test_row_that_always_changes_raises_unavailable(tables: Watched, clock: Clock) -> None:
    pacing = Pacing(tables, clock)
    await pacing.slots([MAILBOX], ["a"], 1)
    tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    with pytest.raises(Unavailable):
        await pacing.slots([MAILBOX], ["a"], 1)
    assert len(await pacing.slots([MAILBOX], ["a"], 1)) == 1


async def test_slot_is_not_before_the_end_of_lost_races(tables: Watched, clock: Clock) -> None:
    async def be_first() -> None:
        await Pacing(tables, clock).slots([MAILBOX], ["shop@example.org"], 1)
        clock.move(30)

    tables.before("insert", be_first)
    [slot] = await Pacing(tables, clock).slots([MAILBOX], ["shop@example.org"], 1)
    assert slot == clock()


@pytest.mark.parametrize("taken", [0, 20])
async def test_clock_that_is_ahead_delays_no_other_instance(tables: Watched, clock: Clock, taken: int) -> None:
    await Pacing(tables, clock).slots((MAILBOX,), ("m",), taken)
    ahead = Clock()
    ahead.now = clock.now + timedelta(minutes=10)
    await Pacing(tables, ahead).slots((MAILBOX,), ("m",), 6)
    elsewhere = await Pacing(tables, clock).slots((MAILBOX,), ("m",), 1)
    # As if the clock had been right: after 6 of the burst, every 2.5 seconds.
    assert elsewhere == [clock.now + timedelta(seconds=2.5 * (taken + 1))]
