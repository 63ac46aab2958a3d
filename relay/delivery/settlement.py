"""Settle changes of parts in the batch's record, and follow them up.

Record first, follow up second: a settlement is one merge of the batch's record; the rows in `pending`, the entries on the
queue and the dead-letter index follow from the statuses alone. So any process that finds the record later can repeat
the follow-up of a process that died, and repeating it does no harm.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.core import entries, ids
from relay.core.model import DEAD, MessageStatus, Part, State
from relay.core.parts import part_history, part_turns
from relay.core.settings import Lane, queues_for
from relay.journal.change import Decision, RecordChange, change_record
from relay.journal.dead_letters import DeadLetter, DeadLetters
from relay.journal.pending import SOON, Due, Pending, rows_of
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.log import log_event
from relay.platform.storage.ports import Queues
from relay.platform.telemetry import OFF, Telemetry

MAX_DELAY_SECONDS = 604_800
_UNSENT = DEAD | {State.CANCELLED}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A part of one message, and the parts that replace it."""

    index: int
    before: Part
    after: tuple[Part, ...]


def apply(statuses: Sequence[MessageStatus], changes: Iterable[Change]) -> dict[int, MessageStatus]:
    """Apply changes to the statuses, and return those that differ, by index.

    A change whose part is no longer there is skipped: another process has settled it, or this one has.
    """
    altered: dict[int, MessageStatus] = {}
    for change in changes:
        status = altered.get(change.index, statuses[change.index])
        if change.before not in status.parts or change.after == (change.before,):
            continue
        at = status.parts.index(change.before)
        parts = (*status.parts[:at], *change.after, *status.parts[at + 1 :])
        altered[change.index] = msgspec.structs.replace(status, parts=part_history.truncate_history(parts))
    return altered


def is_applied(statuses: Sequence[MessageStatus], change: Change) -> bool:
    """Return whether the record already holds the parts of this change."""
    return all(part in statuses[change.index].parts for part in change.after)


async def settle(journal: Journal, record: Record, changes: Sequence[Change]) -> RecordChange[None]:
    """Record changes of parts, and retry if another process changes the record concurrently."""

    async def decide(record: Record) -> Decision[None]:
        return Decision(statuses=apply(record.statuses, changes), result=None)

    return await change_record(journal, record, decide)


class FollowUp:
    """Writes the rows and entries that follow from a record's statuses."""

    def __init__(
        self,
        *,
        queues: Queues,
        pending: Pending,
        dead_letters: DeadLetters,
        lanes: Mapping[str, Lane],
        clock: Callable[[], datetime],
        notify: Callable[[Record, Sequence[tuple[int, Part]]], Awaitable[None]],
        telemetry: Telemetry = OFF,
    ) -> None:
        """`notify` informs clients of parts that ended without being sent; repeating it does no harm."""
        self._queues = queues
        self._pending = pending
        self._dead_letters = dead_letters
        self._lanes = lanes
        self._clock = clock
        self._notify = notify
        self._telemetry = telemetry

    async def run(self, before: Record | None, after: Record, indices: Iterable[int]) -> None:
        """Write the new rows, entries and index entries of a settlement, and remove obsolete rows.

        If `before` is None, the existing rows are unknown: write all that these messages need again.
        """
        chosen = sorted(set(indices))
        old = {} if before is None else rows_of(after.batch, after.lane, enumerate(before.statuses))
        new = rows_of(after.batch, after.lane, enumerate(after.statuses))
        # Rows and entries must agree on which parts are due soon, or a row without an entry would claim to have one.
        soon = self._clock() + SOON
        for key, due in new.items():
            if old.get(key) != due and set(due.indices) & set(chosen):
                await self._pending.put(due, has_entry=due.at <= soon)
        if before is not None:
            # Remove the dead letter before its message can be sent: if it fails again, it is listed again.
            await self._dead_letters.remove_all(_revived(before, after, chosen))
        ended = list(_ended(before, after, chosen))
        await self._note_deaths(after, ended)
        await self._enqueue(after, self._moving(before, after, chosen, soon))
        if ended:
            await self._notify(after, ended)
        for key, due in old.items():
            if key not in new:
                await self._pending.remove(due)

    async def repeat_ends(self, record: Record, indices: Iterable[int]) -> None:
        """Repeat what follows from the end of these messages: the process that recorded it may have died before."""
        if ended := list(_ended(None, record, sorted(set(indices)))):
            await self._note_deaths(record, ended)
            await self._notify(record, ended)

    async def put_rows(self, record: Record, changed: Mapping[int, MessageStatus]) -> None:
        """Write the rows in `pending` that must exist once a change is recorded, for changes that no entry repeats."""
        statuses = [changed.get(index, status) for index, status in enumerate(record.statuses)]
        now = rows_of(record.batch, record.lane, enumerate(record.statuses))
        for key, due in rows_of(record.batch, record.lane, enumerate(statuses)).items():
            if key not in now:
                await self._pending.put(due)

    async def _enqueue(self, record: Record, parts: Iterable[tuple[int, Part]]) -> None:
        """Put an entry for each due time of these parts; it becomes visible at that time."""
        turns: dict[datetime, tuple[set[int], int]] = {}
        for index, part in parts:
            if part.due_at is not None:
                indices, attempt = turns.get(part.due_at, (set(), 0))
                turns[part.due_at] = (indices | {index}, max(attempt, part.attempt + 1))
        for at, (indices, attempt) in turns.items():
            await self.put_reference(record.batch, record.lane, sorted(indices), attempt, at)

    async def put_reference(self, batch: str, lane: str, indices: Sequence[int], attempt: int, at: datetime) -> None:
        """Put an entry that delivers these messages, not before `at`."""
        delay = max(0, round((at - self._clock()).total_seconds()))
        queues = queues_for(self._lanes, lane)
        queue = queues[int(batch[-4:], 16) % len(queues)]
        body = entries.encode_reference(batch, lane, indices, attempt)
        await self._queues.put(queue, body, delay_seconds=min(delay, MAX_DELAY_SECONDS))

    async def put_due(self, due: Due) -> None:
        """Put the entry of a row in `pending` now."""
        await self.put_reference(due.batch, due.lane, due.indices, due.attempt, self._clock())

    @staticmethod
    def _moving(
        before: Record | None, after: Record, indices: Iterable[int], soon: datetime
    ) -> Iterable[tuple[int, Part]]:
        for index in indices:
            known = () if before is None else before.statuses[index].parts
            for part in after.statuses[index].parts:
                if part not in known and part_turns.needs_entry(part, soon):
                    yield index, part

    async def _note_deaths(self, after: Record, ended: Iterable[tuple[int, Part]]) -> None:
        died = [(index, part) for index, part in ended if part.state in DEAD]
        at = self._clock()
        await self._dead_letters.note(
            DeadLetter(code=part.code, batch=after.batch, index=index, at=at) for index, part in died
        )
        for index, part in died:
            code = part.code or "expired"
            self._telemetry.died(after.lane, part.state, code)
            log_event(
                "dead_letter",
                level=logging.WARNING,
                batch=after.batch,
                index=index,
                lane=after.lane,
                state=str(part.state),
                code=code,
            )


def _ended(before: Record | None, after: Record, indices: Iterable[int]) -> Iterator[tuple[int, Part]]:
    """Yield the parts that have ended without being sent. Erased messages cannot be redriven, and no webhook reports them."""
    for index in indices:
        known = () if before is None else before.statuses[index].parts
        if not after.is_erased(index):
            yield from (
                (index, part) for part in after.statuses[index].parts if part.state in _UNSENT and part not in known
            )


def _revived(before: Record, after: Record, indices: Iterable[int]) -> Iterator[DeadLetter]:
    """Yield the dead letters of messages that have no part any more that is dead of this cause."""
    at = ids.created_at(before.batch)
    for index in indices:
        still = () if after.is_erased(index) else _causes(after.statuses[index])
        for code in _causes(before.statuses[index]):
            if code not in still:
                yield DeadLetter(code=code, batch=before.batch, index=index, at=at)


def _causes(status: MessageStatus) -> Collection[str]:
    """Return the causes of a message's dead parts: each is a row in the index, whatever the number of parts."""
    return dict.fromkeys(part.code or "expired" for part in status.parts if part.state in DEAD)
