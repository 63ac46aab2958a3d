"""Rate-limit failed authentication per IP address.

Each process counts for itself. A key has 256 random bits, so this protects the log and the CPU, not the keys.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.core.errors import Refusal

MOST = 20
WINDOW = timedelta(minutes=1)
ADDRESSES = 10_000


class LoginThrottle:
    """Counts the wrong keys of the last minute by IP address. Callers without an address are not counted."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._rows: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raise `Refusal` (429) while this address has presented too many wrong keys."""
        count, until = self._rows.get(address, (0, self._clock()))
        left = (until - self._clock()).total_seconds()
        if count >= MOST and left > 0:
            raise Refusal(
                429,
                "too_many_failures",
                f"More than {MOST} wrong keys came from this address within a minute. Repeat the request after Retry-After.",
                headers={"Retry-After": str(max(1, math.ceil(left)))},
            )

    def note(self, address: str) -> None:
        """Count a wrong key."""
        if not address:
            return
        now = self._clock()
        count, until = self._rows.pop(address, (0, now + WINDOW))
        self._rows[address] = (count + 1, until) if until > now else (1, now + WINDOW)
        if len(self._rows) > ADDRESSES:
            self._rows.popitem(last=False)
