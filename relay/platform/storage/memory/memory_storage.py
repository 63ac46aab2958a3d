"""Storage in memory: doubles of the three adapters, as faithful as the contract tests can tell.

They need no server, follow an injected clock and are quick to copy: `snapshot` what they hold at a moment,
and `restore` it as often as wanted.
"""

import msgspec

from relay.platform.storage.memory.blobs import BlobsSnapshot, MemoryBlobs
from relay.platform.storage.memory.queues import Clock, MemoryQueues, QueuesSnapshot
from relay.platform.storage.memory.tables import MemoryTables, TablesSnapshot
from relay.platform.storage.ports import Storage

__all__ = ["MemoryBlobs", "MemoryQueues", "MemoryStorage", "MemoryTables", "StorageSnapshot", "memory_storage"]


class StorageSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole storage held at a moment."""

    queues: QueuesSnapshot
    tables: TablesSnapshot
    blobs: BlobsSnapshot


class MemoryStorage(Storage, frozen=True, kw_only=True):
    """The three doubles together."""

    queues: MemoryQueues
    tables: MemoryTables
    blobs: MemoryBlobs

    def snapshot(self) -> StorageSnapshot:
        """What storage holds now. It can be restored any number of times, also into another `MemoryStorage`."""
        return StorageSnapshot(
            queues=self.queues.snapshot(), tables=self.tables.snapshot(), blobs=self.blobs.snapshot()
        )

    def restore(self, snapshot: StorageSnapshot) -> None:
        """Forget everything and hold what the snapshot holds."""
        self.queues.restore(snapshot.queues)
        self.tables.restore(snapshot.tables)
        self.blobs.restore(snapshot.blobs)


def memory_storage(clock: Clock) -> MemoryStorage:
    """An empty storage in memory. `clock` gives the time, aware and in UTC."""
    return MemoryStorage(queues=MemoryQueues(clock), tables=MemoryTables(), blobs=MemoryBlobs(clock))
