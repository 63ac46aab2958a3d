"""Vendors' rate limits: a number of requests within a sliding window."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from math import ceil

import msgspec


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `count` requests within any `seconds`; `name` is the vendor's name for the limit."""

    name: str
    count: int
    seconds: int


class LimitExceeded(msgspec.Struct, frozen=True, kw_only=True):
    """A request above a limit: that limit, and the whole seconds until a request is allowed."""

    limit: Limit
    wait_seconds: int


class RateLimiter:
    """Allows requests within all limits. Refused requests do not count."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limits = tuple(limits)
        self._passed: deque[datetime] = deque()

    def take(self, now: datetime) -> LimitExceeded | None:
        """Allow and count a request, or return the limit it exceeds."""
        waits = [(self._wait(limit, now), limit) for limit in self.limits]
        wait, limit = max(waits, key=lambda pair: pair[0], default=(0.0, None))
        if limit is not None and wait > 0:
            return LimitExceeded(limit=limit, wait_seconds=ceil(wait))
        self._passed.append(now)
        while self._passed and self._age(self._passed[0], now) >= max((x.seconds for x in self.limits), default=0):
            self._passed.popleft()
        return None

    def _wait(self, limit: Limit, now: datetime) -> float:
        """Return the seconds until this limit allows a request; 0 if it does now."""
        inside = [moment for moment in self._passed if self._age(moment, now) < limit.seconds]
        if len(inside) < limit.count:
            return 0.0
        return limit.seconds - self._age(inside[-limit.count], now)

    @staticmethod
    def _age(moment: datetime, now: datetime) -> float:
        return (now - moment).total_seconds()
