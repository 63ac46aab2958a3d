"""Cancel, reschedule, redrive and discard messages, at the request of a caller or an operator.

No queue entry repeats these changes after a crash, so the row in `pending` that the change needs is written first: if the
process dies in between, the recovery timer finds either a change to finish or a stale row.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.core import part_history, part_states
from relay.core.errors import AlreadyExists, NewerVersion, NotFound
from relay.core.model import DEAD, Address, MessageStatus, Part, State
from relay.core.settings import Settings
from relay.delivery.settlement import FollowUp
from relay.journal.change import Decision, change_record
from relay.journal.dead_letters import DeadLetter, DeadLetters
from relay.journal.pending import Pending, rows_of
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.log import log_event

type _StatusChange = Callable[[Record, MessageStatus], MessageStatus | None]
"""Returns the new status of a message; None to change nothing."""


class Redrive(msgspec.Struct, frozen=True, kw_only=True):
    """Overrides for a redrive: another route or sender."""

    route: str | None = None
    sender: Address | None = None


class Resend(msgspec.Struct, frozen=True, kw_only=True):
    """The parts and copies of a sent message to resend: parts that match `selects`, and their `lost` recipients (by number).

    `recipients` are all recipients of the message, `route` is another route to use.
    """

    selects: Callable[[Part], bool]
    lost: frozenset[int]
    recipients: tuple[int, ...]
    route: str | None = None


class MessageChanges:
    """Changes recorded messages."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        pending: Pending,
        follow_up: FollowUp,
        dead_letters: DeadLetters,
        clock: Callable[[], datetime],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._pending = pending
        self._follow_up = follow_up
        self._dead_letters = dead_letters
        self._clock = clock
        self._draw = draw

    async def cancel(self, batch: str, index: int) -> bool:
        """Cancel the waiting parts of a message. Returns False if none was cancelled for certain.

        A message that is still queued is cancelled before it can be recorded. A part that may have been sent already (the
        provider's response was lost) ends `unknown`.
        """
        try:
            await self._journal.cancel_unrecorded(batch, index)
        except AlreadyExists:
            after = await self._change(batch, index, lambda _, status: _map(status, part_states.cancel))
            return after is not None and any(part.state is State.CANCELLED for part in after.parts)
        return True

    async def reschedule(self, batch: str, index: int, at: datetime) -> bool:
        """Move a scheduled message to another time. Returns False if it is not scheduled. Raises `NotFound`."""
        # Each due time is unique, so that a late delete of the old row cannot remove the new one.
        at = self._unique_time(at)

        def move(record: Record, status: MessageStatus) -> MessageStatus | None:
            submission = record.entry().messages[index]
            return _map(status, lambda part: part_states.reschedule(part, submission, at))

        return await self._change(batch, index, move) is not None

    async def redrive(self, batch: str, index: int, how: Redrive) -> bool:
        """Re-enqueue the dead parts of a message. Returns False if it has none. Raises `NotFound`."""

        def put_back(record: Record, status: MessageStatus) -> MessageStatus | None:
            now = self._unique_time(self._clock())
            expiry = self._settings.lane_expiry(record.lane)
            changed = _map(status, lambda part: part_states.redrive(part, now, expiry, how.route))
            return changed and msgspec.structs.replace(changed, sender=how.sender or status.sender)

        return await self._change(batch, index, put_back) is not None

    async def resend(self, batch: str, index: int, how: Resend) -> bool:
        """Re-enqueue copies of a sent message. Returns False if no part matches any more. Raises `NotFound`."""

        def put_back(record: Record, status: MessageStatus) -> MessageStatus | None:
            now = self._unique_time(self._clock())
            expiry = self._settings.lane_expiry(record.lane)
            parts: list[Part] = []
            for part in status.parts:
                if not how.selects(part):
                    parts.append(part)
                    continue
                parts += part_states.resend(
                    part, how.lost, now, all_recipients=how.recipients, lane_expiry_seconds=expiry, route=how.route
                )
            if tuple(parts) == status.parts:
                return None
            return msgspec.structs.replace(status, parts=part_history.truncate_history(tuple(parts)))

        return await self._change(batch, index, put_back) is not None

    async def redrive_all(self, dead_letters: Iterable[DeadLetter], how: Redrive) -> int:
        """Redrive dead letters. Returns how many were still dead."""
        redriven = 0
        for dead in dead_letters:
            try:
                is_redriven = await self.redrive(dead.batch, dead.index, how)
            except NewerVersion:
                # Still dead; only the newer version can redrive it.
                continue
            except NotFound:
                log_event("record_purged", batch=dead.batch)
                is_redriven = False
            if not is_redriven:
                # A stale row. (A redriven message's row is removed already, and may exist again.)
                await self._dead_letters.remove(dead.code, dead.batch, dead.index)
            redriven += is_redriven
        return redriven

    async def discard(self, dead_letters: Sequence[DeadLetter]) -> int:
        """Remove dead letters from the index. Their records stay unchanged."""
        for dead in dead_letters:
            await self._dead_letters.remove(dead.code, dead.batch, dead.index)
        return len(dead_letters)

    async def _change(self, batch: str, index: int, change: _StatusChange) -> MessageStatus | None:
        """What the message's status is now; None when nothing was to be changed."""

        async def decide(record: Record) -> Decision[MessageStatus | None]:
            if index >= len(record.statuses):
                raise NotFound("no such message in the batch")
            status = record.statuses[index]
            changed = None if record.is_erased(index) else change(record, status)
            is_new = changed is not None and changed != status
            return Decision(statuses={index: changed} if is_new and changed else {}, result=changed)

        done = await change_record(
            self._journal, await self._journal.read(batch), decide, before_write=self._put_pending
        )
        if done.is_written:
            # Off the list before it can move: a message that dies again is then listed again.
            await self._remove_dead_letters(done.before, done.after, index)
            await self._follow_up.run(done.before, done.after, (index,))
        return done.result

    def _unique_time(self, at: datetime) -> datetime:
        return part_states.unique_due_time(at, int(self._draw() * 1_000_000))

    async def _put_pending(self, record: Record, changed: Mapping[int, MessageStatus]) -> None:
        """Write the rows in `pending` that must exist once the change is recorded."""
        statuses = [changed.get(index, status) for index, status in enumerate(record.statuses)]
        now = rows_of(record.batch, record.lane, enumerate(record.statuses))
        for key, due in rows_of(record.batch, record.lane, enumerate(statuses)).items():
            if key not in now:
                await self._pending.put(due)

    async def _remove_dead_letters(self, before: Record, after: Record, index: int) -> None:
        """Remove the parts that are no longer dead from the index of dead letters."""
        for part in before.statuses[index].parts:
            if part.state in DEAD and part not in after.statuses[index].parts:
                await self._dead_letters.remove(part.code or "expired", before.batch, index)


def _map(status: MessageStatus, change: Callable[[Part], Part | None]) -> MessageStatus | None:
    """Change each part that can be changed; None if there is none."""
    parts = [(part, change(part)) for part in status.parts]
    if all(changed is None for _, changed in parts):
        return None
    return msgspec.structs.replace(status, parts=tuple(changed or part for part, changed in parts))
