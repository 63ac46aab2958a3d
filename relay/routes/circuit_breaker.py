"""Count consecutive transient failures, so that a failing route is held instead of being tried by every message."""

from datetime import datetime, timedelta

FAILURES = 10
SPREAD = timedelta(seconds=5)
"""Consecutive failures must span at least this time: concurrent sends that fail together count as one failure."""
CODES = frozenset({"provider_unavailable", "unreachable", "response_lost"})
"""Codes that count: the provider fails, is unreachable, or accepts a message and never responds."""


class CircuitBreaker:
    """Counts failures of each route in this process."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, datetime]] = {}

    def note(self, route: str, code: str, now: datetime) -> bool:
        """Count the outcome of an attempt (`code` is empty on success). Returns whether the route should be held now."""
        if code not in CODES:
            self._failures.pop(route, None)
            return False
        count, since = self._failures.get(route, (0, now))
        self._failures[route] = (count + 1, since)
        if count + 1 < FAILURES or now - since < SPREAD:
            return False
        del self._failures[route]
        return True
