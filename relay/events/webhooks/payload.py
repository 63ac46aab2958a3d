"""Build webhook bodies, and the queue entry that carries them.

    {"relay":1,"client":"shop","client_id":"…","webhook":"wh_…","attempt":1,
     "posts":[{"id":"evt_…","message":"msg_…","body":"{…}"}, …]}

An entry belongs to one subscription. A body is built once: every attempt posts the same bytes under the same id, so that a
receiver can recognize a duplicate.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from relay.core import entries
from relay.core.events import ClientNotice, MessageEvent
from relay.events.webhooks.message_ends import MessageEnd
from relay.events.webhooks.subscriptions import Format, Subscription
from relay.platform import resources
from relay.platform.packing import packed

QUEUE = resources.WEBHOOKS_QUEUE
VERSION = 1
MAX_POSTS = 50
"""Posts of one entry: all must be sent within the lease."""
_OVERHEAD = 300
_MEDIA_TYPES = {Format.STANDARD: "application/json", Format.CLOUDEVENTS: "application/cloudevents+json"}
_encoder = msgspec.json.Encoder()


class Post(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One body with its id. `message` is shown in the delivery log."""

    id: str
    body: str
    message: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the `webhooks` queue."""

    relay: int
    client: str
    client_id: str
    webhook: str
    attempt: int
    posts: tuple[Post, ...]


_decoder = msgspec.json.Decoder(Entry)


def media_type(chosen: Format) -> str:
    """Return the Content-Type of a format."""
    return _MEDIA_TYPES[chosen]


def post_of(noted: MessageEvent, subscription: Subscription, source: str) -> Post:
    """Build the post of an event for a subscription. `source` is this relay's URL, for CloudEvents."""
    event = noted.event
    fields = {
        "message": noted.message,
        "recipient": event.recipient,
        "at": event.at,
        "code": event.code,
        "bounce_class": event.bounce_class,
        "reply": event.reply,
        "provider": event.provider,
        "attempt": event.attempt,
        "likely": event.likely,
        "answer": event.answer,
        "topic": event.topic,
        "tags": list(noted.tags),
        "metadata": dict(noted.metadata),
    }
    about = _given(fields)
    name = event_id(subscription.id, noted.message, event.key)
    body = body_of(subscription.definition.format, f"message.{event.kind}", name, event.at, about=about, source=source)
    return Post(id=name, body=body, message=noted.message)


def post_of_end(end: MessageEnd, subscription: Subscription, source: str) -> Post:
    """Build the post of a message that Relay ended."""
    name = event_id(subscription.id, end.message, end.key)
    chosen = subscription.definition.format
    body = body_of(chosen, f"message.{end.kind}", name, end.at, about=_given(end.about), source=source)
    return Post(id=name, body=body, message=end.message)


def post_of_notice(notice: ClientNotice, subscription: Subscription, source: str) -> Post:
    """Build the post of a notice about the client itself."""
    name = event_id(subscription.id, notice.kind, notice.at.isoformat())
    body = body_of(
        subscription.definition.format, notice.kind, name, notice.at, about=dict(notice.about), source=source
    )
    return Post(id=name, body=body)


def body_of(chosen: Format, kind: str, name: str, at: datetime, *, about: dict[str, Any], source: str) -> str:
    """Build a body in one of the formats. The CloudEvents subject is the message, if there is one."""
    if chosen is Format.STANDARD:
        return _encoder.encode({"type": kind, "timestamp": at, "data": about}).decode()
    whole = {
        "specversion": "1.0",
        "id": name,
        "source": source,
        "type": f"relay.{kind}",
        "subject": about.get("message"),
        "time": at,
        "datacontenttype": "application/json",
        "data": about,
    }
    return _encoder.encode({key: value for key, value in whole.items() if value is not None}).decode()


def event_id(subscription: str, message: str, key: str) -> str:
    """Return the id of a post: always the same for an event and a subscription."""
    return "evt_" + hashlib.sha256(f"{subscription}\n{message}\n{key}".encode()).hexdigest()[:32]


def pack(client: str, subscription: Subscription, posts: Sequence[Post]) -> Iterator[bytes]:
    """Yield the entries that carry these posts of a client, for their first attempt."""
    for group in packed(posts, _weight, room=entries.MAX_ENTRY_BYTES - _OVERHEAD, limit=MAX_POSTS):
        yield encode(_first(client, subscription, group))


def encode(entry: Entry) -> bytes:
    """Encode an entry for the queue."""
    return entries.escaped(_encoder.encode(entry))


def decode(body: bytes) -> Entry:
    """Decode an entry of any version. Raises `UnreadableEntry`, whose text contains no content."""
    return entries.decode_versioned({VERSION: _decoder}, body)


def _given(fields: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in fields.items() if value not in (None, "", 0, [], {})}


def _weight(post: Post) -> int:
    return entries.weight(entries.escaped(_encoder.encode(post))) + 1


def _first(client: str, subscription: Subscription, posts: Sequence[Post]) -> Entry:
    return Entry(
        relay=VERSION,
        client=client,
        client_id=subscription.client_id,
        webhook=subscription.id,
        attempt=1,
        posts=tuple(posts),
    )
