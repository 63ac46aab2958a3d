"""Count the external recipients of a tenant, a mailbox and limited senders before mail is sent: shared by all instances.

Each limit has a row: recipients by the hour (see `window` beside this file). Concurrent attempts of a process count together,
with one read and one merge by ETag, before their mail is sent. So a process that dies has counted too much, never too little.
Recipients that an attempt counted and certainly did not send to stay with the process, for its next attempts in the same hour:
subtracted from the row, they would be subtracted twice if the response to that write was lost. When the provider says that a
limit is reached, the rest of the limit is counted too: other senders have used it.
Table `quotas`: partition `recipients-<tenant>`, rows `all`, `limited` and `mailbox-<hash>` (docs/decisions/0043).
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import NotFound, Unavailable, UnreadableEntry
from relay.core.model import Message
from relay.core.outcomes import NotYet
from relay.core.send_request import SendRequest
from relay.core.settings import Settings
from relay.platform import resources
from relay.platform.concurrency import Joined
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables, Value
from relay.platform.storage.readable import decode
from relay.platform.storage.rows import RowChange, change_row
from relay.routes.recipient_budget.limits import CounterKey, budgets_of, external_of, limits_of, never_fits
from relay.routes.recipient_budget.window import HOUR, Hours, Shortage, added, filled, fits, opens_at

TABLE = resources.QUOTAS_TABLE
CODE, EXCESS_CODE = "external_recipient_limit", "too_many_external_recipients"
CACHE_SECONDS = 5.0
"""The age up to which planning uses the last read of a row."""
MAX_COUNTERS = 1_000
"""Rows that a process remembers. With a row it forgets the recipients that it counted there and may still use."""
_AT_ONCE = 1.0
_STORAGE_PAUSE = 30.0
_hours_decoder = msgspec.json.Decoder(dict[int, int])


class ExternalRecipients:
    """Counts against the budgets of all routes."""

    def __init__(self, settings: Settings, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._budgets = budgets_of(settings)
        self._tables = tables
        self._clock = clock
        self._counters: dict[CounterKey, _Counter] = {}

    async def shortages(
        self, message: Message, routes: Sequence[str]
    ) -> Callable[[str, Sequence[int]], Shortage | None]:
        """Return a function that checks whether one of these routes has room for recipients of a message, by the known counts.

        It takes the route and the recipients' numbers, and returns None if there is room.
        """
        everyone = range(len(message.recipients))
        for route in routes:
            if route in self._budgets and external_of(self._budgets[route], message, everyone):
                for counter in self._of(route, message):
                    await counter.refresh()

        def shortage(route: str, numbers: Sequence[int]) -> Shortage | None:
            budget = self._budgets.get(route)
            external = external_of(budget, message, numbers) if budget is not None else ()
            if budget is None or not external:
                return None
            if never_fits(budget, message, len(external)):
                return Shortage(recipients=external, until=None, reroutes=budget.reroutes)
            waits = [counter.opens_at(len(external)) for counter in self._of(route, message)]
            until = max((at for at in waits if at is not None), default=None)
            if until is None:
                return None
            return Shortage(recipients=external, until=until, reroutes=budget.reroutes)

        return shortage

    async def take(self, route: str, request: SendRequest, *, is_bound: bool = False) -> "Counted | NotYet":
        """Count the recipients of an attempt that is about to send. `NotYet` if a limit has no room for all of them.

        `is_bound`: no other route may send it, so it waits for room. Otherwise it is planned again at once.
        """
        budget = self._budgets.get(route)
        count = len(external_of(budget, request.message, request.recipients)) if budget is not None else 0
        taken: list[tuple[_Counter, int]] = []
        for counter in self._of(route, request.message) if count else ():
            try:
                hour = await counter.take(count)
            except Unavailable:
                Counted(taken, count).give_back()
                return NotYet(seconds=_STORAGE_PAUSE, code=CODE)
            if hour is None:
                Counted(taken, count).give_back()
                opens_at = counter.opens_at(count) if is_bound else None
                seconds = opens_at - self._clock().timestamp() if opens_at is not None else 0.0
                return NotYet(seconds=max(_AT_ONCE, seconds), code=CODE)
            taken.append((counter, hour))
        return Counted(taken, count)

    async def mark_spent(
        self, route: str, message: Message, numbers: Collection[int], *, row: str, attempt_at: datetime
    ) -> bool:
        """Record that the provider has refused these recipients of an attempt, because the limit of this row is reached.

        Returns False if the route has no such limit, or does not count all of them: then waiting does not help. Raises
        `Unavailable`.
        """
        budget = self._budgets.get(route)
        if budget is None or len(external_of(budget, message, tuple(numbers))) < len(numbers):
            return False
        counters = [self._counter(key, limit) for key, limit in limits_of(budget, message) if key.row == row]
        for counter in counters:
            if await counter.mark_spent(attempt_at):
                log_event("recipient_budget_spent", level=logging.WARNING, route=route, scope=row)
        return bool(counters)

    def _of(self, route: str, message: Message) -> Sequence["_Counter"]:
        budget = self._budgets.get(route)
        limits = limits_of(budget, message) if budget is not None else ()
        return [self._counter(key, limit) for key, limit in limits]

    def _counter(self, key: CounterKey, limit: int) -> "_Counter":
        counter = self._counters.pop(key, None) or _Counter(self._tables, self._clock, key, limit)
        # The least recently used row is forgotten first.
        self._counters[key] = counter
        if len(self._counters) > MAX_COUNTERS:
            del self._counters[next(iter(self._counters))]
        return counter


class Counted:
    """Recipients that were counted for an attempt, with the hour in which each counter has them."""

    def __init__(self, counters: Sequence[tuple["_Counter", int]], count: int) -> None:
        self._counters = counters
        self._count = count

    def give_back(self) -> None:
        """Keep the counted recipients, to which nothing was sent, for the next attempts of this process."""
        for counter, hour in self._counters:
            counter.give_back(self._count, hour)


class _Counter:
    """One limit: its row, the counts that this process knows, and the counted recipients that it may still use this hour."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime], key: CounterKey, limit: int) -> None:
        self._tables = tables
        self._clock = clock
        self._key = key
        self._limit = limit
        self._hours: Hours = {}
        self._known_until: datetime | None = None
        self._spare_hour, self._spare = 0, 0
        self._taking = Joined(self._take_all)
        self._reading = Joined(self._read_all)

    async def refresh(self) -> None:
        """Read the row unless the last read is recent enough."""
        if self._known_until is None or self._clock() >= self._known_until:
            await self._reading.call(None)

    def opens_at(self, wanted: int) -> float | None:
        """Return the Unix time at which there may be room for this many recipients; None: now."""
        now = self._clock().timestamp()
        if self._spare_now() >= wanted or fits(self._limit, self._hours, now, wanted):
            return None
        return opens_at(self._limit, self._hours, now, wanted)

    async def take(self, wanted: int) -> int | None:
        """Count recipients if there is room for all of them, and return the hour. Raises `Unavailable`."""
        if self._spare_now() >= wanted:
            self._spare -= wanted
            return self._spare_hour
        return await self._taking.call(wanted)

    def give_back(self, count: int, hour: int) -> None:
        """Keep recipients that were counted in this hour. In a later one they may not be used: they leave the window earlier."""
        spare = self._spare_now()
        if hour == self._spare_hour:
            self._spare = spare + count

    async def mark_spent(self, attempt_at: datetime) -> bool:
        """Count the rest of the limit, unless that was done after this attempt began. Raises `Unavailable`."""

        def decide(known: Entity | None) -> RowChange[Hours | None]:
            now = self._clock()
            hours = read_hours(known)
            spent_at = known.properties.get("spent_at") if known is not None else None
            if isinstance(spent_at, int | float) and spent_at >= attempt_at.timestamp():
                return RowChange(result=None)
            full = filled(self._limit, hours, now.timestamp())
            return RowChange(result=full, properties={**self._written(full, now), "spent_at": now.timestamp()})

        hours = await change_row(self._tables, TABLE, self._key.partition, self._key.row, decide, retry_after_seconds=5)
        if hours is not None:
            self._spare = 0
            self._know(hours)
        return hours is not None

    def _spare_now(self) -> int:
        hour = int(self._clock().timestamp() // HOUR)
        if hour != self._spare_hour:
            self._spare_hour, self._spare = hour, 0
        return self._spare

    async def _take_all(self, wanted: Sequence[int]) -> Sequence[int | None]:
        def decide(known: Entity | None) -> RowChange[tuple[list[int | None], Hours]]:
            # After a lost race, time has passed.
            now = self._clock()
            at, hours, taken = now.timestamp(), read_hours(known), list[int | None]()
            for each in wanted:
                has_room = fits(self._limit, hours, at, each)
                taken.append(int(at // HOUR) if has_room else None)
                hours = added(hours, at, each) if has_room else hours
            is_changed = any(hour is not None for hour in taken)
            properties = self._written(hours, now) if is_changed else None
            return RowChange(result=(taken, hours), properties=properties)

        taken, hours = await change_row(
            self._tables, TABLE, self._key.partition, self._key.row, decide, retry_after_seconds=5
        )
        self._know(hours)
        return taken

    async def _read_all(self, callers: Sequence[None]) -> Sequence[None]:
        try:
            row = await self._tables.get(TABLE, self._key.partition, self._key.row)
        except NotFound:
            row = None
        self._know(read_hours(row))
        return callers

    def _written(self, hours: Hours, now: datetime) -> Mapping[str, Value]:
        """Return a row's counts, and the time of writing, by which the purge deletes old rows."""
        counts = msgspec.json.encode(hours).decode()
        return {"hours": counts, "created_at": now.isoformat(), "name": self._key.name}

    def _know(self, hours: Hours) -> None:
        self._hours = hours
        self._known_until = self._clock() + timedelta(seconds=CACHE_SECONDS)


def read_hours(row: Entity | None) -> Hours:
    """Return the counts in a row. Counting begins again in a row that cannot be read: nothing else repairs it."""
    if row is None:
        return {}
    try:
        return decode(TABLE, row, lambda row: _hours_decoder.decode(str(row.properties["hours"])))
    except UnreadableEntry:
        return {}
