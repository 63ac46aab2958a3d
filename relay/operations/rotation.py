"""Work on parts in turn, and begin where the last run ended, so that runs that never reach the end leave no part out for good."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from relay.core.errors import NotFound, StorageError
from relay.platform import resources
from relay.platform.concurrency import Deadline, Progress
from relay.platform.storage.ports import Entity, Tables

TABLE = resources.TIMERS_TABLE
_PARTITION = "rotation"


class Rotation:
    """Keeps the part at which the next run begins. Only runs that leave work write it."""

    def __init__(self, tables: Tables, name: str) -> None:
        self._tables = tables
        self._name = name

    async def run(
        self, parts: Sequence[str], work: Callable[[str, Deadline], Awaitable[Progress]], deadline: Deadline
    ) -> Progress:
        """Work on each part until the deadline. The next run begins with the rest.

        A part that fails, or has more work than a whole run can do, is not the next run's first one.
        """
        start = await self._start(parts)
        turn, progress = [*parts[start:], *parts[:start]], Progress()
        for number, part in enumerate(turn):
            if deadline.is_over:
                await self._begin_next_at(part)
                return progress + Progress(is_complete=False)
            following = turn[(number + 1) % len(turn)]
            try:
                done = await work(part, deadline)
            except Exception:
                await self._begin_next_at(following)
                raise
            progress += done
            if not done.is_complete:
                await self._begin_next_at(part if number else following)
                return progress
        return progress

    async def _start(self, parts: Sequence[str]) -> int:
        try:
            known = await self._tables.get(TABLE, _PARTITION, self._name)
        except NotFound:
            return 0
        part = known.properties.get("part")
        return parts.index(part) if isinstance(part, str) and part in parts else 0

    async def _begin_next_at(self, part: str) -> None:
        row = Entity(partition=_PARTITION, row=self._name, properties={"part": part})
        # Without it the next run begins where this one did.
        with suppress(StorageError):
            await self._tables.upsert(TABLE, row)
