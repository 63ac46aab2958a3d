"""The circuit breaker: a row of failures that lasts, and what ends it."""

from datetime import timedelta

import pytest

from relay.routes.circuit_breaker import CODES, FAILURES, SPREAD, CircuitBreaker
from tests.doubles import START, Clock


def fail(
    breaker: CircuitBreaker, clock: Clock, times: int, route: str = "main", code: str = "unreachable"
) -> list[bool]:
    """Failures, each a second after the one before."""
    noted = []
    for _ in range(times):
        noted.append(breaker.note(route, code, clock.now))
        clock.move(1)
    return noted


@pytest.mark.parametrize("code", sorted(CODES))
def test_so_many_failures_in_a_row_break_once(clock: Clock, code: str) -> None:
    breaker = CircuitBreaker()
    assert fail(breaker, clock, FAILURES, code=code) == [False] * (FAILURES - 1) + [True]
    assert fail(breaker, clock, FAILURES, code=code) == [False] * (FAILURES - 1) + [True]


@pytest.mark.parametrize("code", ["", "rate_limited", "recipient_deferred"])
def test_an_answer_ends_the_row(clock: Clock, code: str) -> None:
    breaker = CircuitBreaker()
    fail(breaker, clock, FAILURES - 1)
    assert not breaker.note("main", code, clock.now)
    assert not any(fail(breaker, clock, FAILURES - 1))


def test_each_route_has_a_row_of_its_own(clock: Clock) -> None:
    breaker = CircuitBreaker()
    fail(breaker, clock, FAILURES - 1, "a")
    assert not any(fail(breaker, clock, FAILURES - 1, "b"))
    assert fail(breaker, clock, 1, "a") == [True]


def test_a_burst_that_fails_at_once_is_one_failure() -> None:
    breaker = CircuitBreaker()
    assert not any(breaker.note("main", "unreachable", START) for _ in range(100))
    assert not breaker.note("main", "unreachable", START + SPREAD - timedelta(microseconds=1))
    assert breaker.note("main", "unreachable", START + SPREAD)
