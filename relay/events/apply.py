"""Use case 3: what was sighted of messages becomes events in their journal, and what follows from them.

    post ─► pack ─► `events` queue ─► match with records ─► journal ─► suppressions ─► web hooks

The door only translates and puts; everything here happens behind the queue, a batch's record at a time: one query tells
what is known of it, one row adds what is new. Record first, follow second: if the process dies in between, the
entry comes again, and then what follows is done for all of its events, new or not.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from relay.core import entries as wire
from relay.core import ids
from relay.core.errors import NewerVersion, NotFound
from relay.core.events import EventFollower, MessageEvent, RecordedEvent
from relay.core.model import Message
from relay.events import observation
from relay.events.observation import QUEUE, ProviderEvent
from relay.journal.dead_letters import DeadLetters
from relay.journal.intake import Intake
from relay.journal.records import Journal, Record
from relay.platform import concurrency
from relay.platform.log import log_event
from relay.platform.storage.ports import Queues

REPORT = "report"
"""The provider of sightings in reports that somebody else than a provider of ours received."""
_PUTS_AT_ONCE = 8
_BATCHES_AT_ONCE = 8


class Events:
    """Takes sightings in, and applies them."""

    def __init__(
        self,
        *,
        journal: Journal,
        queues: Queues,
        dead_letters: DeadLetters,
        followers: Sequence[EventFollower],
        content: Callable[[str], Awaitable[Message | None]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """`content` reads the message in a blob, None when it is gone."""
        self._journal = journal
        self._queues = queues
        self._intake = Intake(observation.decode, queues, dead_letters)
        self._followers = followers
        self._content = content
        self._sleep = sleep

    async def take(self, found: Sequence[ProviderEvent]) -> int:
        """Make sightings durable on the queue; how many entries. Raises `StorageError`: then they must be told again."""
        puts = [partial(self._queues.put, QUEUE, body) for body in observation.pack(found)]
        await concurrency.gather_limited(puts, limit=_PUTS_AT_ONCE)
        return len(puts)

    async def apply(self, body: bytes, *, is_redelivery: bool = False) -> None:
        """Apply an entry. Raises only on bugs, and when storage can neither apply it nor take it back."""

        async def handle(entry: observation.Entry) -> None:
            await self._apply(entry.sightings, again=entry.again or is_redelivery)

        await self._intake.take(QUEUE, body, handle, put_back=_put_back)

    async def apply_poison(self, body: bytes) -> None:
        """Apply each event of an entry that the host gave up on alone, and keep only those that cannot be applied."""

        async def apply_alone(entry: observation.Entry) -> None:
            await self._apply(entry.sightings, again=True)

        async def split(entry: observation.Entry) -> None:
            for sighting in entry.sightings:
                alone = observation.Entry(relay=observation.VERSION, sightings=(sighting,), again=True)
                await self._intake.take_poison(QUEUE, observation.encode(alone), apply_alone, self._sleep)

        await self._intake.take(QUEUE, body, split)

    async def _apply(self, found: Sequence[ProviderEvent], *, again: bool) -> None:
        groups: dict[str, list[tuple[ProviderEvent, ids.MessageId]]] = {}
        for sighting in found:
            with suppress(ValueError):
                name = ids.parse(sighting.message)
                groups.setdefault(name.batch, []).append((sighting, name))
        calls = (partial(self._apply_to, batch, group, again=again) for batch, group in groups.items())
        noted = await concurrency.gather_limited(calls, limit=_BATCHES_AT_ONCE)
        fresh = [each for group in noted for each in group]
        for follower in self._followers:
            await follower.follow(fresh)
        log_event("events", told=len(found), followed=len(fresh))

    async def _apply_to(
        self, batch: str, group: Sequence[tuple[ProviderEvent, ids.MessageId]], *, again: bool
    ) -> Sequence[MessageEvent]:
        """Add what is new about one batch; what is to be followed."""
        try:
            record, known = await self._journal.story(batch)
        except NotFound:
            log_event("events_without_record", batch=batch, events=len(group))
            return ()
        except NewerVersion as error:
            waiting = observation.Entry(
                relay=observation.VERSION, sightings=tuple(each for each, _ in group), again=again
            )
            await self._intake.leave_to_upgrade(QUEUE, observation.encode(waiting), error)
            return ()
        entry = record.entry()
        keys = {(event.index, event.key) for event in known}
        events: dict[tuple[int, str], RecordedEvent] = {}
        for sighting, name in group:
            if _is_of(sighting, name, record, entry):
                events[name.index, sighting.key] = _event(sighting, name.index, record)
        fresh = [event for place, event in events.items() if place not in keys]
        await self._journal.note_all(batch, fresh)
        followed = list(events.values()) if again else fresh
        recipients = await self._recipients(entry, {event.index for event in followed})
        return [_noted(event, record, entry, recipients[event.index]) for event in followed]

    async def _recipients(self, entry: wire.BatchEntry, indices: Iterable[int]) -> Mapping[int, Sequence[str]]:
        """The recipients of these messages in lower case; none where the content is gone."""
        found: dict[int, Sequence[str]] = {}
        for index in indices:
            submission = entry.messages[index]
            message = submission.message
            if message is None and submission.blob is not None:
                message = await self._content(submission.blob)
            found[index] = () if message is None else [address.email.lower() for address in message.recipients]
        return found


def _put_back(entry: observation.Entry) -> bytes:
    return observation.encode(msgspec.structs.replace(entry, again=True))


def _is_of(sighting: ProviderEvent, name: ids.MessageId, record: Record, entry: wire.BatchEntry) -> bool:
    if name.index >= len(record.statuses) or record.is_erased(name.index):
        return False
    if not hmac.compare_digest(name.mac, entry.macs[name.index]):
        return False
    return not sighting.client or sighting.client == entry.messages[name.index].client


def _attempt_of(sighting: ProviderEvent, index: int, record: Record) -> int:
    """The attempt that a sighting is about where it does not say: the last of its provider that had begun by then.

    Later attempts begin later, so the answer is the same whenever the event is applied.
    """
    begun = (
        attempt
        for part in record.statuses[index].parts
        for attempt in part.attempts
        if attempt.at <= sighting.at and sighting.provider in (attempt.provider, REPORT)
    )
    return max((attempt.number for attempt in begun), default=0)


def _event(sighting: ProviderEvent, index: int, record: Record) -> RecordedEvent:
    return RecordedEvent(
        index=index,
        kind=sighting.kind,
        at=sighting.at,
        key=sighting.key,
        recipient=sighting.recipient,
        code=sighting.code,
        reply=sighting.reply,
        provider=sighting.provider,
        raw=sighting.raw,
        bounce_class=sighting.bounce_class,
        attempt=sighting.attempt or _attempt_of(sighting, index, record),
    )


def _noted(event: RecordedEvent, record: Record, entry: wire.BatchEntry, recipients: Sequence[str]) -> MessageEvent:
    message = entry.messages[event.index].message
    return MessageEvent(
        event=event,
        message=record.message_id(event.index, entry),
        client=entry.messages[event.index].client,
        is_ours=event.recipient.lower() in recipients,
        tags=message.tags if message is not None else (),
        metadata=message.metadata if message is not None else {},
    )
