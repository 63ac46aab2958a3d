"""Running a step at an operator's request: one at once, in bounded time, with a report; and the reports that timers leave."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from relay.core.errors import Unavailable
from relay.operations.timers.run_now import BEGIN_SECONDS, LEASE, RunNow, StepRunning
from relay.operations.timers.steps import TABLE, Step, StepReport
from relay.platform.concurrency import Deadline, Progress
from relay.platform.storage.ports import Entity
from tests.doubles import CLIENT, START, Place, submission_of


def run_now_of(place: Place, work: Callable[[Deadline], Awaitable[Progress]], limit_seconds: float = 25.0) -> RunNow:
    step = Step(name="work", run=work, until_seconds=0.0)
    reports, tables = place.step_reports, place.storage.tables
    return RunNow(steps=[step], reports=reports, tables=tables, clock=place.time, limit_seconds=limit_seconds)


async def finished(_: Deadline) -> Progress:
    return Progress(done=3)


async def forever(_: Deadline) -> Progress:
    await asyncio.Event().wait()
    return Progress()


async def test_every_step_but_the_timers_own_note_can_be_run(place: Place) -> None:
    assert place.run_now.names == (
        "recovery",
        "webhook_retries",
        "sent_checks",
        "orphan_entries",
        "search_index",
        "arrival_rates",
        "health_log",
        "probes",
        "poison_queues",
        "deleted_clients",
        "suppressions",
        "webhooks",
        "audit",
        "purge",
        "secret_expiry",
    )
    for name in place.run_now.names:
        assert (await place.run_now.run(name)).error == ""


async def test_lost_entry_is_recovered_by_hand(place: Place) -> None:
    await place.acceptance.accept(CLIENT, "transactional", submission_of(send_at=START + timedelta(minutes=10)))
    await place.work()
    while received := await place.memory.queues.receive("relay-transactional", limit=32):
        for each in received:
            await place.memory.queues.delete("relay-transactional", each)
    place.time.move(660)
    assert (await place.run_now.run("recovery")).done == 1
    await place.work()
    assert len(place.script().sent) == 1


async def test_report_of_a_run_is_stored(place: Place) -> None:
    run_now = run_now_of(place, finished)
    assert await run_now.last_reports() == [("work", None)]
    report = await run_now.run("work")
    assert report == StepReport(at=place.time.now, seconds=0.0, done=3)
    assert await run_now.last_reports() == [("work", report)]


async def test_timer_leaves_a_report_for_each_of_its_steps(place: Place) -> None:
    await place.every_minute.run()
    place.time.move(60)
    await place.nightly.run()
    reports = dict(await place.run_now.last_reports())
    assert reports.pop("probes") is None
    ages = {name: (place.time.now - report.at).total_seconds() for name, report in reports.items() if report}
    assert ages["recovery"] == 60.0
    assert ages["purge"] == 0.0
    assert len(ages) == 14


async def test_failed_step_is_reported_with_the_exceptions_type_only(place: Place) -> None:
    async def fails(_: Deadline) -> Progress:
        raise ZeroDivisionError("ada@example.org")

    report = await run_now_of(place, fails).run("work")
    assert (report.error, report.is_complete) == ("ZeroDivisionError", False)
    # The lease is free again.
    assert (await run_now_of(place, finished).run("work")).done == 3


async def test_endless_work_ends_at_the_deadline(place: Place) -> None:
    async def endless(deadline: Deadline) -> Progress:
        while not deadline.is_over:
            place.time.move(1)
        return Progress(done=7, is_complete=False)

    report = await run_now_of(place, endless).run("work")
    assert (report.seconds, report.done, report.is_complete) == (BEGIN_SECONDS, 7, False)


async def test_call_that_never_returns_is_cancelled(place: Place) -> None:
    report = await run_now_of(place, forever, limit_seconds=0.0).run("work")
    assert (report.error, report.is_complete) == ("TimeoutError", False)


async def test_second_run_is_refused_and_names_the_running_step(place: Place) -> None:
    async def call_again(_: Deadline) -> Progress:
        with pytest.raises(StepRunning) as refused:
            await place.run_now.run("purge")
        assert refused.value.running.name == "work"
        assert refused.value.running.until == place.time.now + LEASE
        return Progress(done=1)

    report = await run_now_of(place, call_again).run("work")
    assert (report.done, report.error) == (1, "")
    assert (await place.run_now.run("purge")).error == ""


async def test_lease_that_was_not_released_ends_by_its_time(place: Place) -> None:
    """As after a process that died: the release never reached storage."""
    # The first merge is that of the report.
    place.tables.fail("merge", None, Unavailable("away"))
    assert (await run_now_of(place, finished).run("work")).done == 3
    place.time.move((LEASE - timedelta(seconds=1)).total_seconds())
    with pytest.raises(StepRunning):
        await place.run_now.run("purge")
    place.time.move(1)
    assert (await place.run_now.run("purge")).error == ""


async def test_unreadable_report_hides_no_other(place: Place) -> None:
    await place.every_minute.run()
    row = Entity(partition="report", row="steps", properties={"recovery": "{", "health_log": 3})
    await place.storage.tables.merge(TABLE, row)
    reports = dict(await place.run_now.last_reports())
    assert (reports["recovery"], reports["health_log"]) == (None, None)
    assert reports["sent_checks"] is not None
