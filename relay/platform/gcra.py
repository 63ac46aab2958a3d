"""Compute a pace by the generic cell rate algorithm (GCRA).

A paced resource has a theoretical arrival time (ITU-T I.371, annex A). A pace of `count` in `seconds` is kept in every
window of that length: a burst of a fifth at once, the rest evenly. Times are seconds since 1970.
"""

import math

from relay.core.settings import Pace


def burst_of(pace: Pace) -> int:
    """Return how many may go at once."""
    return max(1, pace.count // 5)


def interval_of(pace: Pace) -> float:
    """Return the seconds between sends after the burst, so that both together never exceed `count` in any window."""
    return pace.seconds / max(1, pace.count - burst_of(pace)) if pace.count > 1 else pace.seconds


def reserve(pace: Pace, arrival: float, now: float, wanted: int) -> tuple[list[float], float]:
    """Return the times of the next `wanted` slots, and the new theoretical arrival time. All in seconds since 1970."""
    interval, slots = interval_of(pace), []
    tolerance = (burst_of(pace) - 1) * interval
    for _ in range(wanted):
        arrival = max(arrival, now)
        slots.append(max(now, arrival - tolerance))
        arrival += interval
    return slots, arrival


def free_cells(pace: Pace, arrival: float, now: float) -> int:
    """Return how many may go now, if the theoretical arrival time is `arrival` (not before `now`)."""
    interval = interval_of(pace)
    tolerance = (burst_of(pace) - 1) * interval
    return max(0, math.floor((now + tolerance - arrival) / interval + 1e-9) + 1)


def wait_for(pace: Pace, arrival: float, now: float, wanted: int) -> float:
    """Return the seconds until `wanted` may go at once."""
    interval = interval_of(pace)
    tolerance = (burst_of(pace) - 1) * interval
    return max(0.0, arrival + (wanted - 1) * interval - tolerance - now)
