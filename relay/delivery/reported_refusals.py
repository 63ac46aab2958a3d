"""Act on reports by which a provider refuses the account after it accepted the mail: hold the route, put the recipients back.

A report counts like a refusal in the reply. The route is held first, so that the recipients do not take it again. A limit of
external recipients holds no route that has a budget for them: the budget is marked as spent, and internal mail goes on. Both
follow from the events alone and repeating them changes nothing, so a crash in between does no harm. Only events that the provider
itself vouches for count: a mail that looks like a report holds nothing.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.entries import BatchEntry
from relay.core.errors import NotFound, Unavailable, UnreadableEntry
from relay.core.events import BounceClass, EventKind, EventSource, MessageEvent
from relay.core.model import WAITING, Attempt, DeliveryGuarantee, Message, MessageStatus, State
from relay.core.parts import part_history, put_back
from relay.core.parts.part_history import uncertain_attempts
from relay.core.parts.put_back import LaterRefusal
from relay.core.settings import Route, Settings
from relay.delivery.settlement import FollowUp
from relay.journal.change import Decision, change_record
from relay.journal.content import Content
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform.log import log_event
from relay.providers.account_refusals import AccountRefusal, Concerns, account_refusal
from relay.routes.holds import CACHE_SECONDS, Holds
from relay.routes.recipient_budget.counting import ExternalRecipients
from relay.routes.recipient_budget.limits import LIMITED, TENANT

_EXCHANGE_HOSTS = (".office365.com", ".outlook.com", ".office365.us", ".outlook.cn")
"""Exchange Online's servers for mail by SMTP, whose reports come to a mailbox too."""
_OPEN = WAITING | {State.UNKNOWN, State.SENT}
"""States of a part whose uncertain attempts a report can settle."""


class _Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A message's recipients that a report names, and the attempt that it is about. `all_recipients` are those of the message."""

    index: int
    all_recipients: tuple[int, ...]
    attempt: Attempt
    message: Message
    row: AccountRefusal
    refusal: LaterRefusal


class ReportedRefusals:
    """Follows events."""

    def __init__(
        self,
        *,
        settings: Settings,
        journal: Journal,
        holds: Holds,
        external_recipients: ExternalRecipients,
        follow_up: FollowUp,
        content: Content,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._holds = holds
        self._external_recipients = external_recipients
        self._follow_up = follow_up
        self._content = content
        self._clock = clock

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        """Hold the routes of refused attempts, and put their recipients back. Raises `Unavailable` before they are settled."""
        batches: dict[str, list[MessageEvent]] = {}
        for each in events:
            if _is_refusal(each):
                batches.setdefault(ids.parse(each.message).batch, []).append(each)
        for batch, group in batches.items():
            try:
                await self._follow_batch(batch, group)
            except (NotFound, UnreadableEntry):
                log_event("refusal_without_record", level=logging.WARNING, batch=batch)

    async def _follow_batch(self, batch: str, events: Sequence[MessageEvent]) -> None:
        record = await self._journal.read(batch)
        entry = record.entry()
        envelopes: dict[int, Message | None] = {}
        for index in {ids.parse(each.message).index for each in events}:
            envelopes[index] = entry.messages[index].message or await self._content.message(entry.messages[index])
        reported = (self._refused(record, entry, envelopes, event) for event in events)
        found = _merged(each for each in reported if each is not None)
        for refused in found:
            await self._close(refused)
        after = await self._put_back(record, found)
        statuses = [
            (known.statuses[ids.parse(each.message).index], each) for each in events for known in (record, after)
        ]
        if any(_is_running(status, each.event.attempt) for status, each in statuses):
            # The report was faster than the record of the attempt, or its process died. The events come again: a lease is short.
            raise Unavailable("the attempt that a report is about is not settled yet")

    def _refused(
        self, record: Record, entry: BatchEntry, envelopes: Mapping[int, Message | None], each: MessageEvent
    ) -> _Refused | None:
        """Find the attempt that a report is about. None if the record does not know it, or another provider made it."""
        event, index = each.event, ids.parse(each.message).index
        envelope, status = envelopes[index], record.statuses[index]
        suppressed = entry.messages[index].suppressed
        if envelope is None or status.erased:
            return None
        emails = [address.email.lower() for address in envelope.recipients]
        numbers = frozenset(number for number, email in enumerate(emails) if email == event.recipient.lower())
        attempt = _attempt_in(status, numbers, event.attempt)
        row = account_refusal(event.provider, event.code, event.reply)
        route = self._settings.routes.get(attempt.route) if attempt is not None else None
        if attempt is None or row is None or (route is not None and not _reports_for(event.provider, route)):
            return None
        return _Refused(
            index=index,
            all_recipients=tuple(number for number in range(len(emails)) if number not in suppressed),
            attempt=attempt,
            message=msgspec.structs.replace(envelope, sender=status.sender or envelope.sender),
            row=row,
            refusal=LaterRefusal(
                attempt=attempt.accepted_number,
                route=attempt.route,
                recipients=numbers,
                code=row.cause,
                reply=event.reply,
                at=event.at,
                at_most_once=entry.messages[index].delivery is DeliveryGuarantee.AT_MOST_ONCE,
            ),
        )

    async def _close(self, refused: _Refused) -> None:
        """Mark the budget as spent that counts the refused recipients, or else hold the route."""
        route = self._settings.routes.get(refused.attempt.route)
        if route is None:
            return
        if refused.row.is_external and await self._external_recipients.mark_spent(
            route.name,
            refused.message,
            refused.refusal.recipients,
            row=TENANT if refused.row.concerns is Concerns.TENANT else LIMITED,
            attempt_at=refused.attempt.at,
        ):
            return
        await self._holds.hold(
            route.name,
            refused.row.cause,
            refused.refusal.reply,
            sender=refused.message.sender.email.lower() if _is_of_sender(refused.row, route) else "",
            retry_after_seconds=refused.row.again_after_seconds,
            reported_attempt_at=refused.attempt.at,
        )

    async def _put_back(self, record: Record, found: Sequence[_Refused]) -> Record:
        """Put the refused recipients back. Returns the record after it."""
        # Wait until every process knows of the hold.
        at = self._clock() + timedelta(seconds=CACHE_SECONDS)

        async def decide(record: Record) -> Decision[Set[int]]:
            changed: dict[int, MessageStatus] = {}
            for each in found:
                status = changed.get(each.index, record.statuses[each.index])
                parts = put_back.put_back_refused(status.parts, each.refusal, at, all_recipients=each.all_recipients)
                after = msgspec.structs.replace(status, parts=part_history.truncate_history(parts))
                if after != status and not record.is_erased(each.index):
                    changed[each.index] = after
            return Decision(statuses=changed, result=changed.keys())

        done = await change_record(self._journal, record, decide, before_write=self._follow_up.put_rows)
        if done.is_written:
            await self._follow_up.run(done.before, done.after, done.result)
            log_event("put_back", level=logging.WARNING, batch=record.batch, messages=len(done.result))
        else:
            # The process that recorded an end by report may have died before its follow-up.
            await self._follow_up.repeat_ends(done.after, {each.index for each in found})
        return done.after


def _merged(found: Iterable[_Refused]) -> Sequence[_Refused]:
    """Join the refusals of recipients of the same attempt: there may be a thousand of them."""
    merged: dict[tuple[int, str, int, AccountRefusal], _Refused] = {}
    for each in found:
        key = (each.index, each.attempt.route, each.refusal.attempt, each.row)
        recipients = each.refusal.recipients | (merged[key].refusal.recipients if key in merged else frozenset())
        first = merged.setdefault(key, each)
        merged[key] = msgspec.structs.replace(
            first, refusal=msgspec.structs.replace(first.refusal, recipients=recipients)
        )
    return list(merged.values())


def _is_refusal(each: MessageEvent) -> bool:
    event = each.event
    is_bounce = event.kind == EventKind.BOUNCED and event.bounce_class == BounceClass.ACCOUNT
    return is_bounce and each.source is EventSource.PROVIDER and each.is_ours


def _is_running(status: MessageStatus, number: int) -> bool:
    """Return whether this attempt runs, or one that asks whether it was accepted."""
    return any(
        part.state is State.SENDING and number in {part.attempt, *(each.number for each in uncertain_attempts(part))}
        for part in status.parts
    )


def _attempt_in(status: MessageStatus, numbers: frozenset[int], number: int) -> Attempt | None:
    """Return the attempt for these recipients that recorded the acceptance of this one: itself, or the one that verified it.

    Of a part that waits, was sent or ended as `unknown`, also the attempt itself if its outcome is not known: the report says
    that it was accepted.
    """
    for part in status.parts:
        if part.recipients is None or numbers & set(part.recipients):
            accepted = [each for each in part.attempts if each.accepted_number == number and each.outcome == "sent"]
            unknown = [each for each in uncertain_attempts(part) if each.number == number and part.state in _OPEN]
            return next(iter([*accepted, *unknown]), None)
    return None


def _reports_for(provider: str, route: Route) -> bool:
    """Return whether reports of this provider can be about mail that went by this route."""
    is_exchange = route.provider == "smtp" and str(route.settings.get("host", "")).lower().endswith(_EXCHANGE_HOSTS)
    return route.provider == provider or (provider == "graph" and is_exchange)


def _is_of_sender(row: AccountRefusal, route: Route) -> bool:
    """Return whether only this sender is refused: a Graph route without a mailbox sends from the mailbox of each sender."""
    if row.concerns is Concerns.MAILBOX:
        return route.provider == "graph" and not route.settings.get("mailbox")
    return row.concerns is Concerns.SENDER
