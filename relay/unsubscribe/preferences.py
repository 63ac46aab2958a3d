"""Read and change the topics that a recipient gets mail about, by the signed link in a mail.

    link ─► subscriber ─► event on the queue `events` ─► suppression of the topic

The event is stored first. If the process dies before it writes the suppression, the queue function writes it; if the response is
lost, a repeated request finds the suppression and changes nothing. Concurrent requests make the same event, with the same key.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from relay.clients.registry import UNKNOWN_KEY_SECONDS, Client, Clients
from relay.clients.suppressions.rows import Suppression, key_of, topic_scope
from relay.clients.suppressions.store import Suppressions
from relay.core import ids
from relay.core.events import EventKind, EventSource
from relay.events import provider_events
from relay.events.provider_events import REPORT, ProviderEvent
from relay.platform.concurrency import gather_limited
from relay.platform.log import log_event
from relay.unsubscribe import token
from relay.unsubscribe.throttle import Throttle
from relay.unsubscribe.token import Subscriber
from relay.unsubscribe.topics import Topic, Topics

REQUESTS_A_MINUTE = 30
"""Requests with one valid link: a person and the programs that scan their mail need fewer."""
WRONG_LINKS_A_MINUTE = 20
"""Requests of one IP address with links that are not valid."""
_READS_AT_ONCE = 16
_REASON = "unsubscribed"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a link: the subscriber, and the message that carried it."""

    subscriber: Subscriber
    message: str


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a recipient gets mail about a topic."""

    topic: Topic
    is_subscribed: bool


class Preferences:
    """Reads and changes the preferences of recipients."""

    def __init__(
        self,
        *,
        topics: Topics,
        suppressions: Suppressions,
        clients: Clients,
        enqueue: Callable[[Sequence[ProviderEvent]], Awaitable[int]],
        clock: Callable[[], datetime],
    ) -> None:
        self._topics = topics
        self._suppressions = suppressions
        self._clients = clients
        self._enqueue = enqueue
        self._clock = clock
        self.wrong_links = Throttle(clock, WRONG_LINKS_A_MINUTE)
        self.requests = Throttle(clock, REQUESTS_A_MINUTE)

    async def holder(self, text: str, message: str) -> Holder | None:
        """Return the holder of a token and of the message's id after it; None if Relay did not make this link."""
        client = await self._client(token.client_id_of(text))
        if client is None:
            return None
        try:
            is_ours = ids.belongs_to(ids.parse(message), client.mac_key)
        except ValueError:
            return None
        subscriber = token.read(client, text) if is_ours else None
        return None if subscriber is None else Holder(subscriber=subscriber, message=message)

    async def topic_of(self, subscriber: Subscriber) -> Topic:
        """Return the topic of a link, without titles if it was deleted."""
        known = (await self._topics.of(subscriber.client.id)).get(subscriber.topic)
        return known or Topic(name=subscriber.topic, created_at=self._clock())

    async def of(self, subscriber: Subscriber) -> Sequence[Preference]:
        """Return the preferences about the topics that a link shows, read from storage: those of its groups, or all."""
        known = await self._topics.of(subscriber.client.id)
        groups = subscriber.groups
        shown = {name: topic for name, topic in known.items() if not groups or topic.sendgrid_group_id in groups}
        topics = {subscriber.topic: await self.topic_of(subscriber), **shown}
        reads = [partial(self._last, subscriber, name) for name in sorted(topics)]
        rows = await gather_limited(reads, limit=_READS_AT_ONCE)
        return [
            Preference(topic=topics[name], is_subscribed=self._is_subscribed(row))
            for name, row in zip(sorted(topics), rows, strict=True)
        ]

    async def unsubscribe(self, holder: Holder) -> None:
        """Unsubscribe the recipient from the topic of the link. Raises `StorageError`: then it may be done or not."""
        await self._change(holder, holder.subscriber.topic, wants=False)

    async def choose(self, holder: Holder, wanted: Mapping[str, bool]) -> None:
        """Change whether the recipient gets mail about these topics. Names that the client does not have are left out."""
        client_id = holder.subscriber.client.id
        known = {holder.subscriber.topic, *(await self._topics.of(client_id))}
        for topic, wants in wanted.items():
            if topic in known:
                await self._change(holder, topic, wants=wants)

    async def _client(self, client_id: str | None) -> Client | None:
        if client_id is None:
            return None
        for age in (None, UNKNOWN_KEY_SECONDS):
            clients = await (self._clients.all() if age is None else self._clients.all(older_than_seconds=age))
            found = next((client for client in clients.values() if client.id == client_id), None)
            if found is not None:
                return found
        return None

    async def _last(self, subscriber: Subscriber, topic: str) -> Suppression | None:
        return await self._suppressions.last(topic_scope(subscriber.client.id, topic), subscriber.email)

    def _is_subscribed(self, row: Suppression | None) -> bool:
        return row is None or row.is_over(self._clock())

    async def _change(self, holder: Holder, topic: str, *, wants: bool) -> None:
        subscriber = holder.subscriber
        before = await self._last(subscriber, topic)
        if self._is_subscribed(before) is wants:
            return
        # Later than the row it replaces, even if the clock of that row's writer was ahead.
        at = self._clock() if before is None else max(self._clock(), before.at + timedelta(microseconds=1))
        kind = EventKind.RESUBSCRIBED if wants else EventKind.UNSUBSCRIBED
        await self._enqueue([_event(holder, topic, kind, at, before)])
        scope = topic_scope(subscriber.client.id, topic)
        if wants:
            await self._suppressions.resubscribe(scope, subscriber.email, at)
        else:
            made = self._suppressions.made(
                subscriber.email, _REASON, subscriber.client.id, scope=scope, source=str(EventSource.RECIPIENT)
            )
            await self._suppressions.put([msgspec.structs.replace(made, at=at)])
        log_event(
            "preference_changed", kind=str(kind), message=holder.message, client=subscriber.client.name, topic=topic
        )


def _event(holder: Holder, topic: str, kind: EventKind, at: datetime, before: Suppression | None) -> ProviderEvent:
    """Return the event of a change. Concurrent and repeated requests see the same state before, so they make the same key."""
    subscriber = holder.subscriber
    since = at.astimezone(UTC).date() if before is None else before.at.astimezone(UTC)
    return ProviderEvent(
        kind=str(kind),
        at=at,
        key=provider_events.key_of("topic", kind, topic, key_of(subscriber.email), since.isoformat()),
        provider=REPORT,
        message=holder.message,
        recipient=subscriber.email,
        client_id=subscriber.client.id,
        client=subscriber.client.name,
        source=EventSource.RECIPIENT,
        topic=topic,
    )
