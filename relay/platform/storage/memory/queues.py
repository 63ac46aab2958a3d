"""Store queues in memory: the double of Azure Storage queues, for tests and local trials."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import NotFound
from relay.platform.storage import limits
from relay.platform.storage.ports import Received

type Clock = Callable[[], datetime]


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    body: bytes
    inserted_at: datetime
    visible_at: datetime
    sequence: int
    receipt: str = ""
    dequeue_count: int = 0


class _Queue:
    """Entries by id, and a heap of the times they become visible. `first` skips its stale items."""

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.order: list[tuple[datetime, int, str]] = []

    def copy(self) -> "_Queue":
        copied = _Queue()
        copied.entries = dict(self.entries)
        copied.order = list(self.order)
        return copied

    def hold(self, entry: _Entry) -> None:
        self.entries[entry.id] = entry
        heapq.heappush(self.order, (entry.visible_at, entry.sequence, entry.id))

    def first(self) -> _Entry | None:
        while self.order:
            visible_at, _, name = self.order[0]
            entry = self.entries.get(name)
            if entry is not None and entry.visible_at == visible_at:
                return entry
            heapq.heappop(self.order)
        return None


class QueuesSnapshot(msgspec.Struct, frozen=True):
    """A copy of the contents of all queues. `numbered` is the last number given to an entry or a receipt."""

    queues: Mapping[str, _Queue]
    numbered: int


class MemoryQueues:
    """The port `Queues`. The clock decides what is visible. Entries that become visible together keep their order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._numbered = 0

    def snapshot(self) -> QueuesSnapshot:
        """Copy the current contents. The copy can be restored any number of times."""
        return QueuesSnapshot({name: queue.copy() for name, queue in self._queues.items()}, self._numbered)

    def restore(self, snapshot: QueuesSnapshot) -> None:
        """Replace the contents with the snapshot."""
        self._queues = {name: queue.copy() for name, queue in snapshot.queues.items()}
        # Never decreases: a receipt from before a restore must not fit an entry after it.
        self._numbered = max(self._numbered, snapshot.numbered)

    def next_visible_at(self, queue: str) -> datetime | None:
        """Return when the next entry becomes or became visible, so that a test can move its clock there. None: empty queue."""
        first = self._queue(queue).first()
        return None if first is None else first.visible_at

    def bodies(self, queue: str) -> Sequence[bytes]:
        """Return the bodies of all entries, visible or not, in the order they were put."""
        return [entry.body for entry in sorted(self._queue(queue).entries.values(), key=lambda entry: entry.sequence)]

    async def create(self, queue: str) -> None:
        """See the port."""
        self._queues.setdefault(queue, _Queue())

    async def exists(self, queue: str) -> bool:
        """See the port."""
        return queue in self._queues

    async def names(self, prefix: str) -> Sequence[str]:
        """See the port."""
        return sorted(name for name in self._queues if name.startswith(prefix))

    async def put(self, queue: str, body: bytes, *, delay_seconds: int = 0) -> None:
        """See the port."""
        limits.check_queue_entry(body)
        limits.check_range("delay_seconds", delay_seconds, 0, limits.MAX_DELAY_SECONDS)
        number = self._next_number()
        now = self._clock()
        entry = _Entry(
            id=f"entry-{number}",
            body=bytes(body),
            inserted_at=now.replace(microsecond=0),
            visible_at=now + timedelta(seconds=delay_seconds),
            sequence=number,
        )
        self._queue(queue).hold(entry)

    async def receive(self, queue: str, *, limit: int = 1, lease_seconds: int = 600) -> Sequence[Received]:
        """See the port."""
        limits.check_range("limit", limit, 1, limits.MAX_RECEIVED)
        limits.check_range("lease_seconds", lease_seconds, 1, limits.MAX_DELAY_SECONDS)
        held = self._queue(queue)
        now = self._clock()
        received: list[Received] = []
        while len(received) < limit and (entry := held.first()) is not None and entry.visible_at <= now:
            leased = msgspec.structs.replace(
                entry,
                visible_at=now + timedelta(seconds=lease_seconds),
                receipt=f"receipt-{self._next_number()}",
                dequeue_count=entry.dequeue_count + 1,
            )
            held.hold(leased)
            received.append(_received(leased))
        return received

    async def delete(self, queue: str, received: Received) -> None:
        """See the port. A receipt stays good after its lease, until the entry is received again, as in Azure."""
        held = self._queues.get(queue, _Queue())
        entry = held.entries.get(received.id)
        if entry is not None and entry.receipt == received.receipt:
            del held.entries[received.id]

    async def count(self, queue: str) -> int:
        """See the port."""
        held = self._queues.get(queue)
        return 0 if held is None else len(held.entries)

    async def oldest_inserted_at(self, queue: str) -> datetime | None:
        """See the port."""
        held = self._queues.get(queue)
        first = None if held is None else held.first()
        return first.inserted_at if first is not None and first.visible_at <= self._clock() else None

    def _next_number(self) -> int:
        self._numbered += 1
        return self._numbered

    def _queue(self, queue: str) -> _Queue:
        try:
            return self._queues[queue]
        except KeyError:
            raise NotFound(f"there is no queue {queue}") from None


def _received(entry: _Entry) -> Received:
    return Received(
        id=entry.id,
        receipt=entry.receipt,
        body=entry.body,
        dequeue_count=entry.dequeue_count,
        inserted_at=entry.inserted_at,
    )
