"""What a caller or an operator changes about a message that waits or died: cancel, reschedule, redrive, discard.

No entry stands behind these changes, so the row in `pending` that must exist afterwards is written first: if the process
dies in between, the recovery timer finds either a change to carry on with or a row that means nothing.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.core import part_states
from relay.core.errors import AlreadyExists, NewerVersion, NotFound
from relay.core.model import DEAD, Address, MessageStatus, Part, State
from relay.core.settings import Settings
from relay.delivery.settlement import FollowUp
from relay.journal.change import Decision, change_record
from relay.journal.dead_letters import DeadLetter, DeadLetters
from relay.journal.pending import Pending, rows_of
from relay.journal.records import Journal, Record
from relay.platform.log import log_event

type _Changing = Callable[[Record, MessageStatus], MessageStatus | None]
"""What a record makes of one status; None when nothing is to be changed."""


class Redrive(msgspec.Struct, frozen=True, kw_only=True):
    """How dead letters are put back: by their old route and sender, or by others."""

    route: str | None = None
    sender: Address | None = None


class Resend(msgspec.Struct, frozen=True, kw_only=True):
    """What of a sent message is sent again: what `is_meant` says, of it the copies of the `lost` recipients (numbers).

    `everybody` are all that the message was for, `route` is another route to take.
    """

    is_meant: Callable[[Part], bool]
    lost: frozenset[int]
    everybody: tuple[int, ...]
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
        """Withdraw what still waits of a message: for certain, or False when nothing of it waits any more.

        A message that is on the queue still is withdrawn before it can be recorded. What may have been sent before (its
        answer was lost) is withdrawn too, but not for certain: it ends `unknown`.
        """
        try:
            await self._journal.cancel_unrecorded(batch, index)
        except AlreadyExists:
            after = await self._change(batch, index, lambda _, status: _map(status, part_states.cancel))
            return after is not None and any(part.state is State.CANCELLED for part in after.parts)
        return True

    async def reschedule(self, batch: str, index: int, at: datetime) -> bool:
        """Move a scheduled message to another time; False when it is not scheduled. Raises `NotFound`."""
        # A due time of its own each time: a row's key is never used twice, so a late removal removes no new row.
        at = self._own_time(at)

        def move(record: Record, status: MessageStatus) -> MessageStatus | None:
            submission = record.entry().messages[index]
            return _map(status, lambda part: part_states.reschedule(part, submission, at))

        return await self._change(batch, index, move) is not None

    async def redrive(self, batch: str, index: int, how: Redrive) -> bool:
        """Put what died of a message back on the queue; False when nothing of it is dead. Raises `NotFound`."""

        def put_back(record: Record, status: MessageStatus) -> MessageStatus | None:
            now = self._own_time(self._clock())
            expiry = self._settings.lane_expiry(record.lane)
            changed = _map(status, lambda part: part_states.redrive(part, now, expiry, how.route))
            return changed and msgspec.structs.replace(changed, sender=how.sender or status.sender)

        return await self._change(batch, index, put_back) is not None

    async def resend(self, batch: str, index: int, how: Resend) -> bool:
        """Put copies of a sent message back on the queue; False when none of it is meant any more. Raises `NotFound`."""

        def put_back(record: Record, status: MessageStatus) -> MessageStatus | None:
            now = self._own_time(self._clock())
            expiry = self._settings.lane_expiry(record.lane)
            parts: list[Part] = []
            for part in status.parts:
                if not how.is_meant(part):
                    parts.append(part)
                    continue
                parts += part_states.resend(
                    part, how.lost, now, everybody=how.everybody, lane_expiry_seconds=expiry, route=how.route
                )
            if tuple(parts) == status.parts:
                return None
            return msgspec.structs.replace(status, parts=part_states.truncate_history(tuple(parts)))

        return await self._change(batch, index, put_back) is not None

    async def redrive_letters(self, letters: Iterable[DeadLetter], how: Redrive) -> int:
        """Redrive dead letters; how many were still dead."""
        redriven = 0
        for letter in letters:
            try:
                is_redriven = await self.redrive(letter.batch, letter.index, how)
            except NewerVersion:
                # Dead still, and that version's to put back.
                continue
            except NotFound:
                log_event("record_gone", batch=letter.batch)
                is_redriven = False
            if not is_redriven:
                # A stale row. (One that was redriven is off the list already, and may be on it again.)
                await self._dead_letters.remove(letter.code, letter.batch, letter.index)
            redriven += is_redriven
        return redriven

    async def discard(self, letters: Sequence[DeadLetter]) -> int:
        """Take dead letters off the list; their records stay as they are."""
        for letter in letters:
            await self._dead_letters.remove(letter.code, letter.batch, letter.index)
        return len(letters)

    async def _change(self, batch: str, index: int, change: _Changing) -> MessageStatus | None:
        """What the message's status is now; None when nothing was to be changed."""

        async def decide(record: Record) -> Decision[MessageStatus | None]:
            if index >= len(record.statuses):
                raise NotFound("no such message in the batch")
            status = record.statuses[index]
            changed = None if record.is_erased(index) else change(record, status)
            is_new = changed is not None and changed != status
            return Decision(statuses={index: changed} if is_new and changed else {}, result=changed)

        done = await change_record(self._journal, await self._journal.read(batch), decide, before_write=self._announce)
        if done.is_written:
            # Off the list before it can move: a message that dies again is then listed again.
            await self._unlist(done.before, done.after, index)
            await self._follow_up.follow(done.before, done.after, (index,))
        return done.result

    def _own_time(self, at: datetime) -> datetime:
        return part_states.unique_due_time(at, int(self._draw() * 1_000_000))

    async def _announce(self, record: Record, changed: Mapping[int, MessageStatus]) -> None:
        """Write the rows in `pending` that must exist once the change is recorded."""
        statuses = [changed.get(index, status) for index, status in enumerate(record.statuses)]
        now = rows_of(record.batch, record.lane, enumerate(record.statuses))
        for key, due in rows_of(record.batch, record.lane, enumerate(statuses)).items():
            if key not in now:
                await self._pending.put(due)

    async def _unlist(self, before: Record, after: Record, index: int) -> None:
        """Take what is no longer dead off the list of dead letters."""
        for part in before.statuses[index].parts:
            if part.state in DEAD and part not in after.statuses[index].parts:
                await self._dead_letters.remove(part.code or "expired", before.batch, index)


def _map(status: MessageStatus, change: Callable[[Part], Part | None]) -> MessageStatus | None:
    """The status with each part changed that can be; None when none can."""
    parts = [(part, change(part)) for part in status.parts]
    if all(changed is None for _, changed in parts):
        return None
    return msgspec.structs.replace(status, parts=tuple(changed or part for part, changed in parts))
