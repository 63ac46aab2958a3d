"""Say when an hour of the journal that was read is read again: less often the older it is, because it changes less."""

from datetime import datetime, timedelta

SHORTEST = timedelta(minutes=10)
"""Shortest pause before an hour is read again."""


def pause(age: timedelta, *, steady: timedelta) -> timedelta:
    """Return how long after it was read an hour is read again: a quarter of its age beyond `steady`, at least `SHORTEST`.

    `age` is the time since the hour began.
    """
    return max(SHORTEST, (age - steady) / 4)


def start_of_hour(moment: datetime) -> datetime:
    """Return when the hour of a moment began."""
    return moment.replace(minute=0, second=0, microsecond=0)
