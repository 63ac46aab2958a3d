"""Limit the requests of one key, such as an IP address, in a minute. Each process counts for itself."""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=1)
MOST_KEYS = 10_000
"""Keys that are remembered; the least recently counted one is forgotten first."""


class Throttle:
    """Counts the requests of the last minute by key."""

    def __init__(self, clock: Callable[[], datetime], limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._rows: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def seconds_left(self, key: str) -> int:
        """Return the seconds until this key may send a request; 0 if it may now."""
        now = self._clock()
        count, until = self._rows.get(key, (0, now))
        return max(1, math.ceil((until - now).total_seconds())) if count >= self._limit and until > now else 0

    def note(self, key: str) -> None:
        """Count a request. One without a key is not counted."""
        if not key:
            return
        now = self._clock()
        count, until = self._rows.pop(key, (0, now + WINDOW))
        self._rows[key] = (count + 1, until) if until > now else (1, now + WINDOW)
        if len(self._rows) > MOST_KEYS:
            self._rows.popitem(last=False)
