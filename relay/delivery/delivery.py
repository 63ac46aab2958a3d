"""Use case 2: deliver the messages of a queue entry.

    record (insert, or read what is there) ─► plan ─► attempt ─► settle ─► follow

The order of writes keeps mail from getting lost: the record says `sending` before anything is sent, the outcome is recorded
before anything is enqueued, and only then is the entry deleted. Whichever process finds the entry or the record later
continues from there. Provider and network errors are outcomes, not exceptions. While storage is unavailable the entry is put
back, so that an outage of a table poisons nothing.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from relay.acceptance.fan_out import FanOut
from relay.core import entries
from relay.core.errors import AlreadyExists, NotFound, Unavailable
from relay.core.model import MessageStatus, Part, State
from relay.core.parts import part_turns
from relay.delivery import planning
from relay.delivery.attempts import Attempts, OwnedPart
from relay.delivery.planning_inputs import PlanningInputs
from relay.delivery.settlement import Change, FollowUp, apply, is_applied, settle
from relay.journal.change import Decision, change_record
from relay.journal.intake import Intake
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.log import log_event
from relay.routes.brakes import Brakes
from relay.routes.hold_rows import RouteState
from relay.routes.holds import Holds
from relay.routes.probes import Probes

_LOOK_AGAIN = timedelta(seconds=5)


class _Turns(msgspec.Struct, frozen=True, kw_only=True):
    """The plans of the parts that are due, and the parts that are not."""

    planned: Sequence[Change]
    others: Sequence[tuple[int, Part]]


class Delivery:
    """Delivers entries. One per process."""

    def __init__(
        self,
        *,
        journal: Journal,
        holds: Holds,
        brakes: Brakes,
        probes: Probes,
        planning_inputs: PlanningInputs,
        attempts: Attempts,
        fan_out: FanOut,
        follow_up: FollowUp,
        intake: Intake[entries.Entry],
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._holds = holds
        self._brakes = brakes
        self._probes = probes
        self._planning_inputs = planning_inputs
        self._attempts = attempts
        self._fan_out = fan_out
        self._follow_up = follow_up
        self._intake = intake
        self._clock = clock
        self._sleep = sleep

    async def deliver(self, queue: str, body: bytes, *, is_redelivery: bool = False) -> None:
        """Deliver an entry. Raises only on bugs, and if storage can neither record nor take the entry back.

        `is_redelivery`: the host has delivered this entry before, so an earlier delivery may have died halfway.
        """

        async def handle(entry: entries.Entry) -> None:
            if isinstance(entry, entries.FanOutEntry):
                await self._fan_out.fan_out(entry)
                return
            await self._probes.run_early()
            if isinstance(entry, entries.BatchEntry):
                await self._deliver_batch(entry, body)
            else:
                await self._deliver_reference(entry, is_redelivery=is_redelivery)

        await self._intake.take(queue, body, handle, put_back=lambda entry: _put_back(entry, body))

    async def _deliver_batch(self, entry: entries.BatchEntry, body: bytes) -> None:
        now = self._clock()
        planning_inputs = await self._planning_inputs.of(entry, range(len(entry.messages)), now)
        planned = [
            Change(index=index, before=planning.FRESH, after=planning.plan(planning.FRESH, situation))
            for index, situation in sorted(planning_inputs.items())
        ]
        try:
            statuses = [MessageStatus(parts=change.after) for change in planned]
            record = await self._journal.open(entry, body, statuses)
        except AlreadyExists:
            record = await self._journal.read(entry.batch)
            await self._go_on(record, entry, range(len(entry.messages)), attempt=None)
            return
        fresh = msgspec.structs.replace(record, statuses=(MessageStatus(parts=()),) * len(statuses))
        # A message that was cancelled while it waited on the queue is recorded as cancelled, not as planned.
        applied = [each for each in planned if is_applied(record.statuses, each)]
        await self._finish(fresh, record, entry, applied)
        await self._follow_up.run(fresh, record, {each.index for each in planned} - {each.index for each in applied})

    async def _deliver_reference(self, entry: entries.ReferenceEntry, *, is_redelivery: bool) -> None:
        try:
            record = await self._journal.read(entry.ref)
        except NotFound:
            log_event("record_purged", level=logging.WARNING, batch=entry.ref)
            return
        await self._go_on(record, record.entry(), entry.indices, attempt=None if is_redelivery else entry.attempt)

    async def _go_on(
        self, record: Record, entry: entries.BatchEntry, indices: Sequence[int], *, attempt: int | None
    ) -> None:
        """Continue a recorded batch. With `attempt`, leave parts alone that have reached it: another entry continues them."""

        async def decide(record: Record) -> Decision[_Turns]:
            now = self._clock()
            turns = [
                (index, part)
                for index in record.having(indices)
                for part in record.statuses[index].parts
                if (attempt is None or part.attempt < attempt)
            ]
            held = await self._held_scopes([part for _, part in turns])
            due = [(index, part) for index, part in turns if part_turns.is_turn(part, now, held)]
            planned = await self._plan(record, entry, due, now)
            others = [turn for turn in turns if turn not in due]
            return Decision(statuses=apply(record.statuses, planned), result=_Turns(planned=planned, others=others))

        change = await change_record(self._journal, record, decide)
        await self._look_again(change.before, change.result.others)
        await self._finish(change.before, change.after, entry, change.result.planned)

    async def _plan(
        self, record: Record, entry: entries.BatchEntry, due: Sequence[tuple[int, Part]], now: datetime
    ) -> list[Change]:
        planning_inputs = await self._planning_inputs.of(entry, {index for index, _ in due}, now, record.statuses)
        return [
            Change(index=index, before=part, after=planning.plan(part, planning_inputs[index])) for index, part in due
        ]

    async def _held_scopes(self, parts: Iterable[Part]) -> frozenset[str]:
        """Read the held scopes, if any of these parts is held: a release lets a part go before its due time."""
        if not any(part.state is State.HELD for part in parts):
            return frozenset()
        holds = await self._holds.all(fresh=True)
        routes = frozenset(scope for scope, hold in holds.items() if hold.state is RouteState.HELD)
        return routes | self._brakes.held_scopes()

    async def _look_again(self, record: Record, others: Iterable[tuple[int, Part]]) -> None:
        """Handle parts that are not due: re-check leased ones after the lease ends, repair the rest."""
        idle: set[int] = set()
        for index, part in others:
            if part.state is State.SENDING and part.lease_until is not None:
                at = part.lease_until + _LOOK_AGAIN
                await self._follow_up.put_reference(record.batch, record.lane, (index,), part.attempt + 1, at)
            else:
                idle.add(index)
        if idle:
            await self._follow_up.run(None, record, idle)

    async def _finish(
        self, before: Record, record: Record, entry: entries.BatchEntry, planned: Sequence[Change]
    ) -> None:
        """Follow up the plan, make the attempts that were begun, settle them, and follow up the settlement."""
        begun = [
            OwnedPart(index=change.index, part=part)
            for change in planned
            for part in change.after
            if part.state is State.SENDING
        ]
        indices = {change.index for change in planned}
        await self._follow_up.run(before, record, indices)
        if not begun:
            return
        changes = await self._attempts.make(record, entry, begun)
        settled = await self._settle(record, changes)
        await self._follow_up.run(record, settled, {change.index for change in changes})

    async def _settle(self, record: Record, changes: Sequence[Change]) -> Record:
        """Record the outcomes of attempts, despite lost races and unavailable storage, until the lease ends.

        A sent part that is not recorded would be sent again. The lease ends before the host's time limit for the function.
        """
        until = max(
            (change.before.lease_until for change in changes if change.before.lease_until), default=self._clock()
        )
        pause = 0.5
        while True:
            try:
                change = await settle(self._journal, record, changes)
            except Unavailable:
                if self._clock() >= until:
                    raise
                await self._sleep(pause)
                pause = min(pause * 2, 15.0)
                # The write may have succeeded and its response been lost.
                with suppress(Unavailable):
                    record = await self._journal.read(record.batch)
            else:
                if not change.is_written:
                    self._warn_of_late(change.after, changes)
                return change.after

    def _warn_of_late(self, record: Record, changes: Sequence[Change]) -> None:
        late = sum(not is_applied(record.statuses, change) for change in changes)
        if late:
            log_event("result_late", level=logging.ERROR, batch=record.batch, messages=late)


def _put_back(entry: entries.Entry, body: bytes) -> bytes:
    if not isinstance(entry, entries.ReferenceEntry):
        return body
    # One attempt further: this delivery may have started the attempt, and an entry of that attempt would be dropped as old.
    put_back = entries.encode_reference(entry.ref, entry.lane, entry.indices, entry.attempt + 1)
    return entries.revive(put_back) if entry.revived else put_back
