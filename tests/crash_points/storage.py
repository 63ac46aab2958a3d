"""The storage that one process sees: the doubles of `relay.platform.storage.memory.memory_storage`, each operation
of which can go wrong."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import AlreadyExists, NotFound
from relay.platform.resources import AUDIT_CONTAINER
from relay.platform.storage.memory.memory_storage import MemoryBlobs, MemoryQueues, MemoryStorage, MemoryTables
from relay.platform.storage.ports import Blob, Entity, Page, Query, Received, Storage
from tests.crash_points.faults import Operation, Process


class HostQueues(MemoryQueues):
    """The double, with operations of the Functions host and of accidents. `history`: every body ever put.

    `stir` is called whenever an entry is put or moved.
    """

    def __init__(self, clock: Callable[[], datetime], stir: Callable[[], None]) -> None:
        super().__init__(clock)
        self._stir = stir
        self.history: list[bytes] = []

    async def put(self, queue: str, body: bytes, *, delay_seconds: int = 0) -> None:
        """See the port."""
        await super().put(queue, body, delay_seconds=delay_seconds)
        if body not in self.history:
            self.history.append(body)
        self._stir()

    def end_leases(self, queue: str, now: datetime) -> None:
        """Make all leased entries visible now, although functions still work on them."""
        for entry in list(self._queue(queue).entries.values()):
            if entry.receipt and entry.visible_at > now:
                self._queue(queue).hold(msgspec.structs.replace(entry, visible_at=now))
        self._stir()

    def lose(self, queue: str, may_lose: Callable[[bytes], bool]) -> None:
        """Lose entries, as a queue must never do."""
        held = self._queue(queue)
        for entry in list(held.entries.values()):
            if may_lose(entry.body):
                del held.entries[entry.id]

    def release(self, queue: str, received: Received, now: datetime, seconds: float) -> None:
        """Make a received entry visible again after `seconds`."""
        held = self._queue(queue)
        entry = held.entries.get(received.id)
        if entry is not None and entry.receipt == received.receipt:
            held.hold(msgspec.structs.replace(entry, visible_at=now + timedelta(seconds=seconds)))
            self._stir()


def storage_of(process: Process, memory: MemoryStorage) -> Storage:
    """Give `process` access to `memory`."""
    return Storage(
        queues=_Queues(process, memory.queues),
        tables=_Tables(process, memory.tables),
        blobs=_Blobs(process, memory.blobs),
    )


class _Queues:
    def __init__(self, process: Process, inner: MemoryQueues) -> None:
        self._process = process
        self._inner = inner

    async def create(self, queue: str) -> None:
        await self._inner.create(queue)

    async def exists(self, queue: str) -> bool:
        return await self._inner.exists(queue)

    async def names(self, prefix: str) -> Sequence[str]:
        operation = Operation(name=f"list queues {prefix}", is_write=False)
        return await self._process.operate(operation, lambda: self._inner.names(prefix))

    async def put(self, queue: str, body: bytes, *, delay_seconds: int = 0) -> None:
        operation = Operation(name=f"put {queue}")
        await self._process.operate(operation, lambda: self._inner.put(queue, body, delay_seconds=delay_seconds))

    async def receive(self, queue: str, *, limit: int = 1, lease_seconds: int = 600) -> Sequence[Received]:
        operation = Operation(name=f"receive {queue}")
        return await self._process.operate(
            operation, lambda: self._inner.receive(queue, limit=limit, lease_seconds=lease_seconds)
        )

    async def delete(self, queue: str, received: Received) -> None:
        operation = Operation(name=f"deletion in {queue}")
        await self._process.operate(operation, lambda: self._inner.delete(queue, received))

    async def count(self, queue: str) -> int:
        operation = Operation(name=f"count {queue}", is_write=False)
        return await self._process.operate(operation, lambda: self._inner.count(queue))

    async def oldest_inserted_at(self, queue: str) -> datetime | None:
        operation = Operation(name=f"peek {queue}", is_write=False)
        return await self._process.operate(operation, lambda: self._inner.oldest_inserted_at(queue))


class _Tables:
    def __init__(self, process: Process, inner: MemoryTables) -> None:
        self._process = process
        self._inner = inner

    async def create(self, table: str) -> None:
        await self._inner.create(table)

    async def insert(self, table: str, entity: Entity) -> str:
        operation = Operation(name=f"insert {table}")
        return await self._process.operate(operation, lambda: self._inner.insert(table, entity))

    async def get(self, table: str, partition: str, row: str) -> Entity:
        operation = Operation(name=f"get {table}", is_write=False)
        return await self._process.operate(operation, lambda: self._inner.get(table, partition, row))

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        touch = self._touch(table, entity.partition, entity.row) if etag is not None else None
        operation = Operation(name=f"merge {table}", touch=touch)
        return await self._process.operate(operation, lambda: self._inner.merge(table, entity, etag=etag))

    async def merge_with(self, table: str, entity: Entity, others: Sequence[Entity], *, etag: str) -> None:
        operation = Operation(name=f"transaction in {table}", touch=self._touch(table, entity.partition, entity.row))
        await self._process.operate(operation, lambda: self._inner.merge_with(table, entity, others, etag=etag))

    async def upsert(self, table: str, entity: Entity) -> str:
        operation = Operation(name=f"upsert {table}")
        return await self._process.operate(operation, lambda: self._inner.upsert(table, entity))

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        touch = self._touch(table, partition, row) if etag is not None else None
        operation = Operation(name=f"deletion in {table}", touch=touch)
        await self._process.operate(operation, lambda: self._inner.delete(table, partition, row, etag=etag))

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        for entity in entities:
            await self.upsert(table, entity)

    async def delete_all(self, table: str, partition: str, rows: Sequence[str]) -> None:
        operation = Operation(name=f"deletion in {table}")
        await self._process.operate(operation, lambda: self._inner.delete_all(table, partition, rows))

    async def delete_unchanged(self, table: str, entities: Sequence[Entity]) -> int:
        operation = Operation(name=f"deletion in {table}")
        return await self._process.operate(operation, lambda: self._inner.delete_unchanged(table, entities))

    async def query(self, table: str, query: Query, *, limit: int = 1000, cursor: str | None = None) -> Page:
        operation = Operation(name=f"query {table}", is_write=False)
        return await self._process.operate(
            operation, lambda: self._inner.query(table, query, limit=limit, cursor=cursor)
        )

    def _touch(self, table: str, partition: str, row: str) -> Callable[[], Awaitable[None]]:
        """Change a row as another writer, without an effect on its readers."""

        async def touch() -> None:
            try:
                await self._inner.merge(table, Entity(partition=partition, row=row, properties={"touched": True}))
            except NotFound:
                return

        return touch


class _Blobs:
    def __init__(self, process: Process, inner: MemoryBlobs) -> None:
        self._process = process
        self._inner = inner

    async def create(self, container: str) -> None:
        await self._inner.create(container)

    async def put(
        self, container: str, name: str, body: bytes, *, content_type: str = "application/octet-stream"
    ) -> None:
        operation = Operation(name=f"put into {container}")
        await self._process.operate(
            operation, lambda: self._inner.put(container, name, body, content_type=content_type)
        )

    async def replace(self, container: str, name: str, body: bytes, *, etag: str) -> None:
        async def touch() -> None:
            await self._inner.put(container, name, await self._inner.get(container, name))

        operation = Operation(name=f"replacement in {container}", touch=touch)
        await self._process.operate(operation, lambda: self._inner.replace(container, name, body, etag=etag))

    async def put_stream(
        self,
        container: str,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str = "application/octet-stream",
    ) -> int:
        async def effect() -> int:
            known, _ = await self._inner.list(container, prefix=name)
            if container == AUDIT_CONTAINER and known:
                raise AlreadyExists(f"{name}: 409 BlobImmutableDueToPolicy")
            return await self._inner.put_stream(container, name, chunks, content_type=content_type)

        return await self._process.operate(Operation(name=f"put into {container}"), effect)

    async def get(self, container: str, name: str) -> bytes:
        operation = Operation(name=f"get from {container}", is_write=False)
        return await self._process.operate(operation, lambda: self._inner.get(container, name))

    async def read(self, container: str, name: str) -> tuple[bytes, str]:
        operation = Operation(name=f"get from {container}", is_write=False)
        return await self._process.operate(operation, lambda: self._inner.read(container, name))

    async def stream(self, container: str, name: str) -> AsyncIterator[bytes]:
        yield await self.get(container, name)

    async def delete(self, container: str, name: str) -> None:
        operation = Operation(name=f"deletion in {container}")
        await self._process.operate(operation, lambda: self._inner.delete(container, name))

    async def list(
        self, container: str, *, prefix: str = "", limit: int = 1000, cursor: str | None = None
    ) -> tuple[Sequence[Blob], str | None]:
        operation = Operation(name=f"list {container}", is_write=False)
        return await self._process.operate(
            operation, lambda: self._inner.list(container, prefix=prefix, limit=limit, cursor=cursor)
        )
