"""Look terms up in the index: which batches may have messages with all of them, newest first."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import msgspec

from relay.core import ids
from relay.core.errors import NotFound, UnreadableEntry
from relay.journal.search import postings
from relay.journal.search.index import TABLE, SearchIndex
from relay.journal.search.postings import HOUR, begin_of, name_floor, slice_of
from relay.journal.search.terms import Kind, Term
from relay.platform import concurrency
from relay.platform.storage.ports import Entity, Query, Tables, every_row
from relay.platform.storage.readable import decode

WINDOW = 288
"""Slices that are looked up at once: two days."""
MAX_TERMS = 4
"""Terms that are looked up, the most selective kinds first; the records are compared with all."""
_ORDER = {kind: number for number, kind in enumerate(Kind)}


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A range of batch names, down to `since`: the only ones that may match, newest first, or None where all must be read."""

    since: str
    names: Sequence[str] | None


class Lookup:
    """Reads the index."""

    def __init__(self, index: SearchIndex, tables: Tables, *, window: int = WINDOW) -> None:
        self._index = index
        self._tables = tables
        self._window = window

    async def stretches(self, terms: Collection[Term], since: str, before: str) -> Sequence[Stretch]:
        """Return the newest stretches of a range of names, without gaps: of some days at most. A few queries."""
        newest = slice_of(ids.created_at(before))
        oldest = max(slice_of(ids.created_at(since)), newest - self._window + 1)
        indexed = await self._indexed(oldest, newest)
        if not indexed and not await self._is_any_older(since, oldest):
            return [Stretch(since=since, names=None)]
        secret = await self._index.secret() if indexed else b""
        places = [postings.place_of(term, secret) for term in _chosen(terms)] if indexed else []
        calls = (partial(self._found, bucket, key, oldest, newest) for bucket, key in places)
        found = await concurrency.gather_limited(calls, limit=MAX_TERMS)
        stretches: list[Stretch] = []
        for number in range(newest, oldest - 1, -1):
            names = _joined(found, number) if number in indexed else None
            kept = None if names is None else [name for name in sorted(names, reverse=True) if since <= name < before]
            _append(stretches, Stretch(since=max(since, name_floor(number)), names=kept))
        return stretches

    async def _indexed(self, oldest: int, newest: int) -> Collection[int]:
        """Return the slices that are indexed: none without the table, which an installation may have yet to create."""
        first, last = (begin_of(number).replace(minute=0) for number in (oldest, newest))
        try:
            hours = await self._index.hours(first, last + HOUR)
        except NotFound:
            return frozenset()
        return {slice_of(hour.at) + number for hour in hours for number, count in hour.counts.items() if count >= 0}

    async def _is_any_older(self, since: str, oldest: int) -> bool:
        """Return whether an hour before a slice is indexed."""
        query = postings.hours_query(ids.created_at(since).replace(minute=0), begin_of(oldest), select=())
        try:
            return bool((await self._tables.query(TABLE, query, limit=1)).entities)
        except NotFound:
            return False

    async def _found(self, bucket: int, key: int, oldest: int, newest: int) -> Mapping[int, frozenset[str] | None]:
        """Return the batches of a term by slice: None where it is common; a slice without the bucket is left out."""
        query = Query(
            partition=postings.bucket_partition(bucket),
            row_from=postings.slice_key(newest),
            row_before=postings.slice_key(oldest - 1),
        )
        return {
            postings.slice_number(row.row): _batches(row, key) async for row in every_row(self._tables, TABLE, query)
        }


def _chosen(terms: Collection[Term]) -> Sequence[Term]:
    # A longer text is rarer.
    return sorted(terms, key=lambda term: (_ORDER[term[0]], -len(term[1]), term[1]))[:MAX_TERMS]


def _batches(row: Entity, key: int) -> frozenset[str] | None:
    """Return the batches of a term in a row. A row that cannot be read must hide no message: the slice is scanned."""
    try:
        return decode(TABLE, row, lambda row: postings.batches_of(key, msgspec.convert(row.properties["terms"], bytes)))
    except UnreadableEntry:
        return None


def _joined(found: Sequence[Mapping[int, frozenset[str] | None]], number: int) -> frozenset[str] | None:
    """Return the batches of a slice that have every term, None if all of the terms are common."""
    known = [names for names in (each.get(number, frozenset()) for each in found) if names is not None]
    return frozenset.intersection(*known) if known else None


def _append(stretches: list[Stretch], following: Stretch) -> None:
    """Add an older stretch, to the last one if that is of the same kind."""
    last = stretches[-1] if stretches else None
    if last is None or (last.names is None) != (following.names is None):
        stretches.append(following)
    elif last.names is None or following.names is None:
        stretches[-1] = Stretch(since=following.since, names=None)
    else:
        stretches[-1] = Stretch(since=following.since, names=[*last.names, *following.names])
