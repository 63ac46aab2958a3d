"""Write and read the token of an unsubscribe link: the client, the topic, the recipient's address, and the groups to show.

    1-<client id>-<base64url of AES-SIV(key of the client, topic, address and groups)>

AES-SIV (RFC 5297) encrypts and authenticates. It needs no nonce, so no number of messages wears out a key, and a recipient has
one link for a topic. The key is derived from the client's MAC key, which is made with the client and never changes: API keys can
be rotated, and links stay valid as long as the client exists. No name or address is readable in a URL.
"""

import base64
import binascii
from functools import lru_cache
from typing import Any

import msgspec

from relay.clients.registry import Client

VERSION = "1"
MAX_TOKEN = 700
"""Characters of the longest token: an address has 254 bytes, a topic's name 64, and there are 25 groups."""
MAX_GROUPS = 25
"""The number of groups that SendGrid shows at most."""
_PURPOSE = b"relay unsubscribe link 1"
_KEY_BYTES = 64


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient of a client's mail about a topic.

    `groups` are the groups of SendGrid whose topics the page with all choices shows beside this one; none: all topics.
    """

    client: Client
    topic: str
    email: str
    groups: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Subscriber(client={self.client.name!r}, topic={self.topic!r})"


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    topic: str
    email: str
    groups: tuple[int, ...] = ()


def write(subscriber: Subscriber) -> str:
    """Return the token of a subscriber, always the same one."""
    client = subscriber.client
    # Without groups, a token has the format from before groups existed: old links stay in mailboxes for years.
    groups = (subscriber.groups,) if subscriber.groups else ()
    plain = msgspec.msgpack.encode((subscriber.topic, subscriber.email, *groups))
    sealed = _cipher(client.mac_key).encrypt(plain, [_bound_to(client)])
    return f"{VERSION}-{client.id}-{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"


def client_id_of(token: str) -> str | None:
    """Return the client id that a token claims; None if the text is not a token."""
    version, _, rest = token.partition("-")
    client_id, _, sealed = rest.partition("-")
    return client_id if version == VERSION and sealed and len(token) <= MAX_TOKEN and token.isascii() else None


def read(client: Client, token: str) -> Subscriber | None:
    """Return the subscriber in a token of this client; None if the client did not make it."""
    from cryptography.exceptions import InvalidTag

    text = token.removeprefix(f"{VERSION}-{client.id}-")
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        plain = _cipher(client.mac_key).decrypt(sealed, [_bound_to(client)])
    except (binascii.Error, InvalidTag, ValueError):
        return None
    sealed_in = msgspec.msgpack.decode(plain, type=_Sealed)
    found = Subscriber(client=client, topic=sealed_in.topic, email=sealed_in.email, groups=sealed_in.groups)
    # Base64 has several spellings of the same bytes; only the one that `write` produces is accepted.
    return found if write(found) == token else None


def _bound_to(client: Client) -> bytes:
    return f"{VERSION}-{client.id}".encode()


@lru_cache(maxsize=1000)
def _cipher(mac_key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESSIV(HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE).derive(mac_key))
