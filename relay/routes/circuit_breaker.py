"""Counts transient failures in a row, so that a route that only fails is held instead of being tried by every message."""

from datetime import datetime, timedelta

FAILURES = 10
SPREAD = timedelta(seconds=5)
"""A burst that fails all at once is one failure seen many times: the row must last at least this long."""
CODES = frozenset({"provider_unavailable", "unreachable", "answer_lost"})
"""What counts: a provider that fails, cannot be reached, or takes messages and never answers."""


class CircuitBreaker:
    """The rows of failures of this process, one for each route."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, datetime]] = {}

    def note(self, route: str, code: str, now: datetime) -> bool:
        """Count the outcome of an attempt (`code` empty: it worked). True when the route should be held now."""
        if code not in CODES:
            self._rows.pop(route, None)
            return False
        count, since = self._rows.get(route, (0, now))
        self._rows[route] = (count + 1, since)
        if count + 1 < FAILURES or now - since < SPREAD:
            return False
        del self._rows[route]
        return True
