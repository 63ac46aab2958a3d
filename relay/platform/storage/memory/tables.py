"""Store tables in memory: the double of Azure Storage tables, for tests and local trials."""

import itertools
import json
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from relay.core.errors import AlreadyExists, Changed, NotFound
from relay.platform.storage import limits
from relay.platform.storage.ports import Entity, Page, Query

type _Key = tuple[str, str]


def _now() -> datetime:
    return datetime.now(UTC)


class _Table:
    """Rows by key, and the keys in order."""

    def __init__(self) -> None:
        self.rows: dict[_Key, Entity] = {}
        self.keys: list[_Key] = []

    def copy(self) -> "_Table":
        copied = _Table()
        copied.rows = dict(self.rows)
        copied.keys = list(self.keys)
        return copied

    def put(self, entity: Entity) -> str:
        key = (entity.partition, entity.row)
        if key not in self.rows:
            insort(self.keys, key)
        self.rows[key] = entity
        return entity.etag

    def remove(self, key: _Key) -> None:
        if self.rows.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def from_key(self, key: _Key) -> Iterator[_Key]:
        return itertools.islice(self.keys, bisect_left(self.keys, key), None)


class TablesSnapshot(msgspec.Struct, frozen=True):
    """A copy of the contents of all tables. `version` is the last number given to an ETag."""

    tables: Mapping[str, _Table]
    version: int


class MemoryTables:
    """The port `Tables`.

    Azure ends a page after scanning 1000 rows, matching or not. `rows_looked_at` replaces that number, so that a test with
    few rows can get short and empty pages. `clock` dates each write.
    """

    def __init__(self, clock: Callable[[], datetime] = _now, *, rows_looked_at: int = limits.MAX_PAGE_ROWS) -> None:
        self._clock = clock
        self._tables: dict[str, _Table] = {}
        self._rows_looked_at = rows_looked_at
        self._version = 0

    def snapshot(self) -> TablesSnapshot:
        """Copy the current contents. The copy can be restored any number of times."""
        return TablesSnapshot({name: table.copy() for name, table in self._tables.items()}, self._version)

    def restore(self, snapshot: TablesSnapshot) -> None:
        """Replace the contents with the snapshot."""
        self._tables = {name: table.copy() for name, table in snapshot.tables.items()}
        # Never decreases: an ETag from before a restore must not fit a row after it.
        self._version = max(self._version, snapshot.version)

    def rows(self, table: str) -> Sequence[Entity]:
        """Return all rows of a table, in order."""
        held = self._table(table)
        return [held.rows[key] for key in held.keys]

    async def create(self, table: str) -> None:
        """See the port."""
        self._tables.setdefault(table, _Table())

    async def insert(self, table: str, entity: Entity) -> str:
        """See the port."""
        held = self._table(table)
        if (entity.partition, entity.row) in held.rows:
            raise AlreadyExists(f"table {table} has this row")
        return held.put(self._written(entity))

    async def get(self, table: str, partition: str, row: str) -> Entity:
        """See the port."""
        return self._row(table, partition, row)

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        """See the port."""
        known = self._row(table, entity.partition, entity.row)
        if etag is not None and etag != known.etag:
            raise Changed(f"a row of table {table} was changed")
        merged = msgspec.structs.replace(entity, properties={**known.properties, **entity.properties})
        return self._table(table).put(self._written(merged))

    async def merge_with(self, table: str, entity: Entity, others: Sequence[Entity], *, etag: str) -> None:
        """See the port."""
        await self.merge(table, entity, etag=etag)
        await self.upsert_all(table, others)

    async def upsert(self, table: str, entity: Entity) -> str:
        """See the port."""
        return self._table(table).put(self._written(entity))

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        """See the port."""
        for entity in entities:
            await self.upsert(table, entity)

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        """See the port."""
        try:
            known = self._row(table, partition, row)
        except NotFound:
            return
        if etag is not None and etag != known.etag:
            raise Changed(f"a row of table {table} was changed")
        self._table(table).remove((partition, row))

    async def delete_all(self, table: str, partition: str, rows: Sequence[str]) -> None:
        """See the port."""
        for row in rows:
            await self.delete(table, partition, row)

    async def delete_unchanged(self, table: str, entities: Sequence[Entity]) -> int:
        """See the port."""
        gone = 0
        for entity in entities:
            with suppress(Changed):
                await self.delete(table, entity.partition, entity.row, etag=entity.etag)
                gone += 1
        return gone

    async def query(self, table: str, query: Query, *, limit: int = 1000, cursor: str | None = None) -> Page:
        """See the port."""
        limits.check_range("limit", limit, 1, limits.MAX_PAGE_ROWS)
        held = self._table(table)
        found: list[Entity] = []
        for looked_at, key in enumerate(held.from_key(_first(query) if cursor is None else _parse(cursor))):
            if _is_beyond(query, key):
                break
            if len(found) == limit or looked_at == self._rows_looked_at:
                return Page(entities=found, next=json.dumps(key))
            if _is_wanted(query, held.rows[key]):
                found.append(_selected(query, held.rows[key]))
        return Page(entities=found)

    def _written(self, entity: Entity) -> Entity:
        properties = {name: limits.as_stored(value) for name, value in entity.properties.items()}
        limits.check_entity(entity.partition, entity.row, properties)
        self._version += 1
        return Entity(
            partition=entity.partition,
            row=entity.row,
            properties=properties,
            etag=f'W/"version-{self._version}"',
            written_at=self._clock(),
        )

    def _table(self, table: str) -> _Table:
        try:
            return self._tables[table]
        except KeyError:
            raise NotFound(f"there is no table {table}") from None

    def _row(self, table: str, partition: str, row: str) -> Entity:
        try:
            return self._table(table).rows[partition, row]
        except KeyError:
            raise NotFound(f"table {table} has no such row") from None


def _parse(cursor: str) -> _Key:
    try:
        return msgspec.json.decode(cursor, type=tuple[str, str])
    except msgspec.MsgspecError as error:
        raise ValueError("not a page cursor") from error


def _first(query: Query) -> _Key:
    if query.partition is not None:
        return query.partition, max(query.row or "", query.row_from or "")
    return query.partition_from or "", ""


def _is_beyond(query: Query, key: _Key) -> bool:
    partition, row = key
    if query.partition is None:
        return query.partition_before is not None and partition >= query.partition_before
    return (
        partition > query.partition
        or (query.row is not None and row > query.row)
        or (query.row_before is not None and row >= query.row_before)
    )


def _is_wanted(query: Query, entity: Entity) -> bool:
    return (
        _is_within(entity.partition, query.partition, query.partition_from, query.partition_before)
        and _is_within(entity.row, query.row, query.row_from, query.row_before)
        and all(_is_equal(entity.properties.get(name), value) for name, value in query.equals.items())
    )


def _is_within(key: str, exactly: str | None, first: str | None, before: str | None) -> bool:
    return (exactly is None or key == exactly) and (first is None or key >= first) and (before is None or key < before)


def _is_equal(stored: object, wanted: object) -> bool:
    # Azure compares only values of the same type: there, True is not 1.
    return isinstance(stored, bool) == isinstance(wanted, bool) and stored == wanted


def _selected(query: Query, entity: Entity) -> Entity:
    if query.select is None:
        return entity
    properties = {name: entity.properties[name] for name in query.select if name in entity.properties}
    return msgspec.structs.replace(entity, properties=properties)
