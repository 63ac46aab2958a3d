"""Vendors' rate limits: so many requests within a span that slides."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from math import ceil

import msgspec


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """At most `count` requests within any `seconds`; `name` is how the vendor calls it."""

    name: str
    count: int
    seconds: int


class Excess(msgspec.Struct, frozen=True, kw_only=True):
    """A request too many: the limit it exceeds, and whole seconds until it would be let through."""

    limit: Limit
    wait_seconds: int


class Pace:
    """Counts what was let through. A refused request does not count."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limits = tuple(limits)
        self._passed: deque[datetime] = deque()

    def take(self, now: datetime) -> Excess | None:
        """Let a request through and count it, or say why not."""
        waits = [(self._wait(limit, now), limit) for limit in self.limits]
        wait, limit = max(waits, key=lambda pair: pair[0], default=(0.0, None))
        if limit is not None and wait > 0:
            return Excess(limit=limit, wait_seconds=ceil(wait))
        self._passed.append(now)
        while self._passed and self._age(self._passed[0], now) >= max((x.seconds for x in self.limits), default=0):
            self._passed.popleft()
        return None

    def _wait(self, limit: Limit, now: datetime) -> float:
        """Seconds until this limit has room again; 0 when it has."""
        inside = [moment for moment in self._passed if self._age(moment, now) < limit.seconds]
        if len(inside) < limit.count:
            return 0.0
        return limit.seconds - self._age(inside[-limit.count], now)

    @staticmethod
    def _age(moment: datetime, now: datetime) -> float:
        return (now - moment).total_seconds()
