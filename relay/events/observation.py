"""What a vendor saw of a message, before we know which record it belongs to; and the queue entry that carries such sightings.

    {"relay":1,"sightings":[{…}, …],"again":true}

`relay` is the version, as in `relay.core.entries`; every version ever written stays readable, and its sample stays in
tests/samples/. `again` marks an entry that was put back: what follows from its sightings may have been left undone. The
list stands in an array, so that the host copies none of it over the trigger's metadata (decision 0002).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from relay.core import entries
from relay.platform import resources
from relay.platform.packing import packed

QUEUE = resources.EVENTS_QUEUE
OUR_ID = re.compile(r"(?<![0-9a-z_])msg_[0-9a-v]{40}(?![0-9a-z])")
"""A message's id (`relay.core.ids`) in any text: a Message-ID is made of it."""
VERSION = 1
MAX_TEXT = 1_000
"""Characters kept of a server's words."""
MAX_RAW = 8_000
"""Characters kept of what the vendor said as it was."""
_OVERHEAD = 64


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of one recipient. `kind` is one of `relay.core.events.Kind`, `key` the same whenever the event is told again.

    `message` is our id of the message. With `client` it was told by that client, and counts only for its own messages.
    `code` is the enhanced status code, `attempt` 0 and `recipient` empty where the report does not say.
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
    client: str = ""
    raw: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What lies on the queue."""

    relay: int
    sightings: tuple[ProviderEvent, ...]
    again: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Entry)


def key_of(*parts: object) -> str:
    """The key of an event: from the vendor's own id for it, or from all that makes it this event and no other."""
    # JSON keeps the parts apart: ("a", "bc") is another event than ("ab", "c").
    text = json.dumps([str(part) for part in parts])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def text_of(value: object, limit: int = MAX_TEXT) -> str:
    """Text that storage can hold, cut to what is kept; empty for anything that is not text or a number."""
    if not isinstance(value, str | int | float):
        return ""
    return str(value)[:limit].encode("utf-8", "replace").decode()


def pack(sightings: Sequence[ProviderEvent]) -> Iterator[bytes]:
    """The entries that carry these sightings: as few as hold them."""
    encoded = map(_fitting, sightings)
    for group in packed(encoded, lambda each: entries.weight(each) + 1, room=entries.MAX_ENTRY_BYTES - _OVERHEAD):
        yield _joined(group)


def encode(entry: Entry) -> bytes:
    """An entry as a whole. It is one that was decoded, so it fits."""
    return _joined([_encoded(sighting) for sighting in entry.sightings], again=entry.again)


def decode(body: bytes) -> Entry:
    """Read an entry of any version. Raises `UnreadableEntry`, whose text says nothing of the content."""
    return entries.decode_versioned(_decoder, body, VERSION)


def _fitting(sighting: ProviderEvent) -> bytes:
    encoded = _encoded(sighting)
    if entries.weight(encoded) <= entries.MAX_INLINE_BYTES:
        return encoded
    # Text that is nearly all `<` grows fourfold on its way: what the vendor said is then kept in part.
    short = msgspec.structs.replace(sighting, raw=sighting.raw[:MAX_TEXT], reply=sighting.reply[:MAX_TEXT])
    return _encoded(short)


def _encoded(sighting: ProviderEvent) -> bytes:
    return entries.escaped(_encoder.encode(sighting))


def _joined(encoded: Sequence[bytes], *, again: bool = False) -> bytes:
    tail = b',"again":true}' if again else b"}"
    return b'{"relay":%d,"sightings":[%s]%s' % (VERSION, b",".join(encoded), tail)
