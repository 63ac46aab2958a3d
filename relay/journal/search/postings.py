"""Convert the index to rows and back: pure functions.

Time is cut into slices of ten minutes. A row holds the postings of one slice and one of 256 buckets of terms: for each term the
names of the batches that have it. Rows of a bucket are one partition, the newest slice first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

import msgspec

from relay.core import ids
from relay.core.model import Submission
from relay.journal.record_rows import Record
from relay.journal.search.terms import Kind, Term, terms_of
from relay.journal.unreadable import UnreadableRecord
from relay.platform.storage.ports import Entity, Query

SLICE = timedelta(minutes=10)
HOUR = timedelta(hours=1)
SLICES = HOUR // SLICE
BUCKETS = 256
MAX_BATCHES = 1000
"""Batches that a term lists in a slice. A term with more is common: a scan soon fills a page with its messages."""
MAX_ROW_BYTES = 60_000
"""Bytes of a row's postings: a property holds 65,536."""
_FORMAT = "1"
_HOURS = f"hour{_FORMAT}"
_BUCKET = f"terms{_FORMAT}-"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 99_999_999
_NAME_BYTES = 16
_decoder = msgspec.msgpack.Decoder(dict[int, bytes])
_encoder = msgspec.msgpack.Encoder()


def slice_of(at: datetime) -> int:
    """Return the number of the slice that a moment is in."""
    return (at - _EPOCH) // SLICE


def begin_of(number: int) -> datetime:
    """Return when a slice begins."""
    return _EPOCH + number * SLICE


def place_of(term: Term, secret: bytes) -> tuple[int, int]:
    """Return the bucket of a term and its key there. Without the secret nobody can choose terms that fill one bucket."""
    digest = blake2b("\0".join(term).encode("utf-8", "surrogatepass"), digest_size=5, key=secret).digest()
    return digest[0], int.from_bytes(digest[1:])


def batch_terms(record: Record | UnreadableRecord) -> set[Term]:
    """Return the terms of all messages of a batch, and its clients. What was erased has none."""
    found: set[Term] = set()
    for submission in _submissions(record):
        if submission.message is not None:
            found.add((Kind.CLIENT, submission.client))
            found.update(terms_of(submission.message))
    return found


def _submissions(record: Record | UnreadableRecord) -> Iterator[Submission]:
    if isinstance(record, Record):
        yield from record.entry().messages
        return
    for index in range(len(record.statuses)):
        submission = None if record.is_erased(index) else record.submission(index)
        if submission is not None:
            yield submission


def packed(postings: Mapping[int, bytes | bytearray]) -> bytes:
    """Return a row's postings as bytes: by the term's key the names of batches, one after the other.

    Postings that are too long are left out, and read as a common term.
    """
    kept = {key: b"" if len(names) > MAX_BATCHES * _NAME_BYTES else bytes(names) for key, names in postings.items()}
    size = len(_encoder.encode(kept))
    for key in sorted(kept, key=lambda key: len(kept[key]), reverse=True):
        if size <= MAX_ROW_BYTES:
            break
        size -= len(kept[key])
        kept[key] = b""
    # Without any postings every term of the bucket is common.
    return _encoder.encode(kept) if size <= MAX_ROW_BYTES else b""


def batches_of(key: int, content: bytes) -> frozenset[str] | None:
    """Return the names of a slice's batches that may have a term, by its row's content; None if the term is common."""
    if not content:
        return None
    names = _decoder.decode(content).get(key)
    if names is None:
        return frozenset()
    if not names:
        return None
    text = names.hex()
    return frozenset(text[at : at + 32] for at in range(0, len(text), 32))


# ── keys ──


def hour_key(at: datetime) -> str:
    """Return the row key of the hour that begins at a moment."""
    return f"{at.astimezone(UTC):%Y%m%d%H}"


def hour_row(at: datetime) -> tuple[str, str]:
    """Return partition and row of an hour."""
    return _HOURS, hour_key(at)


def hours_query(since: datetime, until: datetime, select: Sequence[str] | None = None) -> Query:
    """Return the query for the hours that begin from one moment to before another."""
    return Query(partition=_HOURS, row_from=hour_key(since), row_before=hour_key(until), select=select)


def hour_of(row: Entity) -> datetime:
    """Return when the hour of a row begins."""
    return datetime.strptime(row.row, "%Y%m%d%H").replace(tzinfo=UTC)


def bucket_partition(bucket: int) -> str:
    """Return the partition of a bucket."""
    return f"{_BUCKET}{bucket:02x}"


def slice_key(number: int) -> str:
    """Return the row key of a slice: the newest sorts first."""
    return f"{_LAST - number:08d}"


def slice_number(key: str) -> int:
    """Return the slice of a row key."""
    return _LAST - int(key)


def old_rows(before: datetime) -> Iterable[Query]:
    """Return the queries for the rows of hours that ended before a moment, in all formats."""
    yield Query(partition_from="hour", partition_before="hous", row_before=hour_key(before - HOUR), select=())
    number = slice_of(before - HOUR)
    yield Query(partition_from="terms", partition_before="termt", row_from=slice_key(number), select=())


def name_floor(number: int) -> str:
    """Return the smallest batch name of a slice."""
    return ids.batch_floor(begin_of(number))
