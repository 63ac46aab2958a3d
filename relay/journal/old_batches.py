"""Find the batches that the purge may delete: made, finished and last written before a moment."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime

import msgspec

from relay.core import ids
from relay.core.errors import NotFound
from relay.journal.record_rows import ROW
from relay.platform.resources import JOURNAL_TABLE
from relay.platform.storage.ports import Entity, Query, Tables, every_page


class OldBatch(msgspec.Struct, kw_only=True):
    """What a batch leaves behind: its partition, some of its rows, and the blobs with its content."""

    partition: str
    rows: list[str] = []
    blobs: list[str] = []


async def old_batches(tables: Tables, *, before: datetime) -> AsyncIterator[OldBatch]:
    """Yield the old batches, shard by shard. A batch whose rows run over a page's end comes twice."""
    for shard in ids.SHARDS:
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
            batch.blobs.extend(json.loads(str(entity.properties.get("blobs") or "[]")))
    return list(found.values())


async def _kept(tables: Tables, entities: Sequence[Entity], before: datetime) -> set[str]:
    """Return the partitions that must stay. Events whose record was on the page before are judged by that record."""
    heads = {entity.partition: entity for entity in entities if entity.row == ROW}
    for key in {entity.partition for entity in entities} - heads.keys():
        with suppress(NotFound):
            heads[key] = await tables.get(JOURNAL_TABLE, key, ROW)
    return {key for key, head in heads.items() if not _is_over(head, before)}


def _is_over(head: Entity, before: datetime) -> bool:
    written_at = head.properties.get("written_at")
    return not head.properties.get("open") and not (isinstance(written_at, datetime) and written_at >= before)
