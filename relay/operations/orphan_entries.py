"""Move entries off queues that no function reads: those of a removed lane, or of a lane with fewer queues than before.

They never expire, so nothing is lost, but nothing would deliver them either. If the process dies between the put and the
delete, an entry exists twice, and the journal recognizes a batch it has seen.
"""

import logging
import re
from collections.abc import Mapping
from functools import partial

from relay.core import entries
from relay.core.errors import NewerVersion, UnreadableEntry
from relay.core.settings import Lane, queues_for
from relay.platform import concurrency
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.log import log_event
from relay.platform.resources import poison_of, queues_of
from relay.platform.storage.ports import Queues, Received

MAX_ENTRIES = 1_000
"""Entries moved per run: the minute timer has other steps too."""
_PAGE = 32
_CONCURRENCY = 8
_LEASE_SECONDS = 60
_PREFIX = "relay-"
_QUEUE = re.compile(r"relay-(?P<lane>[a-z0-9]+)(-[0-9]+)?(?P<poison>-poison)?")
"""The names of a lane's queues (`relay.core.settings.Lane.queues`)."""


class OrphanEntries:
    """Finds orphaned entries, and moves them to a queue that is read."""

    def __init__(self, *, queues: Queues, lanes: Mapping[str, Lane]) -> None:
        self._queues = queues
        self._lanes = lanes
        self._read = frozenset(queues_of(lanes))

    async def collect(self, deadline: Deadline = NEVER) -> Progress:
        """Move up to `MAX_ENTRIES` entries. Raises `StorageError`; repeating is safe."""
        moved = 0
        for queue in await self._queues.names(_PREFIX):
            name = _QUEUE.fullmatch(queue)
            if name is None or queue in self._read:
                continue
            if moved >= MAX_ENTRIES or deadline.is_over:
                return Progress(done=moved, is_complete=False)
            home = queues_for(self._lanes, name["lane"])[0]
            moved += await self._empty(queue, poison_of(home) if name["poison"] else home, MAX_ENTRIES - moved)
        return Progress(done=moved)

    async def _empty(self, queue: str, home: str, limit: int) -> int:
        moved = 0
        while moved < limit:
            received = await self._queues.receive(queue, limit=_PAGE, lease_seconds=_LEASE_SECONDS)
            ours = [entry for entry in received if _is_ours(entry.body)]
            await concurrency.gather_limited(
                (partial(self._move, queue, home, entry) for entry in ours), limit=_CONCURRENCY
            )
            moved += len(ours)
            if len(ours) < len(received):
                log_event("foreign_entries", level=logging.WARNING, queue=queue, entries=len(received) - len(ours))
            if len(ours) < _PAGE:
                break
        if moved:
            log_event("orphans_collected", queue=queue, target=home, entries=moved)
        return moved

    async def _move(self, queue: str, home: str, entry: Received) -> None:
        await self._queues.put(home, entry.body)
        await self._queues.delete(queue, entry)


def _is_ours(body: bytes) -> bool:
    try:
        entries.decode_entry(body)
    except NewerVersion:
        # The intake of the other queue leaves it to that version.
        return True
    except UnreadableEntry:
        return False
    return True
