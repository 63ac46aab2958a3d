"""Count recipients in a rolling window of 24 hours against a limit: pure arithmetic.

Counts are kept by the hour. An hour's count leaves the window when its last moment is 24 hours old, and some minutes more for
attempts that were counted in it and sent after it. So the limit holds in every window of 24 hours, and the window is up to an
hour longer than the vendor's. Times are seconds since 1970.
"""

from collections.abc import Mapping, Sequence

import msgspec

HOUR = 3_600
DAY = 86_400
GRACE = 600
"""Seconds after its count in which an attempt may still send: then its lease is over. Also covers clocks that differ."""
COUNTED_SECONDS = HOUR + DAY + GRACE
"""Seconds that an hour's count lasts, from the start of the hour."""
SLOW_FROM = 0.8
"""The share of the limit above which sending slows down."""

type Hours = Mapping[int, int]
"""Recipients by hour (hours since 1970)."""


def used(hours: Hours, now: float) -> int:
    """Return the number of recipients in the window."""
    return sum(count for hour, count in hours.items() if _ends_at(hour) > now)


def fits(limit: int, hours: Hours, now: float, wanted: int) -> bool:
    """Return whether this many recipients may be sent to now.

    From `SLOW_FROM` on, each hour gets a 24th of the rest of the limit, so that the rest lasts until the window has moved on.
    The last message of an hour may exceed the hour's part, but not the limit.
    """
    total = used(hours, now)
    before = total - hours.get(int(now // HOUR), 0)
    slow_from = int(limit * SLOW_FROM)
    hourly = max(1, (limit - slow_from) // 24)
    return total < max(slow_from, before + hourly) and total + wanted <= limit


def opens_at(limit: int, hours: Hours, now: float, wanted: int) -> float:
    """Return when this many recipients may be sent to, if nothing else is sent until then: in a day if they exceed the limit."""
    if fits(limit, hours, now, wanted):
        return now
    next_hours = ((int(now // HOUR) + ahead) * HOUR for ahead in range(1, COUNTED_SECONDS // HOUR + 2))
    ends = (_ends_at(hour) for hour in hours)
    moments = sorted(float(at) for at in (*next_hours, *ends) if at > now)
    return next((at for at in moments if fits(limit, hours, at, wanted)), now + DAY)


def added(hours: Hours, now: float, count: int) -> Hours:
    """Count recipients in this hour, and drop the hours that have left the window."""
    hour = int(now // HOUR)
    kept = {each: known for each, known in hours.items() if _ends_at(each) > now}
    return {**kept, hour: kept.get(hour, 0) + count}


def filled(limit: int, hours: Hours, now: float) -> Hours:
    """Count the rest of the limit in this hour: other senders have used it."""
    return added(hours, now, max(0, limit - used(hours, now)))


def _ends_at(hour: int) -> int:
    return hour * HOUR + COUNTED_SECONDS


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that has no room for some recipients now: their numbers, when it may have (None: never), and whether they may go
    by another route until then."""

    recipients: Sequence[int]
    until: float | None
    reroutes: bool
