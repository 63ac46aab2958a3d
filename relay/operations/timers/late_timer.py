"""Recover from traffic when the minute timer is late.

All recovery depends on one timer, and timers of Flex Consumption have been seen to stop after a deployment
(github.com/Azure/azure-functions-host/issues/11828). The timer writes its time to table `timers`; a function that delivers
mail reads it once a minute, and runs the recovery if the last run is too long ago. Costs one read a minute for each process.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from relay.core.errors import StorageError
from relay.platform import resources
from relay.platform.concurrency import Deadline, Progress
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.TIMERS_TABLE
LATE = timedelta(minutes=5)
"""Time since the last run after which the timer is late."""
LOOK_EVERY = timedelta(minutes=1)
RUN_SECONDS = 60.0
"""Time in which a run from traffic may begin further work: the function has its own entry to deliver."""
_PARTITION, _ROW = "timer", "every_minute"


class LateTimer:
    """Notes the runs of the minute timer, and stands in for it."""

    def __init__(
        self, tables: Tables, recover: Callable[[Deadline], Awaitable[Progress]], clock: Callable[[], datetime]
    ) -> None:
        """`recover` runs the timer's recovery of mail and of webhook posts."""
        self._tables = tables
        self._recover = recover
        self._clock = clock
        self._next_look = datetime.min.replace(tzinfo=clock().tzinfo)

    async def note(self) -> None:
        """Record that the timer runs now."""
        row = Entity(partition=_PARTITION, row=_ROW, properties={"at": self._clock()})
        await self._tables.upsert(TABLE, row)

    async def run_if_late(self) -> bool:
        """Run the recovery if the timer is late and no other process runs it. Does not raise storage errors."""
        now = self._clock()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_EVERY
        try:
            late = await change_row(self._tables, TABLE, _PARTITION, _ROW, lambda known: _claimed(known, now))
            if late is None:
                return False
            log_event("timer_late", level=logging.WARNING, seconds=round(late.total_seconds()))
            await self._recover(Deadline(self._clock, RUN_SECONDS))
        except StorageError as error:
            log_event("late_recovery_failed", level=logging.WARNING, error=type(error).__name__)
            return False
        return True


def _claimed(known: Entity | None, now: datetime) -> RowChange[timedelta | None]:
    """Claim a late run by writing its time: only one of several processes succeeds."""
    at = known.properties.get("at") if known is not None else None
    if isinstance(at, datetime) and now - at < LATE:
        return RowChange(result=None)
    # Without a row the timer may run for the first time any moment: it gets its five minutes.
    late = now - at if isinstance(at, datetime) else None
    return RowChange(result=late, properties={"at": now})
