"""A clock for tests."""

from datetime import UTC, datetime


class Clock:
    """Returns `now`, which only the test changes."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now
