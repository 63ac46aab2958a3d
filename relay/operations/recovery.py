"""Probe held routes, re-enqueue the messages of released ones, and recover messages whose entry was lost.

Everything that must happen later has a row in `pending`; a lost entry is re-enqueued from its row. Costs one storage operation
per thousand overdue rows, and three for each row that is re-enqueued; rows of a held route cost nothing more.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Set
from datetime import datetime, timedelta
from functools import partial

from relay.core import part_turns
from relay.core.errors import NotFound, Unavailable, UnreadableEntry
from relay.core.model import State
from relay.core.outcomes import RouteFault, Sent
from relay.core.settings import Settings
from relay.delivery.settlement import SOON, FollowUp
from relay.journal.pending import Listed, Pending, rows_of
from relay.journal.records import Journal
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.log import log_event, log_failure
from relay.providers.contract import Provider
from relay.routes.holds import Hold, Holds, RouteState

GRACE = timedelta(minutes=2)
"""Time an entry may be late (a backlog, a busy queue) before it is enqueued again from its row."""
AGAIN = timedelta(minutes=15)
"""Time before the same row is enqueued once more."""
PROBE_SECONDS = 30.0
"""Timeout of a probe."""
PROBES_AT_ONCE = 8
ROWS_AT_ONCE = 16


class Recovery:
    """Runs every minute, on one instance."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        pending: Pending,
        holds: Holds,
        follow_up: FollowUp,
        providers: Callable[[str], Provider],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._pending = pending
        self._holds = holds
        self._follow_up = follow_up
        self._providers = providers
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Probe held routes, wake released ones, recover overdue messages. What is left is done by the next run."""
        probed = await self.probe(deadline.share(3))
        return probed + await self.wake(deadline) + await self.recover(deadline)

    async def probe(self, deadline: Deadline = NEVER) -> Progress:
        """Probe every held route whose probe is due. A success starts a trial with one canary batch."""
        return await process(self._due_probes(), self._probe_one, limit=PROBES_AT_ONCE, deadline=deadline)

    async def _due_probes(self) -> AsyncIterator[Hold]:
        now = self._clock()
        for hold in list((await self._holds.all(fresh=True)).values()):
            if hold.state is RouteState.HELD and hold.next_probe_at is not None and hold.next_probe_at <= now:
                yield hold

    async def probe_now(self, route: str) -> Sent | RouteFault:
        """Probe a route now, at an operator's request. A success starts the trial of its holds."""
        answer = await self._probe_provider(Hold(route=route))
        if isinstance(answer, Sent):
            for hold in list((await self._holds.all(fresh=True)).values()):
                if hold.route == route and hold.state is RouteState.HELD:
                    await self._holds.begin_trial(hold)
        return answer

    async def wake(self, deadline: Deadline = NEVER) -> Progress:
        """Enqueue the held messages of released routes."""
        now, progress = self._clock(), Progress()
        for scope, hold in list((await self._holds.all(fresh=True)).items()):
            if hold.must_wake:
                woken = await process(
                    self._pending.held(scope),
                    partial(self._wake_one, now),
                    limit=ROWS_AT_ONCE,
                    deadline=deadline,
                    needs_work=lambda listed: not _is_requeued(listed, now),
                )
                progress += woken
                if woken.is_complete:
                    await self._holds.mark_woken(hold)
                log_event("route_woken", route=hold.route, batches=woken.done, is_complete=woken.is_complete)
        return progress

    async def recover(self, deadline: Deadline = NEVER) -> Progress:
        """Enqueue overdue rows again, several at once."""
        now, holds = self._clock(), await self._holds.all(fresh=True)
        canaries: set[str] = set()

        def is_overdue(listed: Listed) -> bool:
            # Of a route in trial one batch is, the canary.
            if not _is_overdue(listed, now, holds, canaries):
                return False
            if not _has_expired(listed, now):
                canaries.add(listed.due.scope)
            return True

        progress = await process(
            self._pending.until(now + SOON),
            lambda listed: self._recover_or_log(listed, now),
            limit=ROWS_AT_ONCE,
            deadline=deadline,
            needs_work=is_overdue,
        )
        if progress.done:
            log_event("recovered", batches=progress.done)
        return progress

    async def _wake_one(self, now: datetime, listed: Listed) -> bool:
        await self._follow_up.put_due(listed.due)
        # Mark after the put: if the process dies in between, the next run enqueues it again, which does no harm.
        await self._pending.mark_requeued(listed.due, now)
        return True

    async def _probe_one(self, hold: Hold) -> bool:
        if hold.route not in self._settings.routes:
            await self._holds.release(hold.scope, "route_removed")
            return True
        if not hold.sender:
            answer = await self._probe_provider(hold)
            if not isinstance(answer, Sent):
                await self._holds.postpone_probe(hold, answer.code, answer.reply)
                log_event("probe_failed", level=logging.WARNING, route=hold.route, code=answer.code)
                return True
        # A probe cannot check one sender: only a message of that sender can.
        await self._holds.begin_trial(hold)
        log_event("probe_succeeded", route=hold.route)
        return True

    async def _probe_provider(self, hold: Hold) -> Sent | RouteFault:
        """Probe the provider. An exception or a timeout counts as a failed probe, so that it does not stop the other routes."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._providers(hold.route).probe()
        except Exception as error:
            log_failure("probe_failed_unexpectedly", route=hold.route)
            return RouteFault(code=hold.code, reply=type(error).__name__)

    async def _recover_or_log(self, listed: Listed, now: datetime) -> bool:
        """Enqueue one row. An unreadable record must not stop the rows after it."""
        try:
            return await self._recover_one(listed, now)
        except Unavailable:
            raise
        except Exception:
            log_failure("recovery_failed", batch=listed.due.batch)
            return False

    async def _recover_one(self, listed: Listed, now: datetime) -> bool:
        due = listed.due
        try:
            record = await self._journal.read(due.batch)
        except NotFound:
            await self._pending.repair(listed, None)
            return False
        except UnreadableEntry:
            # Its entry waits for an upgrade too, or is enqueued from this row after it.
            return False
        current = rows_of(record.batch, record.lane, enumerate(record.statuses)).get(listed.row)
        if listed.damaged_row:
            # The record says what the row was, or that it is obsolete. The next run finds it whole.
            await self._pending.repair(listed, current)
            return True
        if current is None:
            await self._pending.remove(due)
            return False
        parts = [part for index in current.indices for part in record.statuses[index].parts]
        if all(part_turns.is_in_progress(part, now) for part in parts if part.due_at == due.at):
            return False
        # Mark first: if the process dies in between, the row is enqueued again later.
        await self._pending.mark_requeued(current, now)
        at = max(now, current.at) if current.kind == State.SCHEDULED else now
        await self._follow_up.put_reference(due.batch, due.lane, current.indices, current.attempt, at)
        return True


def _is_requeued(listed: Listed, now: datetime) -> bool:
    """Whether an earlier run enqueued the row's messages not long ago."""
    return listed.requeued_at is not None and listed.requeued_at + AGAIN > now


def _has_expired(listed: Listed, now: datetime) -> bool:
    return listed.due.expires_at is not None and listed.due.expires_at <= now


def _is_overdue(listed: Listed, now: datetime, holds: Mapping[str, Hold], canaries: Set[str]) -> bool:
    due = listed.due
    if listed.damaged_row:
        return True
    if _is_requeued(listed, now):
        return False
    if due.kind == State.SENT:
        # `relay.operations.sent_checks` handles these.
        return False
    if due.kind == State.SCHEDULED:
        return True
    if due.kind != State.HELD:
        return due.at + GRACE <= now
    hold = holds.get(due.scope)
    if hold is None or hold.state is RouteState.ACTIVE:
        return due.at <= now
    if _has_expired(listed, now):
        return True
    # One canary batch tries a route in trial; its other batches wait for the next run.
    return hold.state is RouteState.TRIAL and due.scope not in canaries
