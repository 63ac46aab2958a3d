"""Add messages to the search index when a slice of time is over."""

from collections.abc import Callable
from datetime import datetime

from relay.journal.search.index import DELAY, SearchIndex
from relay.journal.search.postings import begin_of, slice_of
from relay.platform.concurrency import NEVER, Deadline, Progress


class SearchIndexing:
    """Updates the search index. Runs every minute."""

    def __init__(self, index: SearchIndex, clock: Callable[[], datetime]) -> None:
        self._index = index
        self._clock = clock
        self._idle_until = clock()

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Index the slices that are due. When all are done, later runs do nothing until the running slice is over."""
        now = self._clock()
        if now < self._idle_until:
            return Progress()
        progress = await self._index.update(deadline)
        if progress.is_complete:
            self._idle_until = begin_of(slice_of(now - DELAY) + 1) + DELAY
        return progress
