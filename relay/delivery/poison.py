"""What the host gave up on. Our code raised five times on an entry, or the process died with it five times: a bug.

The messages become dead letters and nothing is raised (the current queue extension silently skips a poison entry whose
function fails). Only if storage takes neither the record nor the entry back does this raise, so that the entry stays.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from relay.acceptance.fan_out import FanOut
from relay.core import entries, part_states
from relay.core.errors import AlreadyExists, Changed, NewerVersion, NotFound, Unavailable, UnreadableEntry
from relay.core.model import FINAL, MessageStatus, Part, State
from relay.delivery.planning import FRESH
from relay.delivery.settlement import Change, FollowUp, apply
from relay.journal.dead_letters import DeadLetters
from relay.journal.records import Journal, Record
from relay.platform.log import log_event, log_failure
from relay.platform.storage.ports import Queues

TRIES = 5
_PUT_BACK_SECONDS = 300
_LEASE_OVER = timedelta(seconds=30)


class Poison:
    """Turns poison entries into dead letters."""

    def __init__(
        self,
        *,
        journal: Journal,
        follow_up: FollowUp,
        dead_letters: DeadLetters,
        fan_out: FanOut,
        queues: Queues,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._journal = journal
        self._follow_up = follow_up
        self._dead_letters = dead_letters
        self._fan_out = fan_out
        self._queues = queues
        self._clock = clock
        self._sleep = sleep

    async def bury(self, queue: str, body: bytes) -> None:
        """Record the messages of a poison entry as dead letters; one that cannot be read or recorded is kept as it is."""
        pause = 1.0
        for _ in range(TRIES):
            try:
                return await self._bury(queue, body)
            except (Unavailable, Changed):
                await self._sleep(pause)
                pause *= 2
            except NewerVersion:
                # Its messages are for that version to end.
                break
            except Exception as error:
                # The bug that poisoned the entry may be met here again; it must not cost the entry.
                log_failure("bury_failed", error=type(error).__name__)
                await self._keep(body)
                return None
        return await self._queues.put(queue, body, delay_seconds=_PUT_BACK_SECONDS)

    async def drain(self, queue: str, bury: Callable[[str, bytes], Awaitable[None]] | None = None) -> int:
        """Bury what lies on a poison queue and was skipped by its function; how many entries.

        `bury` does it where the queue carries no messages.
        """
        bury, buried = bury or self.bury, 0
        while received := await self._queues.receive(queue, most=32):
            for entry in received:
                await bury(queue, entry.body)
                await self._queues.delete(queue, entry)
                buried += 1
        return buried

    async def _bury(self, queue: str, body: bytes) -> None:
        try:
            entry = entries.decode_entry(body)
        except NewerVersion:
            raise
        except UnreadableEntry:
            await self._keep(body)
            return
        if isinstance(entry, entries.FanOutEntry):
            # Its messages are not at fault: each batch gets a turn of its own. A bug met here again keeps the entry.
            await self._fan_out.fan_out(entry)
            return
        if isinstance(entry, entries.BatchEntry):
            indices: Sequence[int] = range(len(entry.messages))
            record = await self._record_of(entry, body)
        else:
            try:
                record = await self._journal.read(entry.ref)
            except NotFound:
                log_event("record_gone", level=logging.WARNING, batch=entry.ref)
                return
            indices = record.having(entry.indices)
        log_event("poison", level=logging.ERROR, batch=record.batch, messages=len(indices))
        await self._end(queue, body, record, indices)

    async def _keep(self, body: bytes) -> None:
        name = await self._dead_letters.keep_unreadable(body)
        log_event("entry_unreadable", level=logging.ERROR, blob=name)

    async def _record_of(self, entry: entries.BatchEntry, body: bytes) -> Record:
        dead = MessageStatus(parts=(part_states.end(FRESH, State.FAILED, "poisoned"),))
        try:
            return await self._journal.open(entry, body, [dead] * len(entry.messages))
        except AlreadyExists:
            return await self._journal.read(entry.batch)

    async def _end(self, queue: str, body: bytes, record: Record, indices: Sequence[int]) -> None:
        now = self._clock()
        parts = [(index, part) for index in indices for part in record.statuses[index].parts]
        changes = [
            Change(index=index, before=part, after=(_ended(part),)) for index, part in parts if _is_stuck(part, now)
        ]
        altered = apply(record.statuses, changes)
        if altered:
            record = await self._journal.settle(record, altered)
        # What still waits, or ended before the process died, gets what a dead delivery may have left out.
        await self._follow_up.follow(None, record, indices)
        leases = [part.lease_until for _, part in parts if part.state is State.SENDING and not _is_stuck(part, now)]
        if leases:
            until = max(lease for lease in leases if lease is not None) + _LEASE_OVER
            await self._queues.put(queue, body, delay_seconds=max(1, round((until - now).total_seconds())))


def _is_stuck(part: Part, now: datetime) -> bool:
    if part.state in FINAL:
        return False
    return part.state is State.QUEUED or part_states.is_due(part, now) or part_states.is_interrupted(part, now)


def _ended(part: Part) -> Part:
    """An attempt that was under way may have reached the recipients: that is not known to be a failure."""
    state = State.UNKNOWN if part.state is State.SENDING or part_states.is_uncertain(part) else State.FAILED
    return part_states.end(part, state, "poisoned")
