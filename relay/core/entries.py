"""Encode and decode queue entries. Their formats are durable.

An entry is UTF-8 JSON. It never uses the top-level names that the host would copy over the trigger's metadata, and puts
messages in an array because the host ignores arrays there (docs/decisions/0002-queue-entry.md). `relay` is the
version; every version ever written stays readable, and its sample stays in tests/samples/.

    batch:      {"relay":1,"batch":"<32 hex>","lane":"transactional","macs":["<16 hex>", …],"messages":[{…}, …]}
    reference:  {"relay":1,"ref":"<32 hex>","lane":"transactional","indices":[0,3],"attempt":2}
    fan-out:    {"relay":1,"fan_out":"<name of a blob>","lane":"transactional"}

A batch with content in blobs is of version 2, because an older Relay cannot read such content
(`relay.core.stored_content`). A batch or reference that came back from the poison queue once ends with `"revived":true`
(docs/decisions/0009-dead-letters.md).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import msgspec

from relay.core.errors import NewerVersion, UnreadableEntry
from relay.core.model import Submission

VERSION = 1
VERSION_WITH_SPANS = 2
"""The version of a batch whose submissions have a `span`."""
_VERSIONS = (VERSION, VERSION_WITH_SPANS)
MAX_ENTRY_BYTES = 64_000
"""Maximum weight of an entry in bytes (see `weight`). The service accepts 65,536 bytes of encoded text."""
MAX_BATCH_MESSAGES = 32
MAX_INLINE_BYTES = 48_000
"""The content of a heavier submission is stored in a blob (claim check)."""


type _BatchName = Annotated[str, msgspec.Meta(pattern=r"^0[0-9a-f]{31}$")]
"""A UUIDv7 from `relay.core.ids`. It begins with 0 until the year 2527."""
type _Lane = Annotated[str, msgspec.Meta(max_length=32)]
type _Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$")]
type _Index = Annotated[int, msgspec.Meta(ge=0, lt=MAX_BATCH_MESSAGES)]


class BatchEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A batch with its content, as accepted. There are as many `macs` as `messages`."""

    relay: int
    batch: _BatchName
    lane: _Lane
    macs: Annotated[tuple[_Mac, ...], msgspec.Meta(min_length=1, max_length=MAX_BATCH_MESSAGES)]
    messages: tuple[Submission, ...]
    revived: bool = False


class ReferenceEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Messages of a recorded batch that are due. `attempt` is the attempt to make: an entry for an older one is dropped."""

    relay: int
    ref: _BatchName
    lane: _Lane
    indices: tuple[_Index, ...]
    attempt: int
    revived: bool = False


class FanOutEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A request of several batches, accepted with one write: the blob `fan_out` holds their entries, one per line."""

    relay: int
    fan_out: str
    lane: _Lane


type Entry = BatchEntry | ReferenceEntry | FanOutEntry

_encoder = msgspec.json.Encoder()
_batch_decoder = msgspec.json.Decoder(BatchEntry)
_reference_decoder = msgspec.json.Decoder(ReferenceEntry)
_fan_out_decoder = msgspec.json.Decoder(FanOutEntry)
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class _Laned(msgspec.Struct):
    lane: str = ""


_lane_decoder = msgspec.json.Decoder(_Laned)


class _Envelope(msgspec.Struct):
    """The members that identify version and kind. In another version, members of the same name may have other values."""

    relay: int = 0
    ref: object = None
    fan_out: object = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)


def encode_submission(submission: Submission) -> bytes:
    """Encode a submission as an element of a batch entry."""
    return escaped(_encoder.encode(submission))


def escaped(encoded: bytes) -> bytes:
    """Write U+FFFE and U+FFFF in encoded JSON as escapes, because XML cannot carry them."""
    if not encoded.isascii() and b"\xef\xbf" in encoded:
        encoded = encoded.replace(b"\xef\xbf\xbe", b"\\ufffe").replace(b"\xef\xbf\xbf", b"\\uffff")
    return encoded


_MOST_WEIGHT = len("&amp;")
_NO_MARKUP = bytes(code for code in range(256) if code not in b"<>&")


def weight(encoded: bytes) -> int:
    """Return the bytes that this text takes in a Put Message request, where XML escapes `<`, `>` and `&`."""
    markup = encoded.translate(None, _NO_MARKUP)
    return len(encoded) + 3 * len(markup) + markup.count(b"&")


def fits_inline(encoded: bytes) -> bool:
    """Return whether a submission may stay in its entry. Most are so short that their characters need not be counted."""
    return _MOST_WEIGHT * len(encoded) <= MAX_INLINE_BYTES or weight(encoded) <= MAX_INLINE_BYTES


def join_batch(
    batch: str, lane: str, macs: Sequence[str], submissions: Sequence[bytes], *, has_spans: bool = False
) -> bytes:
    """Build a batch entry from encoded submissions (the hot path of acceptance)."""
    version = VERSION_WITH_SPANS if has_spans else VERSION
    head = _encoder.encode({"relay": version, "batch": batch, "lane": lane, "macs": macs})
    return b'%s,"messages":[%s]}' % (head[:-1], b",".join(submissions))


def replace_submissions(body: bytes, changed: Mapping[int, Submission]) -> bytes:
    """Replace the submissions of a batch entry at some indices.

    Everything else stays byte for byte as it is, even members that a newer version wrote.
    """
    fields = _fields_decoder.decode(body)
    kept = _elements_decoder.decode(fields["messages"])
    messages = (encode_submission(changed[index]) if index in changed else each for index, each in enumerate(kept))
    fields["messages"] = msgspec.Raw(b"[%s]" % b",".join(bytes(each) for each in messages))
    return _encoder.encode(fields)


def entry_overhead(messages: int) -> int:
    """Return the maximum of bytes that a batch entry adds around its submissions (lane names have at most 32 characters)."""
    return 160 + 21 * messages


def encode_reference(batch: str, lane: str, indices: Sequence[int], attempt: int) -> bytes:
    """Encode a reference entry."""
    return _encoder.encode(ReferenceEntry(relay=VERSION, ref=batch, lane=lane, indices=tuple(indices), attempt=attempt))


def encode_fan_out(blob: str, lane: str) -> bytes:
    """Encode a fan-out entry."""
    return _encoder.encode(FanOutEntry(relay=VERSION, fan_out=blob, lane=lane))


def decode_entry(body: bytes) -> Entry:
    """Decode an entry of a lane's queue. Raises `UnreadableEntry`, whose text quotes no content, or `NewerVersion`."""
    envelope = _opened(body)
    if envelope.fan_out is not None:
        return _decode(_fan_out_decoder, body)
    if envelope.ref is not None:
        return _decode(_reference_decoder, body)
    entry = _decode(_batch_decoder, body)
    if len(entry.macs) != len(entry.messages):
        raise UnreadableEntry("entry has another number of macs than of messages")
    return entry


def revive(body: bytes) -> bytes:
    """Mark an entry as one that came back from the poison queue."""
    return body.rstrip()[:-1] + b',"revived":true}'


def lane_of(body: bytes) -> str:
    """Return the lane that an entry names, without reading its content; an empty text for one that is unreadable."""
    try:
        return _lane_decoder.decode(body).lane
    except msgspec.MsgspecError:
        return ""


def check_version(body: bytes) -> None:
    """Raise `NewerVersion` for an entry of a newer version, and `UnreadableEntry` for a body that is not an entry."""
    _opened(body)


def decode_versioned[T](decoders: Mapping[int, msgspec.json.Decoder[T]], body: bytes) -> T:
    """Decode an entry of another queue by the decoder of its version. Raises `UnreadableEntry` or `NewerVersion`."""
    envelope = _decode(_envelope_decoder, body)
    return _decode(decoders[_known(envelope.relay, decoders)], body)


def _opened(body: bytes) -> _Envelope:
    """Read the envelope of an entry and check its version, before members that may have another shape in a newer version."""
    envelope = _decode(_envelope_decoder, body)
    _known(envelope.relay, _VERSIONS)
    return envelope


def _known(version: int, known: Collection[int]) -> int:
    if version > max(known):
        raise NewerVersion(f"entry version {version} is not known yet")
    if version not in known:
        raise UnreadableEntry(f"entry version {version} is not known")
    return version


def _decode[T](decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEntry("entry is not a relay entry") from error
