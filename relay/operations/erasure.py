"""Erase the messages of one recipient before their retention ends.

    cancel waiting parts ─► mark ─► dead letters ─► events ─► blobs ─► search index ─► content

A message is erased whole, even if it had other recipients. Its client, times, route and final state stay. See
docs/decisions/0017-erasing.md.

The mark is `erased` in the status, written by ETag: from then on no call returns the content, no redrive is possible, and no
event is added. The content is deleted last. So any later scan that finds a marked record with content finishes an
interrupted erasure, for whichever recipient it runs.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import msgspec

from relay.clients.suppressions.store import Suppressions
from relay.core.errors import NotFound, UnreadableEntry
from relay.core.model import DEAD, FINAL, WAITING, Erased, Message, MessageStatus, Part, Submission
from relay.core.parts import part_turns
from relay.delivery.settlement import FollowUp
from relay.journal.change import Decision, change_record
from relay.journal.content import Content
from relay.journal.dead_letters import DeadLetters
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.search.index import SearchIndex
from relay.operations.message_changes import MessageChanges
from relay.operations.scan import ScanStep, scan_step
from relay.platform.log import log_event
from relay.platform.storage.rows import retry_races

EVENTS_DELETED_AGAIN = timedelta(hours=1)
"""Time after an erasure during which events are deleted again: a process that read the record before may add one."""
_AHEAD = timedelta(days=1)
"""Margin for the clocks of other processes, which are part of batch ids."""


class ErasureStep(ScanStep, frozen=True, kw_only=True):
    """The counts of a step: messages `erased`, of these `cancelled` first because they waited, and left `in_progress`.

    Repeat the erasure for messages that are in progress. `shared_files` counts the files of these messages that stay, because
    other messages may use them.
    """

    erased: int = 0
    cancelled: int = 0
    in_progress: int = 0
    shared_files: int = 0

    @property
    def matches(self) -> int:
        """The number of messages to the recipient."""
        return self.erased + self.in_progress


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a message to the recipient."""

    recipients: int
    shared_files: int


class Erasure:
    """Finds and erases a recipient's messages."""

    def __init__(
        self,
        *,
        journal: Journal,
        search_index: SearchIndex,
        message_changes: MessageChanges,
        follow_up: FollowUp,
        dead_letters: DeadLetters,
        content: Content,
        suppressions: Suppressions,
        clock: Callable[[], datetime],
    ) -> None:
        self._suppressions = suppressions
        self._journal = journal
        self._search_index = search_index
        self._message_changes = message_changes
        self._follow_up = follow_up
        self._dead_letters = dead_letters
        self._content = content
        self._clock = clock

    async def step(self, recipient: str, cursor: str | None = None, *, is_dry: bool = False) -> ErasureStep:
        """Scan some records, and erase the messages to this recipient (a normalized address, in lower case).

        With `is_dry` nothing changes, and the counts are those of an erasure. Raises `ValueError` for an invalid cursor, and
        `Unavailable`: then repeat the call.
        """
        if cursor is None and not is_dry:
            await self._suppressions.forget_address(recipient)
        done = await scan_step(
            self._journal,
            partial(self._process, recipient, is_dry=is_dry),
            ErasureStep(),
            before=self._clock() + _AHEAD,
            cursor=cursor,
        )
        log_event("erased", messages=done.erased, cancelled=done.cancelled, in_progress=done.in_progress, dry=is_dry)
        return done

    async def _process(self, recipient: str, record: Record, *, is_dry: bool) -> ErasureStep:
        """Erase the messages of one record. An unreadable record must not stop the others."""
        try:
            named, unreadable = await self._addressed(recipient, record)
            if is_dry:
                return _dry_counts(record, named).plus(unreadable)
            if named or record.remains():
                return (await self._erase(record, named)).plus(unreadable)
            recently = _recently_erased(record, self._clock())
            if recently:
                await self._journal.forget_events(record.batch, recently)
        except UnreadableEntry as error:
            log_event("record_unreadable", level=logging.WARNING, batch=record.batch, error=str(error))
            return ErasureStep(unreadable=sum(not record.is_erased(index) for index in range(len(record.statuses))))
        except NotFound:
            log_event("record_purged", batch=record.batch)
            return ErasureStep()
        return unreadable

    async def _addressed(self, recipient: str, record: Record) -> tuple[Mapping[int, _Named], ErasureStep]:
        """Find the messages to this recipient, by index, and count those whose recipients cannot be read."""
        named: dict[int, _Named] = {}
        unreadable = 0
        for index, submission in enumerate(record.entry().messages):
            message = submission.message or await self._stored(submission)
            if message is None:
                unreadable += not record.is_erased(index)
                continue
            if all(address.email.casefold() != recipient for address in message.recipients):
                continue
            if submission.message is not None:
                # Only the blob of a claim check contains the attachments.
                message = await self._stored(submission) or message
            files = sum(attachment.blob is not None for attachment in message.attachments)
            named[index] = _Named(recipients=len(message.recipients), shared_files=files)
        return named, ErasureStep(unreadable=unreadable)

    async def _stored(self, submission: Submission) -> Message | None:
        if submission.blob is None:
            return None
        try:
            async with self._content.budget.hold(submission.size):
                return await self._content.message(submission)
        except UnreadableEntry as error:
            log_event("content_unreadable", level=logging.WARNING, blob=submission.blob, error=str(error))
            return None

    async def _erase(self, record: Record, named: Mapping[int, _Named]) -> ErasureStep:
        waiting = [index for index in named if part_turns.is_waiting(record.statuses[index])]
        for index in waiting:
            await self._message_changes.cancel(record.batch, index)
        over = await self._mark(record.batch, named)
        erased = await retry_races(partial(self._clear, record.batch), subject="the record of a batch")
        return ErasureStep(
            erased=erased,
            cancelled=len(waiting),
            in_progress=len(named) - len(over),
            shared_files=sum(each.shared_files for each in over.values()),
        )

    async def _mark(self, batch: str, named: Mapping[int, _Named]) -> Mapping[int, _Named]:
        """Mark the messages that have ended as erased, and return them."""
        now = self._clock()

        async def decide(record: Record) -> Decision[Mapping[int, _Named]]:
            over = {index: each for index, each in named.items() if part_turns.is_over(record.statuses[index])}
            marks = {
                index: _marked(record.statuses[index], Erased(at=now, recipients=each.recipients))
                for index, each in over.items()
                if not record.is_erased(index)
            }
            return Decision(statuses=marks, result=over)

        change = await change_record(self._journal, await self._journal.read(batch), decide, write=self._journal.mark)
        if change.is_written:
            # Removes pending sent checks. `relay.operations.sent_checks` removes a row that a crash leaves.
            await self._follow_up.run(change.before, change.after, change.result)
        return change.result

    async def _clear(self, batch: str) -> int:
        """Delete the content of marked messages. Returns their number. Raises `Changed` after a lost race."""
        record = await self._journal.read(batch)
        remains = record.remains()
        if not remains:
            return 0
        for index in remains:
            for part in record.statuses[index].parts:
                if part.state in DEAD:
                    await self._dead_letters.remove(part.code or "expired", record.batch, index)
        await self._journal.forget_events(record.batch, remains.keys())
        await self._forget_content(record, remains)
        return len(remains)

    async def _forget_content(self, record: Record, remains: Mapping[int, Submission]) -> None:
        """Delete the content of marked messages: first from their blobs, then from the record.

        In a shared blob, the content of the other messages stays. Raises `Changed` if another erasure, or the purge, changed
        the blob or the record concurrently.
        """
        others = record.entry().messages
        blobs = dict.fromkeys(submission.blob for submission in remains.values() if submission.blob)
        for blob in blobs:
            await self._content.keep_only(blob, [each.span for each in others if each.blob == blob and each.span])
        await self._search_index.forget(record.batch)
        await self._journal.forget(record)


def _marked(status: MessageStatus, erased: Erased) -> MessageStatus:
    """Return the status without replies and ids of providers. States, codes, routes, times and arrivals stay."""
    parts = tuple(_without_replies(part) for part in status.parts)
    return MessageStatus(parts=parts, erased=erased, reported=status.reported, vouched=status.vouched)


def _without_replies(part: Part) -> Part:
    attempts = (msgspec.structs.replace(attempt, reply="", provider_id=None) for attempt in part.attempts)
    return msgspec.structs.replace(part, attempts=tuple(attempts), provider_id=None, check_at=None)


def _recently_erased(record: Record, now: datetime) -> frozenset[int]:
    marks = ((index, status.erased) for index, status in enumerate(record.statuses))
    return frozenset(index for index, mark in marks if mark is not None and now - mark.at < EVENTS_DELETED_AGAIN)


def _dry_counts(record: Record, named: Mapping[int, _Named]) -> ErasureStep:
    """Count the messages that a step would erase, cancel or leave."""
    statuses = [record.statuses[index] for index in named]
    in_progress = sum(any(part.state not in FINAL | WAITING for part in status.parts) for status in statuses)
    return ErasureStep(
        erased=len(named) - in_progress + len(record.remains()),
        cancelled=sum(part_turns.is_waiting(status) for status in statuses),
        in_progress=in_progress,
        shared_files=sum(each.shared_files for each in named.values()),
    )
