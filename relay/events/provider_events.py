"""Events that providers report, before their message's record is found, and the queue entry that carries them.

    {"relay":1,"events":[{…}, …],"again":true}

`relay` is the version, as in `relay.core.entries`; every version ever written stays readable, and its sample stays in
tests/samples/. `again` marks an entry that was put back: the follow-up of its events may be incomplete. The host copies
nothing from an array over the trigger's metadata (decision 0002).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from relay.core import entries
from relay.core.events import Answer, EventSource
from relay.mime import addresses
from relay.platform import resources
from relay.platform.log import log_failure
from relay.platform.packing import packed

QUEUE = resources.EVENTS_QUEUE
REPORT = "report"
"""The provider of events that no provider reports: answers, and reports that another mailbox than a provider's received."""
VERSION = 1
MAX_TEXT = 1_000
"""Characters kept of a server's reply."""
MAX_RAW = 8_000
"""Characters kept of the provider's original event."""
MAX_ATTEMPT_ID = 36
"""Characters of a UUID."""
_OVERHEAD = 64


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of one recipient. `kind` is a `relay.core.events.EventKind`; `key` is the same when an event is reported again.

    `message` is Relay's id of the message. An event that a client reported (`client_id`) applies only to that client's messages.
    With `unnamed_key`, an event of a recipient that the message does not name (a member of a list, an alias) becomes one event
    of that key without a recipient: the provider has the mail. `source` says who vouches for it. `code` is the enhanced status
    code; `attempt` is 0 and `recipient` empty if unknown; `attempt_id` is what the mail itself says of its attempt
    (`relay.core.parts.part_history.attempt_id`). `answer` is a mail that answers the message. `mailbox` got the report, and
    `read_by` is the route whose identity reads that mailbox; both are empty for events that came otherwise. `topic` is what a
    recipient unsubscribed from; `group` is SendGrid's id of a group, which the client's topics may name. `client` is the name of
    the client `client_id` in an event that counts without a record of its message.
    """

    kind: str
    at: datetime
    key: str
    provider: str
    message: str = ""
    recipient: str = ""
    attempt: int = 0
    code: str = ""
    bounce_class: str = ""
    reply: str = ""
    client_id: str = ""
    source: EventSource = EventSource.MAIL
    raw: str = ""
    likely: str = ""
    attempt_id: str = ""
    unnamed_key: str = ""
    answer: Answer | None = None
    mailbox: str = ""
    read_by: str = ""
    topic: str = ""
    group: int = 0
    client: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of the `events` queue."""

    relay: int
    events: tuple[ProviderEvent, ...]
    again: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def key_of(*parts: object) -> str:
    """Compute the key of an event from the provider's event id, or from all fields that identify the event."""
    # JSON separates the parts: ("a", "bc") is a different event from ("ab", "c").
    text = json.dumps([str(part) for part in parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def text_of(value: object, limit: int = MAX_TEXT) -> str:
    """Convert text or a number to text that storage can hold, cut to the limit; empty for anything else."""
    if not isinstance(value, str | int | float):
        return ""
    return str(value)[:limit].encode("utf-8", "replace").decode()


def recipient_of(value: object) -> str:
    """Convert a recipient that a provider names to text in the one spelling of addresses."""
    return addresses.spelling(text_of(value, 320))


def translated[Item](
    items: Iterable[Item], translate: Callable[[Item], ProviderEvent | None]
) -> Iterator[ProviderEvent]:
    """Translate items one by one. An item that meets a bug must not keep the others from being recorded."""
    for item in items:
        try:
            event = translate(item)
        except Exception as error:
            log_failure("event_skipped", error=type(error).__name__)
            continue
        if event is not None:
            yield event


def pack(events: Sequence[ProviderEvent], *, again: bool = False) -> Iterator[bytes]:
    """Yield the fewest entries that carry these events."""
    encoded = map(_fitting, events)
    for group in packed(encoded, lambda each: entries.weight(each) + 1, room=entries.MAX_ENTRY_BYTES - _OVERHEAD):
        yield _joined(group, again=again)


def encode(entry: Entry) -> bytes:
    """Encode an entry that was decoded before, so that it fits."""
    return _joined([_encoded(event) for event in entry.events], again=entry.again)


def decode(body: bytes) -> Entry:
    """Decode an entry of any version. Raises `UnreadableEntry`, whose text contains no content."""
    return entries.decode_versioned(_decoder, body, VERSION)


def _fitting(event: ProviderEvent) -> bytes:
    encoded = _encoded(event)
    if entries.weight(encoded) <= entries.MAX_INLINE_BYTES:
        return encoded
    # Text that is nearly all `<` grows fourfold when escaped; then only part of the original is kept.
    short = msgspec.structs.replace(event, raw=event.raw[:MAX_TEXT], reply=event.reply[:MAX_TEXT])
    return _encoded(short)


def _encoded(event: ProviderEvent) -> bytes:
    return entries.escaped(_encoder.encode(event))


def _joined(encoded: Sequence[bytes], *, again: bool = False) -> bytes:
    tail = b',"again":true}' if again else b"}"
    return b'{"relay":%d,"events":[%s]%s' % (VERSION, b",".join(encoded), tail)
