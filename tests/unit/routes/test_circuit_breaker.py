"""The circuit breaker: consecutive failures trip it, and any other outcome resets the count."""

from datetime import timedelta

import pytest

from relay.routes.circuit_breaker import CODES, FAILURES, SPREAD, CircuitBreaker
from tests.doubles import START, Clock


def fail(
    breaker: CircuitBreaker, clock: Clock, times: int, route: str = "main", code: str = "unreachable"
) -> list[bool]:
    """Note failures, one second apart."""
    noted = []
    for _ in range(times):
        noted.append(breaker.note(route, code, clock.now))
        clock.move(1)
    return noted


@pytest.mark.parametrize("code", sorted(CODES))
def test_consecutive_failures_trip_the_breaker_once(clock: Clock, code: str) -> None:
    breaker = CircuitBreaker()
    assert fail(breaker, clock, FAILURES, code=code) == [False] * (FAILURES - 1) + [True]
    assert fail(breaker, clock, FAILURES, code=code) == [False] * (FAILURES - 1) + [True]


@pytest.mark.parametrize("code", ["", "rate_limited", "recipient_deferred"])
def test_other_outcome_resets_the_count(clock: Clock, code: str) -> None:
    breaker = CircuitBreaker()
    fail(breaker, clock, FAILURES - 1)
    assert not breaker.note("main", code, clock.now)
    assert not any(fail(breaker, clock, FAILURES - 1))


def test_failures_are_counted_per_route(clock: Clock) -> None:
    breaker = CircuitBreaker()
    fail(breaker, clock, FAILURES - 1, "a")
    assert not any(fail(breaker, clock, FAILURES - 1, "b"))
    assert fail(breaker, clock, 1, "a") == [True]


def test_burst_that_fails_at_once_counts_as_one_failure() -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.note("main", "unreachable", START) for _ in range(100))
    assert not breaker.note("main", "unreachable", START + SPREAD - timedelta(microseconds=1))
    assert breaker.note("main", "unreachable", START + SPREAD)
