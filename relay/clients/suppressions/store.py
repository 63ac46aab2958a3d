"""Read and change suppressions. The log is written second: see `cache`."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from relay.clients.suppressions.cache import LOG, LOG_KEPT, KnownSuppressions, SuppressionCache
from relay.clients.suppressions.rows import (
    ALL,
    EXPIRED,
    NO_EXPIRY,
    OF_CLIENTS,
    RESUBSCRIBED,
    TABLE,
    Suppression,
    entity_of,
    key_of,
    partition_of,
    suppression_of,
    topic_scope,
)
from relay.core.errors import Changed, NotFound
from relay.core.model import Address
from relay.core.settings import SuppressionRule
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.storage.ports import Entity, Query, Tables, delete_where, every_row
from relay.platform.storage.readable import decode, readable
from relay.platform.storage.rows import RowChange, change_row

DROPPED_AT_ONCE = 16


class Suppressions:
    """Reads and changes suppressed addresses."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime], rules: Mapping[str, SuppressionRule]) -> None:
        self._tables = tables
        self._clock = clock
        self._rules = rules
        self._cache = SuppressionCache(tables, clock)

    # ── reading ──

    async def known_to(self, client_id: str, topics: Iterable[str] = ()) -> KnownSuppressions:
        """Return the suppressions of a client and of these topics, as of at most 30 seconds ago.

        Raises `Unavailable` only before the first read.
        """
        scopes = {topic: topic_scope(client_id, topic) for topic in topics}
        now = await self._cache.refresh((client_id, ALL, *scopes.values()), client_id)
        of_topics = {topic: self._cache[scope] for topic, scope in scopes.items()}
        return KnownSuppressions((self._cache[client_id], self._cache[ALL]), now, of_topics)

    async def is_unsubscribed(self, client_id: str, topic: str, email: str) -> bool:
        """Return whether an address gets no mail about a topic: as old as the result of `known_to`, with the same errors."""
        scope = topic_scope(client_id, topic)
        now = await self._cache.refresh((scope,), client_id)
        known = KnownSuppressions((), now, {topic: self._cache[scope]})
        return bool(known.among([Address(email=email)], topic))

    async def last(self, scope: str, email: str) -> Suppression | None:
        """Read the entry of an address, even an expired one; None if there is none."""
        try:
            return decode(TABLE, await self._tables.get(TABLE, partition_of(scope), key_of(email)), suppression_of)
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
        page = await self._tables.query(TABLE, Query(partition=partition_of(scope)), limit=limit, cursor=cursor)
        found, now = readable(TABLE, page.entities, suppression_of), self._clock()
        return [each for each in found if each.email and not each.is_over(now)], page.next

    # ── changing ──

    def made(self, email: str, reason: str, client_id: str, **more: Any) -> Suppression:
        """Make an entry with the scope and expiry that the rule of its reason sets. `more` are other fields."""
        rule, now = self._rules[reason], self._clock()
        expires_at = now + timedelta(days=rule.days) if rule.days else None
        fields = {"scope": ALL if rule.for_all else client_id, "expires_at": expires_at, **more}
        return Suppression(email=email, reason=reason, at=now, **fields)

    async def put(self, suppressions: Sequence[Suppression]) -> None:
        """Write entries, replacing existing ones."""
        for partition in {partition_of(each.scope) for each in suppressions}:
            rows = {entity.row: entity for entity in map(entity_of, suppressions) if entity.partition == partition}
            await self._tables.upsert_all(TABLE, list(rows.values()))
        await self._cache.log(suppressions)

    async def add(self, suppression: Suppression) -> None:
        """Write an entry, unless an existing one lasts as long or longer."""
        entity = entity_of(suppression)
        # A merge keeps properties that it does not name, such as an older entry's expiry.
        properties = {"expires_at": NO_EXPIRY, **entity.properties}

        def decide(known: Entity | None) -> RowChange[bool]:
            existing = list(readable(TABLE, (known,) if known is not None else (), suppression_of))
            if any(each.prevails_over(suppression) for each in existing):
                # The log may lack this very entry: a process can die between the two writes.
                return RowChange(result=any(each.at == suppression.at for each in existing))
            return RowChange(result=True, properties=entity.properties if known is None else properties)

        if await change_row(self._tables, TABLE, entity.partition, entity.row, decide, is_new=True):
            await self._cache.log([suppression])

    async def remove(self, scope: str, emails: Iterable[str]) -> None:
        """Remove addresses from a scope. Missing ones are not an error."""
        # The time from before the removal: an entry that is added after it must come later in the log.
        chosen, now = list(emails), self._clock()
        await self._tables.delete_all(TABLE, partition_of(scope), [key_of(email) for email in chosen])
        await self._cache.log([_removal(scope, each, now) for each in chosen])

    async def resubscribe(self, scope: str, email: str, at: datetime) -> None:
        """End an entry of a topic, so that no event from before `at` brings it back."""
        await self.put([Suppression(email=email, reason=RESUBSCRIBED, scope=scope, at=at, expires_at=EXPIRED)])

    async def forget_address(self, email: str) -> int:
        """Blank an address in the entries of topics. Returns the number of changed entries. Scans the table.

        The digest of the address stays, so that the recipient stays unsubscribed.
        """
        query = Query(partition_from=OF_CLIENTS, partition_before=f"{OF_CLIENTS}~", row=key_of(email))
        forgotten = 0
        async for row in every_row(self._tables, TABLE, query):
            if row.properties.get("email") and "~" in row.partition:
                with suppress(NotFound):
                    blank = Entity(partition=row.partition, row=row.row, properties={"email": "", "note": ""})
                    await self._tables.merge(TABLE, blank)
                    forgotten += 1
        return forgotten

    async def drop_missing(self, source: str, before: datetime) -> int:
        """Remove the entries of a source that its provider no longer lists: those last seen before this time.

        An entry that is written after it was read stays: it may have another reason by now.
        """

        async def missing() -> AsyncIterator[tuple[Entity, Suppression]]:
            async for row in every_row(self._tables, TABLE, Query(partition=partition_of(ALL))):
                for each in readable(TABLE, (row,), suppression_of):
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
        await self._cache.log([_removal(known.scope, known.email, now)])
        return True

    async def remove_all(self, client_id: str, deadline: Deadline = NEVER) -> Progress:
        """Delete the lists of a deleted client and its topics."""
        own = partition_of(client_id)
        first = partition_of(topic_scope(client_id, ""))
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


def _removal(scope: str, email: str, now: datetime) -> Suppression:
    """Return the log's entry for a removed address."""
    return Suppression(email=email, reason="", scope=scope, at=now, expires_at=now)


def _is_forgotten(entity: Entity, now: datetime) -> bool:
    at, expires_at = entity.properties.get("at"), entity.properties.get("expires_at")
    if entity.partition == LOG or entity.properties.get("reason") == RESUBSCRIBED:
        return isinstance(at, datetime) and at < now - LOG_KEPT
    return isinstance(expires_at, datetime) and expires_at <= now
