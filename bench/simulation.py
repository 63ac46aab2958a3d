"""Simulate many instances on tables in memory, in virtual time: the same counts in every run, on any machine.

The instances are objects in one process. A table call takes 4 to 12 virtual milliseconds, as in Azure, and other instances run in
that time; nothing waits in real time.
"""

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from selectors import SelectorKey
from typing import Any

from relay.core.errors import AlreadyExists, Changed
from relay.platform.storage.memory.tables import MemoryTables
from relay.platform.storage.ports import Entity, Page, Query

_BEGINNING = datetime(2026, 1, 5, 9, tzinfo=UTC)
_SEED = 17


class _Selector(selectors.SelectSelector):
    """Returns at once, and adds up the time it should have waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        self.waited += max(0.0, timeout or 0.0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while all tasks wait."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.waited


def now() -> datetime:
    """Return the virtual time."""
    return _BEGINNING + timedelta(seconds=asyncio.get_running_loop().time())


async def pause(minimum: float, maximum: float) -> None:
    """Wait for a random virtual time, in seconds."""
    await asyncio.sleep(random.uniform(minimum, maximum))  # noqa: S311 - not a secret


async def simulated[T](simulation: Callable[[], Awaitable[T]]) -> T:
    """Run a simulation from the beginning of virtual time, in a thread of its own."""

    async def main() -> T:
        return await simulation()

    def run() -> T:
        random.seed(_SEED)
        with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
            return runner.run(main())

    return await asyncio.to_thread(run)


class RemoteTables(MemoryTables):
    """Tables whose calls take time and are counted, also by partition."""

    def __init__(self) -> None:
        super().__init__(now)
        self.partitions: Counter[tuple[str, str]] = Counter()
        self.lost_races = 0

    @property
    def operations(self) -> int:
        """The number of requests."""
        return self.partitions.total()

    @property
    def hottest(self) -> int:
        """The number of requests to the partition that has the most."""
        return max(self.partitions.values())

    async def get(self, table: str, partition: str, row: str) -> Entity:
        """See the port."""
        return await self._remote(table, partition, super().get(table, partition, row))

    async def insert(self, table: str, entity: Entity) -> str:
        """See the port."""
        return await self._remote(table, entity.partition, super().insert(table, entity))

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        """See the port."""
        return await self._remote(table, entity.partition, super().merge(table, entity, etag=etag))

    async def upsert(self, table: str, entity: Entity) -> str:
        """See the port."""
        return await self._remote(table, entity.partition, super().upsert(table, entity))

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        """See the port: a transaction is one request."""
        for entity in entities:
            await super().upsert(table, entity)
        await self._remote(table, entities[0].partition, asyncio.sleep(0))

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        """See the port."""
        await self._remote(table, partition, super().delete(table, partition, row, etag=etag))

    async def query(self, table: str, query: Query, *, limit: int = 1000, cursor: str | None = None) -> Page:
        """See the port."""
        found = super().query(table, query, limit=limit, cursor=cursor)
        return await self._remote(table, query.partition or "", found)

    async def _remote[T](self, table: str, partition: str, call: Awaitable[T]) -> T:
        self.partitions[table, partition] += 1
        await pause(0.002, 0.006)
        try:
            return await call
        except (AlreadyExists, Changed):
            self.lost_races += 1
            raise
        finally:
            await pause(0.002, 0.006)


async def together(calls: Iterable[Awaitable[Any]]) -> None:
    """Run all instances at the same time."""
    await asyncio.gather(*calls)
