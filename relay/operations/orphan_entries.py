"""Entries on queues that no function reads any more: those of a lane that was taken away, or that lost some of its queues.

They never expire, so nothing is lost; but nobody would deliver them. They are put on a queue that is read. Whoever dies
between the put and the deletion leaves an entry twice, and the journal knows a batch it has seen.
"""

import logging
import re
from collections.abc import Mapping
from functools import partial

from relay.core import entries as wire
from relay.core.errors import NewerVersion, UnreadableEntry
from relay.core.settings import Lane, queues_for
from relay.platform import concurrency
from relay.platform.log import log_event
from relay.platform.resources import poison_of, queues_of
from relay.platform.storage.ports import Queues, Received

MOST = 1_000
"""Entries of one run: it shares its minute with others."""
_AT_A_TIME = 32
_AT_ONCE = 8
_LEASE_SECONDS = 60
_PREFIX = "relay-"
_QUEUE = re.compile(r"relay-(?P<lane>[a-z0-9]+)(-[0-9]+)?(?P<poison>-poison)?")
"""What a lane's queues are named (`relay.core.settings.Lane.queues`)."""


class OrphanEntries:
    """Finds them, and puts them where they are read."""

    def __init__(self, *, queues: Queues, lanes: Mapping[str, Lane]) -> None:
        self._queues = queues
        self._lanes = lanes
        self._read = frozenset(queues_of(lanes))

    async def collect(self) -> int:
        """Move up to `MOST` entries; how many. Raises `StorageError`; a repetition is safe."""
        moved = 0
        for queue in await self._queues.names(_PREFIX):
            name = _QUEUE.fullmatch(queue)
            if name is not None and queue not in self._read and moved < MOST:
                home = queues_for(self._lanes, name["lane"])[0]
                moved += await self._empty(queue, poison_of(home) if name["poison"] else home, MOST - moved)
        return moved

    async def _empty(self, queue: str, home: str, limit: int) -> int:
        moved = 0
        while moved < limit:
            received = await self._queues.receive(queue, limit=_AT_A_TIME, lease_seconds=_LEASE_SECONDS)
            ours = [entry for entry in received if _is_ours(entry.body)]
            await concurrency.gather_limited(
                (partial(self._move, queue, home, entry) for entry in ours), limit=_AT_ONCE
            )
            moved += len(ours)
            if len(ours) < len(received):
                log_event("foreign_entries", level=logging.WARNING, queue=queue, entries=len(received) - len(ours))
            if len(ours) < _AT_A_TIME:
                break
        if moved:
            log_event("strays_collected", queue=queue, onto=home, entries=moved)
        return moved

    async def _move(self, queue: str, home: str, entry: Received) -> None:
        await self._queues.put(home, entry.body)
        await self._queues.delete(queue, entry)


def _is_ours(body: bytes) -> bool:
    try:
        wire.decode_entry(body)
    except NewerVersion:
        # Whoever reads the queue leaves it to that version.
        return True
    except UnreadableEntry:
        return False
    return True
