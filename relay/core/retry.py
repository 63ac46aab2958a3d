"""When to try again: a pure decision.

Exponential with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): the delay after attempt n is drawn
evenly between the lane's minimum and min(maximum, minimum × 2^n); a provider's Retry-After wins.
"""

from datetime import datetime, timedelta

import msgspec

MAX_RETRY_AFTER_SECONDS = 86_400.0
"""A provider's wish beyond a day is treated as a day: it would outlive any expiry."""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Try again at `at`."""

    at: datetime


class TooLate(msgspec.Struct, frozen=True, kw_only=True):
    """The next attempt would come after the message's expiry."""


def decide(
    *,
    attempt: int,
    now: datetime,
    expires_at: datetime,
    min_seconds: float,
    max_seconds: float,
    jitter: float,
    retry_after_seconds: float | None = None,
) -> Again | TooLate:
    """What follows the deferral of attempt number `attempt` (from 1). `jitter` is drawn evenly from [0, 1)."""
    at = now + timedelta(seconds=delay_seconds(attempt, min_seconds, max_seconds, jitter, retry_after_seconds))
    return Again(at=at) if at < expires_at else TooLate()


def delay_seconds(
    attempt: int,
    min_seconds: float,
    max_seconds: float,
    jitter: float,
    retry_after_seconds: float | None = None,
) -> float:
    """Seconds to wait after attempt number `attempt`."""
    if retry_after_seconds is not None:
        return min(max(retry_after_seconds, 1.0), MAX_RETRY_AFTER_SECONDS) + jitter
    ceiling = min(max_seconds, min_seconds * 2.0 ** min(attempt, 30))
    return min_seconds + jitter * max(0.0, ceiling - min_seconds)
