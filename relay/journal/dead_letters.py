"""Find dead letters by cause, and keep unreadable entries for inspection.

A dead letter is a journal record; table `deadletters` is only the index to it: partition the cause, row
`<batch>-<index>`. A row whose message has been redriven since is stale and harmless: the journal decides.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from relay.core import ids
from relay.core.outcomes import CAUSES
from relay.platform import resources
from relay.platform.storage.ports import Blobs, Entity, Query, Tables, every_row
from relay.platform.storage.readable import moment_of, readable

TABLE = resources.DEAD_LETTERS_TABLE
UNREADABLE_CONTAINER = resources.UNREADABLE_CONTAINER


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Where a dead letter is and why it died. `key` is the name to show, redrive or discard it by."""

    code: str
    batch: str
    index: int
    at: datetime

    @property
    def key(self) -> str:
        """The row's key."""
        return f"{self.batch}-{self.index:02d}"


class DeadLetters:
    """Writes and reads the index."""

    def __init__(self, tables: Tables, blobs: Blobs, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._blobs = blobs
        self._clock = clock

    async def note(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Index messages that died, those of a cause with one operation; noting them again changes nothing."""
        causes: dict[str, dict[str, Entity]] = {}
        for dead in dead_letters:
            code = dead.code or "expired"
            # Parts of a message may die of the same cause, and a transaction may have a row only once.
            rows = causes.setdefault(code, {})
            rows[dead.key] = Entity(partition=code, row=dead.key, properties={"at": dead.at})
        for rows in causes.values():
            # A single row needs no transaction, whose library takes long to load.
            if len(rows) == 1:
                await self._tables.upsert(TABLE, *rows.values())
            else:
                await self._tables.upsert_all(TABLE, list(rows.values()))

    async def remove(self, code: str, batch: str, index: int) -> None:
        """Take a message off the index."""
        await self._tables.delete(TABLE, code, f"{batch}-{index:02d}")

    async def remove_all(self, dead_letters: Iterable[DeadLetter]) -> None:
        """Take messages off the index, a hundred of a cause with one operation."""
        rows: dict[str, list[str]] = {}
        for dead in dead_letters:
            rows.setdefault(dead.code, []).append(dead.key)
        for code, keys in rows.items():
            await self._tables.delete_all(TABLE, code, keys)

    async def counts(self) -> dict[str, int]:
        """Count the dead letters of each cause that has any. Costs one operation per cause and thousand dead letters."""
        counts: Counter[str] = Counter()
        for code in CAUSES:
            async for _ in every_row(self._tables, TABLE, Query(partition=code, select=("at",))):
                counts[code] += 1
        return dict(counts)

    async def first_counts(self) -> tuple[dict[str, int], bool]:
        """Count the dead letters of each cause in the first page only; and return whether there are more. One operation."""
        page = await self._tables.query(TABLE, Query(select=("at",)))
        return dict(Counter(entity.partition for entity in page.entities)), page.next is not None

    async def of(
        self, code: str, *, limit: int = 100, cursor: str | None = None
    ) -> tuple[Sequence[DeadLetter], str | None]:
        """Return one page of a cause's dead letters, oldest first, and the cursor of the next page."""
        page = await self._tables.query(TABLE, Query(partition=code), limit=limit, cursor=cursor)
        return list(readable(TABLE, page.entities, _dead_letter)), page.next

    async def keep_unreadable(self, body: bytes) -> str:
        """Keep an unreadable entry unchanged, and return the blob's name. The same bytes are kept once."""
        name = f"{self._clock():%Y%m%d}/{hashlib.sha256(body).hexdigest()[:32]}"
        await self._blobs.put(UNREADABLE_CONTAINER, name, body)
        return name


def _dead_letter(entity: Entity) -> DeadLetter:
    """Read a row. Only its key is needed: the record has the rest."""
    batch, _, index = entity.row.partition("-")
    at = moment_of(entity, "at") or ids.created_at(batch)
    return DeadLetter(code=entity.partition, batch=batch, index=int(index), at=at)
