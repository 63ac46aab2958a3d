"""The timers' steps: their order, and a failing step that is reported and stops none of the others."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.doubles import Place

TIMERS = {
    "every_minute": ["recovery.run", "sent_checks.run", "orphan_entries.collect", "health_log.write"],
    "nightly": ["poison_queues.drain", "purge.run", "suppressions.purge", "webhooks.purge"],
}


def spied(place: Place, steps: list[str], monkeypatch: pytest.MonkeyPatch, failing: str = "") -> list[str]:
    """Record the calls of these steps, which still run; `failing` raises instead."""
    calls: list[str] = []

    def spy(name: str, step: Callable[[], Any]) -> Callable[[], Any]:
        async def call() -> Any:
            calls.append(name)
            if name == failing:
                raise ZeroDivisionError(name)
            return await step()

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
