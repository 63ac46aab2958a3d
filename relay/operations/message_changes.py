"""Cancel, reschedule, redrive and discard messages, at the request of a caller or an operator.

No queue entry repeats these changes after a crash, so the row in `pending` that the change needs is written first: if the
process dies in between, the recovery timer finds either a change to finish or a stale row.
"""

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from datetime import datetime
from functools import partial

import msgspec

from relay.core.errors import AlreadyExists, NotFound, UnreadableEntry
from relay.core.model import Address, MessageStatus, Part, State
from relay.core.parts import part_history, part_states, put_back
from relay.core.settings import Settings
from relay.delivery.settlement import FollowUp
from relay.journal.change import Decision, change_record
from relay.journal.dead_letters import DeadLetter, DeadLetters
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform import concurrency
from relay.platform.log import log_event

RECORDS_AT_ONCE = 8
"""Records that a redrive changes concurrently."""

type _StatusChange = Callable[[Record, int], MessageStatus | None]
"""Returns the new status of a message of a record; None if the change does not apply to it."""


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
        follow_up: FollowUp,
        dead_letters: DeadLetters,
        clock: Callable[[], datetime],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._follow_up = follow_up
        self._dead_letters = dead_letters
        self._clock = clock
        self._draw = draw

    async def cancel(self, batch: str, index: int) -> bool:
        """Cancel the waiting parts of a message. Returns True if one was certainly cancelled, else False.

        A message that is still queued is cancelled before it can be recorded. A part that may have been sent already (the
        provider's response was lost) ends `unknown`.
        """
        try:
            await self._journal.cancel_unrecorded(batch, index)
        except AlreadyExists:
            after = await self._change(
                batch, (index,), lambda record, index: _map(record.statuses[index], part_states.cancel)
            )
            return any(part.state is State.CANCELLED for status in after.values() for part in status.parts)
        return True

    async def reschedule(self, batch: str, index: int, at: datetime) -> bool:
        """Move a scheduled message to another time. Returns False if it is not scheduled. Raises `NotFound`."""
        # Each due time is unique, so that a late delete of the old row cannot remove the new one.
        at = self._unique_time(at)

        def move(record: Record, index: int) -> MessageStatus | None:
            submission = record.entry().messages[index]
            return _map(record.statuses[index], lambda part: part_states.reschedule(part, submission, at))

        return bool(await self._change(batch, (index,), move))

    async def redrive(self, batch: str, index: int, how: Redrive) -> bool:
        """Re-enqueue the dead parts of a message. Returns False if it has none. Raises `NotFound`."""
        return bool(await self._redrive(batch, (index,), how))

    async def _redrive(self, batch: str, indices: Collection[int], how: Redrive) -> Set[int]:
        """Re-enqueue the dead parts of messages of one batch: one write, and one entry for all. Returns the changed indices."""
        now = self._unique_time(self._clock())

        def redriven(record: Record, index: int) -> MessageStatus | None:
            status, expiry = record.statuses[index], self._settings.lane_expiry(record.lane)
            changed = _map(status, lambda part: put_back.redrive(part, now, expiry, how.route))
            return changed and msgspec.structs.replace(changed, sender=how.sender or status.sender)

        return (await self._change(batch, indices, redriven)).keys()

    async def resend(self, batch: str, wanted: Mapping[int, Resend]) -> int:
        """Re-enqueue copies of sent messages of one batch. Returns the number of messages that still matched.

        Raises `NotFound`.
        """
        now = self._unique_time(self._clock())

        def resent(record: Record, index: int) -> MessageStatus | None:
            return _resent(record.statuses[index], wanted[index], now, self._settings.lane_expiry(record.lane))

        return len(await self._change(batch, wanted.keys(), resent))

    async def redrive_all(self, dead_letters: Iterable[DeadLetter], how: Redrive) -> int:
        """Redrive dead letters, record by record. Returns the number of messages that were still dead.

        Costs some storage operations for each record, however many of its messages are redriven.
        """
        batches: dict[str, list[DeadLetter]] = {}
        for dead in dead_letters:
            batches.setdefault(dead.batch, []).append(dead)
        calls = (partial(self._redrive_record, batch, letters, how) for batch, letters in batches.items())
        return sum(await concurrency.gather_limited(calls, limit=RECORDS_AT_ONCE))

    async def _redrive_record(self, batch: str, letters: Sequence[DeadLetter], how: Redrive) -> int:
        try:
            redriven = await self._redrive(batch, {dead.index for dead in letters}, how)
        except UnreadableEntry:
            # Still dead; it can be redriven when the record can be read.
            return 0
        except NotFound:
            log_event("record_gone", batch=batch)
            redriven = frozenset()
        # Stale rows. (A redriven message's row is removed already, and may exist again.)
        await self._dead_letters.remove_all(dead for dead in letters if dead.index not in redriven)
        return len(redriven)

    async def discard(self, dead_letters: Sequence[DeadLetter]) -> int:
        """Remove dead letters from the index. Their records stay unchanged."""
        await self._dead_letters.remove_all(dead_letters)
        return len(dead_letters)

    async def _change(self, batch: str, indices: Collection[int], change: _StatusChange) -> Mapping[int, MessageStatus]:
        """Change messages of one batch with one write. Returns the new status of each to which the change applies.

        Raises `NotFound` if the batch has none of the messages.
        """

        async def decide(record: Record) -> Decision[Mapping[int, MessageStatus]]:
            known = record.having(sorted(indices))
            if not known:
                raise NotFound("no such message in the batch")
            pairs = ((index, change(record, index)) for index in known if not record.is_erased(index))
            result = {index: status for index, status in pairs if status is not None}
            changed = {index: status for index, status in result.items() if status != record.statuses[index]}
            return Decision(statuses=changed, result=result)

        done = await change_record(
            self._journal, await self._journal.read(batch), decide, before_write=self._follow_up.put_rows
        )
        if done.is_written:
            await self._follow_up.run(done.before, done.after, done.result)
        return done.result

    def _unique_time(self, at: datetime) -> datetime:
        return part_states.unique_due_time(at, int(self._draw() * 1_000_000))


def _resent(status: MessageStatus, how: Resend, now: datetime, expiry_seconds: int) -> MessageStatus | None:
    parts: list[Part] = []
    for part in status.parts:
        if not how.selects(part):
            parts.append(part)
            continue
        parts += put_back.resend(
            part, how.lost, now, all_recipients=how.recipients, lane_expiry_seconds=expiry_seconds, route=how.route
        )
    if tuple(parts) == status.parts:
        return None
    return msgspec.structs.replace(status, parts=part_history.truncate_history(tuple(parts)))


def _map(status: MessageStatus, change: Callable[[Part], Part | None]) -> MessageStatus | None:
    """Change each part that can be changed; None if there is none."""
    parts = [(part, change(part)) for part in status.parts]
    if all(changed is None for _, changed in parts):
        return None
    return msgspec.structs.replace(status, parts=tuple(changed or part for part, changed in parts))
