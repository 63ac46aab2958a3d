"""Names of batches and messages.

A batch is named by a UUIDv7 (RFC 9562 section 5.7), 32 hex digits, so names sort by time. A message is named by its batch,
its index in it (0 to 31) and a MAC keyed to the client: `msg_` and 40 characters of base32hex (RFC 4648 section 7) in lower
case. No client can guess another client's names, and a name is recognised before its journal record exists, so that
acceptance needs exactly one write.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

PREFIX = "msg_"
LENGTH = len(PREFIX) + 40
"""Characters of a message's name."""
IN_TEXT = re.compile(r"(?<![0-9a-z_])msg_[0-9a-v]{40}(?![0-9a-z])")
"""A message's name in any text: a Message-ID of Relay's contains it."""
_MAC_BYTES = 8
_SHARED_BYTES = 15
"""Leading bytes that all names of a batch share, in whole groups of base32 (RFC 4648 section 6: 5 bytes, 8 characters)."""
_OWN_CHARACTERS = 16
"""Characters of a name after those, for the other 10 bytes."""
_TIME_AND_VARIANT = 17
"""Leading digits of a UUIDv7 that hold its time, version and variant."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MessageId(msgspec.Struct, frozen=True, kw_only=True):
    """The three components of a message's name. `batch` is 32 hex digits, `mac` 16."""

    batch: str
    index: int
    mac: str

    def __str__(self) -> str:
        packed = bytes.fromhex(self.batch) + bytes([self.index]) + bytes.fromhex(self.mac)
        return PREFIX + _encoded(packed)


def names(batch: str, macs: Sequence[str]) -> list[str]:
    """Return the names of a batch's messages, in order, by their MACs."""
    packed = bytes.fromhex(batch)
    shared, rest = PREFIX + _encoded(packed[:_SHARED_BYTES]), packed[_SHARED_BYTES:]
    # The rest of each name is whole groups too, so one call encodes all.
    own = _encoded(b"".join([rest + bytes([index]) + bytes.fromhex(mac) for index, mac in enumerate(macs)]))
    return [shared + own[at : at + _OWN_CHARACTERS] for at in range(0, len(own), _OWN_CHARACTERS)]


def new_batch_id() -> str:
    """Make a new batch name. Names sort by time."""
    import uuid_utils

    return uuid_utils.uuid7().hex


def named_uuid(namespace: str, name: str) -> str:
    """Return the UUIDv5 of a name (RFC 9562 section 5.5), in a tenth of the time that the standard library takes."""
    import uuid_utils

    return str(uuid_utils.uuid5(uuid_utils.UUID(namespace), name))


def derived_batch(batch: str, first: int, count: int) -> str:
    """Return the name of the batch with `count` messages from number `first` on, of a request named `batch`.

    It depends on these three alone: a repeated request that is split at other places gets other names, so that no batch is
    ever mistaken for one with other messages.
    """
    digest = hashlib.sha256(f"{batch}/{first}/{count}".encode()).hexdigest()
    return batch[:_TIME_AND_VARIANT] + digest[_TIME_AND_VARIANT:32]


def mac(key: bytes, batch: str, index: int) -> str:
    """Return the MAC that ties a message name to a client: HMAC-SHA-256, the first 8 bytes, as hex."""
    return hmac.digest(key, bytes.fromhex(batch) + bytes([index]), "sha256")[:_MAC_BYTES].hex()


def parse(text: str) -> MessageId:
    """Read a message name. Raises `ValueError` when it is not one."""
    if not text.startswith(PREFIX) or len(text) != LENGTH:
        raise ValueError("not a message id")
    digits = text[len(PREFIX) :]
    if not (digits.isascii() and digits.isalnum()):
        raise ValueError("not a message id")
    # Base32hex has the digits of Python's integers to the base 32, which are parsed 20 times as fast.
    packed = int(digits, 32).to_bytes(25)
    return MessageId(batch=packed[:16].hex(), index=packed[16], mac=packed[17:].hex())


def belongs_to(name: MessageId, key: bytes) -> bool:
    """Return whether the MAC was made with this client's key, in constant time."""
    return hmac.compare_digest(name.mac, mac(key, name.batch, name.index))


def created_at(batch: str) -> datetime:
    """Return when the batch name was made, to the millisecond (the first 48 bits of a UUIDv7)."""
    return _EPOCH + timedelta(milliseconds=int(batch[:12], 16))


def _encoded(packed: bytes) -> str:
    return base64.b32hexencode(packed).decode().lower()


def batch_floor(at: datetime) -> str:
    """Return the smallest batch name of a moment, as the bound of a time range."""
    return f"{max(0, (at - _EPOCH) // timedelta(milliseconds=1)):012x}" + "0" * 20


def shard(batch: str) -> str:
    """Return one of 16 shards, from the random end of the name, so that load spreads over table partitions."""
    return batch[-1]


SHARDS = tuple("0123456789abcdef")
