"""Turn poison entries into dead letters. The host gave up on them: Relay raised an exception, or its process died, five times.

The messages become dead letters and nothing is raised (the current queue extension silently skips a poison entry whose
function fails). An error is raised only if storage takes neither the record nor the entry back, so that the entry stays.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from relay.acceptance.fan_out import FanOut
from relay.core import entries
from relay.core.errors import AlreadyExists, NotFound
from relay.core.model import MessageStatus, Part, State
from relay.core.parts import part_history, part_states, part_turns
from relay.delivery.planning import FRESH
from relay.delivery.settlement import Change, FollowUp, apply
from relay.journal.change import Decision, change_record
from relay.journal.intake import Intake
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.log import log_event
from relay.platform.resources import poison_of
from relay.platform.storage.ports import Queues

_LEASE_OVER = timedelta(seconds=30)
_POISON = poison_of("")
REVIVE_SECONDS = 60
"""Delay of an entry that gets another five tries."""


class Poison:
    """Turns poison entries into dead letters."""

    def __init__(
        self,
        *,
        journal: Journal,
        follow_up: FollowUp,
        intake: Intake[entries.Entry],
        fan_out: FanOut,
        queues: Queues,
        clock: Callable[[], datetime],
    ) -> None:
        self._journal = journal
        self._follow_up = follow_up
        self._intake = intake
        self._fan_out = fan_out
        self._queues = queues
        self._clock = clock

    async def record_dead_letters(self, queue: str, body: bytes) -> None:
        """Record the messages of a poison entry as dead letters; keep an entry that cannot be read or recorded."""
        await self._intake.take_poison(queue, body, partial(self._record, queue, body))

    async def _record(self, queue: str, body: bytes, entry: entries.Entry) -> None:
        if isinstance(entry, entries.FanOutEntry):
            # The messages are not at fault: each batch gets a turn of its own. If the bug occurs here too, the entry is kept.
            await self._fan_out.fan_out(entry)
            return
        batch = entry.batch if isinstance(entry, entries.BatchEntry) else entry.ref
        record = await self._read(batch)
        if not entry.revived and _is_untried(record, entry, self._clock()):
            await self._revive(queue, body, batch)
            return
        if isinstance(entry, entries.BatchEntry):
            indices: Sequence[int] = range(len(entry.messages))
            record = record or await self._record_of(entry, body)
        elif record is not None:
            indices = record.having(entry.indices)
        else:
            log_event("record_purged", level=logging.WARNING, batch=batch)
            return
        log_event("poison", level=logging.ERROR, batch=record.batch, messages=len(indices))
        await self._end(queue, body, record, indices)

    async def _read(self, batch: str) -> Record | None:
        try:
            return await self._journal.read(batch)
        except NotFound:
            return None

    async def _revive(self, queue: str, body: bytes, batch: str) -> None:
        """Give an entry five more tries, once: storage may have been unavailable so long that nothing was tried."""
        log_event("entry_revived", level=logging.WARNING, batch=batch)
        await self._queues.put(queue.removesuffix(_POISON), entries.revive(body), delay_seconds=REVIVE_SECONDS)

    async def _record_of(self, entry: entries.BatchEntry, body: bytes) -> Record:
        dead = MessageStatus(parts=(part_states.end(FRESH, State.FAILED, "poisoned"),))
        try:
            return await self._journal.open(entry, body, [dead] * len(entry.messages))
        except AlreadyExists:
            return await self._journal.read(entry.batch)

    async def _end(self, queue: str, body: bytes, record: Record, indices: Sequence[int]) -> None:
        now = self._clock()

        async def decide(record: Record) -> Decision[None]:
            parts = [(index, part) for index in indices for part in record.statuses[index].parts]
            changes = [
                Change(index=index, before=part, after=(_ended(part),))
                for index, part in parts
                if part_turns.is_turn(part, now)
            ]
            return Decision(statuses=apply(record.statuses, changes), result=None)

        record = (await change_record(self._journal, record, decide)).after
        # Repeat the follow-up of parts that wait or have ended: the delivery may have died before it.
        await self._follow_up.run(None, record, indices)
        parts = [part for index in indices for part in record.statuses[index].parts]
        leases = [part.lease_until for part in parts if part.state is State.SENDING and part.lease_until is not None]
        if leases:
            until = max(leases) + _LEASE_OVER
            await self._queues.put(queue, body, delay_seconds=max(1, round((until - now).total_seconds())))


def _is_untried(record: Record | None, entry: entries.BatchEntry | entries.ReferenceEntry, now: datetime) -> bool:
    """Return whether parts of this entry are due without any attempt: each delivery failed before it began one."""
    if record is None:
        return True
    indices = range(len(record.statuses)) if isinstance(entry, entries.BatchEntry) else record.having(entry.indices)
    parts = [part for index in indices for part in record.statuses[index].parts]
    is_begun = any(part.state is State.SENDING or part_history.is_uncertain(part) for part in parts)
    return not is_begun and any(part_turns.is_turn(part, now) for part in parts)


def _ended(part: Part) -> Part:
    """End a stuck part: `unknown` if an attempt may have reached the recipients, `failed` otherwise."""
    state = State.UNKNOWN if part.state is State.SENDING or part_history.is_uncertain(part) else State.FAILED
    return part_states.end(part, state, "poisoned")
