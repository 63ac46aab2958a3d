"""Mail that a provider took and lost: found by what was never reported of it, and sent again.

SendGrid takes mail of an account that is suspended or frozen, drops it later, and keeps no content. We do: a `sent` message
stays in the journal with its content until the retention ends.

A message is found by its part's last attempt: sent, by this route, within this time. Putting it back makes the part `deferred`,
and its next attempt comes after that time; so a repetition finds it no more, wherever an earlier call was interrupted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from relay.core.errors import NotFound
from relay.core.events import BounceClass, EventKind, RecipientState, RecordedEvent, fates
from relay.core.model import Delivery, Part, State, Submission
from relay.journal.content import Content
from relay.journal.records import Journal, Record
from relay.operations.message_changes import MessageChanges, Resend
from relay.platform import concurrency
from relay.platform.log import log_event

PAGE = 200
"""Records that are looked at at a time."""
ENOUGH = 100
"""Messages after which a call ends; the next one goes on."""
PAGES = 25
"""Pages after which a call ends, however little was found."""
_AT_ONCE = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOST = frozenset({BounceClass.UNKNOWN, BounceClass.NETWORK})
"""Bounces after which a copy counts as lost: no server of the recipient's has refused it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: sent by `route` from `since` on and before `before`. `to_route` is another one to send by.

    With `is_dry` nothing is sent.
    """

    route: str
    since: datetime
    before: datetime
    to_route: str | None = None
    is_dry: bool = False

    def means(self, part: Part) -> bool:
        """Whether a part was sent so."""
        if part.state is not State.SENT or part.route != self.route or not part.attempts:
            return False
        last = part.attempts[-1]
        return last.outcome == "sent" and self.since <= last.at < self.before


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a call found, and what it put back, in messages. `skipped` may not be sent twice (`at_most_once`).

    `cursor` is where the next call goes on; None: this was all.
    """

    found: int = 0
    redriven: int = 0
    skipped: int = 0
    cursor: str | None = None


class ResendLost:
    """Finds and sends again."""

    def __init__(self, *, journal: Journal, message_changes: MessageChanges, content: Content) -> None:
        self._journal = journal
        self._message_changes = message_changes
        self._content = content

    async def step(self, wanted: Wanted, cursor: str | None = None) -> Step:
        """Look at some records, and put back what was lost. Raises `ValueError` for a cursor that is none of ours."""
        done = Step()
        for _ in range(PAGES):
            records, cursor = await self._journal.page(
                since=_EPOCH, before=wanted.before, most=PAGE, cursor=cursor, with_content=False
            )
            calls = (partial(self._look, wanted, record) for record in records if _may_be_meant(wanted, record))
            done = _sum(done, await concurrency.gather_limited(calls, most=_AT_ONCE))
            if cursor is None:
                log_event("lost_mail", route=wanted.route, found=done.found, redriven=done.redriven, dry=wanted.is_dry)
                break
            if done.found >= ENOUGH:
                break
        return msgspec.structs.replace(done, cursor=cursor)

    async def _look(self, wanted: Wanted, bare: Record) -> Step:
        """All of one record. It is read again, whole: what was only looked through may have changed."""
        try:
            record, events = await self._journal.story(bare.batch)
        except NotFound:
            return Step()
        entry, done = record.entry(), Step()
        for index, status in enumerate(record.statuses):
            if not any(wanted.means(part) for part in status.parts):
                continue
            copies = await self._copies(entry.messages[index], [event for event in events if event.index == index])
            if any(_concerns(part, copies.lost) for part in status.parts if wanted.means(part)):
                is_once = entry.messages[index].delivery is Delivery.AT_MOST_ONCE
                done = _sum(done, [await self._redrive(wanted, record.batch, index, copies, is_once=is_once)])
        return done

    async def _redrive(self, wanted: Wanted, batch: str, index: int, copies: "_Copies", *, is_once: bool) -> Step:
        if is_once:
            return Step(found=1, skipped=1)
        if wanted.is_dry:
            return Step(found=1)
        how = Resend(is_meant=wanted.means, lost=copies.lost, everybody=copies.everybody, route=wanted.to_route)
        return Step(found=1, redriven=int(await self._message_changes.resend(batch, index, how)))

    async def _copies(self, submission: Submission, events: Sequence[RecordedEvent]) -> "_Copies":
        """Whom a message was for, and of whose copy nothing is known: neither that it arrived nor that it was refused.

        Nobody's, where the content is gone: it could not be sent again.
        """
        message = await self._content.message(submission)
        if message is None:
            return _Copies(everybody=(), lost=frozenset())
        ended = fates(events)
        everybody = [
            (number, address.email.lower())
            for number, address in enumerate(message.recipients)
            if number not in submission.suppressed
        ]
        return _Copies(
            everybody=tuple(number for number, _ in everybody),
            lost=frozenset(number for number, email in everybody if _is_lost(ended.get(email))),
        )


class _Copies(msgspec.Struct, frozen=True, kw_only=True):
    everybody: tuple[int, ...]
    lost: frozenset[int]


def _may_be_meant(wanted: Wanted, record: Record) -> bool:
    return any(wanted.means(part) for status in record.statuses for part in status.parts)


def _concerns(part: Part, lost: frozenset[int]) -> bool:
    return bool(lost) if part.recipients is None else bool(lost & set(part.recipients))


def _is_lost(fate: RecipientState | None) -> bool:
    return fate is None or (fate.state is EventKind.BOUNCED and fate.bounce_class in _LOST)


def _sum(done: Step, more: Sequence[Step]) -> Step:
    steps = [done, *more]
    return Step(
        found=sum(step.found for step in steps),
        redriven=sum(step.redriven for step in steps),
        skipped=sum(step.skipped for step in steps),
    )
