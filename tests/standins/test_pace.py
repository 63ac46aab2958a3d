"""Limits slide: each refusal says when the window has room again."""

from datetime import UTC, datetime, timedelta

from standins.pace import Limit, Pace

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_refuses_what_is_too_many_and_says_how_long_to_wait() -> None:
    pace = Pace([Limit(name="minute", count=2, seconds=60)])
    assert [pace.take(at(0)), pace.take(at(10))] == [None, None]
    excess = pace.take(at(20.5))
    assert excess is not None
    assert (excess.limit.name, excess.wait_seconds) == ("minute", 40)
    assert pace.take(at(60)) is None
    assert pace.take(at(60)) is not None


def test_the_limit_that_waits_longest_decides() -> None:
    pace = Pace([Limit(name="minute", count=1, seconds=60), Limit(name="hour", count=2, seconds=3600)])
    assert pace.take(at(0)) is None
    assert pace.take(at(60)) is None
    excess = pace.take(at(120))
    assert excess is not None
    assert (excess.limit.name, excess.wait_seconds) == ("hour", 3480)


def test_without_limits_everything_passes() -> None:
    assert Pace([]).take(at(0)) is None
