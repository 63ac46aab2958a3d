"""Index what messages say, when a slice of time is over."""

from collections.abc import Callable
from datetime import datetime

from relay.journal.search.index import DELAY, SearchIndex
from relay.journal.search.postings import begin_of, slice_of
from relay.platform.concurrency import NEVER, Deadline, Progress


class SearchIndexing:
    """Runs every minute."""

    def __init__(self, index: SearchIndex, clock: Callable[[], datetime]) -> None:
        self._index = index
        self._clock = clock
        self._idle_until = clock()

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Index what is due. If that was all, the next run that looks is the one after the running slice is over."""
        now = self._clock()
        if now < self._idle_until:
            return Progress()
        progress = await self._index.update(deadline)
        if progress.is_complete:
            self._idle_until = begin_of(slice_of(now - DELAY) + 1) + DELAY
        return progress
