"""The timers' steps: their order, and a failing step that is reported and stops none of the others."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.platform.concurrency import Deadline, Progress
from tests.doubles import Place

ROOT = Path(__file__).parents[4]
TIMERS = {
    "every_minute": [
        "late_timer.note",
        "recovery.run",
        "webhook_retries.run",
        "sent_checks.run",
        "orphan_entries.collect",
        "health_log.write",
    ],
    "nightly": ["poison_queues.drain", "suppressions.purge", "webhooks.purge", "purge.run"],
}


def spied(place: Place, steps: list[str], monkeypatch: pytest.MonkeyPatch, failing: str = "") -> list[str]:
    """Record the calls of these steps, which still run; `failing` raises instead."""
    calls: list[str] = []

    def spy(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*deadline: Deadline) -> Any:
            calls.append(name)
            if name == failing:
                raise ZeroDivisionError(name)
            return await step(*deadline)

        return call

    for name in steps:
        service, _, method = name.partition(".")
        owner = getattr(place, service)
        monkeypatch.setattr(owner, method, spy(name, getattr(owner, method)))
    return calls


@pytest.mark.parametrize("timer", TIMERS)
async def test_timer_runs_its_steps_in_order(place: Place, monkeypatch: pytest.MonkeyPatch, timer: str) -> None:
    calls = spied(place, TIMERS[timer], monkeypatch)
    await getattr(place, timer).run()
    assert calls == TIMERS[timer]


@pytest.mark.parametrize(("timer", "failing"), [(timer, step) for timer, steps in TIMERS.items() for step in steps])
async def test_failing_step_is_logged_and_raised_after_all_others_ran(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, timer: str, failing: str
) -> None:
    calls = spied(place, TIMERS[timer], monkeypatch, failing)
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError, match=failing)):
        await getattr(place, timer).run()
    assert calls == TIMERS[timer]
    assert f'timer_step_failed {{"step":"{failing.partition(".")[0]}"}}' in caplog.text


@pytest.mark.parametrize(("timer", "limit"), [("every_minute", 60.0), ("nightly", 540.0)])
async def test_timer_with_endless_work_ends_in_time_and_reports_the_rest(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, timer: str, limit: float
) -> None:
    """Storage takes time, and every step but the health log has more to do than fits."""

    async def endless(deadline: Deadline) -> Progress:
        while not deadline.is_over:
            place.time.move(1.0)
        return Progress(done=1, is_complete=False)

    ran: list[str] = []

    async def write() -> None:
        ran.append("health_log")

    for name in TIMERS[timer]:
        service, _, method = name.partition(".")
        if service != "late_timer":
            monkeypatch.setattr(getattr(place, service), method, write if service == "health_log" else endless)
    before = place.time.now
    await getattr(place, timer).run()
    assert (place.time.now - before).total_seconds() < limit
    left = [name.partition(".")[0] for name in TIMERS[timer] if not name.startswith(("health_log", "late_timer"))]
    for step in left:
        assert f'timer_unfinished {{"step":"{step}","done":1}}' in caplog.text
    assert ran == (["health_log"] if timer == "every_minute" else [])


def test_function_timeout_is_longer_than_any_run() -> None:
    """functionTimeout in host.json is nine minutes; the last step of the night begins nothing after eight."""
    timeout = json.loads((ROOT / "host.json").read_text())["functionTimeout"]
    hours, minutes, seconds = map(int, timeout.split(":"))
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds) >= timedelta(seconds=480) + timedelta(seconds=60)
