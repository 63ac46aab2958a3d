"""Events that providers report, before their message's record is found, and the queue entry that carries them.

    {"relay":1,"events":[{…}, …],"again":true}
    {"relay":2,"compressed":["<base64 of the array of events, with zlib>"],"again":true}

`relay` is the version, as in `relay.core.entries`; every version ever written stays readable, and its sample stays in
tests/samples/. Version 2 carries the events of a large post: hundreds that differ little. `again` marks an entry that
was put back: the follow-up of its events may be incomplete. The host copies nothing from an array over the trigger's metadata
(decision 0002).
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.core import entries
from relay.core.errors import UnreadableEntry
from relay.core.events import Answer, EventSource
from relay.mime import addresses
from relay.platform import resources
from relay.platform.log import log_failure

QUEUE = resources.EVENTS_QUEUE
REPORT = "report"
"""The provider of events that no provider reports: answers, and reports that another mailbox than a provider's received."""
VERSION = 1
COMPRESSED = 2
"""The version of a compressed entry."""
MAX_TEXT = 1_000
"""Characters kept of a server's reply."""
MAX_RAW = 8_000
"""Characters kept of the provider's original event."""
MAX_ATTEMPT_ID = 36
"""Characters of a UUID."""
_OVERHEAD = 64
_MAX_UNCOMPRESSED_BYTES = 512_000
"""Bytes of the events of a compressed entry: applying them must not exceed the host's time limit for one call."""
_LEVEL = 3
"""Level of zlib: it takes 3 µs an event, and leaves an eighth of its bytes."""


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


class _CompressedEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    relay: int
    compressed: tuple[bytes]
    again: bool = False


_encoder = msgspec.json.Encoder()
_decoders: Mapping[int, msgspec.json.Decoder[Entry | _CompressedEntry]] = {
    VERSION: msgspec.json.Decoder(Entry),
    COMPRESSED: msgspec.json.Decoder(_CompressedEntry),
}
_events_decoder = msgspec.json.Decoder(tuple[ProviderEvent, ...])


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
    """Yield few entries that carry these events: one, unless they are too large when compressed."""
    return _packed([_fitting(event) for event in events], again=again)


def _packed(encoded: Sequence[bytes], *, again: bool) -> Iterator[bytes]:
    if not encoded:
        return
    if sum(entries.weight(each) + 1 for each in encoded) <= entries.MAX_ENTRY_BYTES - _OVERHEAD:
        yield _joined(encoded, again=again)
        return
    compressed = _compressed(encoded, again=again)
    if compressed is not None:
        yield compressed
        return
    half = len(encoded) // 2
    yield from _packed(encoded[:half], again=again)
    yield from _packed(encoded[half:], again=again)


def _compressed(encoded: Sequence[bytes], *, again: bool) -> bytes | None:
    """Return one entry that carries these events compressed; None if they are too large."""
    text = b"[%s]" % b",".join(encoded)
    if len(text) > _MAX_UNCOMPRESSED_BYTES:
        return None
    entry = _CompressedEntry(relay=COMPRESSED, compressed=(zlib.compress(text, _LEVEL),), again=again)
    body = _encoder.encode(entry)
    return body if len(body) <= entries.MAX_ENTRY_BYTES - _OVERHEAD else None


def encode(entry: Entry) -> bytes:
    """Encode an entry of few events."""
    return _joined([_encoded(event) for event in entry.events], again=entry.again)


def mark_again(body: bytes) -> bytes:
    """Return an entry with the mark that the follow-up of its events may be incomplete."""
    return body.rstrip()[:-1] + b',"again":true}'


def decode(body: bytes) -> Entry:
    """Decode an entry of any version. Raises `UnreadableEntry`, whose text contains no content."""
    found = entries.decode_versioned(_decoders, body)
    if isinstance(found, Entry):
        return found
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(found.compressed[0], _MAX_UNCOMPRESSED_BYTES)
        if not reader.eof:
            raise UnreadableEntry("the events of an entry are cut, or too large")
        events = _events_decoder.decode(text)
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEntry("the events of an entry cannot be read") from error
    return Entry(relay=found.relay, events=events, again=found.again)


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
