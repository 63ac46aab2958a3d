"""Run timer triggers: schedules, the monitor that stores their status across restarts, and the loop that fires.

Source: azure-webjobs-sdk-extensions Timers (TimerListener, ScheduleMonitor, CronSchedule, ConstantSchedule).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

import msgspec
from cronsim import CronSim, CronSimError

from devhost.host_json import parse_timespan
from devhost.logs import current_function
from devhost.settings import FunctionConfigurationError
from devhost.storage import BlobTexts, StorageUnavailableError
from devhost.values import Datum
from devhost.worker import Function, Invocation

log = logging.getLogger("devhost.timers")

type Clock = Callable[[], datetime]
type Fire = Callable[[Function, Datum], Awaitable[Invocation]]

NEVER = datetime(1, 1, 1, tzinfo=UTC)
ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


class Schedule(Protocol):
    """When a timer fires."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time strictly after `moment`, both aware UTC."""


class CronSchedule:
    """NCRONTAB in a time zone: `{second} {minute} {hour} {day} {month} {day of week}`, seconds optional."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        # With five fields, cronsim would also treat daylight saving changes as Debian's cron does.
        self._expression = expression if len(expression.split()) != 5 else f"0 {expression}"
        self._zone = zone
        self.next_after(ANY_TIME)

    def next_after(self, moment: datetime) -> datetime:
        try:
            times = CronSim(self._expression, moment.astimezone(self._zone))
            # In NCRONTAB, day and day of week must both match; in Debian's cron, which cronsim follows, one is enough.
            times.day_and = True
            return next(times).astimezone(UTC)
        except (CronSimError, StopIteration) as error:
            raise FunctionConfigurationError(
                f"'{self._expression}' is not a valid schedule, or it never fires."
            ) from error


class ConstantSchedule:
    """A fixed interval."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def next_after(self, moment: datetime) -> datetime:
        return moment + self._interval


def parse_schedule(text: str, zone: tzinfo) -> Schedule:
    """Parse a cron expression or a TimeSpan such as 00:05:00. Raises FunctionConfigurationError."""
    if " " in text.strip():
        return CronSchedule(text.strip(), zone)
    try:
        interval = parse_timespan(text)
    except ValueError as error:
        raise FunctionConfigurationError(f"'{text}' is neither a cron expression nor a time span.") from error
    if interval <= timedelta(0):
        raise FunctionConfigurationError(f"'{text}' is not a positive time span.")
    return ConstantSchedule(interval)


def is_monitored(schedule: Schedule, now: datetime, *, use_monitor: bool) -> bool:
    """Return whether to store the status. The genuine host stores none for schedules shorter than a minute."""
    first = schedule.next_after(now)
    return use_monitor and schedule.next_after(first) - first >= timedelta(minutes=1)


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The content of the monitor blob; field names as in the genuine host."""

    last: datetime = NEVER
    next: datetime
    last_updated: datetime = NEVER


def check(status: Status | None, schedule: Schedule, now: datetime) -> tuple[Status, bool]:
    """Return the status at startup, and whether a past-due run is due: one, even if several were missed."""
    if status is None:
        return Status(next=schedule.next_after(now), last_updated=now), False
    base = next((t for t in (status.last, status.last_updated) if t != NEVER), now)
    expected = schedule.next_after(base)
    if expected == status.next:
        return status, now > status.next
    # The schedule has changed since: use the new one, and run nothing as past due.
    if now > expected:
        base, expected = now, schedule.next_after(now)
    return Status(next=expected, last_updated=base), False


def after_run(schedule: Schedule, status: Status, now: datetime, *, was_due: bool) -> Status:
    """Return the status after a run that ended at `now`.

    A due run that fired early, because the clock was wrong, counts from its due time, or it would fire twice.
    """
    base = max(now, status.next) if was_due else now
    return Status(last=base, next=schedule.next_after(base), last_updated=base)


def timer_input(status: Status | None, *, is_past_due: bool) -> Datum:
    """Return the trigger's argument."""
    content = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": None if status is None else msgspec.to_builtins(status),
        "IsPastDue": is_past_due,
    }
    return Datum("json", json.dumps(content))


class TimerListener:
    """Fires one timer until stopped. Runs never overlap: the next time is computed after a run has ended."""

    def __init__(
        self,
        *,
        function: Function,
        schedule: Schedule,
        blobs: BlobTexts | None,
        blob_name: str,
        clock: Clock,
        wait: Callable[[asyncio.Event, float], Awaitable[None]],
        fire: Fire,
    ) -> None:
        self._function = function
        self._schedule = schedule
        self._blobs = blobs
        self._blob_name = blob_name
        self._clock = clock
        self._wait = wait
        self._fire = fire
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Stop after the current run."""
        self._stopped.set()

    async def run(self) -> None:
        """Fire until `stop`."""
        current_function.set(self._function.name)
        now = self._clock()
        status, is_past_due = check(await self._recorded(), self._schedule, now)
        await self._record(status)
        if is_past_due:
            log.info("Running once for runs missed since %s", status.next.isoformat())
            status = await self._run_once(status, is_past_due=True)
        elif self._function.trigger.get("runOnStartup"):
            status = await self._run_once(status, is_past_due=False, was_due=False)
        while not self._stopped.is_set():
            wait_seconds = (status.next - self._clock()).total_seconds()
            if wait_seconds > 0:
                await self._wait(self._stopped, wait_seconds)
            if not self._stopped.is_set():
                status = await self._run_once(status, is_past_due=False)

    async def _run_once(self, status: Status, *, is_past_due: bool, was_due: bool = True) -> Status:
        shown = status if self._blobs is not None else None
        await self._fire(self._function, timer_input(shown, is_past_due=is_past_due))
        following = after_run(self._schedule, status, self._clock(), was_due=was_due)
        await self._record(following)
        return following

    async def _recorded(self) -> Status | None:
        if self._blobs is None:
            return None
        try:
            text = await self._blobs.read(self._blob_name)
            return msgspec.json.decode(text, type=Status) if text else None
        except (StorageUnavailableError, msgspec.DecodeError) as error:
            log.warning("The timer's status cannot be read and counts as missing: %s", error)
            return None

    async def _record(self, status: Status) -> None:
        if self._blobs is None:
            return
        try:
            await self._blobs.write(self._blob_name, msgspec.json.encode(status).decode())
        except StorageUnavailableError as error:
            log.warning("The timer's status cannot be stored: %s", error)
