"""Share the requests that Exchange serves a tenant for its message trace: one row for all instances.

The row counts the requests of each minute, and holds the time until which Exchange refused more (`Retry-After`). Counting the
current minute and the five before it never allows more than `LIMIT` in any five minutes.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.platform import resources
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.MAILBOXES_TABLE
PARTITION = "trace"
LIMIT = 90
"""Requests in 5 minutes. Exchange serves a tenant 100 (graph/api/exchangemessagetrace-getdetailsbyrecipient): the rest is left
to its administrators."""
_MINUTES_BEFORE = 5
_DEFAULT_WAIT_SECONDS = 300.0
"""How long to wait after a refusal that names no time: then all of the requests before it are forgotten."""


class TraceBudget:
    """Takes requests from the tenant's budget."""

    def __init__(self, tables: Tables, name: str, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._row = f"{name}-budget"
        self._clock = clock

    async def take(self, *, spare: int = 0) -> bool:
        """Take one request, unless fewer than `spare` others would be left. Raises `Unavailable`."""
        now = self._clock()
        return await change_row(
            self._tables, TABLE, PARTITION, self._row, lambda known: _taken(known, now=now, spare=spare)
        )

    async def block(self, seconds: float | None) -> None:
        """Take no more requests for as long as Exchange asked to wait."""
        until = self._clock() + timedelta(seconds=_DEFAULT_WAIT_SECONDS if seconds is None else seconds)

        def decide(_: Entity | None) -> RowChange[None]:
            return RowChange(result=None, properties={"blocked_until": until})

        await change_row(self._tables, TABLE, PARTITION, self._row, decide)


def _taken(known: Entity | None, *, now: datetime, spare: int) -> RowChange[bool]:
    blocked_until = known.properties.get("blocked_until") if known is not None else None
    if isinstance(blocked_until, datetime) and blocked_until > now:
        return RowChange(result=False)
    minute = int(now.timestamp() // 60)
    used = {at: count for at, count in _counts(known).items() if at >= minute - _MINUTES_BEFORE}
    if sum(used.values()) >= LIMIT - spare:
        return RowChange(result=False)
    used[minute] = used.get(minute, 0) + 1
    return RowChange(result=True, properties={"used": msgspec.json.encode(used).decode()})


def _counts(known: Entity | None) -> dict[int, int]:
    """Return the requests of each minute. A row that cannot be read counts as none: Exchange's own limit still holds."""
    try:
        text = str(known.properties["used"]) if known is not None else "{}"
        return msgspec.json.decode(text, type=dict[int, int])
    except (KeyError, msgspec.MsgspecError):
        return {}
