"""Use case 4: notify clients of events by webhook.

    event, or a message that ended ─► entries for each subscription ─► `webhooks` queue ─► post ─► retry what failed ─► log

The webhooks of a client that is disabled or deleted get nothing. Delivery is at least once; the receiver recognizes a
duplicate by its id. Failed posts are retried for a day. A subscription that accepted nothing during that time, or returned 410,
is disabled, which is logged and alerted.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import msgspec

from relay.clients.registry import Clients
from relay.core.errors import NotFound, Unavailable
from relay.core.events import ClientNotice, MessageEvent
from relay.core.model import Part
from relay.events.webhooks import payload
from relay.events.webhooks.http_post import Poster, PostResult
from relay.events.webhooks.message_ends import MessageEnd, ends_of
from relay.events.webhooks.payload import QUEUE, Entry, Post
from relay.events.webhooks.retries import Retries, Retry
from relay.events.webhooks.subscriptions import Subscription, Subscriptions
from relay.journal.dead_letters import DeadLetters
from relay.journal.intake import Intake
from relay.journal.record_rows import Record
from relay.platform import concurrency, resources
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Queues, Tables, delete_where
from relay.platform.storage.readable import is_older, readable

LOG = resources.WEBHOOK_LOG_TABLE
DELAYS = (5, 60, 300, 900, 3_600, 10_800, 21_600, 43_200)
"""Seconds before the second, third, … attempt: nine attempts within 22 hours."""
JITTER = 0.1
FAILED_FOR = timedelta(hours=19)
"""Minimum time between the first failure and the last attempt."""
MAX_DELAY_SECONDS = 86_400
LOG_KEPT = timedelta(days=7)
_AT_ONCE = 8
_REQUEST_SECONDS = 10.0
"""How long a request that deletes a subscription may look for its retries."""


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the delivery log: one attempt of one post. `outcome`: `succeeded`, `failed`, `exhausted` or `gone`."""

    id: str
    at: datetime
    attempt: int
    outcome: str
    status: int
    error: str = ""
    seconds: float = 0.0
    message: str = ""


class Webhooks:
    """Enqueues and sends posts."""

    def __init__(
        self,
        *,
        subscriptions: Subscriptions,
        clients: Clients,
        retries: Retries,
        poster: Poster,
        queues: Queues,
        tables: Tables,
        dead_letters: DeadLetters,
        source: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        draw: Callable[[], float],
    ) -> None:
        """`source` is this relay's URL, the `source` of its CloudEvents."""
        self.subscriptions = subscriptions
        self.retries = retries
        self._clients = clients
        self._poster = poster
        self._queues = queues
        self._tables = tables
        self._intake = Intake(payload.decode, queues, dead_letters, clock=clock, sleep=sleep)
        self._source = source
        self._clock = clock
        self._draw = draw

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        """Enqueue the events that each client subscribes to."""
        await self._enqueue(events, lambda each: each.event.kind, payload.post_of)

    async def follow_ends(self, record: Record, ended: Iterable[tuple[int, Part]]) -> None:
        """Enqueue for each client that Relay ended these parts of its messages. A repetition has the same ids."""
        await self._enqueue(list(ends_of(record, ended, self._clock())), lambda each: each.kind, payload.post_of_end)

    async def _enqueue[Found: (MessageEvent, MessageEnd)](
        self,
        found: Sequence[Found],
        kind_of: Callable[[Found], str],
        post_of: Callable[[Found, Subscription, str], Post],
    ) -> None:
        puts: list[Callable[[], Awaitable[None]]] = []
        for client, client_id in dict.fromkeys((each.client, each.client_id) for each in found):
            for subscription in await self._open(client, client_id):
                wanted = [each for each in found if each.client_id == client_id and subscription.wants(kind_of(each))]
                posts = [post_of(each, subscription, self._source) for each in wanted]
                puts += [partial(self._queues.put, QUEUE, body) for body in payload.pack(client, subscription, posts)]
        await concurrency.gather_limited(puts, limit=_AT_ONCE)

    async def notify(self, notice: ClientNotice) -> None:
        """Enqueue a notice about a client for each of its webhooks that wants it. A repetition has the same id."""
        for subscription in await self._open(notice.client, notice.client_id):
            if subscription.wants(notice.kind):
                post = payload.post_of_notice(notice, subscription, self._source)
                for body in payload.pack(notice.client, subscription, [post]):
                    await self._queues.put(QUEUE, body)

    async def deliver(self, body: bytes) -> None:
        """Send the posts of an entry. Raises only on bugs, and when the entry can neither be processed nor put back."""
        await self._intake.take(QUEUE, body, self._handle)

    async def keep_poison(self, body: bytes) -> None:
        """Keep an entry that the host gave up on because of a bug, and log it."""
        await self._intake.keep(body)

    async def test(self, subscription: Subscription, name: str) -> DeliveryAttempt:
        """Post a test event once, even if the subscription is disabled."""
        now = self._clock()
        chosen = subscription.definition.format
        body = payload.body_of(
            chosen, "webhook.test", name, now, about={"webhook": subscription.id}, source=self._source
        )
        result = await self._post(subscription, Post(id=name, body=body))
        outcome = "succeeded" if result.is_success else "failed"
        logged = _attempt_row(Post(id=name, body=""), result, 1, outcome, now)
        await self._tables.upsert_all(LOG, [_row(subscription, logged)])
        return logged

    async def log(
        self, subscription: Subscription, *, limit: int = 100, cursor: str | None = None
    ) -> tuple[Sequence[DeliveryAttempt], str | None]:
        """Read one page of a subscription's deliveries, newest first, and the next cursor."""
        page = await self._tables.query(LOG, Query(partition=subscription.id), limit=limit, cursor=cursor)
        return list(readable(LOG, page.entities, _logged)), page.next

    async def unsubscribe(self, client_id: str, name: str) -> None:
        """Delete a subscription, then its retries. A missing one is not an error."""
        await self.subscriptions.remove(client_id, name)
        await self.retries.remove(client_id, name, Deadline(self._clock, _REQUEST_SECONDS))

    async def remove_all(self, client_id: str, deadline: Deadline = NEVER) -> Progress:
        """Delete what belongs to a deleted client."""
        await self.subscriptions.remove_all(client_id)
        return await self.retries.remove(client_id, deadline=deadline)

    async def purge(self, deadline: Deadline = NEVER) -> Progress:
        """Delete old rows of the delivery log, and damaged ones of the retries."""
        before = self._clock() - LOG_KEPT
        old = await delete_where(
            self._tables, LOG, Query(select=("at",)), lambda row: is_older(row, "at", before), deadline=deadline
        )
        return old + await self.retries.purge(deadline)

    async def _open(self, client: str, client_id: str) -> Sequence[Subscription]:
        """Return the subscriptions of a client; none unless it is enabled."""
        subscriptions = await self.subscriptions.of(client_id)
        return subscriptions if subscriptions and await self._clients.is_enabled(client, client_id) else ()

    async def _handle(self, entry: Entry) -> None:
        if not await self._clients.is_enabled(entry.client, entry.client_id):
            return
        try:
            subscription = await self.subscriptions.get(entry.client_id, entry.webhook, fresh=False)
        except NotFound:
            # The subscription was deleted.
            return
        if subscription.is_enabled:
            await self._deliver(entry, subscription)

    async def _deliver(self, entry: Entry, subscription: Subscription) -> None:
        calls = (partial(self._post, subscription, post) for post in entry.posts)
        answers = await concurrency.gather_limited(calls, limit=_AT_ONCE)
        done = list(zip(entry.posts, answers, strict=True))
        left = [(post, result) for post, result in done if not result.is_success]
        is_gone = any(result.is_gone for result in answers)
        is_last = entry.attempt > len(DELAYS)
        # The retry is stored before anything else is written: if the process dies here, posts repeat and none is lost.
        if left and not is_gone and not is_last:
            await self._retry(entry, left)
        try:
            await self._record(entry, subscription, done, is_gone=is_gone, is_last=is_last)
        except Unavailable as error:
            log_event("webhook_unrecorded", level=logging.WARNING, webhook=subscription.id, error=str(error))

    async def _post(self, subscription: Subscription, post: Post) -> PostResult:
        definition = subscription.definition
        return await self._poster.post(
            definition.url,
            post.id,
            post.body.encode(),
            media_type=payload.media_type(definition.format),
            secrets=subscription.secrets(self._clock()),
        )

    async def _retry(self, entry: Entry, left: Sequence[tuple[Post, PostResult]]) -> None:
        delay = DELAYS[entry.attempt - 1] * (1 + JITTER * (2 * self._draw() - 1))
        retry_after = max(_seconds(result.retry_after, self._clock()) for _, result in left)
        again = msgspec.structs.replace(entry, attempt=entry.attempt + 1, posts=tuple(post for post, _ in left))
        at = self._clock() + timedelta(seconds=min(max(delay, retry_after), MAX_DELAY_SECONDS))
        await self.retries.put(
            Retry(client_id=entry.client_id, webhook=entry.webhook, at=at, body=payload.encode(again))
        )

    async def _record(
        self,
        entry: Entry,
        subscription: Subscription,
        done: Sequence[tuple[Post, PostResult]],
        *,
        is_gone: bool,
        is_last: bool,
    ) -> None:
        """Write the delivery log, and update the subscription's failures."""
        now = self._clock()
        failed = "gone" if is_gone else "exhausted" if is_last else "failed"
        rows = [
            _attempt_row(post, result, entry.attempt, "succeeded" if result.is_success else failed, now)
            for post, result in done
        ]
        await self._tables.upsert_all(LOG, [_row(subscription, row) for row in rows])
        has_success = any(result.is_success for _, result in done)
        try:
            if is_gone:
                await self._disable(entry, subscription, "The receiver returned 410 Gone.")
            elif has_success and subscription.failing_since is not None:
                await self.subscriptions.note_failing(subscription, None)
            elif not has_success and is_last:
                await self._give_up(entry)
            elif not has_success and subscription.failing_since is None:
                await self.subscriptions.note_failing(subscription, now)
        except NotFound:
            # The subscription was deleted.
            return

    async def _disable(self, entry: Entry, subscription: Subscription, why: str) -> None:
        await self.subscriptions.disable(subscription, why)
        log_event("webhook_disabled", level=logging.ERROR, webhook=subscription.id, client=entry.client, why=why)

    async def _give_up(self, entry: Entry) -> None:
        """Disable a subscription after the last attempt of a post, if no other post succeeded since the failures began."""
        current = await self.subscriptions.get(entry.client_id, entry.webhook)
        if current.failing_since is not None and self._clock() - current.failing_since >= FAILED_FOR:
            await self._disable(entry, current, "No delivery succeeded for a day.")


def _attempt_row(post: Post, result: PostResult, attempt: int, outcome: str, at: datetime) -> DeliveryAttempt:
    return DeliveryAttempt(
        id=post.id,
        at=at,
        attempt=attempt,
        outcome=outcome,
        status=result.status,
        error=result.error,
        seconds=result.seconds,
        message=post.message,
    )


def _row(subscription: Subscription, logged: DeliveryAttempt) -> Entity:
    # Counts down, so that the newest sorts first.
    countdown = 10**14 - int(logged.at.timestamp() * 1000)
    properties: dict[str, Any] = msgspec.structs.asdict(logged)
    return Entity(
        partition=subscription.id, row=f"{countdown:015d}-{logged.id}-{logged.attempt:02d}", properties=properties
    )


def _logged(row: Entity) -> DeliveryAttempt:
    return msgspec.convert(dict(row.properties), DeliveryAttempt)


def _seconds(retry_after: str, now: datetime) -> float:
    """Parse `Retry-After` (RFC 9110 section 10.2.3) to seconds; 0 if it is missing or invalid."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return 0.0
