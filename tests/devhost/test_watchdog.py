"""functionTimeout: which invocations are overdue."""

from datetime import timedelta

import pytest

from devhost.watchdog import GRACE_SECONDS, Watchdog, start_watchdog


def watchdog() -> Watchdog:
    return Watchdog(60.0, pytest.fail)


@pytest.mark.parametrize(("now", "expected"), [(60.0, None), (60.0 + GRACE_SECONDS, None), (62.1, "slow")])
def test_invocation_is_overdue_after_limit_plus_grace(now: float, expected: str | None) -> None:
    watching = watchdog()
    watching.enter("i1", "slow", 0.0)
    watching.enter("i2", "fast", 50.0)
    assert watching.overdue(now) == expected


def test_ended_invocation_is_not_overdue() -> None:
    watching = watchdog()
    watching.enter("i1", "slow", 0.0)
    watching.leave("i1")
    assert watching.overdue(1000.0) is None


def test_unlimited_timeout_starts_no_watchdog() -> None:
    assert start_watchdog(None) is None
    begun = start_watchdog(timedelta(hours=1))
    assert begun is not None
    begun.stop()
