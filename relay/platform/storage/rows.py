"""Change one table row that other processes write too: read, decide, write by ETag, and repeat after a lost race."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec

from relay.core.errors import AlreadyExists, Changed, NotFound, Unavailable
from relay.platform.storage.ports import Entity, Tables, Value

MAX_RACES = 25
"""Lost races against other writers after which a change gives up."""
_FIRST_PAUSE_SECONDS = 0.02
MAX_PAUSE_SECONDS = 3.0
"""The longest pause between two attempts. With both, 200 instances that write one row all succeed (`bench/contention.py`); with
a tenth and a third of them, 2 % did not, at half as many operations again."""


class RowChange[Result](msgspec.Struct, frozen=True, kw_only=True):
    """The properties to write to a row (None: write nothing), and the result that `change_row` returns then."""

    result: Result
    properties: Mapping[str, Value] | None = None


async def change_row[Result](
    tables: Tables,
    table: str,
    partition: str,
    row: str,
    decide: Callable[[Entity | None], RowChange[Result]],
    *,
    is_new: bool = False,
    known: Entity | None = None,
    retry_after_seconds: int = 2,
) -> Result:
    """Insert or merge a row as `decide` returns it, and return its result. `decide` gets the row, or None if it is missing.

    `decide` is called again after each lost race; it must not have effects, and an exception from it ends the change. `is_new`:
    the row is probably missing, so insert before reading. `known`: the row as the caller read it, which saves the first read.
    Raises `Unavailable` after `MAX_RACES` lost races.
    """
    read_before, may_read = known, not is_new and known is None

    async def attempt() -> Result:
        nonlocal may_read
        current = await _read(tables, table, partition, row) if may_read else read_before
        may_read = True
        change = decide(current)
        if change.properties is not None:
            entity = Entity(
                partition=partition, row=row, properties=change.properties, etag=current.etag if current else ""
            )
            if not await write_row(tables, table, entity):
                raise Changed("another writer was first")
        return change.result

    return await retry_races(attempt, subject=f"a row of {table}", retry_after_seconds=retry_after_seconds)


async def retry_races[Result](
    attempt: Callable[[], Awaitable[Result]], *, subject: str, retry_after_seconds: int = 2
) -> Result:
    """Repeat an attempt, which must read again, while it raises `Changed`. Raises `Unavailable` after `MAX_RACES` lost races."""
    for race in range(MAX_RACES):
        if race > 1:
            # The first retry is immediate. Then a random pause separates writers that would meet again.
            longest = min(MAX_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2**race)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - not a secret
        with suppress(Changed):
            return await attempt()
    raise Unavailable(f"too many concurrent writes to {subject}", retry_after_seconds=retry_after_seconds)


async def write_row(tables: Tables, table: str, entity: Entity) -> bool:
    """Merge a row if its ETag still matches, or insert it if it has no ETag. Returns False if another writer was first."""
    try:
        if entity.etag:
            await tables.merge(table, entity, etag=entity.etag)
        else:
            await tables.insert(table, entity)
    except (AlreadyExists, Changed, NotFound):
        return False
    return True


async def _read(tables: Tables, table: str, partition: str, row: str) -> Entity | None:
    try:
        return await tables.get(table, partition, row)
    except NotFound:
        return None
