"""Use case 3: record the events that providers report, and act on them.

    HTTP request ─► pack ─► `events` queue ─► match with records ─► journal ─► suppressions ─► webhooks

The API only translates and enqueues. Behind the queue each batch costs one query for its record and known events, and one row
for the new ones; entries about the same batch that are applied at the same time share both. Record first, follow up second: if
the process dies in between, the host delivers the entry again, and the follow-up runs for all of its events, new or known. An
event about a recipient without an attempt is not recorded.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from weakref import WeakValueDictionary

import msgspec

from relay.core import entries as wire
from relay.core import ids
from relay.core.arrival.arrivals import reported_of, vouched_of
from relay.core.errors import NewerVersion, NotFound, Unavailable, UnreadableEntry
from relay.core.events import EventFollower, EventSource, MessageEvent, RecordedEvent
from relay.core.model import Message, MessageStatus, Submission
from relay.core.parts import part_history
from relay.events import matching, provider_events
from relay.events.answers import bounds
from relay.events.provider_events import QUEUE, ProviderEvent, key_of
from relay.journal.dead_letters import DeadLetters
from relay.journal.intake import Intake
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.platform import concurrency
from relay.platform.concurrency import Joined
from relay.platform.log import log_event
from relay.platform.storage.ports import Queues
from relay.platform.storage.rows import retry_races

_PUTS_AT_ONCE = 8
_BATCHES_AT_ONCE = 8
"""Batches of an entry whose events wait to be applied."""
_APPLIED_AT_ONCE = 16
"""Batches whose events this process applies at once: few, so that the events of other entries join those that wait."""
_RETRY_SECONDS = (0.5, 2.0)
"""Pause before an entry is applied again, at random: entries that joined one read fail together."""


class _Group(msgspec.Struct, frozen=True, kw_only=True):
    """The events of an entry that are about one batch. `again`: all of them are followed up, known ones too."""

    events: Sequence[tuple[ProviderEvent, ids.MessageId]]
    again: bool


class _Applied(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is recorded, the id of its message, and the number of the group that follows it up."""

    event: RecordedEvent
    message: str
    group: int
    again: bool


class Events:
    """Enqueues provider events, and applies them."""

    def __init__(
        self,
        *,
        journal: Journal,
        queues: Queues,
        dead_letters: DeadLetters,
        followers: Sequence[EventFollower],
        gets_reports: Callable[[str, str, str, str], bool],
        content: Callable[[Submission], Awaitable[Message | None]],
        topic_of_group: Callable[[str, int], Awaitable[str]],
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`content` reads a message from its blob; None if it was purged.

        `gets_reports` returns whether a mailbox, which a route reads, gets reports about another route's mail of a sender.
        `topic_of_group` finds the topic of a client, by its id, that means a group of SendGrid; an empty name if there is none.
        """
        self._journal = journal
        self._queues = queues
        self._intake = Intake(provider_events.decode, queues, dead_letters, clock=clock, sleep=sleep)
        self._followers = followers
        self._gets_reports = gets_reports
        self._content = content
        self._topic_of_group = topic_of_group
        self._sleep = sleep
        self._gate = asyncio.Semaphore(_APPLIED_AT_ONCE)
        self._batches: WeakValueDictionary[str, Joined[_Group, Sequence[MessageEvent]]] = WeakValueDictionary()

    async def enqueue(self, found: Sequence[ProviderEvent]) -> int:
        """Store events on the queue. Returns the number of entries. Raises `StorageError`: the provider must then retry."""
        puts = [partial(self._queues.put, QUEUE, body) for body in provider_events.pack(found)]
        await concurrency.gather_limited(puts, limit=_PUTS_AT_ONCE)
        return len(puts)

    async def apply(self, body: bytes, *, is_redelivery: bool = False) -> None:
        """Apply an entry. Raises only on bugs, and when the entry can neither be applied nor put back."""

        async def handle(entry: provider_events.Entry) -> None:
            try:
                await self._apply(entry.events, self._join, again=entry.again or is_redelivery)
            except Unavailable as error:
                if error.retry_after_seconds is not None:
                    raise
                # An entry needs many reads and writes: one lost connection must not delay all of its events for a minute.
                await self._sleep(random.uniform(*_RETRY_SECONDS))  # noqa: S311 - not a secret
                await self._apply(entry.events, self._join, again=True)

        def put_back(entry: provider_events.Entry) -> bytes:
            return body if entry.again else provider_events.mark_again(body)

        await self._intake.take(QUEUE, body, handle, put_back=put_back)

    async def apply_poison(self, body: bytes) -> None:
        """Apply the events of a poison entry one by one, and keep only those that cannot be applied."""

        async def apply_alone(entry: provider_events.Entry) -> None:
            await self._apply(entry.events, self._apply_one, again=True)

        async def split(entry: provider_events.Entry) -> None:
            for reported in entry.events:
                alone = provider_events.Entry(relay=provider_events.VERSION, events=(reported,), again=True)
                await self._intake.take_poison(QUEUE, provider_events.encode(alone), apply_alone)

        await self._intake.take(QUEUE, body, split)

    async def _apply(
        self,
        found: Sequence[ProviderEvent],
        apply_to: Callable[[str, _Group], Awaitable[Sequence[MessageEvent]]],
        *,
        again: bool,
    ) -> None:
        batches: dict[str, list[tuple[ProviderEvent, ids.MessageId]]] = {}
        for reported in found:
            with suppress(ValueError):
                name = ids.parse(reported.message)
                batches.setdefault(name.batch, []).append((reported, name))
        away: list[Unavailable] = []

        async def apply_unless_away(batch: str, group: _Group) -> Sequence[MessageEvent]:
            if away:
                # The entry is put back in any case, so do not wait for a timeout for each of hundreds of batches.
                raise away[0]
            try:
                return await apply_to(batch, group)
            except Unavailable as error:
                away.append(error)
                raise

        calls = (partial(apply_unless_away, batch, _Group(events=each, again=again)) for batch, each in batches.items())
        followed = await concurrency.gather_limited(calls, limit=_BATCHES_AT_ONCE)
        fresh = [each for group in followed for each in group]
        for follower in self._followers:
            await follower.follow(fresh)
        log_event("events", reported=len(found), followed=len(fresh))

    async def _join(self, batch: str, group: _Group) -> Sequence[MessageEvent]:
        """Record the new events of one batch, together with those of other entries. Returns the events to follow up."""
        joined = self._batches.get(batch)
        if joined is None:
            joined = self._batches[batch] = Joined(partial(self._apply_all, batch), gate=self._gate)
        return await joined.call(group)

    async def _apply_one(self, batch: str, group: _Group) -> Sequence[MessageEvent]:
        """Record the new events of one batch separately: an event that meets a bug must not fail those of others."""
        [followed] = await self._apply_all(batch, [group])
        return followed

    async def _apply_all(self, batch: str, groups: Sequence[_Group]) -> Sequence[Sequence[MessageEvent]]:
        """Record the new events of one batch. Returns the events that each group has to follow up."""
        attempt = partial(self._try_to_apply, batch, groups)
        return await retry_races(attempt, subject="the record of a batch")

    async def _try_to_apply(self, batch: str, groups: Sequence[_Group]) -> Sequence[Sequence[MessageEvent]]:
        """Try once. Raises `Changed` when another writer of the record was first."""
        try:
            record, known = await self._journal.history(batch)
        except NotFound:
            return [_without_record(batch, group) for group in groups]
        except NewerVersion as error:
            for group in groups:
                for body in _entries_of(group):
                    await self._intake.leave_to_upgrade(QUEUE, body, error)
            return [()] * len(groups)
        except UnreadableEntry:
            # The events of other batches go on.
            for group in groups:
                for body in _entries_of(group):
                    await self._intake.keep(body)
            return [()] * len(groups)
        entry = record.entry()
        keys = {(event.index, event.key) for event in known}
        attempted, recipients = await self._attempted(groups, record, entry)
        fresh = {place: each for place, each in attempted.items() if place not in keys}
        new = bounds.bounded([each.event for each in fresh.values()], known)
        marked = _marked(record, [*known, *new], recipients)
        # In one transaction, so that the record always says what the events say.
        try:
            await (self._journal.note_reported(record, new, marked) if marked else self._journal.note_all(batch, new))
        except NotFound:
            # The record was purged since it was read.
            return [_without_record(batch, group) for group in groups]
        recorded = {(event.index, event.key) for event in new}
        followed: list[list[MessageEvent]] = [[] for _ in groups]
        for place, each in attempted.items():
            if place in recorded or (each.again and place in keys):
                followed[each.group].append(_message_event(each, entry, recipients[each.event.index]))
        return followed

    async def _attempted(
        self, groups: Sequence[_Group], record: Record, entry: wire.BatchEntry
    ) -> tuple[Mapping[tuple[int, str], _Applied], Mapping[int, Sequence[str]]]:
        """Return the events about recipients with an attempt, by index and key, and the recipients of their messages."""
        ours = [
            (number, reported, name.index)
            for number, group in enumerate(groups)
            for reported, name in group.events
            if matching.is_about(reported, name, record, entry)
        ]
        messages = await self._messages(entry, {index for _, _, index in ours})
        recipients = {index: matching.emails_of(message) for index, message in messages.items()}
        applied: dict[tuple[int, str], _Applied] = {}
        for number, reported, index in ours:
            topic = reported.topic
            if reported.group:
                topic = await self._topic_of_group(entry.messages[index].client_id, reported.group)
            status = record.statuses[index]
            event = matching.event_of(matching.named(reported, recipients[index]), index, record, topic)
            event = self._weighed(reported, event, status, messages[index])
            if matching.is_attempted(event.recipient.lower(), recipients[index], status):
                earlier = applied.get((index, event.key))
                again = groups[number].again or (earlier is not None and earlier.again)
                message = reported.message.lower()
                applied[index, event.key] = _Applied(event=event, message=message, group=number, again=again)
        return applied, recipients

    def _weighed(
        self, reported: ProviderEvent, event: RecordedEvent, status: MessageStatus, message: Message | None
    ) -> RecordedEvent:
        """Name the source of an event: a provider's report that was read in another tenant is a mail like any other."""
        is_foreign = bool(reported.mailbox) and not self._is_from_own_tenant(reported, event, status, message)
        if reported.source is not EventSource.PROVIDER or not is_foreign:
            return event
        # Otherwise the tenant's own report would count as known.
        key = key_of(event.key, EventSource.MAIL)
        return msgspec.structs.replace(event, key=key, source=str(EventSource.MAIL))

    def _is_from_own_tenant(
        self, reported: ProviderEvent, event: RecordedEvent, status: MessageStatus, message: Message | None
    ) -> bool:
        """Return whether the mailbox of a report belongs to the tenant of the reported attempt."""
        numbers = matching.numbers_of(event.recipient.lower(), matching.emails_of(message))
        routes = {
            route
            for part in status.parts
            if part.recipients is None or numbers & set(part.recipients)
            for route in part_history.may_have_accepted(part, event.attempt)
        }
        sender = status.sender or (message.sender if message is not None else None)
        return bool(routes) and all(
            self._gets_reports(reported.mailbox, reported.read_by, route, sender.email if sender is not None else "")
            for route in routes
        )

    async def _messages(self, entry: wire.BatchEntry, indices: Iterable[int]) -> Mapping[int, Message | None]:
        """Return the envelopes of these messages; None where the content was purged."""
        found: dict[int, Message | None] = {}
        for index in indices:
            submission = entry.messages[index]
            message = submission.message
            if message is None and submission.blob is not None:
                message = await self._content(submission)
            found[index] = message
        return found


def _without_record(batch: str, group: _Group) -> Sequence[MessageEvent]:
    """Return the events that count without a record: those of recipients, about a topic."""
    counting = ((each, name) for each, name in group.events if each.topic and each.source is EventSource.RECIPIENT)
    followed = [_unrecorded(each, name) for each, name in counting]
    log_event("events_without_record", batch=batch, events=len(group.events), followed=len(followed))
    return followed


def _unrecorded(reported: ProviderEvent, name: ids.MessageId) -> MessageEvent:
    return MessageEvent(
        event=RecordedEvent(
            index=name.index,
            kind=reported.kind,
            at=reported.at,
            key=reported.key,
            recipient=reported.recipient,
            provider=reported.provider,
            topic=reported.topic,
        ),
        message=reported.message,
        client=reported.client,
        client_id=reported.client_id,
        is_ours=True,
        source=reported.source,
    )


def _entries_of(group: _Group) -> Iterator[bytes]:
    """Encode the events of one batch as entries."""
    return provider_events.pack([each for each, _ in group.events], again=group.again)


def _marked(
    record: Record, events: Iterable[RecordedEvent], recipients: Mapping[int, Sequence[str]]
) -> Mapping[int, MessageStatus]:
    """Return the statuses of these messages of which the events report something that the record does not say yet."""
    by_index: dict[int, list[RecordedEvent]] = {index: [] for index, emails in recipients.items() if emails}
    for event in events:
        if event.index in by_index:
            by_index[event.index].append(event)
    found: dict[int, MessageStatus] = {}
    for index, own in by_index.items():
        status, emails = record.statuses[index], recipients[index]
        marked = msgspec.structs.replace(status, reported=reported_of(own, emails), vouched=vouched_of(own, emails))
        if marked != status:
            found[index] = marked
    return found


def _message_event(applied: _Applied, entry: wire.BatchEntry, recipients: Sequence[str]) -> MessageEvent:
    event = applied.event
    submission = entry.messages[event.index]
    message = submission.message
    is_ours = event.recipient.lower() in recipients
    return MessageEvent(
        event=event,
        message=applied.message,
        client=submission.client,
        client_id=submission.client_id,
        is_ours=is_ours,
        is_sole_recipient=is_ours and len(recipients) == 1,
        source=EventSource(event.source),
        tags=message.tags if message is not None else (),
        metadata=message.metadata if message is not None else {},
    )
