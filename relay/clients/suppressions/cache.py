"""Keep the suppressions of a process up to date with one query in 30 seconds.

A process reads a scope once, caches digests and reasons, and then reads only the log (partition `log`, a row for each change, by
time): a message of a thousand recipients costs one query or none.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.clients.suppressions.rows import TABLE, Suppression, key_of, partition_of
from relay.core.errors import Unavailable
from relay.core.model import Address
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, every_row
from relay.platform.storage.readable import log_unreadable, readable_rows

MAX_AGE = timedelta(seconds=30)
"""Time until all processes know a change."""
RENEWED_EARLIER = timedelta(seconds=5)
"""So long before entries are too old one caller reads what changed, while the others use what is known."""
OVERLAP = timedelta(seconds=120)
"""Part of the log that is read again: clocks of processes differ, and a row may become visible late."""
RELOAD = timedelta(hours=1)
"""A scope is reloaded after this time, to find changes whose writer died before writing the log."""
_NEVER = datetime.min.replace(tzinfo=UTC)
LOG = "log"
"""The partition of the log."""
LOG_KEPT = timedelta(days=1)
TOPIC = "topic_unsubscribed"
"""The reason given for a recipient who gets no mail about a topic, whatever the entry's own reason is."""
UNREADABLE = "unreadable"
"""The reason of an entry whose reason cannot be read: the address stays suppressed."""


class KnownEntry(msgspec.Struct, frozen=True):
    """A cached entry: reason and expiry."""

    reason: str
    expires_at: datetime | None


class _Change(msgspec.Struct, frozen=True):
    """A row of the log. An empty reason removes the entry."""

    scope: str
    key: str
    known: KnownEntry


type Entries = Mapping[str, KnownEntry]
"""The entries of a scope, by the digest of their address."""


class KnownSuppressions:
    """The suppressions that apply to mail of one client, and to some of its topics, at one time."""

    def __init__(self, scopes: Sequence[Entries], now: datetime, topics: Mapping[str, Entries] | None = None) -> None:
        self._scopes = scopes
        self._now = now
        self._topics = topics or {}

    def among(self, recipients: Sequence[Address], topic: str | None = None) -> Mapping[int, str]:
        """Return the reason of each suppressed recipient, by number, for mail about this topic or about none."""
        of_topic = self._topics[topic] if topic is not None else {}
        if not any(self._scopes) and not of_topic:
            return {}
        found = ((number, self._reason(key_of(address.email), of_topic)) for number, address in enumerate(recipients))
        return {number: reason for number, reason in found if reason}

    def _reason(self, key: str, of_topic: Entries) -> str:
        for scope in self._scopes:
            if self._holds(scope, key):
                return scope[key].reason
        return TOPIC if self._holds(of_topic, key) else ""

    def _holds(self, scope: Entries, key: str) -> bool:
        known = scope.get(key)
        return known is not None and (known.expires_at is None or known.expires_at > self._now)


class SuppressionCache:
    """The entries of the scopes that this process has read, and the log that keeps them up to date."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._scopes: dict[str, dict[str, KnownEntry]] = {}
        self._loaded_at: dict[str, datetime] = {}
        self._log_read_at: datetime | None = None
        self._reading = asyncio.Lock()

    def __getitem__(self, scope: str) -> Entries:
        """Return the entries of a scope that has been refreshed."""
        return self._scopes[scope]

    async def refresh(self, scopes: Iterable[str], client_id: str) -> datetime:
        """Update these scopes from storage before they are older than `MAX_AGE`. Returns the time of the call.

        Raises `Unavailable` only before the first read of a scope; later the known entries stay in use, which is logged with
        `client_id`.
        """
        now, wanted = self._clock(), set(scopes)
        if self._is_fresh(wanted, now + RENEWED_EARLIER) or (self._reading.locked() and self._is_fresh(wanted, now)):
            return now
        async with self._reading:
            try:
                await self._read_log(now)
                for scope in wanted:
                    if scope not in self._scopes or now - self._loaded_at[scope] > RELOAD - RENEWED_EARLIER:
                        await self._load(scope, now)
            except Unavailable:
                if not wanted <= self._scopes.keys():
                    raise
                log_event("suppressions_stale", level=logging.WARNING, client_id=client_id)
        return now

    def _is_fresh(self, scopes: Iterable[str], now: datetime) -> bool:
        """Return whether nothing has to be read: then no caller waits for the lock."""
        if self._log_read_at is None or now - self._log_read_at >= MAX_AGE:
            return False
        return min([self._loaded_at.get(scope, _NEVER) for scope in scopes]) >= now - RELOAD

    async def log(self, changed: Sequence[Suppression]) -> None:
        """Update this process's entries at once, and write the log for the others. An empty reason removes an entry."""
        rows = [_log_entity(each) for each in changed]
        for entity in rows:
            self._apply(_change(entity))
        await self._tables.upsert_all(TABLE, rows)

    async def _load(self, scope: str, now: datetime) -> None:
        query = Query(partition=partition_of(scope), select=("reason", "expires_at"))
        known = {entity.row: _known(entity) async for entity in every_row(self._tables, TABLE, query)}
        self._scopes[scope], self._loaded_at[scope] = known, now

    async def _read_log(self, now: datetime) -> None:
        """Apply the changes that other processes logged since the last read."""
        if self._log_read_at is None:
            self._log_read_at = now
            return
        if now - self._log_read_at < MAX_AGE - RENEWED_EARLIER:
            return
        if now - self._log_read_at > LOG_KEPT - OVERLAP:
            # The log of the time in between was purged: reload everything.
            self._loaded_at = dict.fromkeys(self._loaded_at, now - 2 * RELOAD)
        query = Query(partition=LOG, row_from=_log_row(self._log_read_at - OVERLAP))
        async for change in readable_rows(self._tables, TABLE, query, _change):
            self._apply(change)
        self._log_read_at = now

    def _apply(self, change: _Change) -> None:
        scope = self._scopes.get(change.scope)
        if scope is not None:
            if change.known.reason:
                scope[change.key] = change.known
            else:
                scope.pop(change.key, None)


def _known(entity: Entity) -> KnownEntry:
    """Read an entry. If its reason cannot be read, the address stays suppressed."""
    reason, expires_at = entity.properties.get("reason"), entity.properties.get("expires_at")
    if not isinstance(reason, str) or not reason:
        log_unreadable(TABLE, entity, TypeError("the reason is not text"))
        reason = UNREADABLE
    return KnownEntry(reason, expires_at if isinstance(expires_at, datetime) else None)


def _log_row(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def _log_entity(each: Suppression) -> Entity:
    properties: dict[str, Any] = {"scope": each.scope, "key": key_of(each.email), "reason": each.reason, "at": each.at}
    if each.expires_at is not None:
        properties["expires_at"] = each.expires_at
    return Entity(partition=LOG, row=f"{_log_row(each.at)}-{secrets.token_hex(6)}", properties=properties)


def _change(entity: Entity) -> _Change:
    """Read a row of the log."""
    scope, key, reason = (msgspec.convert(entity.properties[name], str) for name in ("scope", "key", "reason"))
    expires_at = entity.properties.get("expires_at")
    return _Change(scope, key, KnownEntry(reason, expires_at if isinstance(expires_at, datetime) else None))
