"""Make the keys of clients, and check them: each has a role, its own or its client's.

Keys are stored only as SHA-256 digests (a key has 256 random bits, so that a slow hash would add no protection).
"""

import hashlib
import hmac
import secrets
from datetime import datetime
from enum import StrEnum

import msgspec

_PREFIX = "relay"


class Role(StrEnum):
    """The rights of a client, or of one of its keys (docs/reference/roles.md)."""

    CLIENT = "client"
    """Sends mail, and reads and manages its own messages, webhooks and lists."""
    VIEWER = "viewer"
    """Reads states, and no content."""
    SUPPORT = "support"
    """Reads states and content, and sends failed messages again."""
    OPERATOR = "operator"
    """Manages everything: dead letters, routes, clients."""
    AUDITOR = "auditor"
    """Reads the audit log, and nothing else."""


class Key(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored key: its public `id` (8 hex digits, part of the key's text) and the digest of the whole text.

    `role` is the key's own; None: that of its client.
    """

    id: str
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    role: Role | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether the key has expired."""
        return self.expires_at is not None and self.expires_at <= now

    def fits(self, text: str) -> bool:
        """Return whether a text is this key."""
        return hmac.compare_digest(self.digest, _digest(text))


def new_key(now: datetime, *, expires_at: datetime | None = None, role: Role | None = None) -> tuple[str, Key]:
    """Make a key: its text, `relay_<id>_<secret>`, and its stored form."""
    key_id = secrets.token_hex(4)
    text = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    return text, Key(id=key_id, digest=_digest(text), created_at=now, expires_at=expires_at, role=role)


def key_id_of(text: str) -> str | None:
    """Return the public id in a key's text, or None if the text is not one of Relay's keys."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return key_id if prefix == _PREFIX and len(key_id) == 8 and secret else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
