"""Count messages that fail in a row, so that a failing route is held instead of being tried by every message."""

from datetime import datetime, timedelta

import msgspec

FAILURES = 10
"""Messages in a row whose attempts must fail before the route is held.

Retries of a message count once: otherwise one message that its provider cannot take would hold the route for all."""
SPREAD = timedelta(seconds=5)
"""Consecutive failures must span at least this time: concurrent sends that fail together count as one failure."""
CODES = frozenset({"provider_unavailable", "unreachable", "response_lost"})
"""Codes that count: the provider fails, is unreachable, or accepts a message and never responds."""


class _Failures(msgspec.Struct, frozen=True):
    since: datetime
    messages: set[str]


class CircuitBreaker:
    """Counts the failed messages of each route in this process."""

    def __init__(self) -> None:
        self._failures: dict[str, _Failures] = {}

    def note(self, route: str, code: str, message: str, now: datetime) -> bool:
        """Count the outcome of a message's attempt (`code` is empty on success). Returns whether to hold the route now."""
        if code not in CODES:
            self._failures.pop(route, None)
            return False
        failures = self._failures.setdefault(route, _Failures(now, set()))
        if len(failures.messages) < FAILURES:
            failures.messages.add(message)
        if len(failures.messages) < FAILURES or now - failures.since < SPREAD:
            return False
        del self._failures[route]
        return True
