"""Store suppressed addresses: after a bounce, a complaint, an unsubscription, or by hand.

Table `suppressions`: partition `all`, `of-<client id>` or `of-<client id>~<topic>`, row a digest of the address; and partition
`log`, a row for each change, by time; and partition `reported`, a row for each address that mailed reports name. A process reads
a scope once, caches digests and reasons, and then reads only the log, at most every half minute: a message of a thousand
recipients costs one query or none. See docs/decisions/0021-suppressions.md.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.core.errors import Changed, NotFound, Unavailable
from relay.core.events import BounceClass, EventKind, EventSource, MessageEvent
from relay.core.model import Address
from relay.core.settings import SuppressionRule
from relay.platform import resources
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, Value, delete_where, every_row
from relay.platform.storage.readable import decode, log_unreadable, readable
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.SUPPRESSIONS_TABLE
ALL = ""
"""The scope of entries for all clients; any other scope is a client's id, or that of a topic of a client (`topic_scope`)."""
TOPIC = "topic_unsubscribed"
"""Why a recipient gets no mail about a topic, whoever made the entry."""
RESUBSCRIBED = "resubscribed"
"""The reason of an entry that is over because its recipient wants the mail again. It outlasts the events from before."""
CACHE = timedelta(seconds=30)
"""Time until all processes know a change."""
OVERLAP = timedelta(seconds=120)
"""Part of the log that is read again: clocks of processes differ, and a row may become visible late."""
RELOAD = timedelta(hours=1)
"""A scope is reloaded after this time, to find changes whose writer died before writing the log."""
LOG_KEPT = timedelta(days=1)
DROPPED_AT_ONCE = 16
_LOG = "log"
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_OVER = datetime(2000, 1, 1, tzinfo=UTC)
"""When an entry expired that has been revoked, whatever the clocks of processes say."""
_REPORTED = "reported"
_OF_CLIENTS = "of-"
_CONFIRMED = 2
"""The number of clients whose mail must have bounced before a reported address is suppressed for all."""

REASONS: Mapping[str, str] = {
    "bounced": "A mail bounced because the address does not exist.",
    "complained": "The recipient reported a mail as spam.",
    "unsubscribed": "The recipient unsubscribed.",
    "manual": "A person or an application added it.",
    "provider": "A provider has it on its own suppression list.",
}
"""The reasons, as documented in docs/reference/events.md."""


UNREADABLE = "unreadable"
"""The reason of an entry whose reason cannot be read: the address stays suppressed."""


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


class _Known(msgspec.Struct, frozen=True):
    """A cached entry: reason and expiry."""

    reason: str
    expires_at: datetime | None


class _Change(msgspec.Struct, frozen=True):
    """A row of the log. An empty reason removes the entry."""

    scope: str
    key: str
    known: _Known


class Known:
    """A snapshot of the suppressions of one client, in memory; also of some of its topics."""

    def __init__(
        self,
        scopes: Sequence[Mapping[str, _Known]],
        now: datetime,
        topics: Mapping[str, Mapping[str, _Known]] | None = None,
    ) -> None:
        self._scopes = scopes
        self._now = now
        self._topics = topics or {}

    def among(self, recipients: Sequence[Address], topic: str | None = None) -> Mapping[int, str]:
        """Return the numbers of the suppressed recipients of mail, about a topic or about none, with their reasons."""
        of_topic = self._topics[topic] if topic is not None else {}
        if not any(self._scopes) and not of_topic:
            return {}
        found = ((number, self._reason(key_of(address.email), of_topic)) for number, address in enumerate(recipients))
        return {number: reason for number, reason in found if reason}

    def _reason(self, key: str, of_topic: Mapping[str, _Known]) -> str:
        for scope in self._scopes:
            if self._holds(scope, key):
                return scope[key].reason
        return TOPIC if self._holds(of_topic, key) else ""

    def _holds(self, scope: Mapping[str, _Known], key: str) -> bool:
        known = scope.get(key)
        return known is not None and (known.expires_at is None or known.expires_at > self._now)


class Suppressions:
    """Reads and changes suppressions, and adds those that follow from events."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime], rules: Mapping[str, SuppressionRule]) -> None:
        self._tables = tables
        self._clock = clock
        self._rules = rules
        self._scopes: dict[str, dict[str, _Known]] = {}
        self._loaded_at: dict[str, datetime] = {}
        self._log_read_at: datetime | None = None
        self._reading = asyncio.Lock()

    # ── reading ──

    async def known_to(self, client_id: str, topics: Iterable[str] = ()) -> Known:
        """Return the suppressions of a client and of these topics, at most `CACHE` old.

        Raises `StorageError` only before the first read.
        """
        scopes = {topic: topic_scope(client_id, topic) for topic in topics}
        now = await self._up_to_date(client_id, (client_id, ALL, *scopes.values()))
        of_topics = {topic: self._scopes[scope] for topic, scope in scopes.items()}
        return Known((self._scopes[client_id], self._scopes[ALL]), now, of_topics)

    async def is_unsubscribed(self, client_id: str, topic: str, email: str) -> bool:
        """Whether an address gets no mail about a topic, as of `CACHE` ago at worst. Raises as `known_to` does."""
        scope = topic_scope(client_id, topic)
        now = await self._up_to_date(client_id, (scope,))
        return bool(Known((), now, {topic: self._scopes[scope]}).among([Address(email=email)], topic))

    async def _up_to_date(self, client_id: str, scopes: Sequence[str]) -> datetime:
        """Read what is older than `CACHE`, and return the time it is for."""
        now = self._clock()
        async with self._reading:
            try:
                await self._refresh(scopes, now)
            except Unavailable:
                if not set(scopes) <= self._scopes.keys():
                    raise
                log_event("suppressions_stale", level=logging.WARNING, client_id=client_id)
        return now

    async def last(self, scope: str, email: str) -> Suppression | None:
        """Read the row of an address, also when it is over."""
        try:
            return decode(TABLE, await self._tables.get(TABLE, _partition(scope), key_of(email)), _suppression)
        except NotFound:
            return None

    async def get(self, scope: str, email: str) -> Suppression:
        """Read one entry. Raises `NotFound`, also for an expired one."""
        found = await self.last(scope, email)
        if found is None or found.is_over(self._clock()):
            raise NotFound("no such suppression")
        return found

    async def page(
        self, scope: str, *, limit: int = 1000, cursor: str | None = None
    ) -> tuple[Sequence[Suppression], str | None]:
        """Read one page of a scope's entries, in no particular order, and the next cursor. Erased addresses are left out."""
        page = await self._tables.query(TABLE, Query(partition=_partition(scope)), limit=limit, cursor=cursor)
        found, now = readable(TABLE, page.entities, _suppression), self._clock()
        return [each for each in found if each.email and not each.is_over(now)], page.next

    # ── changing ──

    def made(self, email: str, reason: str, client_id: str, **more: Any) -> Suppression:
        """Make an entry with the scope and expiry that the rule of its reason sets. `more` are other fields."""
        rule, now = self._rules[reason], self._clock()
        expires_at = now + timedelta(days=rule.days) if rule.days else None
        fields = {"scope": ALL if rule.for_all else client_id, "expires_at": expires_at, **more}
        return Suppression(email=email, reason=reason, at=now, **fields)

    async def put(self, suppressions: Sequence[Suppression]) -> None:
        """Write entries, replacing existing ones. The log is written second: see `RELOAD`."""
        for partition in {_partition(each.scope) for each in suppressions}:
            rows = {entity.row: entity for entity in map(_entity, suppressions) if entity.partition == partition}
            await self._tables.upsert_all(TABLE, list(rows.values()))
        await self._log(suppressions)

    async def add(self, suppression: Suppression) -> None:
        """Write an entry, unless an existing one lasts as long or longer."""
        entity = _entity(suppression)
        # A merge keeps what it does not name: an older entry's expiry too.
        properties = {"expires_at": _NEVER, **entity.properties}

        def decide(known: Entity | None) -> RowChange[bool]:
            existing = list(readable(TABLE, (known,) if known is not None else (), _suppression))
            if any(_lasts(each) >= _lasts(suppression) or _revokes(each, suppression) for each in existing):
                # The log of this very entry may be missing: a process can die between the two.
                return RowChange(result=any(each.at == suppression.at for each in existing))
            return RowChange(result=True, properties=entity.properties if known is None else properties)

        if await change_row(self._tables, TABLE, entity.partition, entity.row, decide, is_new=True):
            await self._log([suppression])

    async def remove(self, scope: str, emails: Iterable[str]) -> None:
        """Remove addresses from a scope, whatever is known of them. Missing ones are not an error."""
        # The time is from before the removal: in the log, what is added after it must follow it.
        chosen, now = list(emails), self._clock()
        await self._tables.delete_all(TABLE, _partition(scope), [key_of(email) for email in chosen])
        await self._log([Suppression(email=each, reason="", scope=scope, at=now, expires_at=now) for each in chosen])

    async def resubscribe(self, scope: str, email: str, at: datetime) -> None:
        """End an entry of a topic, so that no event from before `at` brings it back."""
        await self.put([Suppression(email=email, reason=RESUBSCRIBED, scope=scope, at=at, expires_at=_OVER)])

    async def forget_address(self, email: str) -> int:
        """Blank an address in the entries of topics. Their digests stay, so that the recipient's wish holds. Scans the table."""
        query = Query(partition_from=_OF_CLIENTS, partition_before=f"{_OF_CLIENTS}~", row=key_of(email))
        forgotten = 0
        async for row in every_row(self._tables, TABLE, query):
            if row.properties.get("email") and "~" in row.partition:
                with suppress(NotFound):
                    blank = Entity(partition=row.partition, row=row.row, properties={"email": "", "note": ""})
                    await self._tables.merge(TABLE, blank)
                    forgotten += 1
        return forgotten

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        """Suppress recipients after an event: the address does not exist, a complaint, an unsubscription."""
        for each in events:
            reason = _reason_of(each)
            if each.event.topic:
                await self._follow_topic(each)
            elif reason and each.is_ours:
                made = self.made(each.event.recipient, reason, each.client_id, source=each.event.provider)
                if made.scope == ALL and not await self._is_believed_for_all(each, made):
                    made = msgspec.structs.replace(made, scope=each.client_id)
                await self.add(made)
                log_event("suppressed", message=each.message, client=each.client, reason=reason)

    async def _follow_topic(self, event: MessageEvent) -> None:
        """Suppress or resubscribe the recipient for the topic of the event alone."""
        at, email = event.event.at, event.event.recipient
        scope = topic_scope(event.client_id, event.event.topic)
        if not event.is_ours:
            return
        if event.event.kind == EventKind.UNSUBSCRIBED:
            made = self.made(email, "unsubscribed", event.client_id, scope=scope, source=event.event.provider)
            await self.add(msgspec.structs.replace(made, at=at))
        elif event.event.kind == EventKind.RESUBSCRIBED:
            known = await self.last(scope, email)
            if known is not None and known.at <= at:
                await self.resubscribe(scope, email, at)

    async def _is_believed_for_all(self, event: MessageEvent, made: Suppression) -> bool:
        """Whether an event may suppress its recipient for other clients too.

        A provider's authenticated event may. A report that came as mail may be forged by everyone who knows the message's id:
        its recipients and its client. So it counts only if the message had no other recipient, and only when a second client
        has such a report too. What a client reports itself reaches that client.
        """
        if event.source is EventSource.PROVIDER:
            return True
        if event.source is EventSource.CLIENT or not event.is_sole_recipient:
            return False

        def decide(known: Entity | None) -> RowChange[bool]:
            reported = _reported_by(known, made.at)
            if event.client_id in reported or len(reported) >= _CONFIRMED:
                return RowChange(result=len(reported) >= _CONFIRMED)
            both = [*reported, event.client_id]
            return RowChange(
                result=len(both) >= _CONFIRMED,
                properties={"clients": msgspec.json.encode(both), "expires_at": made.expires_at or _NEVER},
            )

        return await change_row(self._tables, TABLE, _REPORTED, key_of(made.email), decide)

    async def drop_missing(self, source: str, before: datetime) -> int:
        """Remove the entries of a source that its provider no longer lists: those last seen before this time.

        An entry that is written after it was read stays: it may have another reason by now.
        """

        async def missing() -> AsyncIterator[tuple[Entity, Suppression]]:
            async for row in every_row(self._tables, TABLE, Query(partition=_partition(ALL))):
                for each in readable(TABLE, (row,), _suppression):
                    if (each.reason, each.source) == ("provider", source) and each.at < before:
                        yield row, each

        progress = await process(missing(), self._drop, limit=DROPPED_AT_ONCE)
        return progress.done

    async def _drop(self, missing: tuple[Entity, Suppression]) -> bool:
        row, known = missing
        now = self._clock()
        try:
            await self._tables.delete(TABLE, row.partition, row.row, etag=row.etag)
        except Changed:
            return False
        await self._log([Suppression(email=known.email, reason="", scope=known.scope, at=now, expires_at=now)])
        return True

    async def remove_all(self, client_id: str, deadline: Deadline = NEVER) -> Progress:
        """Delete the lists of a deleted client and its topics."""
        own = _partition(client_id)
        first = _partition(topic_scope(client_id, ""))
        # No name of a topic begins with a tilde.
        of_topics = Query(partition_from=first, partition_before=f"{first}~", select=())
        done = Progress()
        for query in (Query(partition=own, select=()), of_topics):
            done += await delete_where(
                self._tables, TABLE, query, lambda _: True, deadline=deadline, keeps_changed=False
            )
        return done

    async def purge(self, deadline: Deadline = NEVER) -> Progress:
        """Delete expired entries and the old log."""
        now = self._clock()
        query = Query(select=("at", "expires_at", "reason"))
        return await delete_where(
            self._tables, TABLE, query, lambda entity: _is_forgotten(entity, now), deadline=deadline
        )

    # ── cache ──

    async def _refresh(self, scopes: Iterable[str], now: datetime) -> None:
        await self._read_log(now)
        for scope in scopes:
            if scope not in self._scopes or now - self._loaded_at[scope] > RELOAD:
                await self._load(scope, now)

    async def _load(self, scope: str, now: datetime) -> None:
        query = Query(partition=_partition(scope), select=("reason", "expires_at"))
        known = {entity.row: _known(entity) async for entity in every_row(self._tables, TABLE, query)}
        self._scopes[scope], self._loaded_at[scope] = known, now

    async def _read_log(self, now: datetime) -> None:
        """Apply the changes that other processes logged since the last read."""
        if self._log_read_at is None:
            self._log_read_at = now
            return
        if now - self._log_read_at < CACHE:
            return
        if now - self._log_read_at > LOG_KEPT - OVERLAP:
            # The log of the time in between was purged: reload everything.
            self._loaded_at = dict.fromkeys(self._loaded_at, now - 2 * RELOAD)
        query = Query(partition=_LOG, row_from=_log_row(self._log_read_at - OVERLAP))
        async for entity in every_row(self._tables, TABLE, query):
            for change in readable(TABLE, (entity,), _change):
                self._apply(change)
        self._log_read_at = now

    def _apply(self, change: "_Change") -> None:
        scope = self._scopes.get(change.scope)
        if scope is not None:
            if change.known.reason:
                scope[change.key] = change.known
            else:
                scope.pop(change.key, None)

    async def _log(self, changed: Sequence[Suppression]) -> None:
        """Write the log, and update this process's cache at once."""
        rows = [_log_entity(each) for each in changed]
        for entity in rows:
            self._apply(_change(entity))
        await self._tables.upsert_all(TABLE, rows)


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


def _reason_of(event: MessageEvent) -> str:
    if event.event.kind == EventKind.BOUNCED and event.event.bounce_class == BounceClass.ADDRESS:
        return "bounced"
    reasons: Mapping[str, str] = {EventKind.COMPLAINED: "complained", EventKind.UNSUBSCRIBED: "unsubscribed"}
    return reasons.get(event.event.kind, "")


def _reported_by(known: Entity | None, now: datetime) -> Sequence[str]:
    """Return the ids of the clients whose mail to this address was reported as bounced, while that counts."""
    expires_at = known.properties["expires_at"] if known is not None else None
    if known is None or not isinstance(expires_at, datetime) or expires_at <= now:
        return ()
    return msgspec.json.decode(bytes(known.properties["clients"]), type=tuple[str, ...])  # type: ignore[arg-type] # bytes


def _lasts(suppression: Suppression) -> datetime:
    return suppression.expires_at or _NEVER


def _revokes(existing: Suppression, suppression: Suppression) -> bool:
    """Whether the recipient asked for mail again after what would suppress the address happened."""
    return existing.reason == RESUBSCRIBED and existing.at >= suppression.at


def _partition(scope: str) -> str:
    return f"{_OF_CLIENTS}{scope}" if scope else "all"


def _log_row(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%f}"


def _entity(each: Suppression) -> Entity:
    properties: dict[str, Any] = {
        "email": each.email,
        "reason": each.reason,
        "at": each.at,
        "source": each.source,
        "note": each.note,
    }
    if each.expires_at is not None:
        properties["expires_at"] = each.expires_at
    return Entity(partition=_partition(each.scope), row=key_of(each.email), properties=properties)


def _log_entity(each: Suppression) -> Entity:
    properties: dict[str, Any] = {"scope": each.scope, "key": key_of(each.email), "reason": each.reason, "at": each.at}
    if each.expires_at is not None:
        properties["expires_at"] = each.expires_at
    return Entity(partition=_LOG, row=f"{_log_row(each.at)}-{secrets.token_hex(6)}", properties=properties)


def _suppression(entity: Entity) -> Suppression:
    scope = "" if entity.partition == "all" else entity.partition.removeprefix(_OF_CLIENTS)
    return msgspec.convert({**entity.properties, "expires_at": _expiry(entity), "scope": scope}, Suppression)


def _expiry(entity: Entity) -> Value | None:
    """Return when an entry expires. One that replaced another and never expires has `_NEVER`."""
    at = entity.properties.get("expires_at")
    return None if at == _NEVER else at


def _known(entity: Entity) -> _Known:
    """Read what an entry says about its address. It stays suppressed if that cannot be read."""
    reason, expires_at = entity.properties.get("reason"), entity.properties.get("expires_at")
    if not isinstance(reason, str) or not reason:
        log_unreadable(TABLE, entity, TypeError("the reason is not text"))
        reason = UNREADABLE
    return _Known(reason, expires_at if isinstance(expires_at, datetime) else None)


def _change(entity: Entity) -> _Change:
    """Read a row of the log."""
    scope, key, reason = (msgspec.convert(entity.properties[name], str) for name in ("scope", "key", "reason"))
    expires_at = entity.properties.get("expires_at")
    return _Change(scope, key, _Known(reason, expires_at if isinstance(expires_at, datetime) else None))


def _is_forgotten(entity: Entity, now: datetime) -> bool:
    at, expires_at = entity.properties.get("at"), entity.properties.get("expires_at")
    if entity.partition == _LOG or entity.properties.get("reason") == RESUBSCRIBED:
        return isinstance(at, datetime) and at < now - LOG_KEPT
    return isinstance(expires_at, datetime) and expires_at <= now
