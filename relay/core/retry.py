"""Decide when to try again.

Exponential with full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): the delay after attempt n is drawn
evenly between the lane's minimum and min(maximum, minimum × 2^n); a provider's Retry-After wins, up to an hour.
"""

from datetime import datetime, timedelta

import msgspec

MAX_RETRY_AFTER_SECONDS = 3_600.0
"""The longest Retry-After that is honored: a wrong or hostile one must not outlive the message, and asking again costs little."""
LAST_ATTEMPT_SECONDS = 60.0
"""Seconds before the expiry at which the last attempt is made, if the next one would come too late."""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Try again at `at`."""

    at: datetime


class TooLate(msgspec.Struct, frozen=True, kw_only=True):
    """No attempt is possible any more before the message's expiry."""


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
    """Decide what follows the deferral of attempt number `attempt` (from 1). `jitter` is drawn evenly from [0, 1).

    An attempt that would come after the expiry is made shortly before it instead, unless less than `min_seconds` are left.
    """
    at = now + timedelta(seconds=delay_seconds(attempt, min_seconds, max_seconds, jitter, retry_after_seconds))
    if at < expires_at:
        return Again(at=at)
    left = (expires_at - now).total_seconds()
    last = left - min(LAST_ATTEMPT_SECONDS, left / 2)
    return Again(at=now + timedelta(seconds=last)) if last >= min_seconds else TooLate()


def delay_seconds(
    attempt: int,
    min_seconds: float,
    max_seconds: float,
    jitter: float,
    retry_after_seconds: float | None = None,
) -> float:
    """Return the seconds to wait after attempt number `attempt` (from 1)."""
    if retry_after_seconds is not None:
        return min(max(retry_after_seconds, 1.0), MAX_RETRY_AFTER_SECONDS) + jitter
    ceiling = longest_backoff_seconds(attempt, min_seconds, max_seconds)
    return min_seconds + jitter * max(0.0, ceiling - min_seconds)


def longest_backoff_seconds(attempt: int, min_seconds: float, max_seconds: float) -> float:
    """Return the maximum of seconds that the backoff waits after attempt number `attempt` (from 1)."""
    return max(min_seconds, min(max_seconds, min_seconds * 2.0 ** min(attempt, 30)))
