"""The timer that looks after what waits: probes held routes, wakes what a release let go, finds what was forgotten.

Everything that must happen later has a row in `pending`. An entry that was lost, whoever lost it, is put back from
its row. Costs one storage operation for a thousand overdue rows, and three for each that is put back; rows of a
route that is still held cost nothing more.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from relay.core.errors import NewerVersion, NotFound, StorageError
from relay.core.model import Part, State
from relay.core.outcomes import RouteFault, Sent
from relay.core.settings import Settings
from relay.delivery.settlement import SOON, FollowUp
from relay.journal.pending import Listed, Pending, rows_of
from relay.journal.records import Journal
from relay.platform.log import log_event, log_failure
from relay.providers.contract import Provider
from relay.routes.holds import Hold, Holds, RouteState

GRACE = timedelta(minutes=2)
"""How long an entry may be late (a backlog, a busy queue) before its row puts another one beside it."""
AGAIN = timedelta(minutes=15)
"""How long before the same row is put back once more."""
PROBE_SECONDS = 60.0
"""How long a probe may take."""


class Recovery:
    """One run a minute, on one instance at a time."""

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

    async def run(self) -> None:
        """Probe, wake, recover."""
        await self.probe()
        await self.wake()
        await self.recover()

    async def probe(self) -> None:
        """Probe every held route whose probe is due; success lets one batch through."""
        now = self._clock()
        for hold in list((await self._holds.all(fresh=True)).values()):
            is_due = hold.next_probe_at is not None and hold.next_probe_at <= now
            if hold.state is RouteState.HELD and is_due:
                await self._probe_one(hold)

    async def probe_now(self, route: str) -> Sent | RouteFault:
        """Ask a route's provider whether it could send; success opens what is held of it for a canary batch."""
        answer = await self._answer_of(Hold(route=route))
        if isinstance(answer, Sent):
            for hold in list((await self._holds.all(fresh=True)).values()):
                if hold.route == route and hold.state is RouteState.HELD:
                    await self._holds.begin_trial(hold)
        return answer

    async def wake(self) -> None:
        """Put on the queue what a released route kept back."""
        for scope, hold in list((await self._holds.all(fresh=True)).items()):
            if hold.must_wake:
                count = 0
                async for listed in self._pending.held(scope):
                    await self._follow_up.put_due(listed.due)
                    count += 1
                await self._holds.mark_woken(hold)
                log_event("route_woken", route=hold.route, batches=count)

    async def recover(self) -> int:
        """Put back the entries of rows that are due and were not seen to; how many."""
        now, recovered = self._clock(), 0
        holds = await self._holds.all(fresh=True)
        tried: set[str] = set()
        async for listed in self._pending.until(now + SOON):
            if _is_turn(listed, now, holds, tried) and await self._tried(listed, now):
                recovered += 1
                tried.add(listed.due.scope)
        if recovered:
            log_event("recovered", batches=recovered)
        return recovered

    async def _probe_one(self, hold: Hold) -> None:
        if hold.route not in self._settings.routes:
            await self._holds.release(hold.scope, "route_removed")
            return
        if not hold.sender:
            answer = await self._answer_of(hold)
            if not isinstance(answer, Sent):
                await self._holds.postpone_probe(hold, answer.code, answer.reply)
                log_event("probe_failed", level=logging.WARNING, route=hold.route, code=answer.code)
                return
        # What is wrong with one sender only a message of that sender can tell.
        await self._holds.begin_trial(hold)
        log_event("probe_succeeded", route=hold.route)

    async def _answer_of(self, hold: Hold) -> Sent | RouteFault:
        """What the probe says. A bug in a provider, or one that never answers, must not stop the looking after others."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._providers(hold.route).probe()
        except Exception as error:
            log_failure("probe_broke", route=hold.route)
            return RouteFault(code=hold.code, reply=type(error).__name__)

    async def _tried(self, listed: Listed, now: datetime) -> bool:
        """Put back one row's entry. A record that cannot be read must not keep the rows after it from their turn."""
        try:
            return await self._recover_one(listed, now)
        except StorageError:
            raise
        except Exception:
            log_failure("recovery_failed", batch=listed.due.batch)
            return False

    async def _recover_one(self, listed: Listed, now: datetime) -> bool:
        due = listed.due
        try:
            record = await self._journal.read(due.batch)
        except NotFound:
            await self._pending.remove(due)
            return False
        except NewerVersion:
            # Its entry waits too, or will be put back from this row after the upgrade.
            return False
        current = rows_of(record.batch, record.lane, enumerate(record.statuses)).get(due.row)
        if current is None:
            await self._pending.remove(due)
            return False
        parts = [part for index in current.indices for part in record.statuses[index].parts]
        if all(_is_in_hand(part, now) for part in parts if part.due_at == due.at):
            return False
        # Marked first: if the process dies in between, the entry is put back a while later.
        await self._pending.mark_requeued(current, now)
        at = max(now, current.at) if current.kind == State.SCHEDULED else now
        await self._follow_up.put_reference(due.batch, due.lane, current.indices, current.attempt, at)
        return True


def _is_turn(listed: Listed, now: datetime, holds: Mapping[str, Hold], tried: set[str]) -> bool:
    due = listed.due
    if listed.requeued_at is not None and listed.requeued_at + AGAIN > now:
        return False
    if due.kind == State.SENT:
        # `relay.operations.sent_checks` sees to these.
        return False
    if due.kind == State.SCHEDULED:
        return True
    if due.kind != State.HELD:
        return due.at + GRACE <= now
    hold = holds.get(due.scope)
    if hold is None or hold.state is RouteState.ACTIVE:
        return due.at <= now
    # One batch tries a route in canary; the others of it wait for the next round.
    return hold.state is RouteState.TRIAL and due.scope not in tried


def _is_in_hand(part: Part, now: datetime) -> bool:
    return part.state is State.SENDING and part.lease_until is not None and part.lease_until > now
