"""Rate limits with sliding windows, and the wait that a refusal gives."""

from datetime import UTC, datetime, timedelta

from standins.rate_limit import Limit, RateLimiter

START = datetime(2026, 3, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_request_above_the_limit_is_refused_with_the_wait() -> None:
    limiter = RateLimiter([Limit(name="minute", count=2, seconds=60)])
    assert [limiter.take(at(0)), limiter.take(at(10))] == [None, None]
    exceeded = limiter.take(at(20.5))
    assert exceeded is not None
    assert (exceeded.limit.name, exceeded.wait_seconds) == ("minute", 40)
    assert limiter.take(at(60)) is None
    assert limiter.take(at(60)) is not None


def test_limit_with_the_longest_wait_decides() -> None:
    limiter = RateLimiter([Limit(name="minute", count=1, seconds=60), Limit(name="hour", count=2, seconds=3600)])
    assert limiter.take(at(0)) is None
    assert limiter.take(at(60)) is None
    exceeded = limiter.take(at(120))
    assert exceeded is not None
    assert (exceeded.limit.name, exceeded.wait_seconds) == ("hour", 3480)


def test_no_limits_allow_every_request() -> None:
    assert RateLimiter([]).take(at(0)) is None
