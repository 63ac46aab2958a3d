"""Limit the send rate across all instances with the generic cell rate algorithm (GCRA), in one table row per resource.

The row of a rate-limited resource holds the theoretical arrival time (ITU-T I.371, annex A). Concurrent senders of a process
reserve their slots together, by ETag; a message whose slot is later waits on the queue, not in memory. A pace of `count` in
`seconds` holds in every window of that length: a burst of a fifth at once, the rest evenly.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from weakref import WeakValueDictionary

from relay.core.errors import UnreadableEntry
from relay.core.settings import Pace
from relay.platform import resources
from relay.platform.concurrency import Joined
from relay.platform.gcra import reserve
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.readable import decode
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.PACING_TABLE
SLOT_LASTS = timedelta(seconds=20)
"""A slot expires if it is not used within this time: a backlog of old slots must not become a burst."""

CLOCKS_DIFFER = timedelta(seconds=5)
"""The tolerated difference between a writer's clock and the service's: clocks drift, and a write takes time."""


class Pacing:
    """Reserves slots."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._rows: WeakValueDictionary[tuple[str, Pace], Joined[int, Sequence[datetime]]] = WeakValueDictionary()

    async def slots(self, paces: Sequence[Pace], resources: Sequence[str], wanted: int) -> list[datetime]:
        """Reserve a slot for each of `wanted` sends under every pace, and return the times. `resources` names what each limits.

        Raises `Unavailable` when storage is unavailable or too many instances update the same row.
        """
        now = self._clock()
        latest = [now] * wanted
        for pace, resource in zip(paces, resources, strict=True):
            slots = await self._reserve(pace, resource, wanted)
            latest = [max(pair) for pair in zip(latest, slots, strict=True)]
        return latest

    async def _reserve(self, pace: Pace, resource: str, wanted: int) -> Sequence[datetime]:
        """Reserve slots in a pace's row, together with the other reservations that this process makes at the same time."""
        row = self._rows.get((resource, pace))
        if row is None:
            row = self._rows[resource, pace] = Joined(partial(self._reserve_all, pace, resource))
        return await row.call(wanted)

    async def _reserve_all(self, pace: Pace, resource: str, wanted: Sequence[int]) -> Sequence[Sequence[datetime]]:
        zone = self._clock().tzinfo
        partition = hashlib.sha256(resource.encode()).hexdigest()[:32]
        row = f"{pace.count}-{pace.seconds:g}"

        def decide(known: Entity | None) -> RowChange[list[float]]:
            # After a lost race, time has passed: slots from the time before it could have expired.
            before, now = _arrival(known), self._clock().timestamp()
            slots, arrival = reserve(pace, before, now, sum(wanted))
            return RowChange(
                result=slots, properties={"arrival": repr(arrival), "before": repr(before), "at": repr(now)}
            )

        slots = iter(await change_row(self._tables, TABLE, partition, row, decide, retry_after_seconds=5))
        return [[datetime.fromtimestamp(slot, zone) for slot in islice(slots, count)] for count in wanted]


def _arrival(known: Entity | None) -> float:
    """Return the arrival time in a row. Without a row, or in one that cannot be read, the count begins again."""
    if known is None:
        return 0.0
    try:
        return decode(TABLE, known, _read)
    except UnreadableEntry:
        return 0.0


def _read(row: Entity) -> float:
    """Read the arrival time, less the time that a writer's clock was ahead of the service's."""
    arrival = float(str(row.properties["arrival"]))
    if row.written_at is None or "at" not in row.properties:
        return arrival
    before, at = float(str(row.properties["before"])), float(str(row.properties["at"]))
    written_at = row.written_at.timestamp()
    if at - written_at <= CLOCKS_DIFFER.total_seconds():
        return arrival
    return max(before, written_at) + arrival - max(before, at)
