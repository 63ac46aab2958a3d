"""Combine the in-memory doubles of the three storage adapters. The contract tests hold them to the adapters' behavior.

They need no server and follow an injected clock. `snapshot` copies their contents and `restore` puts a copy back.
"""

import msgspec

from relay.platform.storage.memory.blobs import BlobsSnapshot, MemoryBlobs
from relay.platform.storage.memory.queues import Clock, MemoryQueues, QueuesSnapshot
from relay.platform.storage.memory.tables import MemoryTables, TablesSnapshot
from relay.platform.storage.ports import Storage

__all__ = ["MemoryBlobs", "MemoryQueues", "MemoryStorage", "MemoryTables", "StorageSnapshot", "memory_storage"]


class StorageSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a whole storage."""

    queues: QueuesSnapshot
    tables: TablesSnapshot
    blobs: BlobsSnapshot


class MemoryStorage(Storage, frozen=True, kw_only=True):
    """The three doubles together."""

    queues: MemoryQueues
    tables: MemoryTables
    blobs: MemoryBlobs

    def snapshot(self) -> StorageSnapshot:
        """Copy the current contents. The copy can be restored any number of times, also into another `MemoryStorage`."""
        return StorageSnapshot(
            queues=self.queues.snapshot(), tables=self.tables.snapshot(), blobs=self.blobs.snapshot()
        )

    def restore(self, snapshot: StorageSnapshot) -> None:
        """Replace the contents with the snapshot."""
        self.queues.restore(snapshot.queues)
        self.tables.restore(snapshot.tables)
        self.blobs.restore(snapshot.blobs)


def memory_storage(clock: Clock) -> MemoryStorage:
    """Make an empty storage in memory. `clock` returns the time, aware and in UTC."""
    return MemoryStorage(queues=MemoryQueues(clock), tables=MemoryTables(clock), blobs=MemoryBlobs(clock))
