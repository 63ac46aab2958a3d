"""Keep the search index, made from the journal in slices of ten minutes.

    check an hour ─► lay hold of it (due) ─► read the records of a slice ─► write its rows ─► note the slice as indexed

Nothing is written when mail is accepted or delivered. A slice is indexed when it is over, as a whole, and again when the journal
has more records of it than were indexed: a message that waited on its queue is recorded later. So no repetition or death of a
process can lose an entry: what is not noted as indexed is done again, and until then it is scanned. See
docs/decisions/0045-search-index.md.
"""

import hashlib
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from relay.core import ids
from relay.core.errors import AlreadyExists, Changed, NotFound, UnreadableEntry
from relay.journal.counts.rechecks import pause, start_of_hour
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.search import postings
from relay.journal.search.postings import HOUR, SLICE, SLICES
from relay.journal.unreadable import UnreadableRecord
from relay.platform import concurrency, resources
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.storage.lease import RowLease
from relay.platform.storage.ports import Entity, Query, Tables, Value, every_row
from relay.platform.storage.readable import decode
from relay.platform.storage.rows import RowChange, change_row

TABLE = resources.SEARCH_TABLE
DELAY = timedelta(minutes=1)
"""How long after its end a slice is indexed: by then the records of most mail exist."""
MAX_ENTRIES = 400_000
"""Entries of a slice, which are in memory while it is indexed. A slice with more is not indexed but scanned."""
_PAGE_ROWS = 200
_AT_ONCE = 8
_LEASE = timedelta(minutes=5)
_SECRET = ("secret", "secret")
_SECRET_BYTES = 16


class IndexedHour(msgspec.Struct, frozen=True, kw_only=True):
    """What is indexed of an hour: the number of batches of each of its slices, -1: too many. A slice without one is not.

    `buckets` are those with a row, by slice. `is_due`: it must be checked whatever its age.
    """

    at: datetime
    checked_at: datetime
    is_due: bool = False
    counts: Mapping[int, int] = {}
    buckets: Mapping[int, bytes] = {}
    etag: str = ""


class SearchIndex:
    """Keeps the index."""

    def __init__(
        self, journal: Journal, tables: Tables, clock: Callable[[], datetime], *, retention: timedelta
    ) -> None:
        self._journal = journal
        self._tables = tables
        self._clock = clock
        # An hour that the purge has begun to delete is not indexed again.
        self._kept = retention - HOUR
        self._secret = b""

    async def secret(self) -> bytes:
        """Return the secret of the terms' places, which is made once, and again if it is damaged.

        Raises `NotFound` without the table.
        """
        if not self._secret:
            await self._tables.query(TABLE, Query(partition=_SECRET[0]), limit=1)
            self._secret = await change_row(self._tables, TABLE, *_SECRET, _made_secret)
        return self._secret

    async def hours(self, since: datetime, until: datetime) -> Sequence[IndexedHour]:
        """Return what is indexed of the hours that begin in a range of time."""
        mark = _mark(await self.secret())
        rows = every_row(self._tables, TABLE, postings.hours_query(since, until))
        return [_hour(row, mark) async for row in rows]

    async def update(self, deadline: Deadline = NEVER) -> Progress:
        """Index what is due, the newest hour first. What the deadline leaves is done by the next run."""
        now = self._clock()
        newest = start_of_hour(now)
        known = {hour.at: hour for hour in await self.hours(newest - self._kept, newest + HOUR)}
        first = min(known) if known else await self._first(newest - self._kept, newest)
        hours = (newest - HOUR * number for number in range((newest - first) // HOUR + 1))
        due = [at for at in hours if is_due(at, known.get(at), now)]
        if not due:
            return Progress()
        # Two runs on the same hour could each write what the other had read before an erasure.
        async with RowLease(self._tables, TABLE, "lease", "lease", self._clock).hold(_LEASE) as other:
            if other is not None:
                return Progress()
            done = 0
            for at in due:
                if deadline.is_over:
                    break
                done += await self._check(at, known.get(at))
        return Progress(done=done, is_complete=done == len(due))

    async def forget(self, batch: str) -> None:
        """Have the hour of a batch indexed again, after the content of a message was marked as erased."""
        at = start_of_hour(ids.created_at(batch))
        partition, row = postings.hour_row(at)
        mark = Entity(partition=partition, row=row, properties={"is_due": True})
        try:
            await self._tables.merge(TABLE, mark)
        except NotFound:
            # An hour that is being indexed for the first time must not be noted as if nothing had happened. Without the table,
            # which an installation may have yet to create, there is no index.
            with suppress(NotFound):
                await self._tables.upsert(TABLE, mark)

    async def _first(self, since: datetime, newest: datetime) -> datetime:
        """Return the hour of the oldest batch in a range of time, else the newest hour. What is older is scanned."""
        bounds = {"since": ids.batch_floor(since), "before": ids.batch_floor(newest)}
        calls = (partial(self._journal.names, shard=shard, **bounds, limit=1) for shard in ids.SHARDS)
        pages = await concurrency.gather_limited(calls, limit=_AT_ONCE)
        oldest = min((ids.created_at(name) for names, _ in pages for name in names), default=newest)
        return start_of_hour(oldest)

    async def _check(self, at: datetime, known: IndexedHour | None) -> int:
        """Index the slices of an hour that are over and not as the journal has them. Returns 1 if the hour is done."""
        now = self._clock()
        hour = known or IndexedHour(at=at, checked_at=now)
        found = await self._counts(at)
        over = [number for number in range(SLICES) if at + SLICE * (number + 1) + DELAY <= now]
        changed = [
            number for number in over if hour.is_due or number not in hour.counts or _differs(hour, number, found)
        ]
        try:
            for number in changed:
                hour = await self._index(hour, number, found[number])
            await self._note(msgspec.structs.replace(hour, checked_at=now, is_due=False))
        except (AlreadyExists, Changed):
            # A message was erased: the hour stays due.
            return 0
        return 1

    async def _counts(self, at: datetime) -> Mapping[int, int]:
        """Count the batches of each slice of an hour in the journal. Reads keys only."""
        found = Counter[int]()
        first = postings.slice_of(at)

        async def count(shard: str) -> None:
            cursor = None
            while True:
                names, cursor = await self._journal.recorded_names(
                    shard=shard, since=at, before=at + HOUR, cursor=cursor
                )
                found.update(postings.slice_of(ids.created_at(name)) - first for name in names)
                if cursor is None:
                    return

        await concurrency.gather_limited((partial(count, shard) for shard in ids.SHARDS), limit=_AT_ONCE)
        return found

    async def _index(self, hour: IndexedHour, number: int, count: int) -> IndexedHour:
        """Index a slice. The hour is due before the first row is written, and lists every bucket that may have a row."""
        begin = hour.at + SLICE * number
        entries = _Entries(await self.secret())
        read = await self._read(begin, entries) if count else 0
        rows = {} if entries.are_too_many else entries.rows()
        old, new = hour.buckets.get(number, b""), bytes(sorted(rows))
        if old or new:
            # While it is written, the slice is found by its old rows and new ones, unless it is not indexed any more.
            unindexed = -1 if entries.are_too_many else None
            hour = await self._note(_with(hour, number, buckets=bytes({*old, *new}), count=unindexed, is_due=True))
            await self._write(postings.slice_of(begin), rows, gone={*old} - {*new})
        return _with(hour, number, buckets=new, count=-1 if entries.are_too_many else read)

    async def _read(self, begin: datetime, entries: "_Entries") -> int:
        """Read the records of a slice. Returns their number."""

        async def read(shard: str) -> int:
            count, cursor = 0, None
            while True:
                records, cursor = await self._journal.records(
                    since=begin, before=begin + SLICE, shard=shard, limit=_PAGE_ROWS, cursor=cursor
                )
                count += len(records)
                for record in records:
                    entries.add(record)
                if cursor is None or entries.are_too_many:
                    return count

        # One shard after the other: a page may hold some megabytes.
        return sum([await read(shard) for shard in ids.SHARDS])

    async def _write(self, number: int, rows: Mapping[int, bytes], gone: Iterable[int]) -> None:
        key = postings.slice_key(number)

        async def write(bucket: int, content: bytes) -> None:
            entity = Entity(partition=postings.bucket_partition(bucket), row=key, properties={"terms": content})
            await self._tables.upsert(TABLE, entity)

        async def delete(bucket: int) -> None:
            await self._tables.delete(TABLE, postings.bucket_partition(bucket), key)

        calls = [partial(write, bucket, content) for bucket, content in rows.items()]
        await concurrency.gather_limited([*calls, *(partial(delete, bucket) for bucket in gone)], limit=_AT_ONCE)

    async def _note(self, hour: IndexedHour) -> IndexedHour:
        """Write an hour's row. Raises `Changed` or `AlreadyExists` when it was marked since it was read."""
        partition, row = postings.hour_row(hour.at)
        mark = _mark(await self.secret())
        properties: dict[str, Value] = {"checked_at": hour.checked_at, "is_due": hour.is_due, "secret": mark}
        properties |= {f"n{number}": count for number, count in hour.counts.items()}
        properties |= {f"b{number}": buckets for number, buckets in hour.buckets.items()}
        entity = Entity(partition=partition, row=row, properties=properties)
        if hour.etag:
            etag = await self._tables.merge(TABLE, entity, etag=hour.etag)
        else:
            etag = await self._tables.insert(TABLE, entity)
        return msgspec.structs.replace(hour, etag=etag)


class _Entries:
    """Collects the entries of a slice, by bucket and term."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._count = 0
        self._found: defaultdict[int, defaultdict[int, bytearray]] = defaultdict(lambda: defaultdict(bytearray))

    @property
    def are_too_many(self) -> bool:
        return self._count > MAX_ENTRIES

    def add(self, record: Record | UnreadableRecord) -> None:
        name = bytes.fromhex(record.batch)
        for bucket, key in {postings.place_of(term, self._secret) for term in postings.batch_terms(record)}:
            self._found[bucket][key] += name
            self._count += 1

    def rows(self) -> Mapping[int, bytes]:
        return {bucket: postings.packed(found) for bucket, found in self._found.items()}


def is_due(at: datetime, hour: IndexedHour | None, now: datetime) -> bool:
    """Return whether an hour must be checked: it was marked, not checked for long, or has a finished slice without an index.

    The running hour and the one before are checked every ten minutes, older ones when a quarter of their age has passed.
    """
    over = min(SLICES, (now - DELAY - at) // SLICE)
    if hour is None:
        return over > 0
    if hour.is_due or any(number not in hour.counts for number in range(over)):
        return True
    return over > 0 and now - hour.checked_at >= pause(now - at, steady=2 * HOUR)


def _differs(hour: IndexedHour, number: int, found: Mapping[int, int]) -> bool:
    count = hour.counts[number]
    return count >= 0 and count != found.get(number, 0)


def _with(
    hour: IndexedHour, number: int, *, buckets: bytes, count: int | None = None, is_due: bool | None = None
) -> IndexedHour:
    counts = hour.counts if count is None else {**hour.counts, number: count}
    return msgspec.structs.replace(
        hour,
        counts=counts,
        buckets={**hour.buckets, number: buckets},
        is_due=hour.is_due if is_due is None else is_due,
    )


def _made_secret(row: Entity | None) -> RowChange[bytes]:
    known = None if row is None else row.properties.get("secret")
    if isinstance(known, bytes) and len(known) == _SECRET_BYTES:
        return RowChange(result=known)
    made = secrets.token_bytes(_SECRET_BYTES)
    return RowChange(result=made, properties={"secret": made})


def _mark(secret: bytes) -> str:
    """Return the mark of the secret with which an hour was indexed."""
    return hashlib.sha256(secret).hexdigest()[:16]


def _hour(row: Entity, mark: str) -> IndexedHour:
    """Return an hour. One that cannot be read, or was indexed with a lost secret, is to be indexed as a whole."""
    with suppress(UnreadableEntry):
        hour = decode(TABLE, row, _read_hour)
        if row.properties.get("secret", mark) == mark:
            return hour
    buckets = dict.fromkeys(range(SLICES), bytes(range(postings.BUCKETS)))
    unknown = datetime.min.replace(tzinfo=UTC)
    return IndexedHour(at=postings.hour_of(row), checked_at=unknown, is_due=True, buckets=buckets, etag=row.etag)


def _read_hour(row: Entity) -> IndexedHour:
    known = row.properties
    return IndexedHour(
        at=postings.hour_of(row),
        checked_at=msgspec.convert(known.get("checked_at", datetime.min.replace(tzinfo=UTC)), datetime),
        is_due=msgspec.convert(known.get("is_due", True), bool),
        counts={n: msgspec.convert(known[f"n{n}"], int) for n in range(SLICES) if f"n{n}" in known},
        buckets={n: msgspec.convert(known[f"b{n}"], bytes) for n in range(SLICES) if f"b{n}" in known},
        etag=row.etag,
    )
