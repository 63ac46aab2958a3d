"""Run a step of a timer now, at an operator's request: when a timer has stopped, or when its next run is too far away.

Only one step runs at any time, across all processes. A row in table `timers` names it: a lease, taken by ETag. If the process
dies while it holds the lease, the lease expires, and the next run continues the step's work, as after any killed timer.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import RelayError
from relay.operations.timers.steps import TABLE, Step, StepReport, StepReports, run_step
from relay.platform.concurrency import Deadline, Progress
from relay.platform.storage.lease import HeldLease, RowLease
from relay.platform.storage.ports import Tables

BEGIN_SECONDS = 20.0
"""Time in which a run begins further work."""
LIMIT_SECONDS = 25.0
"""Time after which a run is cancelled. Below the timeouts of common HTTP clients, and far below that of the function."""
LEASE = timedelta(seconds=60)
"""Time for which a run excludes others if it never ends: longer than `LIMIT_SECONDS`, so that two runs never overlap."""
_PARTITION, _ROW = "manual", "lease"


class StepRunning(RelayError):
    """Another run is in progress."""

    def __init__(self, running: HeldLease) -> None:
        super().__init__(f"{running.name} is running")
        self.running = running


class RunNow:
    """Runs steps for operators, and lists the last report of each step."""

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
        self._lease = RowLease(tables, TABLE, _PARTITION, _ROW, clock)
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
        async with self._lease.hold(LEASE, name) as other:
            if other is not None:
                raise StepRunning(other)
            limited = msgspec.structs.replace(step, run=lambda deadline: self._limited(step, deadline))
            done = await run_step(limited, Deadline(self._clock, BEGIN_SECONDS), self._clock)
            await self._reports.store({name: done.report})
        return done.report

    async def _limited(self, step: Step, deadline: Deadline) -> Progress:
        async with asyncio.timeout(self._limit_seconds):
            return await (step.run_now or step.run)(deadline)
