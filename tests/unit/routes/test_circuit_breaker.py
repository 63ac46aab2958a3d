"""The circuit breaker: messages that fail in a row trip it, and any other outcome resets the count."""

from datetime import timedelta

import pytest

from relay.routes.circuit_breaker import CODES, FAILURES, SPREAD, CircuitBreaker
from tests.doubles import START, Clock


def fail(
    breaker: CircuitBreaker, clock: Clock, times: int, route: str = "main", code: str = "unreachable"
) -> list[bool]:
    """Note failures of different messages, one second apart."""
    noted = []
    for number in range(times):
        noted.append(breaker.note(route, code, f"{clock.now}-{number}", clock.now))
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
    assert not breaker.note("main", code, "other", clock.now)
    assert not any(fail(breaker, clock, FAILURES - 1))


def test_failures_are_counted_per_route(clock: Clock) -> None:
    breaker = CircuitBreaker()
    fail(breaker, clock, FAILURES - 1, "a")
    assert not any(fail(breaker, clock, FAILURES - 1, "b"))
    assert fail(breaker, clock, 1, "a") == [True]


def test_burst_that_fails_at_once_counts_as_one_failure() -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.note("main", "unreachable", str(number), START) for number in range(100))
    assert not breaker.note("main", "unreachable", "100", START + SPREAD - timedelta(microseconds=1))
    assert breaker.note("main", "unreachable", "100", START + SPREAD)


def test_retries_of_a_message_count_as_one_failure(clock: Clock) -> None:
    breaker = CircuitBreaker()
    fail(breaker, clock, FAILURES - 2)
    for _ in range(2 * FAILURES):
        assert not breaker.note("main", "unreachable", "the same", clock.now)
        clock.move(60)
    assert fail(breaker, clock, 1) == [True]
