"""A receiver of posts, and webhooks that post to it."""

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from relay.core.events import EventSource, MessageEvent, RecordedEvent
from relay.events.webhooks.address_guard import Guard
from relay.events.webhooks.delivery import Webhooks
from relay.events.webhooks.http_post import Poster, PostResult
from relay.events.webhooks.payload import QUEUE
from relay.events.webhooks.retries import Retries
from relay.events.webhooks.subscriptions import Definition, Subscription, Subscriptions
from relay.platform.storage.ports import Queues, Tables
from tests.doubles import START, Place, changed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TAKEN, FAILED, GONE = PostResult(status=204), PostResult(status=500), PostResult(status=410)


class Receiver(Poster):
    """Records posts and returns scripted responses in turn, then `default`."""

    def __init__(self, place: Place) -> None:
        super().__init__(Guard(allows_loopback=True), place.time)
        self.posted: list[tuple[str, str, Any, Sequence[str]]] = []
        self.answers: deque[PostResult] = deque()
        self.default = TAKEN

    async def post(self, url: str, name: str, body: bytes, *, media_type: str, secrets: Sequence[str]) -> PostResult:
        self.posted.append((url, name, json.loads(body), list(secrets)))
        return self.answers.popleft() if self.answers else self.default


async def add_clients(place: Place) -> None:
    """Make the clients `shop` and `other`, whose ids are their names."""
    for client in ("shop", "other"):
        await place.clients.create(client)
        await place.clients.change(client, lambda known: changed(known, id=known.name))


def webhooks_of(place: Place, receiver: Receiver, queues: Queues, tables: Tables) -> Webhooks:
    """Webhooks over these ports, as a process makes them at its start."""
    return Webhooks(
        subscriptions=Subscriptions(tables, place.time),
        clients=place.clients,
        retries=Retries(tables=tables, queues=queues, clock=place.time),
        poster=receiver,
        queues=queues,
        tables=tables,
        dead_letters=place.dead_letters,
        source="https://relay.example",
        clock=place.time,
        sleep=place.time.sleep,
        draw=lambda: 0.5,
    )


async def subscribed(webhooks: Webhooks, name: str = "wh_1", client: str = "shop", **fields: Any) -> Subscription:
    values = {"url": "https://example.com/hook", "secret": SECRET, "created_at": START, **fields}
    made = Subscription(id=name, client_id=client, definition=Definition(**values))
    await webhooks.subscriptions.put(made)
    return made


def noted(kind: str = "bounced", *, key: str = "k", client: str = "shop", **fields: Any) -> MessageEvent:
    event = RecordedEvent(
        index=0,
        kind=kind,
        at=START,
        key=key,
        recipient="ada@example.org",
        code="5.1.1",
        bounce_class="address",
        provider="sendgrid",
        attempt=1,
    )
    more = {"tags": ("order",), "metadata": {"order": "4711"}, **fields}
    return MessageEvent(
        event=event, message="msg_x", client=client, client_id=client, is_ours=True, source=EventSource.PROVIDER, **more
    )


async def work(place: Place, webhooks: Webhooks) -> int:
    """Run the minute timer's step, and deliver all visible entries, as the host does. Returns their number."""
    await webhooks.retries.run()
    return await deliver_visible(place, webhooks)


async def deliver_visible(place: Place, webhooks: Webhooks) -> int:
    """Deliver all visible entries, as the host does. Returns their number."""
    count = 0
    while received := await place.memory.queues.receive(QUEUE, limit=32):
        for entry in received:
            await webhooks.deliver(entry.body)
            await place.memory.queues.delete(QUEUE, entry)
            count += 1
    return count
