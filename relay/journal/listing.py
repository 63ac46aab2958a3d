"""List messages by time, newest first: pages cut from the journal, whose rows lie oldest first in sixteen shards.

A page first asks each shard for the names of its batches in the time range (keys only, a thousand at a time). Where a shard
has more, the range is narrowed to its newest part, by the density of the batches. The newest batches of these names are read
whole and filtered. So a page has a bounded cost however much lies in the range; it may be short, or empty, and still have
a next one. With terms, the index names the batches that may have them. See docs/reference/listing.md.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from math import sqrt

import msgspec

from relay.clients.registry import Clients
from relay.core import ids
from relay.core.arrival.arrivals import Reports
from relay.core.errors import Unavailable
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.search.lookup import Lookup, Stretch
from relay.journal.search.matches import Found, MessageFilter, messages, unreadable_messages
from relay.journal.search.terms import Kind, Term
from relay.journal.unreadable import UnreadableRecord
from relay.platform import concurrency

READ_AT_ONCE = 200
"""Batches that are read and filtered together."""
MAX_ROUNDS = 5
"""Rounds of reading after which a page is returned, full or not."""
MAX_WINDOWS = 8
"""How often a page looks terms up in the index: sixteen days."""
MAX_CANDIDATES = 200
"""Batches that a page reads one by one because the index names them."""
CANDIDATES_AT_ONCE = 50
MAX_SCANS = 3
"""Stretches that are not indexed, or whose terms are common, that a page scans."""
ENOUGH_PROBES = 8
MAX_PROBES = 40
"""How often the newest part of a crowded range is searched for: until it fills a page, then until there is one at all. A
range of years is halved down to milliseconds before that."""
_QUERIES_AT_ONCE = 8
_MILLISECOND = timedelta(milliseconds=1)
_AFTER = "~"
"""Makes a name an upper bound that includes it: it is greater than every hexadecimal digit."""


type _Last = tuple[str, int] | None
"""The batch and index of the last message of the page before."""
type _Pages = Sequence[tuple[Sequence[str], bool]]
"""For each shard names, oldest first, and whether there are more."""


class _Window(msgspec.Struct, frozen=True, kw_only=True):
    """Batches by name, newest first: all there are from `since` on."""

    since: str
    names: Sequence[str]


class Listing:
    """Cuts pages."""

    def __init__(
        self,
        journal: Journal,
        clients: Clients | None = None,
        *,
        reports: Callable[[str], Reports] = lambda _: Reports.NONE,
        lookup: Lookup | None = None,
        names_at_once: int = 1000,
    ) -> None:
        """`clients` name the messages of unreadable records. `reports` says what the provider of a route can report.
        `lookup` finds messages by their terms. `names_at_once` is the page size of a shard's query: a table returns at most a
        thousand rows.
        """
        self._lookup = lookup
        self._reports = reports
        self._journal = journal
        self._clients = clients
        self._names_at_once = names_at_once

    async def page(
        self, wanted: MessageFilter, position: str | None, *, limit: int
    ) -> tuple[Sequence[Found], str | None]:
        """Return up to `limit` messages after a position (None: the newest), and the position of the next page or None.

        Positions are stable: later messages do not move them. Raises `ValueError` for an invalid position.
        """
        since = ids.batch_floor(wanted.since)
        before, last = ids.batch_floor(wanted.before), None
        if position:
            before, last = _bounds(position, since, before)
        if wanted.terms and self._lookup is not None:
            return await self._search(self._lookup, wanted, since=since, before=before, last=last, limit=limit)
        return await self._scan(wanted, since=since, before=before, last=last, limit=limit)

    async def _scan(
        self, wanted: MessageFilter, *, since: str, before: str, last: _Last, limit: int
    ) -> tuple[Sequence[Found], str | None]:
        """Return the wanted messages of the newest batches, without the index."""
        window = await self._window(since, before, wanted.client)
        found: list[Found] = []
        for number in range(MAX_ROUNDS):
            names = window.names[number * READ_AT_ONCE : (number + 1) * READ_AT_ONCE]
            for record in await self._read(names, wanted.client):
                for each in await self._messages(record, wanted, last):
                    found.append(each)
                    if len(found) == limit:
                        return found, each.position
            if len(window.names) <= (number + 1) * READ_AT_ONCE:
                return found, None if window.since == since else f"{window.since}-00"
        return found, f"{names[-1]}-00"

    async def _search(
        self, lookup: Lookup, wanted: MessageFilter, *, since: str, before: str, last: _Last, limit: int
    ) -> tuple[Sequence[Found], str | None]:
        """Return the wanted messages among those that the index names; where it names none, scan."""
        terms = wanted.terms if wanted.client is None else wanted.terms | {(Kind.CLIENT, wanted.client)}
        found: list[Found] = []
        room, scans = MAX_CANDIDATES, MAX_SCANS
        async for stretch in _stretches(lookup, terms, since, before):
            rest = limit - len(found)
            if stretch.names is None:
                page, position = await self._scan(wanted, since=stretch.since, before=before, last=last, limit=rest)
                scans -= 1
            else:
                page, position = await self._candidates(stretch.names[:room], wanted, last, rest)
                if position is None and len(stretch.names) > room:
                    position = f"{stretch.names[room - 1] if room else before}-00"
                room -= len(stretch.names)
            found += page
            if position is not None:
                return found, position
            before = stretch.since
            if not scans:
                break
        return found, None if before <= since else f"{before}-00"

    async def _candidates(
        self, names: Sequence[str], wanted: MessageFilter, last: _Last, limit: int
    ) -> tuple[Sequence[Found], str | None]:
        """Return the wanted messages of these batches, and the position after the last one if there are enough."""
        found: list[Found] = []
        for start in range(0, len(names), CANDIDATES_AT_ONCE):
            chosen = names[start : start + CANDIDATES_AT_ONCE]
            for record in await self._read(chosen, wanted.client, is_sparse=True):
                for each in await self._messages(record, wanted, last):
                    found.append(each)
                    if len(found) == limit:
                        return found, each.position
        return found, None

    async def _window(self, since: str, before: str, client: str | None) -> _Window:
        """Find the newest part of a range in which each shard's names fit one query, preferably one that fills a page.

        Search its length between one that is known to be too long and one that is not.
        """
        end = ids.created_at(before)
        tried = too_long = (end - ids.created_at(since)) / _MILLISECOND
        best: _Window | None = None
        begin = since
        for probe in range(MAX_PROBES):
            pages = await self._names(begin, before, client)
            if any(is_more for _, is_more in pages):
                # There is nothing before the first name, so the range can begin there.
                first, dense = _first(pages), _dense(pages)
                too_long = min(tried, (end - first) / _MILLISECOND + 1)
            else:
                names = sorted((name for page, _ in pages for name in page), reverse=True)
                best, fits = _Window(since=begin, names=names), tried
                if begin == since or len(names) >= READ_AT_ONCE or probe >= ENOUGH_PROBES:
                    return best
            if best is not None and too_long < 2 * fits:
                return best
            # The first guess is by how dense the oldest batches lie; between two lengths it is their geometric middle.
            tried = max(1.0, sqrt(fits * too_long) if best is not None else min(too_long / 2, dense / 2))
            begin = max(since, ids.batch_floor(end - tried * _MILLISECOND))
        if best is None:
            raise Unavailable("a shard of the journal is too crowded to be listed")
        return best

    async def _names(self, since: str, before: str, client: str | None) -> _Pages:
        ask = partial(self._journal.names, since=since, before=before, client=client, limit=self._names_at_once)
        calls = (partial(ask, shard=shard) for shard in ids.SHARDS)
        return await concurrency.gather_limited(calls, limit=_QUERIES_AT_ONCE)

    async def _messages(self, record: Record | UnreadableRecord, wanted: MessageFilter, last: _Last) -> Iterable[Found]:
        """Return the wanted messages of a batch after the last one of the page before, the last of the batch first."""
        if isinstance(record, Record):
            found = messages(record, wanted, self._reports)
        else:
            clients = {} if self._clients is None else await self._clients.all()
            keys = {name: each.mac_key for name, each in clients.items()}
            found = unreadable_messages(record, wanted, keys, self._reports)
        return (each for number, each in found if last is None or (record.batch, number) < last)

    async def _read(
        self, names: Sequence[str], client: str | None, *, is_sparse: bool = False
    ) -> Sequence[Record | UnreadableRecord]:
        """Read these batches, newest first, without those purged in the meantime. `is_sparse`: other batches lie between."""
        chosen = set(names)
        groups = [[name] for name in names] if is_sparse else [_of_shard(names, shard) for shard in ids.SHARDS]
        calls = (
            partial(
                self._journal.between,
                shard=ids.shard(own[0]),
                client=client,
                since=own[-1],
                before=own[0] + _AFTER,
            )
            for own in groups
            if own
        )
        records = await concurrency.gather_limited(calls, limit=_QUERIES_AT_ONCE)
        found = (record for page in records for record in page if record.batch in chosen)
        return sorted(found, key=lambda record: record.batch, reverse=True)


async def _stretches(lookup: Lookup, terms: Collection[Term], since: str, before: str) -> AsyncIterator[Stretch]:
    """Yield the stretches of a range, newest first: as many as a page looks up."""
    for _ in range(MAX_WINDOWS):
        for stretch in await lookup.stretches(terms, since, before):
            yield stretch
            before = stretch.since
        if before <= since:
            return


def _of_shard(names: Sequence[str], shard: str) -> Sequence[str]:
    return [name for name in names if ids.shard(name) == shard]


def _bounds(position: str, since: str, before: str) -> tuple[str, tuple[str, int] | None]:
    """Parse a position: the first name that is too new, and the last message of the previous page."""
    name, dash, index = position.partition("-")
    if len(name) != 32 or not dash or len(index) != 2 or not since <= name <= before:
        raise ValueError("not a position in this range")
    int(name, 16)
    return (name, None) if int(index) == 0 else (name + _AFTER, (name, int(index)))


def _first(pages: _Pages) -> datetime:
    """Return when the oldest batch of all pages was made. At least one page has a batch."""
    return ids.created_at(min(names[0] for names, _ in pages if names))


def _dense(pages: _Pages) -> float:
    """Return the milliseconds that the densest of the incomplete pages covers."""
    spans = [ids.created_at(names[-1]) - ids.created_at(names[0]) for names, is_more in pages if is_more]
    return min(spans) / _MILLISECOND
