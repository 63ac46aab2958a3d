"""List waiting parts by due time: scheduled, deferred, held, and sent ones to be checked.

A row says only which messages of a batch to check, and when; the journal says what to do. So a row that is lost, late or
duplicated does no harm: the row set of a batch follows from its statuses (`rows_of`), and every settlement
writes the difference. Partition `due-<shard>`, row `<due>-<batch>`, and `-<digest of the scope>` for what is held, so that
no row stands for two holds. `relay.events.webhooks.retries` keeps its rows in a partition of its own.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.core import ids
from relay.core.errors import NotFound
from relay.core.model import MessageStatus, State
from relay.platform import resources
from relay.platform.storage.ports import Entity, Query, Tables
from relay.platform.storage.readable import log_unreadable, readable_rows

TABLE = resources.PENDING_TABLE
SOON = timedelta(minutes=2)
"""What is due within this time is put on the queue at once. What waits longer has only its row until the minute timer enqueues
it: the platform counts invisible entries as work, and would start instances for them (docs/decisions/0005-pending.md)."""
SHARDS = 4
CHECKED = "check"
"""The scope of the rows of sent parts. No other row may share it, because another timer handles it."""
_indices_decoder = msgspec.json.Decoder(tuple[int, ...])
_TO_SECONDS = len("20260105T090000")
"""Characters of a row's time before its six digits of microseconds."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """Messages (indices) of one batch that must be looked at at `at`.

    `kind` is their state (`scheduled`, `deferred`, `held`; `sent` for those to be checked), `attempt` the attempt to come,
    `scope` what is held. `expires_at` is when the first of held messages expires, if their expiry does not stop.
    """

    batch: str
    lane: str
    at: datetime
    indices: tuple[int, ...]
    kind: str
    attempt: int
    scope: str = ""
    expires_at: datetime | None = None

    @property
    def partition(self) -> str:
        """The row's partition key."""
        return f"due-{int(ids.shard(self.batch), 16) % SHARDS}"

    @property
    def row(self) -> str:
        """The row's key."""
        held = f"-{hashlib.sha256(self.scope.encode()).hexdigest()[:8]}" if self.scope else ""
        return f"{stamp(self.at)}-{self.batch}{held}"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A row as found. `requeued_at` is when recovery last put its entry back.

    `has_entry`: its entry was put when the row was written; otherwise recovery puts it shortly before the row is due.
    `damaged_row` is the key of a row that cannot be read: then `due` knows only the batch and the time.
    """

    due: Due
    requeued_at: datetime | None = None
    has_entry: bool = True
    damaged_row: str = ""

    @property
    def row(self) -> str:
        """The row's key."""
        return self.damaged_row or self.due.row


def rows_of(batch: str, lane: str, statuses: Iterable[tuple[int, MessageStatus]]) -> dict[str, Due]:
    """Return the rows that these statuses need, by row key: one per due time and hold, with its latest attempt."""
    rows: dict[str, Due] = {}
    for index, status in statuses:
        for part in status.parts:
            at = part.check_at if part.state is State.SENT else part.due_at
            if at is None:
                continue
            kind = State.HELD if part.held_since is not None else part.state
            due = Due(
                batch=batch,
                lane=lane,
                at=at,
                indices=(index,),
                kind=str(kind),
                attempt=part.attempt + 1,
                scope=part.held_scope if kind is State.HELD else CHECKED if kind is State.SENT else "",
                expires_at=part.held_expires_at,
            )
            known = rows.get(due.row)
            rows[due.row] = due if known is None else _merged(known, due)
    return rows


def _merged(known: Due, due: Due) -> Due:
    return msgspec.structs.replace(
        due,
        indices=tuple(sorted({*known.indices, *due.indices})),
        attempt=max(known.attempt, due.attempt),
        expires_at=min((at for at in (known.expires_at, due.expires_at) if at is not None), default=None),
    )


class Pending:
    """Writes and reads the rows."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def put(self, due: Due, *, has_entry: bool = True) -> None:
        """Insert or replace a row. `has_entry`: its entry is put with it."""
        await self._tables.upsert(TABLE, _entity(due, has_entry=has_entry))

    async def remove(self, due: Due) -> None:
        """Delete a row if it is there."""
        await self._tables.delete(TABLE, due.partition, due.row)

    async def mark_requeued(self, due: Due, at: datetime) -> None:
        """Record that recovery enqueued the row's messages. A row that their delivery has removed since stays removed."""
        properties = {"requeued_at": at.isoformat()}
        with suppress(NotFound):
            await self._tables.merge(TABLE, Entity(partition=due.partition, row=due.row, properties=properties))

    async def repair(self, listed: Listed, due: Due | None) -> None:
        """Write a row again as it should be; None: delete it."""
        if due is None:
            await self._tables.delete(TABLE, listed.due.partition, listed.row)
        else:
            await self.put(due)

    def until(self, at: datetime) -> AsyncIterator[Listed]:
        """Yield all rows due before a moment, oldest first in each shard. Costs one operation a shard and thousand rows."""
        return self._rows(Query(row_before=stamp(at)))

    def sending(self) -> AsyncIterator[Listed]:
        """Yield all rows of messages whose attempt runs and is not their first. Scans the table."""
        return self._rows(Query(equals={"kind": str(State.SENDING)}))

    def held(self, scope: str) -> AsyncIterator[Listed]:
        """Yield all rows of messages that a hold keeps back. Scans the table: for a release, not for a hot path."""
        return self._rows(Query(equals={"kind": str(State.HELD), "scope": scope}))

    async def _rows(self, query: Query) -> AsyncIterator[Listed]:
        for shard in range(SHARDS):
            of_shard = msgspec.structs.replace(query, partition=f"due-{shard}")
            async for listed in readable_rows(self._tables, TABLE, of_shard, _listed):
                yield listed


def stamp(at: datetime) -> str:
    """Return a time as the rows' keys have it: they sort by it."""
    # Each row needs both directions: this takes less than strftime, and a tenth of strptime.
    text = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text.replace("-", "").replace(":", "").replace(".", "")


def _time_in(stamp: str) -> datetime:
    return datetime.fromisoformat(f"{stamp[:_TO_SECONDS]}.{stamp[_TO_SECONDS:]}").replace(tzinfo=UTC)


def _entity(due: Due, *, has_entry: bool) -> Entity:
    properties: dict[str, Any] = {
        "lane": due.lane,
        "indices": json.dumps(due.indices),
        "kind": due.kind,
        "attempt": due.attempt,
        "scope": due.scope,
        "requeued_at": "",
    }
    if not has_entry:
        properties["has_entry"] = False
    if due.expires_at is not None:
        properties["expires_at"] = due.expires_at.isoformat()
    return Entity(partition=due.partition, row=due.row, properties=properties)


def _listed(entity: Entity) -> Listed:
    """Read a row. One whose properties are damaged is found nevertheless: its key says which record to look at."""
    stamp, batch, *_ = entity.row.split("-")
    at = _time_in(stamp)
    try:
        return _whole(entity, batch, at)
    except (LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:
        log_unreadable(TABLE, entity, error)
        due = Due(batch=batch, lane="", at=at, indices=(), kind="", attempt=0)
        return Listed(due=due, damaged_row=entity.row)


def _whole(entity: Entity, batch: str, at: datetime) -> Listed:
    properties = entity.properties
    due = Due(
        batch=batch,
        lane=str(properties["lane"]),
        at=at,
        indices=_indices_decoder.decode(str(properties["indices"])),
        kind=State(str(properties["kind"])),
        attempt=int(str(properties["attempt"])),
        scope=str(properties["scope"]),
        expires_at=_time(properties.get("expires_at")),
    )
    if due.row != entity.row:
        raise ValueError("the row's key is that of another hold")
    return Listed(
        due=due,
        requeued_at=_time(properties.get("requeued_at")),
        has_entry=bool(properties.get("has_entry", True)),
    )


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
