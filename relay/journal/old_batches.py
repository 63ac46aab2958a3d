"""Find the batches that the purge may delete: made, finished and last written before a moment."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.errors import NotFound
from relay.journal.record_rows import ROW
from relay.platform.resources import JOURNAL_TABLE
from relay.platform.storage.ports import Entity, Query, Tables, every_page
from relay.platform.storage.readable import is_older, log_unreadable

UNREADABLE_KEPT = timedelta(days=130)
"""How much longer a record without a readable end is kept: 90 days scheduled, 30 of expiry, 10 held."""


class OldBatch(msgspec.Struct, kw_only=True):
    """A batch to delete: its partition, some of its rows, and the blobs with its content."""

    partition: str
    rows: list[str] = []
    blobs: list[str] = []


async def old_batches(tables: Tables, shard: str, *, before: datetime) -> AsyncIterator[OldBatch]:
    """Yield the old batches of a shard. A batch whose rows run over a page's end comes twice."""
    query = Query(
        partition_from=f"{shard}-",
        partition_before=f"{shard}-{ids.batch_floor(before)}",
        select=("open", "written_at", "blobs"),
    )
    async for page in every_page(tables, JOURNAL_TABLE, query):
        for batch in await _over(tables, page.entities, before):
            yield batch


async def _over(tables: Tables, entities: Sequence[Entity], before: datetime) -> Sequence[OldBatch]:
    kept = await _kept(tables, entities, before)
    found: dict[str, OldBatch] = {}
    for entity in entities:
        if entity.partition not in kept:
            batch = found.setdefault(entity.partition, OldBatch(partition=entity.partition))
            batch.rows.append(entity.row)
            batch.blobs.extend(_blob_names(entity))
    return list(found.values())


async def _kept(tables: Tables, entities: Sequence[Entity], before: datetime) -> set[str]:
    """Return the partitions that must stay. Events whose record was on the page before are judged by that record."""
    heads = {entity.partition: entity for entity in entities if entity.row == ROW}
    for key in {entity.partition for entity in entities} - heads.keys():
        with suppress(NotFound):
            heads[key] = await tables.get(JOURNAL_TABLE, key, ROW)
    return {key for key, head in heads.items() if not _is_over(head, before)}


def _is_over(head: Entity, before: datetime) -> bool:
    """Return whether a batch has ended, and was last written before a moment."""
    is_open = head.properties.get("open")
    if isinstance(is_open, bool):
        return not is_open and is_older(head, "written_at", before)
    # It does not say whether it still waits, so it is kept for as long as it could.
    return is_older(head, "written_at", before - UNREADABLE_KEPT)


def _blob_names(row: Entity) -> Sequence[str]:
    """Return the blobs of a record. Those that cannot be read are deleted later, as blobs without a record."""
    try:
        return msgspec.json.decode(str(row.properties.get("blobs") or "[]"), type=list[str])
    except msgspec.MsgspecError as error:
        log_unreadable(JOURNAL_TABLE, row, error)
        return ()
