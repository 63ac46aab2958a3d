"""Read the message trace in windows: enqueue the events of a page, then store how far it was read.

If the process dies in between, the next run reads the same page again; the keys of its events identify them as known. One
instance reads at a time, under a lease. The next run reads what the budget or the deadline leaves.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.errors import NotFound, RelayError, UnreadableEntry
from relay.core.events import EventKind
from relay.events.apply import Events
from relay.events.message_trace.budget import PARTITION, TABLE, TraceBudget
from relay.events.message_trace.progress import (
    FIRST,
    PASSES,
    Pass,
    PassProgress,
    TraceProgress,
    begin,
    next_slice,
    restarted,
)
from relay.events.message_trace.rows import event_of, is_failed, key_of_row, message_of
from relay.events.provider_events import ProviderEvent
from relay.journal.records import Journal
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event
from relay.platform.storage.lease import RowLease
from relay.platform.storage.ports import Entity, Tables
from relay.providers.graph.message_trace import MAX_ROWS, MessageTraceClient, TraceFault, TraceRow

LEASE = timedelta(seconds=150)
"""Longer than a run: its deadline, and the timeout of its last requests."""
PAGE_ROWS = MAX_ROWS
"""Rows of a page: as many as Graph gives, since requests are scarce."""
SPARE_FOR_PAGES = 50
"""Requests that asking for reasons leaves to the windows: five minutes of a busy tenant."""
MAX_REASONS, MAX_LOOKUPS = 20, 100
"""Reasons that one run asks for, and failures that it looks up in the journal for that."""


class TraceReader:
    """Reads the trace of one tenant."""

    def __init__(
        self,
        *,
        name: str,
        routes: Sequence[str],
        client: MessageTraceClient,
        budget: TraceBudget,
        events: Events,
        journal: Journal,
        tables: Tables,
        clock: Callable[[], datetime],
    ) -> None:
        """`name` is the row of this trace, `routes` those whose mail it covers."""
        self.name = name
        self.routes = tuple(routes)
        self.client = client
        self.budget = budget
        self._events = events
        self._journal = journal
        self._tables = tables
        self._clock = clock
        self._lease = RowLease(tables, TABLE, PARTITION, f"{name}-lease", clock)

    async def progress(self) -> TraceProgress | None:
        """Return how far the trace was read; None before the first run."""
        try:
            row = await self._tables.get(TABLE, PARTITION, self.name)
            return msgspec.json.decode(str(row.properties.get("progress", "")), type=TraceProgress)
        except NotFound:
            return None
        except msgspec.MsgspecError:
            # Starting over from now loses older events; stopping would lose all later ones.
            log_event("message_trace_restarted", level=logging.ERROR, route=",".join(self.routes))
            return None

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Read what every pass has not read yet. Returns the number of rows of Relay's mail."""
        async with self._lease.hold(LEASE) as other:
            return await self._read(deadline) if other is None else Progress()

    async def _read(self, deadline: Deadline) -> Progress:
        run = _Run(deadline=deadline)
        progress = await self.progress() or begin(self._clock())
        for each in PASSES:
            while run.may_go_on and (part := next_slice(progress, each, self._clock())) is not None:
                progress = await self._read_page(run, progress, each, part)
        log_event("message_trace", route=",".join(self.routes), rows=run.rows, events=run.events)
        is_complete = all(next_slice(progress, each, self._clock()) is None for each in PASSES)
        return Progress(done=run.events, is_complete=is_complete)

    async def _read_page(self, run: "_Run", progress: TraceProgress, each: Pass, part: PassProgress) -> TraceProgress:
        """Read the next page of a slice, enqueue its events, and store the progress."""
        if not await self.budget.take():
            run.is_over = True
            return progress
        until = part.slice_until or part.read_until
        page = await (
            self.client.follow(part.link) if part.link else self.client.window(part.read_until, until, limit=PAGE_ROWS)
        )
        if isinstance(page, TraceFault):
            return await self._after_fault(run, progress, each, part, page)
        own = [row for row in page.rows if message_of(row)]
        found = await self._events_of(run, each, own)
        await self._events.enqueue(found)
        run.rows, run.events = run.rows + len(page.rows), run.events + len(found)
        after = msgspec.structs.replace(part, link=page.link) if page.link else PassProgress(read_until=until)
        matched = max((row.received_date_time for row in own), default=None)
        return await self._store(progress.with_pass(each, after).with_match(matched))

    async def _after_fault(
        self, run: "_Run", progress: TraceProgress, each: Pass, part: PassProgress, fault: TraceFault
    ) -> TraceProgress:
        run.is_over = True
        if fault.code == "link_refused":
            return await self._store(progress.with_pass(each, restarted(part)))
        if fault.code == "rate_limited":
            await self.budget.block(fault.retry_after_seconds)
            log_event("message_trace_throttled", level=logging.WARNING, route=",".join(self.routes))
        else:
            log_event("message_trace_unreadable", level=logging.ERROR, route=",".join(self.routes), code=fault.code)
        return progress

    async def _events_of(self, run: "_Run", each: Pass, rows: Sequence[TraceRow]) -> Sequence[ProviderEvent]:
        """Translate the rows of Relay's mail in a page. Thousands of them would hold up the event loop."""
        now = self._clock()
        others = [row for row in rows if not is_failed(row)]
        found = await asyncio.to_thread(lambda: [event_of(row, now) for row in others])
        failures = [await self._failure(run, each, row) for row in rows if is_failed(row)]
        return [event for event in (*found, *failures) if event is not None]

    async def _failure(self, run: "_Run", each: Pass, row: TraceRow) -> ProviderEvent | None:
        """Translate a failed row, with its reason. Without budget for that, the first pass leaves it to the next."""
        if await self._is_known(run, row):
            return None
        reason = await self._reason(run, row)
        return None if reason is None and each is FIRST else event_of(row, self._clock(), reason or "")

    async def _is_known(self, run: "_Run", row: TraceRow) -> bool:
        """Return whether this failure is recorded: then its reason was asked for."""
        if not run.may_ask:
            return False
        run.lookups += 1
        try:
            name = ids.parse(message_of(row))
            _, events = await self._journal.history(name.batch)
        except (NotFound, UnreadableEntry, ValueError):
            # Nothing can be recorded, so no reason is needed.
            return True
        key = key_of_row(row, EventKind.BOUNCED)
        return any(event.index == name.index and event.key == key for event in events)

    async def _reason(self, run: "_Run", row: TraceRow) -> str | None:
        """Ask why mail to a recipient failed. None if the budget does not allow it now."""
        if not run.may_ask or not await self.budget.take(spare=SPARE_FOR_PAGES):
            return None
        run.reasons += 1
        reason = await self.client.reason(row)
        if not isinstance(reason, TraceFault):
            return reason
        run.has_failed = True
        if reason.code == "rate_limited":
            await self.budget.block(reason.retry_after_seconds)
        return None

    async def _store(self, progress: TraceProgress) -> TraceProgress:
        properties = {"progress": msgspec.json.encode(progress).decode()}
        await self._tables.upsert(TABLE, Entity(partition=PARTITION, row=self.name, properties=properties))
        return progress


class _Run:
    """What one run has done, and whether it goes on."""

    def __init__(self, *, deadline: Deadline) -> None:
        self._deadline = deadline
        self.is_over = False
        self.has_failed = False
        self.rows = 0
        self.events = 0
        self.reasons = 0
        self.lookups = 0

    @property
    def may_go_on(self) -> bool:
        """Whether the run reads another page."""
        return not self.is_over and not self._deadline.is_over

    @property
    def may_ask(self) -> bool:
        """Whether the run asks for another reason."""
        is_left = self.reasons < MAX_REASONS and self.lookups < MAX_LOOKUPS
        return is_left and not self.has_failed and not self._deadline.is_over


class MessageTraces:
    """The traces of all tenants that the settings name."""

    def __init__(self, readers: Sequence[TraceReader]) -> None:
        self.readers = tuple(readers)

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Read every trace. One that fails does not stop the others; the last failure is raised after them."""
        done, failure = Progress(), None
        for number, reader in enumerate(self.readers):
            try:
                done += await reader.run(deadline.share(len(self.readers) - number))
            except RelayError as error:
                failure = error
        if failure is not None:
            raise failure
        return done

    def of(self, route: str) -> TraceReader | None:
        """Return the reader whose trace covers a route's mail."""
        return next((reader for reader in self.readers if route in reader.routes), None)
