"""Count storage operations, lost races and refusals when many instances reserve in one table row.

The instances are objects in one process on tables in memory whose calls take as long as Azure's, so that hundreds of them fit
on one machine. Counts are exact enough to compare; the time taken says nothing about Azure.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from bench.results import Figure
from relay.core.errors import Changed, Unavailable
from relay.core.settings import Pace
from relay.platform.storage.memory.tables import MemoryTables
from relay.platform.storage.ports import Entity
from relay.routes.pacing import TABLE, Pacing

INSTANCES = (1, 4, 10, 40, 200)
SENDERS = 24
"""Queue entries that an instance delivers at once (host.json: batchSize and newBatchThreshold)."""
ENTRIES = 4
"""Entries of one message that each sender delivers, one after the other."""
PLENTY = Pace(count=10**9, seconds=60)
"""Slots are never scarce: what is refused is refused because of contention."""


class _RemoteTables(MemoryTables):
    """Tables whose calls take 4 to 12 ms, and are counted."""

    operations = 0
    lost_races = 0

    async def get(self, table: str, partition: str, row: str) -> Entity:
        await self._travel()
        return await super().get(table, partition, row)

    async def insert(self, table: str, entity: Entity) -> str:
        await self._travel()
        return await super().insert(table, entity)

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        await self._travel()
        try:
            return await super().merge(table, entity, etag=etag)
        except Changed:
            self.lost_races += 1
            raise

    async def _travel(self) -> None:
        self.operations += 1
        await asyncio.sleep(random.uniform(0.004, 0.012))  # noqa: S311 - not a secret


async def contention(_: int) -> AsyncIterator[Figure]:
    """Measure the slots of one paced mailbox by the number of instances that send from it."""
    for instances in INSTANCES:
        tables = _RemoteTables(lambda: datetime.now(UTC))
        await tables.create(TABLE)
        refused = sum(await asyncio.gather(*(_instance(tables) for _ in range(instances))))
        messages = instances * SENDERS * ENTRIES
        name = f"pace/{instances} instances"
        yield Figure(name=f"{name} refused", unit="%", runs=[100 * refused / messages])
        yield Figure(name=f"{name} operations", unit="a message", runs=[tables.operations / messages])
        yield Figure(name=f"{name} lost races", unit="a message", runs=[tables.lost_races / messages])


async def _instance(tables: _RemoteTables) -> int:
    """Send as one instance. Returns the number of refused reservations."""
    pacing = Pacing(tables, lambda: datetime.now(UTC))

    async def send() -> int:
        refused = 0
        for _ in range(ENTRIES):
            try:
                await pacing.slots([PLENTY], ["mailbox"], 1)
            except Unavailable:
                refused += 1
            await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - not a secret
        return refused

    return sum(await asyncio.gather(*(send() for _ in range(SENDERS))))
