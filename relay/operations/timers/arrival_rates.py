"""Count arrivals by the hour, report the rates of bounces and complaints of the last day, and hold clients by them.

The rates are logged for the alert rules and the workbook, and reported as metrics, each time the running hour was counted.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from relay.core.arrival.counts import Counts, Dimension, HourCounts, summed, worst_first
from relay.journal.counts.hours import HOUR, ArrivalHours
from relay.journal.counts.rechecks import SHORTEST, start_of_hour
from relay.operations.timers.client_brake import ClientBrake
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event
from relay.platform.telemetry import OFF, Telemetry

DAY = timedelta(days=1)
MAX_LOGGED = 20
"""Names of a dimension that are logged: those with the most bounces and complaints first."""
_LOGGED = (Dimension.CLIENT, Dimension.ROUTE)


class ArrivalRates:
    """Counts arrivals, and reports and acts on their rates. Runs every minute."""

    def __init__(
        self, hours: ArrivalHours, brake: ClientBrake, clock: Callable[[], datetime], telemetry: Telemetry = OFF
    ) -> None:
        self._hours = hours
        self._brake = brake
        self._clock = clock
        self._telemetry = telemetry
        self._idle_until = clock()

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Count the hours that are due. If the running one was among them, report the rates, and hold clients by them."""
        await self._brake.post_notices()
        if self._clock() < self._idle_until:
            return Progress()
        return await self._count(await self._hours.due(), deadline)

    async def run_now(self, deadline: Deadline = NEVER) -> Progress:
        """Do the same, and count the hours of the last minutes even if they were just counted: an operator wants to see the
        latest mail.
        """
        await self._brake.post_notices()
        now = self._clock()
        latest = {start_of_hour(now), start_of_hour(now - SHORTEST)}
        return await self._count(sorted(latest.union(await self._hours.due()), reverse=True), deadline)

    async def _count(self, due: Sequence[datetime], deadline: Deadline) -> Progress:
        now, done = self._clock(), 0
        released = await self._brake.released() if due else {}
        for at in due:
            if deadline.is_over:
                break
            await self._hours.count(at, deadline, released)
            done += 1
        if done == len(due):
            self._idle_until = now + SHORTEST
        if due[:done] and due[0] > now - HOUR:
            day = await self._hours.between(now - DAY, now + HOUR, _LOGGED)
            self._report(summed(hour.counts for hour in day))
            await self._brake.apply(day)
            await self._brake.post_notices()
        return Progress(done=done, is_complete=done == len(due))

    def _report(self, day: HourCounts) -> None:
        for dimension in _LOGGED:
            for name, counts in islice(worst_first(day.by.get(dimension, {})), MAX_LOGGED):
                _log(dimension, name, counts)
        self._telemetry.arrivals(day.by.get(Dimension.ROUTE, {}))


async def last_day(hours: ArrivalHours, now: datetime, dimensions: Sequence[Dimension]) -> HourCounts:
    """Return the counts of the mail of the last 24 hours, the running hour included."""
    return summed(hour.counts for hour in await hours.between(now - DAY, now + HOUR, dimensions))


def _log(dimension: Dimension, name: str, counts: Counts) -> None:
    log_event(
        "arrivals",
        dimension=str(dimension),
        name=name,
        sent=counts.sent,
        delivered=counts.delivered,
        bounced=counts.bounced,
        complained=counts.complained,
        bounce_percent=round(100 * counts.bounce_rate, 3),
        complaint_percent=round(100 * counts.complaint_rate, 3),
    )
