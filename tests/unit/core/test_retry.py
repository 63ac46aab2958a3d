"""When to try again, as a table of numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.retry import Again, TooLate, decide, delay_seconds

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ALMOST_ONE = 0.999_999


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        # The delay after attempt n lies between 15 s and 15 × 2^n, at most an hour.
        (1, 0.0, 15),
        (1, 0.5, 22.5),
        (1, 1.0, 30),
        (2, 0.0, 15),
        (2, 1.0, 60),
        (3, 0.5, 67.5),
        (4, 1.0, 240),
        (7, 1.0, 1920),
        (8, 1.0, 3600),
        (9, 0.0, 15),
        (9, 0.5, 1807.5),
        (9, 1.0, 3600),
        (10_000, 1.0, 3600),
    ],
)
def test_backoff_is_exponential_with_full_jitter(attempt: int, jitter: float, seconds: float) -> None:
    assert delay_seconds(attempt, 15, 3600, jitter) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("wish", "jitter", "seconds"),
    [
        (120, 0.0, 120),
        (120, 0.5, 120.5),
        (0, 0.0, 1),
        (0.2, 0.25, 1.25),
        (3_600, 0.0, 3_600),
        (86_400, 0.0, 3_600),
        (1e30, 0.5, 3_600.5),
    ],
)
def test_retry_after_takes_precedence_over_backoff(wish: float, jitter: float, seconds: float) -> None:
    for attempt in (1, 5, 50):
        assert delay_seconds(attempt, 15, 3600, jitter, wish) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("expires_in", "wish", "decision"),
    [
        (100, None, Again(at=NOW + timedelta(seconds=22.5))),
        (22.6, None, Again(at=NOW + timedelta(seconds=22.5))),
        (22.5, None, TooLate()),
        (1, None, TooLate()),
        (-1, None, TooLate()),
        (100, 90, Again(at=NOW + timedelta(seconds=90.5))),
        # The last attempt: a minute before the expiry, or when half of what is left has passed.
        (90, 90, Again(at=NOW + timedelta(seconds=45))),
        (1_000, 86_400, Again(at=NOW + timedelta(seconds=940))),
        (86_400, 86_400, Again(at=NOW + timedelta(seconds=3_600.5))),
        (29, 90, TooLate()),
    ],
)
def test_attempt_due_after_the_expiry_is_made_before_it_or_never(
    expires_in: float, wish: float | None, decision: Again | TooLate
) -> None:
    decided = decide(
        attempt=1,
        now=NOW,
        expires_at=NOW + timedelta(seconds=expires_in),
        min_seconds=15,
        max_seconds=3600,
        jitter=0.5,
        retry_after_seconds=wish,
    )
    assert decided == decision


@given(st.integers(1, 100), st.floats(0.1, 86_400), st.floats(0.1, 86_400), st.floats(0, 1, exclude_max=True))
def test_delay_stays_within_the_lanes_limits(attempt: int, minimum: float, maximum: float, jitter: float) -> None:
    delay = delay_seconds(attempt, minimum, maximum, jitter)
    assert minimum <= delay <= max(minimum, maximum)


@given(st.floats(0, 1e12), st.floats(0, 3e6), st.floats(0, 1, exclude_max=True))
def test_retry_after_never_prevents_the_last_attempt(wish: float, left: float, jitter: float) -> None:
    expires_at = NOW + timedelta(seconds=left)
    decided = decide(
        attempt=1,
        now=NOW,
        expires_at=expires_at,
        min_seconds=15,
        max_seconds=3600,
        jitter=jitter,
        retry_after_seconds=wish,
    )
    if isinstance(decided, Again):
        assert NOW < decided.at < expires_at
    else:
        assert left < 2 * 15 + 1
