"""Run a step of a timer now, at an operator's request: when a timer has stopped, or when its next run is too far away.

One step runs at once, in all processes together. A row in table `timers` says which: a lease, taken by ETag. If the process dies
while it holds the lease, the lease ends by its time, and the step's work goes on at the next run, as after any killed timer.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import RelayError, StorageError
from relay.operations.timers.steps import TABLE, Step, StepReport, StepReports, run_step
from relay.platform.concurrency import Deadline, Progress
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.rows import RowChange, change_row

BEGIN_SECONDS = 20.0
"""How long a run begins further work."""
LIMIT_SECONDS = 25.0
"""When a run is cancelled. Below the timeouts of common HTTP clients, and far below that of the function."""
LEASE = timedelta(seconds=60)
"""How long a run keeps others out if it never ends: longer than `LIMIT_SECONDS`, so that two runs never overlap."""
_PARTITION, _ROW = "manual", "lease"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The step that an operator's run holds, and when its lease ends at the latest."""

    name: str
    until: datetime


class StepRunning(RelayError):
    """Another run is in progress."""

    def __init__(self, running: Running) -> None:
        super().__init__(f"{running.name} is running")
        self.running = running


class RunNow:
    """Runs steps for operators, and lists what steps last did."""

    def __init__(
        self,
        *,
        steps: Sequence[Step],
        reports: StepReports,
        tables: Tables,
        clock: Callable[[], datetime],
        limit_seconds: float = LIMIT_SECONDS,
    ) -> None:
        self._steps = {step.name: step for step in steps}
        self._reports = reports
        self._tables = tables
        self._clock = clock
        self._limit_seconds = limit_seconds

    @property
    def names(self) -> Sequence[str]:
        """The steps that can be run."""
        return tuple(self._steps)

    async def last_reports(self) -> Sequence[tuple[str, StepReport | None]]:
        """Return every step with its last report, of the timer or of an operator's run. None: it has not run yet."""
        reports = await self._reports.last()
        return [(name, reports.get(name)) for name in self._steps]

    async def run(self, name: str) -> StepReport:
        """Run a step until it is done or `BEGIN_SECONDS` are over. Raises `KeyError`, and `StepRunning` while one runs."""
        step = self._steps[name]
        token = secrets.token_hex(8)
        taken = await self._change_lease(lambda lease: _take(lease, name, token, self._clock()))
        if taken is not None:
            raise StepRunning(taken)
        try:
            limited = msgspec.structs.replace(step, run=lambda deadline: self._limited(step, deadline))
            done = await run_step(limited, Deadline(self._clock, BEGIN_SECONDS), self._clock)
            await self._reports.store({name: done.report})
        finally:
            await self._release(token)
        return done.report

    async def _release(self, token: str) -> None:
        """End the lease. Storage that is away must not hide the report: the lease then ends by its time."""
        try:
            await self._change_lease(lambda lease: _release(lease, token, self._clock()))
        except StorageError as error:
            log_event("step_lease_kept", level=logging.WARNING, error=type(error).__name__)

    async def _limited(self, step: Step, deadline: Deadline) -> Progress:
        async with asyncio.timeout(self._limit_seconds):
            return await step.run(deadline)

    async def _change_lease(self, decide: Callable[[Entity | None], RowChange[Running | None]]) -> Running | None:
        return await change_row(self._tables, TABLE, _PARTITION, _ROW, decide)


def _take(lease: Entity | None, name: str, token: str, now: datetime) -> RowChange[Running | None]:
    """Take the lease unless another run holds it. If the response to the write was lost, the row already holds this token."""
    known = lease.properties if lease is not None else {}
    until = known.get("until")
    if known.get("token") == token:
        return RowChange(result=None)
    if isinstance(until, datetime) and until > now:
        return RowChange(result=Running(name=str(known.get("name", "")), until=until))
    return RowChange(result=None, properties={"name": name, "token": token, "until": now + LEASE})


def _release(lease: Entity | None, token: str, now: datetime) -> RowChange[Running | None]:
    """End the lease, unless it has ended by its time and belongs to another run."""
    if lease is None or lease.properties.get("token") != token:
        return RowChange(result=None)
    return RowChange(result=None, properties={"until": now})
