"""Read rows so that an unreadable row does not hide the others.

A row can be damaged, or have been written by a newer version of Relay. Loops over rows leave such a row out (`readable`), a
read of that row alone raises `UnreadableEntry` (`decode`), and either logs it once.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime

from relay.core.errors import RelayError, UnreadableEntry
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, every_row

_MAX_LOGGED = 10_000
_logged: set[tuple[str, str, str, str]] = set()


def readable[T](table: str, rows: Iterable[Entity], read: Callable[[Entity], T]) -> Iterator[T]:
    """Yield `read(row)` for each row; log and leave out rows that cannot be read."""
    for row in rows:
        try:
            found = decode(table, row, read)
        except UnreadableEntry:
            continue
        yield found


async def readable_rows[T](tables: Tables, table: str, query: Query, read: Callable[[Entity], T]) -> AsyncIterator[T]:
    """Yield `read(row)` for each row of a query, page by page; log and leave out rows that cannot be read."""
    async for row in every_row(tables, table, query):
        for found in readable(table, (row,), read):
            yield found


def decode[T](table: str, row: Entity, read: Callable[[Entity], T]) -> T:
    """Return `read(row)`, where `read` is a pure function. Logs a row that cannot be read, and raises `UnreadableEntry`."""
    try:
        return read(row)
    except UnreadableEntry as error:
        log_unreadable(table, row, error)
        raise
    except RelayError:
        raise
    except Exception as error:
        # Every error of a decoder is about this row alone: a missing property, a wrong type, cut or foreign bytes.
        log_unreadable(table, row, error)
        raise UnreadableEntry(f"a row of table {table} cannot be read") from error


def log_unreadable(table: str, row: Entity, error: Exception) -> None:
    """Log a row that cannot be read, once per process and version of the row: lists and timers meet it again and again."""
    version = (table, row.partition, row.row, row.etag)
    if version in _logged:
        return
    if len(_logged) >= _MAX_LOGGED:
        _logged.clear()
    _logged.add(version)
    # A scope in a row's key may end with an address, behind a bar.
    place = {"partition": row.partition, "row": row.row.partition("|")[0]}
    log_event("row_unreadable", level=logging.ERROR, table=table, **place, error=type(error).__name__)


def moment_of(row: Entity, name: str) -> datetime | None:
    """Return the time in a property, or if that cannot be read, the time of the last write to the row."""
    value = row.properties.get(name)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    return value if isinstance(value, datetime) and value.tzinfo is not None else row.written_at


def is_older(row: Entity, name: str, before: datetime) -> bool:
    """Return whether the time in a property (see `moment_of`) is before a moment. False if no time is known."""
    at = moment_of(row, name)
    return at is not None and at < before
