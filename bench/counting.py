"""Count table operations."""

from collections.abc import Sequence

from relay.platform.storage.ports import Entity, Page, Query, Tables


class CountingTables:
    """Wraps `Tables`; `operations` counts requests as Azure bills them (one transaction per 100 deletes)."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.operations = 0

    async def create(self, table: str) -> None:
        """See the port."""
        await self._tables.create(table)

    async def insert(self, table: str, entity: Entity) -> str:
        """See the port."""
        self.operations += 1
        return await self._tables.insert(table, entity)

    async def get(self, table: str, partition: str, row: str) -> Entity:
        """See the port."""
        self.operations += 1
        return await self._tables.get(table, partition, row)

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        """See the port."""
        self.operations += 1
        return await self._tables.merge(table, entity, etag=etag)

    async def merge_with(self, table: str, entity: Entity, others: Sequence[Entity], *, etag: str) -> None:
        """See the port."""
        self.operations += 1
        await self._tables.merge_with(table, entity, others, etag=etag)

    async def upsert(self, table: str, entity: Entity) -> str:
        """See the port."""
        self.operations += 1
        return await self._tables.upsert(table, entity)

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        """See the port."""
        self.operations += -(-len(entities) // 100)
        await self._tables.upsert_all(table, entities)

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        """See the port."""
        self.operations += 1
        await self._tables.delete(table, partition, row, etag=etag)

    async def delete_all(self, table: str, partition: str, rows: Sequence[str]) -> None:
        """See the port."""
        self.operations += -(-len(rows) // 100)
        await self._tables.delete_all(table, partition, rows)

    async def delete_unchanged(self, table: str, entities: Sequence[Entity]) -> int:
        """See the port."""
        self.operations += -(-len(entities) // 100)
        return await self._tables.delete_unchanged(table, entities)

    async def query(self, table: str, query: Query, *, limit: int = 1000, cursor: str | None = None) -> Page:
        """See the port."""
        self.operations += 1
        return await self._tables.query(table, query, limit=limit, cursor=cursor)
