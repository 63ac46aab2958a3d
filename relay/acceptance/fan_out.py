"""Enqueue the entries of a large request that was accepted with one write.

The entries have their batch ids already, so that putting them twice is harmless: the journal recognizes a batch it has seen.
The blob is deleted after all puts; a missing blob means that all entries were put.
"""

from collections.abc import Mapping
from functools import partial

from relay.core import entries
from relay.core.errors import NotFound
from relay.core.settings import Lane, queues_for
from relay.platform import concurrency
from relay.platform.log import log_event
from relay.platform.resources import CONTENT_CONTAINER
from relay.platform.storage.ports import Blobs, Queues

_AT_ONCE = 8


class FanOut:
    """Enqueues the entries of a request."""

    def __init__(self, *, queues: Queues, blobs: Blobs, lanes: Mapping[str, Lane]) -> None:
        self._queues = queues
        self._blobs = blobs
        self._lanes = lanes

    async def fan_out(self, entry: entries.FanOutEntry) -> None:
        """Put every entry of the request. Raises `StorageError`; repeating is safe."""
        try:
            packed = await self._blobs.get(CONTENT_CONTAINER, entry.fan_out)
        except NotFound:
            log_event("fan_out_repeated", blob=entry.fan_out)
            return
        bodies = packed.split(b"\n")
        puts = (partial(self._queues.put, self._queue(number, body), body) for number, body in enumerate(bodies))
        await concurrency.gather_limited(puts, limit=_AT_ONCE)
        await self._blobs.delete(CONTENT_CONTAINER, entry.fan_out)
        log_event("fan_out", lane=entry.lane, entries=len(bodies))

    def _queue(self, number: int, body: bytes) -> str:
        """Return one of the queues of the entry's own lane."""
        queues = queues_for(self._lanes, entries.lane_of(body))
        return queues[number % len(queues)]
