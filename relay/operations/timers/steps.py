"""A step of a timer, the report that a run of it leaves, and where the reports are stored."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial

import msgspec

from relay.core.errors import NotFound, StorageError
from relay.platform import resources
from relay.platform.concurrency import Deadline, Progress
from relay.platform.log import log_event, log_failure
from relay.platform.storage.ports import Entity, Query, Tables, every_row
from relay.platform.storage.readable import readable

TABLE = resources.TIMERS_TABLE
_PARTITION, _ROW = "report", "steps"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a timer. `until_seconds` counts from the start of the timer's run.

    `run_now` runs in place of `run` when an operator starts the step, if it does more than the work that is due.
    """

    name: str
    run: Callable[[Deadline], Awaitable[Progress]]
    until_seconds: float
    run_now: Callable[[Deadline], Awaitable[Progress]] | None = None


class StepReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a step's run: the work done, and whether it is complete. `error` is the type of its exception, or empty."""

    at: datetime
    seconds: float
    done: int = 0
    is_complete: bool = True
    error: str = ""


class StepRun(msgspec.Struct, frozen=True, kw_only=True):
    """A report and, of a failed run, its exception."""

    report: StepReport
    failure: Exception | None = None


class StepReports:
    """The last report of each step, all in one row: a property for each step."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def store(self, reports: Mapping[str, StepReport]) -> None:
        """Replace the reports of these steps. They are for display, so unavailable storage is logged and fails no run."""
        properties = {name: msgspec.json.encode(report).decode() for name, report in reports.items()}
        try:
            await self._merge(Entity(partition=_PARTITION, row=_ROW, properties=properties))
        except StorageError as error:
            log_event("timer_reports_lost", level=logging.WARNING, error=type(error).__name__)

    async def _merge(self, row: Entity) -> None:
        """Merge a row that is missing only before the first run, so without reading it."""
        try:
            await self._tables.merge(TABLE, row)
        except NotFound:
            await self._tables.upsert(TABLE, row)

    async def last(self) -> Mapping[str, StepReport]:
        """Return the last report of every step that has one. A report that cannot be read is logged and left out."""
        reports: dict[str, StepReport] = {}
        async for row in every_row(self._tables, TABLE, Query(partition=_PARTITION)):
            for name in row.properties:
                for report in readable(TABLE, (row,), partial(_report, name)):
                    reports[name] = report
        return reports


async def run_step(step: Step, deadline: Deadline, clock: Callable[[], datetime]) -> StepRun:
    """Run a step and report. A failure is logged and returned, so that the caller decides what it stops."""
    at = clock()
    try:
        progress = await step.run(deadline)
    except Exception as error:
        log_failure("timer_step_failed", step=step.name)
        report = StepReport(at=at, seconds=_since(at, clock), is_complete=False, error=type(error).__name__)
        return StepRun(report=report, failure=error)
    if not progress.is_complete:
        log_event("timer_unfinished", level=logging.WARNING, step=step.name, done=progress.done)
    return StepRun(
        report=StepReport(at=at, seconds=_since(at, clock), done=progress.done, is_complete=progress.is_complete)
    )


def _since(at: datetime, clock: Callable[[], datetime]) -> float:
    return round((clock() - at).total_seconds(), 1)


def _report(name: str, row: Entity) -> StepReport:
    return msgspec.json.decode(str(row.properties[name]), type=StepReport)
