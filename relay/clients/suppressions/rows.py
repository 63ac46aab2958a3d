"""The entries of the table `suppressions`.

Partition `all`, `of-<client id>` or `of-<client id>~<topic>`, row a digest of the address. The partitions `log` (`cache`) and
`reported` (`event_rules`) are in the same table.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from relay.platform import resources
from relay.platform.storage.ports import Entity, Value

TABLE = resources.SUPPRESSIONS_TABLE
ALL = ""
"""The scope of entries for all clients; any other scope is a client's id, or that of a topic of a client (`topic_scope`)."""
OF_CLIENTS = "of-"
"""The prefix of the partitions of clients and their topics."""
RESUBSCRIBED = "resubscribed"
"""The reason of an entry that ended because its recipient wants the mail again. The row stays, so that no event from before
suppresses the address again."""
NO_EXPIRY = datetime(9999, 12, 31, tzinfo=UTC)
"""The stored expiry of an entry that never expires but replaced another one: a merge would keep that one's expiry."""
EXPIRED = datetime(2000, 1, 1, tzinfo=UTC)
"""The expiry of a revoked entry: past by the clock of every process."""

REASONS: Mapping[str, str] = {
    "bounced": "A mail bounced because the address does not exist.",
    "complained": "The recipient reported a mail as spam.",
    "unsubscribed": "The recipient unsubscribed.",
    "manual": "A person or an application added it.",
    "provider": "A provider has it on its own suppression list.",
}
"""The reasons, as documented in docs/reference/events.md."""


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """A suppressed address. `scope` is `ALL` or a client's id; `source` the provider or route that reported it."""

    email: str
    reason: str
    scope: str
    at: datetime
    expires_at: datetime | None = None
    source: str = ""
    note: str = ""

    def is_over(self, now: datetime) -> bool:
        """Return whether the suppression has expired."""
        return self.expires_at is not None and self.expires_at <= now

    def prevails_over(self, other: "Suppression") -> bool:
        """Return whether the other one adds nothing: this one lasts as long, or the recipient asked for mail again since."""
        revokes = self.reason == RESUBSCRIBED and self.at >= other.at
        return revokes or (self.expires_at or NO_EXPIRY) >= (other.expires_at or NO_EXPIRY)


def topic_scope(client_id: str, topic: str) -> str:
    """Return the scope of the recipients that do not want mail about a topic of a client."""
    return f"{client_id}~{topic}"


def key_of(email: str) -> str:
    """Hash an address, ignoring case and whether its domain is in A-labels or U-labels."""
    local, _, domain = email.strip().rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode().lower()
    except UnicodeError:
        ascii_domain = domain.lower()
    return hashlib.sha256(f"{local.lower()}@{ascii_domain}".encode("utf-8", "replace")).hexdigest()[:32]


def partition_of(scope: str) -> str:
    """Return the partition of a scope's entries."""
    return f"{OF_CLIENTS}{scope}" if scope else "all"


def entity_of(each: Suppression) -> Entity:
    """Return the row of an entry."""
    properties: dict[str, Any] = {
        "email": each.email,
        "reason": each.reason,
        "at": each.at,
        "source": each.source,
        "note": each.note,
    }
    if each.expires_at is not None:
        properties["expires_at"] = each.expires_at
    return Entity(partition=partition_of(each.scope), row=key_of(each.email), properties=properties)


def suppression_of(entity: Entity) -> Suppression:
    """Read a row. Raises an error, which `readable` handles, if it cannot be read."""
    scope = "" if entity.partition == "all" else entity.partition.removeprefix(OF_CLIENTS)
    return msgspec.convert({**entity.properties, "expires_at": _expiry(entity), "scope": scope}, Suppression)


def _expiry(entity: Entity) -> Value | None:
    at = entity.properties.get("expires_at")
    return None if at == NO_EXPIRY else at
