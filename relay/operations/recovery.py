"""Probe held routes, re-enqueue the messages of released ones, and recover messages whose entry was lost.

Everything that must happen later has a row in `pending`; a lost entry is re-enqueued from its row. Costs one storage operation
per thousand overdue rows, and three for each row that is re-enqueued; rows of a held route cost nothing more.
"""

from collections.abc import Callable, Mapping, Set
from datetime import datetime, timedelta
from functools import partial

from relay.core import part_turns
from relay.core.errors import NotFound, Unavailable, UnreadableEntry
from relay.core.model import State
from relay.delivery.settlement import SOON, FollowUp
from relay.journal.pending import Listed, Pending, rows_of
from relay.journal.records import Journal
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.log import log_event, log_failure
from relay.routes.holds import Hold, Holds, RouteState
from relay.routes.probes import Probes

GRACE = timedelta(minutes=2)
"""Time an entry may be late (a backlog, a busy queue) before it is enqueued again from its row."""
AGAIN = timedelta(minutes=15)
"""Time before the same row is enqueued once more."""
ROWS_AT_ONCE = 16


class Recovery:
    """Runs every minute, on one instance."""

    def __init__(
        self,
        *,
        journal: Journal,
        pending: Pending,
        holds: Holds,
        follow_up: FollowUp,
        probes: Probes,
        clock: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._pending = pending
        self._holds = holds
        self._follow_up = follow_up
        self._probes = probes
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Probe held routes, wake released ones, recover overdue messages. What is left is done by the next run."""
        probed = await self._probes.run(deadline.share(3))
        return probed + await self.wake(deadline) + await self.recover(deadline)

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
