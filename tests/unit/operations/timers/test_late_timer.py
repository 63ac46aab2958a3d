"""Recovery from traffic: only when the timer is late, by one process, and without harm to the entry that triggered it."""

from datetime import timedelta

import pytest

from relay.core.errors import Unavailable
from relay.operations.timers.late_timer import LATE, LOOK_EVERY, LateTimer
from relay.platform.concurrency import Deadline, Progress
from tests.doubles import CLIENT, START, Place, submission_of


class Recovered:
    """Counts the runs of the recovery."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self, deadline: Deadline) -> Progress:
        assert not deadline.is_over
        self.runs += 1
        return Progress()


@pytest.fixture
def recovered() -> Recovered:
    return Recovered()


@pytest.fixture
def timer(place: Place, recovered: Recovered) -> LateTimer:
    return LateTimer(place.storage.tables, recovered, place.time)


async def test_punctual_timer_costs_one_read_per_minute(place: Place, timer: LateTimer, recovered: Recovered) -> None:
    await timer.note()
    place.tables.calls.clear()
    for _ in range(100):
        assert not await timer.run_if_late()
    assert dict(place.tables.calls) == {"get": 1}
    place.time.move(LOOK_EVERY.total_seconds())
    assert not await timer.run_if_late()
    assert place.tables.calls["get"] == 2
    assert recovered.runs == 0


async def test_late_timer_triggers_recovery_once_in_five_minutes(
    place: Place, timer: LateTimer, recovered: Recovered
) -> None:
    await timer.note()
    for minute in range(1, 17):
        place.time.move(60)
        assert await timer.run_if_late() is (minute % 5 == 0)
    assert recovered.runs == 3


async def test_one_of_several_processes_recovers(place: Place, recovered: Recovered) -> None:
    processes = [LateTimer(place.storage.tables, recovered, place.time) for _ in range(10)]
    await processes[0].note()
    place.time.move(LATE.total_seconds())
    assert sum([await process.run_if_late() for process in processes]) == 1


async def test_new_deployment_waits_for_the_timer(place: Place, timer: LateTimer, recovered: Recovered) -> None:
    assert not await timer.run_if_late()
    place.time.move((LATE - timedelta(seconds=1)).total_seconds())
    assert not await timer.run_if_late()
    place.time.move(60)
    assert await timer.run_if_late()
    assert recovered.runs == 1


async def test_unavailable_storage_does_not_fail_the_delivery(place: Place, timer: LateTimer) -> None:
    place.tables.fail("get", Unavailable("away"))
    assert not await timer.run_if_late()


async def test_lost_entry_is_recovered_by_traffic_alone(place: Place) -> None:
    await place.every_minute.run()
    name = "relay-transactional"
    await place.acceptance.accept(CLIENT, "transactional", submission_of(send_at=START + timedelta(minutes=10)))
    await place.work()
    while received := await place.memory.queues.receive(name, limit=32):
        for each in received:
            await place.memory.queues.delete(name, each)
    place.time.move(660)
    assert await place.late_timer.run_if_late()
    await place.work()
    assert len(place.script().sent) == 1
