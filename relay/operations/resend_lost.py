"""Resend mail that a provider accepted and lost: sent messages without a delivery report.

SendGrid accepts mail of a suspended or frozen account, drops it later, and keeps no content. Relay keeps it: a `sent` message
stays in the journal with its content until the retention ends.

A message matches by its part's last attempt: sent, by this route, within this period. Resending makes the part `deferred`, and
its next attempt is later than the period. So repeating an interrupted call does not resend a message again.

If a message trace covers the route, mail that it reports in any way is not lost: Exchange may still be retrying it, and does not
report the members of a list.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec

from relay.core.arrival.recipient_states import recipient_states
from relay.core.errors import NotFound, UnreadableEntry
from relay.core.events import BounceClass, EventKind, RecipientState, RecordedEvent
from relay.core.model import DeliveryGuarantee, Part, State, Submission
from relay.journal.content import Content
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.operations.message_changes import MessageChanges, Resend
from relay.operations.scan import ScanStep, scan_step
from relay.platform.log import log_event

_LOST_CLASSES = frozenset({BounceClass.UNKNOWN, BounceClass.NETWORK, BounceClass.ACCOUNT})
"""Bounce classes that count as lost: the recipient's server did not refuse the copy."""


class LostMailQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Selects mail that was sent by `route` from `since` (inclusive) to `before` (exclusive).

    `to_route` resends by another route. `is_dry` only counts. `is_traced`: a message trace reports all mail of this route.
    """

    route: str
    since: datetime
    before: datetime
    to_route: str | None = None
    is_dry: bool = False
    is_traced: bool = False

    def matches(self, part: Part) -> bool:
        """Return whether a part was sent by the route within the period."""
        if part.state is not State.SENT or part.route != self.route or not part.attempts:
            return False
        last = part.attempts[-1]
        return last.outcome == "sent" and self.since <= last.at < self.before


class ResendStep(ScanStep, frozen=True, kw_only=True):
    """The counts of a step: lost messages found and re-enqueued. `skipped` ones may not be sent twice (`at_most_once`)."""

    found: int = 0
    redriven: int = 0
    skipped: int = 0

    @property
    def matches(self) -> int:
        """The number of lost messages."""
        return self.found


class ResendLost:
    """Finds and resends lost mail."""

    def __init__(self, *, journal: Journal, message_changes: MessageChanges, content: Content) -> None:
        self._journal = journal
        self._message_changes = message_changes
        self._content = content

    async def step(self, query: LostMailQuery, cursor: str | None = None) -> ResendStep:
        """Scan some records, and re-enqueue their lost mail. Raises `ValueError` for an invalid cursor."""
        process = partial(self._process, query)
        done = await scan_step(
            self._journal, process, ResendStep(), before=query.before, cursor=cursor, with_content=False
        )
        log_event("lost_mail", route=query.route, found=done.found, redriven=done.redriven, dry=query.is_dry)
        return done

    async def _process(self, query: LostMailQuery, scanned: Record) -> ResendStep:
        """Resend the lost mail of one record."""
        if not any(query.matches(part) for status in scanned.statuses for part in status.parts):
            return ResendStep()
        try:
            # The scan reads no content, and the record may have changed since.
            record, events = await self._journal.history(scanned.batch)
        except NotFound:
            return ResendStep()
        except UnreadableEntry:
            matching = (any(map(query.matches, status.parts)) for status in scanned.statuses)
            return ResendStep(unreadable=sum(matching))
        entry, done, wanted = record.entry(), ResendStep(), dict[int, Resend]()
        for index, status in enumerate(record.statuses):
            if not any(query.matches(part) for part in status.parts):
                continue
            own = [event for event in events if event.index == index]
            copies = await self._copies(entry.messages[index], own, is_traced=query.is_traced)
            if any(_concerns(part, copies.lost) for part in status.parts if query.matches(part)):
                is_once = entry.messages[index].delivery is DeliveryGuarantee.AT_MOST_ONCE
                done = done.plus(ResendStep(found=1, skipped=int(is_once)))
                if not is_once and not query.is_dry:
                    wanted[index] = Resend(
                        selects=query.matches, lost=copies.lost, recipients=copies.recipients, route=query.to_route
                    )
        if wanted:
            done = done.plus(ResendStep(redriven=await self._message_changes.resend(record.batch, wanted)))
        return done

    async def _copies(self, submission: Submission, events: Sequence[RecordedEvent], *, is_traced: bool) -> "_Copies":
        """Find the recipients of a message, and those whose copy was neither reported as delivered nor as refused.

        Returns no recipients if the content was purged: the message cannot be resent.
        """
        message = await self._content.message(submission)
        if message is None:
            return _Copies(recipients=(), lost=frozenset())
        states = recipient_states(events)
        recipients = [
            (number, address.email.lower())
            for number, address in enumerate(message.recipients)
            if number not in submission.suppressed
        ]
        # An event without a recipient is about any of them.
        known = {event.recipient.lower() for event in events} if is_traced else set[str]()
        lost = (
            number
            for number, email in recipients
            if _is_lost(states.get(email), is_known="" in known or email in known)
        )
        return _Copies(recipients=tuple(number for number, _ in recipients), lost=frozenset(lost))


class _Copies(msgspec.Struct, frozen=True, kw_only=True):
    recipients: tuple[int, ...]
    lost: frozenset[int]


def _concerns(part: Part, lost: frozenset[int]) -> bool:
    return bool(lost) if part.recipients is None else bool(lost & set(part.recipients))


def _is_lost(state: RecipientState | None, *, is_known: bool) -> bool:
    """Return whether a copy is lost. `is_known`: the provider is known to have it, and has not reported its outcome yet."""
    if state is None:
        return not is_known
    return state.state is EventKind.BOUNCED and state.bounce_class in _LOST_CLASSES
