"""Limit how often a client calls. Each instance counts in memory, so a request costs no storage operation."""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from relay.clients.registry import Client
from relay.core.errors import Refusal
from relay.core.settings import Pace
from relay.platform.gcra import burst_of, free_cells, interval_of, wait_for

REQUESTS_PER_MESSAGE = 10
"""Requests that a client may make for each message that it may send."""
MIN_REQUESTS = 120
"""Requests a minute that every client may make, so that the most expensive one still fits into a burst."""
MEGABYTE = 1_048_576
_CLIENTS = 10_000
_MINUTE = 60


class RequestRate:
    """Counts the requests of clients that have a rate."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._start = clock()
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    def take(self, client: Client, requests: int, body_bytes: int = 0) -> None:
        """Take requests from the client's rate, and one more for each megabyte of the body. Raises `Refusal` (429)."""
        rate = client.policy.rate_per_minute
        if rate is None:
            return
        pace = Pace(count=max(MIN_REQUESTS, REQUESTS_PER_MESSAGE * rate), seconds=_MINUTE)
        wanted = min(requests + body_bytes // MEGABYTE, burst_of(pace))
        # Seconds since 1970 would leave too few digits for paces of thousands a minute.
        now = (self._clock() - self._start).total_seconds()
        arrival = max(now, self._arrivals.pop(client.id, 0.0))
        is_free = free_cells(pace, arrival, now) >= wanted
        self._arrivals[client.id] = arrival + wanted * interval_of(pace) if is_free else arrival
        if len(self._arrivals) > _CLIENTS:
            self._arrivals.popitem(last=False)
        if not is_free:
            raise _too_many(pace.count, wait_for(pace, arrival, now, wanted))


def _too_many(count: int, seconds: float) -> Refusal:
    text = (
        f"This client may make {count} requests a minute: {REQUESTS_PER_MESSAGE} for each message that it may send"
        f" (policy: rate_per_minute), at least {MIN_REQUESTS}. Repeat the request after Retry-After."
    )
    return Refusal(429, "too_many_requests", text, headers={"Retry-After": str(max(1, math.ceil(seconds)))})
