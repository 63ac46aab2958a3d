"""Messages by time, newest first: pages cut from the journal, whose rows lie oldest first in sixteen shards.

A page first asks each shard for the names of its batches in the time range (keys only, a thousand at a time). Where a shard
has more, the range is narrowed to its newest part, by how dense the batches lay. Of the names the newest are read whole
and filtered. So a page has a bounded cost however much lies in the range; it may be short, or empty, and still have
a next one. See docs/reference/listing.md.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from math import sqrt

import msgspec

from relay.clients.registry import Client, Clients
from relay.core import ids
from relay.core.arrival.arrivals import Arrival, RecipientArrival, Reports, arrivals_of, recipient_count
from relay.core.errors import Unavailable
from relay.core.model import MessageStatus, State, Submission
from relay.journal.record_rows import Record, client_flag
from relay.journal.records import Journal
from relay.journal.search.terms import Term, has_terms
from relay.journal.unreadable import UnreadableRecord
from relay.platform import concurrency

READ_AT_ONCE = 200
"""Batches that are read and filtered together."""
MAX_ROUNDS = 5
"""How often a page does so before it is answered as it is."""
ENOUGH_PROBES = 8
MAX_PROBES = 40
"""How often the newest part of a crowded range is searched for: until it fills a page, then until there is one at all. A
range of years is halved down to milliseconds before that."""
_QUERIES_AT_ONCE = 8
_MILLISECOND = timedelta(milliseconds=1)
_AFTER = "~"
"""Makes a name an upper bound that includes it: it is greater than every hexadecimal digit."""


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages: accepted from `since` to before `before`. Of `owners` alone; None: of all clients. `arrival` is that of
    one recipient at least. A message has all `terms`.
    """

    since: datetime
    before: datetime
    owners: Sequence[Client] | None = None
    client: str | None = None
    state: State | None = None
    arrival: Arrival | None = None
    terms: frozenset[Term] = frozenset()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was wanted. `position` is where a page that begins after it begins.

    `submission` and `status` are None where they cannot be read. `arrivals` are those of its recipients.
    """

    id: str
    position: str
    created_at: datetime
    lane: str
    submission: Submission | None
    status: MessageStatus | None
    arrivals: Collection[RecipientArrival] = ()


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
        names_at_once: int = 1000,
    ) -> None:
        """`clients` name the messages of unreadable records. `reports` says what the provider of a route can report.
        `names_at_once` is the page size of a shard's query: a table returns at most a thousand rows.
        """
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
                # What lies before the first name is empty, so the range may as well begin there.
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

    async def _messages(
        self, record: Record | UnreadableRecord, wanted: MessageFilter, last: tuple[str, int] | None
    ) -> Iterable[Found]:
        """The wanted messages of a batch after the last one of the page before, the last of the batch first."""
        if isinstance(record, Record):
            found = _messages(record, wanted, self._reports)
        else:
            clients = {} if self._clients is None else await self._clients.all()
            keys = {name: each.mac_key for name, each in clients.items()}
            found = _unreadable_messages(record, wanted, keys, self._reports)
        return (each for number, each in found if last is None or (record.batch, number) < last)

    async def _read(self, names: Sequence[str], client: str | None) -> Sequence[Record | UnreadableRecord]:
        """These batches, newest first; batches purged in the meantime are left out."""
        chosen = set(names)
        calls = []
        for shard in ids.SHARDS:
            own = [name for name in names if ids.shard(name) == shard]
            if own:
                bounds = {"since": own[-1], "before": own[0] + _AFTER}
                calls.append(partial(self._journal.between, shard=shard, client=client, **bounds))
        records = await concurrency.gather_limited(calls, limit=_QUERIES_AT_ONCE)
        found = (record for page in records for record in page if record.batch in chosen)
        return sorted(found, key=lambda record: record.batch, reverse=True)


def _bounds(position: str, since: str, before: str) -> tuple[str, tuple[str, int] | None]:
    """Parse a position: the first name that is too new, and the last message of the previous page."""
    name, dash, index = position.partition("-")
    if len(name) != 32 or not dash or len(index) != 2 or not since <= name <= before:
        raise ValueError("not a position in this range")
    int(name, 16)
    return (name, None) if int(index) == 0 else (name + _AFTER, (name, int(index)))


def _first(pages: _Pages) -> datetime:
    """When the oldest batch of all pages was made. Some page has one."""
    return ids.created_at(min(names[0] for names, _ in pages if names))


def _dense(pages: _Pages) -> float:
    """The milliseconds from the first to the last name of a page that has more, in which its batches lie densest."""
    spans = [ids.created_at(names[-1]) - ids.created_at(names[0]) for names, is_more in pages if is_more]
    return min(spans) / _MILLISECOND


def _messages(record: Record, wanted: MessageFilter, reports: Callable[[str], Reports]) -> Iterator[tuple[int, Found]]:
    """The wanted messages of a batch with their indices, the last of them first."""
    entry = record.entry()
    for index in range(len(record.statuses) - 1, -1, -1):
        submission, status = entry.messages[index], record.statuses[index]
        if _is_visible(record.batch, index, entry.macs[index], submission, wanted) and _fits(
            submission, status, wanted
        ):
            arrivals = _arrivals(submission, status, reports)
            if _has_arrival(arrivals, wanted):
                found = _found(record, index, record.message_id(index, entry), submission, status)
                yield index, msgspec.structs.replace(found, arrivals=arrivals)


def _unreadable_messages(
    record: UnreadableRecord,
    wanted: MessageFilter,
    mac_keys: Mapping[str, bytes],
    reports: Callable[[str], Reports],
) -> Iterator[tuple[int, Found]]:
    """The messages of a record that cannot be read as a whole, the last of them first.

    One that cannot be read fits no filter but time and client. A client gets those that are certainly its own.
    """
    keys = mac_keys if wanted.owners is None else {owner.name: owner.mac_key for owner in wanted.owners}
    for index in range(len(record.statuses) - 1, -1, -1):
        submission, status = record.submission(index), record.statuses[index]
        name = record.message_id(index, keys)
        if not _is_owned(ids.parse(name), wanted):
            continue
        if _may_be_of(wanted.client, submission, record) and _may_fit(submission, status, wanted):
            arrivals = _arrivals(submission, status, reports)
            if _has_arrival(arrivals, wanted):
                found = _found(record, index, name, submission, status)
                yield index, msgspec.structs.replace(found, arrivals=arrivals)


def _found(
    record: Record | UnreadableRecord,
    index: int,
    name: str,
    submission: Submission | None,
    status: MessageStatus | None,
) -> Found:
    return Found(
        id=name,
        position=f"{record.batch}-{index:02d}",
        created_at=ids.created_at(record.batch),
        lane=record.lane,
        submission=submission,
        status=status,
    )


def _arrivals(
    submission: Submission | None, status: MessageStatus | None, reports: Callable[[str], Reports]
) -> Collection[RecipientArrival]:
    if submission is None or status is None:
        return ()
    count = recipient_count(submission.message, status)
    return frozenset(arrivals_of(status, submission.suppressed, count, reports).values())


def _has_arrival(arrivals: Iterable[RecipientArrival], wanted: MessageFilter) -> bool:
    return wanted.arrival is None or any(each.arrival is wanted.arrival for each in arrivals)


def _may_be_of(client: str | None, submission: Submission | None, record: UnreadableRecord) -> bool:
    if client is None:
        return True
    return client_flag(client) in record.client_flags if submission is None else submission.client == client


def _may_fit(submission: Submission | None, status: MessageStatus | None, wanted: MessageFilter) -> bool:
    if submission is not None and status is not None:
        return _fits(submission, status, wanted)
    return wanted.state is None and not wanted.terms


def _is_visible(batch: str, index: int, mac: str, submission: Submission, wanted: MessageFilter) -> bool:
    if wanted.client is not None and submission.client != wanted.client:
        return False
    # A client that was deleted and created again under the same name does not see the messages of the old one.
    name = ids.MessageId(batch=batch, index=index, mac=mac)
    return _is_owned(name, wanted)


def _is_owned(name: ids.MessageId, wanted: MessageFilter) -> bool:
    return wanted.owners is None or any(ids.belongs_to(name, owner.mac_key) for owner in wanted.owners)


def _fits(submission: Submission, status: MessageStatus, wanted: MessageFilter) -> bool:
    if wanted.state is not None and status.state is not wanted.state:
        return False
    if not wanted.terms:
        return True
    return submission.message is not None and has_terms(submission.message, wanted.terms)
