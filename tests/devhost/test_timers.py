"""Timers: schedules, the stored status, and the loop that fires, with a clock that only the test moves."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devhost.settings import FunctionConfigurationError
from devhost.timers import Status, TimerListener, after_run, check, is_monitored, parse_schedule, timer_input
from devhost.values import Datum
from devhost.worker import Function, Invocation
from tests.devhost.doubles import MemoryBlobs, function

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
HOURLY = parse_schedule("0 0 * * * *", UTC)
BLOB = "timers/host/Host.Functions.tick/status"


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute, second=second)


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("30 * * * * *", NOON + timedelta(seconds=30)),
        ("*/5 * * * *", NOON + timedelta(minutes=5)),
        ("0 17 3 * * *", NOON + timedelta(hours=15, minutes=17)),
        ("0 0 9 * * 1-5", NOON + timedelta(hours=21)),
        ("0 0 9 * * Sat", NOON + timedelta(days=4, hours=21)),
        ("0 0 0 13 * Fri", datetime(2026, 3, 13, tzinfo=UTC)),
        ("00:05:00", NOON + timedelta(minutes=5)),
    ],
)
def test_schedule_is_six_or_five_fields_or_a_time_span(schedule: str, following: datetime) -> None:
    assert parse_schedule(schedule, UTC).next_after(NOON) == following


def test_schedule_uses_the_time_zone() -> None:
    schedule = parse_schedule("0 0 9 * * *", ZoneInfo("Europe/Berlin"))
    assert schedule.next_after(NOON) == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["never", "0 0 31 2 * *", "61 * * * * *", "0 0 * *", "00:00:00", "-00:01:00"])
def test_schedule_that_never_fires_is_refused(text: str) -> None:
    with pytest.raises(FunctionConfigurationError):
        parse_schedule(text, UTC)


@pytest.mark.parametrize(
    ("schedule", "use_monitor", "expected"),
    [("0 * * * * *", True, True), ("*/30 * * * * *", True, False), ("00:00:59", True, False), ("0 * * * * *", False, False)],
)  # fmt: skip
def test_only_schedules_of_a_minute_or_more_are_monitored(schedule: str, use_monitor: bool, expected: bool) -> None:
    assert is_monitored(parse_schedule(schedule, UTC), NOON, use_monitor=use_monitor) is expected


def test_new_timer_does_not_run_at_start() -> None:
    assert check(None, HOURLY, NOON) == (Status(next=at(13), last_updated=NOON), False)


@pytest.mark.parametrize("hours", [0, 5, 100])
def test_several_missed_runs_become_one_past_due_run(hours: int) -> None:
    status = Status(last=at(9), next=at(10), last_updated=at(9))
    assert check(status, HOURLY, at(10, 1) + timedelta(hours=hours)) == (status, True)


def test_timer_that_is_not_due_does_not_run_at_start() -> None:
    status = Status(last=at(9), next=at(10), last_updated=at(9))
    assert check(status, HOURLY, at(9, 59)) == (status, False)


def test_changed_schedule_starts_now_without_a_past_due_run() -> None:
    status = Status(last=at(9), next=at(9, 30), last_updated=at(9))
    assert check(status, HOURLY, at(11, 5)) == (Status(next=at(12), last_updated=at(11, 5)), False)


def test_changed_schedule_that_is_not_due_counts_from_the_last_run() -> None:
    status = Status(last=at(9), next=at(9, 30), last_updated=at(9))
    every_two_hours = parse_schedule("02:00:00", UTC)
    assert check(status, every_two_hours, at(9, 45)) == (Status(next=at(11), last_updated=at(9)), False)
    assert check(Status(next=at(11), last_updated=at(9)), every_two_hours, at(9, 50))[0].next == at(11)


@pytest.mark.parametrize(
    ("ended_at", "was_due", "following"),
    [
        (at(10, 0, 5), True, at(11)),
        (at(12, 30), True, at(13)),
        (at(9, 59, 59), True, at(11)),  # fired early because of a wrong clock: does not fire again for the same hour
        (at(9, 30), False, at(10)),
    ],
)
def test_next_time_is_computed_after_the_run(ended_at: datetime, was_due: bool, following: datetime) -> None:
    assert after_run(HOURLY, Status(next=at(10)), ended_at, was_due=was_due).next == following


def test_timer_argument_has_the_genuine_format() -> None:
    content = json.loads(timer_input(Status(next=at(13)), is_past_due=True).value)
    assert content == {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {
            "Last": "0001-01-01T00:00:00Z",
            "Next": "2026-03-02T13:00:00Z",
            "LastUpdated": "0001-01-01T00:00:00Z",
        },
        "IsPastDue": True,
    }
    assert json.loads(timer_input(None, is_past_due=False).value)["ScheduleStatus"] is None


class Day:
    """Doubles of clock, wait and function of one timer: a wait moves the clock, a run takes `run_time`."""

    def __init__(self, now: datetime, *, runs: int, run_time: timedelta = timedelta(0)) -> None:
        self.now = now
        self.fired: list[tuple[datetime, bool]] = []
        self.listener: TimerListener | None = None
        self._runs = runs
        self._run_time = run_time

    def clock(self) -> datetime:
        return self.now

    async def wait(self, _: asyncio.Event, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def fire(self, _: Function, value: Datum) -> Invocation:
        self.fired.append((self.now, json.loads(value.value)["IsPastDue"]))
        self.now += self._run_time
        if len(self.fired) == self._runs and self.listener is not None:
            self.listener.stop()
        return Invocation(succeeded=False)

    async def live(self, schedule: str, blobs: MemoryBlobs | None, *, runs_on_startup: bool = False) -> None:
        self.listener = TimerListener(
            function=function("tick", "timerTrigger", trigger={"runOnStartup": runs_on_startup}),
            schedule=parse_schedule(schedule, UTC),
            blobs=blobs,
            blob_name=BLOB,
            clock=self.clock,
            wait=self.wait,
            fire=self.fire,
        )
        await self.listener.run()


async def test_timer_fires_at_each_time_and_stores_its_status() -> None:
    day, blobs = Day(at(8, 15), runs=3), MemoryBlobs()
    await day.live("0 0 * * * *", blobs)
    assert day.fired == [(at(9), False), (at(10), False), (at(11), False)]
    assert json.loads(blobs.texts[BLOB]) == {
        "Last": "2026-03-02T11:00:00Z",
        "Next": "2026-03-02T12:00:00Z",
        "LastUpdated": "2026-03-02T11:00:00Z",
    }


async def test_long_runs_never_overlap() -> None:
    day = Day(at(8, 15), runs=3, run_time=timedelta(minutes=90))
    await day.live("0 0 * * * *", MemoryBlobs())
    assert day.fired == [(at(9), False), (at(11), False), (at(13), False)]


async def test_restart_runs_once_for_missed_runs() -> None:
    blobs = MemoryBlobs()
    await Day(at(8, 15), runs=1).live("0 0 * * * *", blobs)
    later = Day(at(14, 20), runs=2)
    await later.live("0 0 * * * *", blobs)
    assert later.fired == [(at(14, 20), True), (at(15), False)]


async def test_run_on_startup_keeps_the_next_time() -> None:
    day = Day(at(8, 15), runs=2)
    await day.live("0 0 * * * *", MemoryBlobs(), runs_on_startup=True)
    assert day.fired == [(at(8, 15), False), (at(9), False)]


async def test_unmonitored_timer_is_never_past_due() -> None:
    day = Day(at(8, 15), runs=2)
    await day.live("*/10 * * * * *", None)
    assert day.fired == [(at(8, 15, 10), False), (at(8, 15, 20), False)]


@pytest.mark.parametrize("blobs", [MemoryBlobs(is_away=True), None])
async def test_timer_fires_without_a_readable_or_writable_status(blobs: MemoryBlobs | None) -> None:
    if blobs is None:
        blobs = MemoryBlobs()
        blobs.texts[BLOB] = "{broken"
    day = Day(at(8, 15), runs=1)
    await day.live("0 0 * * * *", blobs)
    assert day.fired == [(at(9), False)]


async def test_stop_while_waiting_fires_no_run() -> None:
    class EndingDay(Day):
        async def wait(self, _: asyncio.Event, seconds: float) -> None:
            assert self.listener is not None
            self.listener.stop()

    day = EndingDay(at(8, 15), runs=9)
    await day.live("0 0 * * * *", MemoryBlobs())
    assert day.fired == []
