"""Probe held routes, re-enqueue the messages of released routes and clients, and recover messages whose entry was lost.

Everything that must happen later has a row in `pending`; a lost entry is re-enqueued from its row. Costs one storage operation
per thousand overdue rows, and three for each row that is re-enqueued; rows of a held route cost nothing more.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from relay.core.errors import NotFound, Unavailable, UnreadableEntry
from relay.core.model import State
from relay.core.parts import part_turns
from relay.delivery.overdue import OverdueRows, is_requeued
from relay.delivery.settlement import FollowUp
from relay.journal.pending import SOON, Listed, Pending, rows_of
from relay.journal.records import Journal
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.log import log_event, log_failure
from relay.routes.brakes import Brakes
from relay.routes.holds import Holds
from relay.routes.probes import Probes

ROWS_AT_ONCE = 16


class Recovery:
    """Recovers held and overdue messages. Runs every minute, on one instance."""

    def __init__(
        self,
        *,
        journal: Journal,
        pending: Pending,
        holds: Holds,
        brakes: Brakes,
        follow_up: FollowUp,
        probes: Probes,
        clock: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._pending = pending
        self._holds = holds
        self._brakes = brakes
        self._follow_up = follow_up
        self._probes = probes
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Probe held routes, wake released ones, recover overdue messages. The next run does the rest.

        The probes read the holds past the cache. The steps after them use that read, unless a probe changed a hold since.
        """
        probed = await self._probes.run(deadline.share(3))
        return probed + await self.wake(deadline) + await self.recover(deadline)

    async def wake(self, deadline: Deadline = NEVER) -> Progress:
        """Enqueue the held messages of released routes and clients."""
        progress = Progress()
        holds, brakes = list((await self._holds.all()).items()), list(self._brakes.known().values())
        for scope, hold in holds:
            if hold.must_wake:
                woken = await self._wake(scope, deadline)
                progress += woken
                if woken.is_complete:
                    await self._holds.mark_woken(hold)
                log_event("route_woken", route=hold.route, batches=woken.done, is_complete=woken.is_complete)
        for brake in brakes:
            if brake.must_wake:
                woken = await self._wake(brake.scope, deadline)
                progress += woken
                if woken.is_complete:
                    await self._brakes.mark_woken(brake)
                log_event("client_woken", client=brake.client, batches=woken.done, is_complete=woken.is_complete)
        return progress

    async def _wake(self, scope: str, deadline: Deadline) -> Progress:
        now = self._clock()
        return await process(
            self._pending.held(scope),
            partial(self._wake_one, now),
            limit=ROWS_AT_ONCE,
            deadline=deadline,
            needs_work=lambda listed: not is_requeued(listed, now),
        )

    async def recover(self, deadline: Deadline = NEVER) -> Progress:
        """Enqueue overdue rows again, several at once."""
        now = self._clock()
        rows = OverdueRows(await self._holds.all(), self._brakes.held_scopes(), now)
        progress = await process(
            self._pending.until(now + SOON),
            lambda listed: self._recover_or_log(listed, now),
            limit=ROWS_AT_ONCE,
            deadline=deadline,
            needs_work=rows.includes,
        )
        for suspect in rows.suspects() if progress.is_complete else ():
            await self._holds.forget_suspects(suspect.due.scope)
            progress += Progress(done=await self._recover_or_log(suspect, now))
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
            # Its entry waits for an upgrade too, or is enqueued from this row after it. The mark lets the next runs skip the row:
            # thousands of them must not use up the time of the rows after them.
            if not listed.damaged_row:
                await self._pending.mark_requeued(due, now)
            return False
        current = rows_of(record.batch, record.lane, enumerate(record.statuses)).get(listed.row)
        if listed.damaged_row:
            # The record has the contents of the row, or shows that it is obsolete. The next run finds it repaired.
            await self._pending.repair(listed, current)
            return True
        if current is None:
            # The process that ended its messages may have died before it did the follow-up.
            await self._follow_up.repeat_ends(record, record.having(due.indices))
            await self._pending.remove(due)
            return False
        parts = [part for index in current.indices for part in record.statuses[index].parts]
        if all(part_turns.is_in_progress(part, now) for part in parts if part.due_at == due.at):
            return False
        at = now if current.kind == State.HELD else max(now, current.at)
        await self._follow_up.put_reference(due.batch, due.lane, current.indices, current.attempt, at)
        # Mark after the put: if the process dies in between, the next run enqueues it again, which does no harm.
        await self._pending.mark_requeued(current, now)
        return True
