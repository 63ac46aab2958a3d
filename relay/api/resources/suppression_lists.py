"""Read and write a list of suppressed addresses: of all clients, of one, or of a topic."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, cast

import msgspec

from relay.acceptance.draft import Limits
from relay.api.http import Response, csv_response
from relay.api.problems import Problems
from relay.api.reading.addresses import read_mailbox
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.suppressions import Reason, SuppressionFields, SuppressionView
from relay.clients.suppressions.rows import ALL, REASONS, Suppression
from relay.core.errors import Refusal
from relay.core.model import Address

MOST_IMPORTED = 10_000
MAX_IMPORT_BYTES = 4_194_304
MAX_NOTE = 500
_COLUMNS = ("email", "reason", "at", "expires_at", "source", "note")
_LIMITS = Limits()


async def add(call: Call, value: SuppressionFields, scope: str) -> Suppression:
    """Add an address to a list, replacing an earlier entry. Raises `Refusal`."""
    problems = Problems()
    made = _made(call, value, scope, "", problems)
    if made is None or problems:
        raise problems.refusal()
    await call.services.suppressions.put([made])
    return made


async def take(call: Call, rows: Sequence[SuppressionFields], scope: str) -> int:
    """Add all addresses to a list, or none. Raises `Refusal`."""
    problems = Problems()
    if len(rows) > MOST_IMPORTED:
        problems.add("too_many", "value", f"{MOST_IMPORTED} are possible in one request; send several.")
        problems.raise_any()
    made = [_made(call, row, scope, f"value[{number}].", problems) for number, row in enumerate(rows)]
    problems.raise_any()
    await call.services.suppressions.put([each for each in made if each is not None])
    return len(made)


async def export(call: Call, scope: str, name: str) -> Response:
    """Return a whole list as CSV that `read_csv` reads."""
    rows, cursor = list[list[Any]](), None
    while True:
        found, cursor = await call.services.suppressions.page(scope, cursor=cursor)
        rows += [_row(each) for each in found]
        if cursor is None:
            return csv_response(name, _COLUMNS, rows)


def _made(call: Call, row: SuppressionFields, scope: str, place: str, problems: Problems) -> Suppression | None:
    address = read_mailbox(row.email, f"{place}email", problems, _LIMITS)
    reason = row.reason or "manual"
    note = row.note or ""
    if reason not in REASONS:
        problems.add("invalid_choice", f"{place}reason", f"A reason is one of {', '.join(REASONS)}.")
        return None
    if len(note) > MAX_NOTE:
        problems.add("too_long", f"{place}note", f"A note has at most {MAX_NOTE} characters.")
    if not isinstance(address, Address):
        return None
    made = call.services.suppressions.made(address.email, reason, scope, scope=scope, note=note, source="api")
    seconds = row.expires_in_seconds
    if seconds is None:
        return made
    return msgspec.structs.replace(made, expires_at=made.at + timedelta(seconds=seconds))


def read_csv(body: bytes) -> Sequence[SuppressionFields]:
    """Read a CSV with a column `email`, and optionally `reason` and `note`; other columns are ignored.

    Raises `Refusal`.
    """
    if len(body) > MAX_IMPORT_BYTES:
        raise Refusal(
            413, "message_too_large", f"The list is too large (limit {MAX_IMPORT_BYTES} bytes). Send several."
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, "invalid_request", "The list is not encoded in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if "email" not in (reader.fieldnames or ()):
        problems = Problems()
        problems.add("required", "email", "The first line names the columns; one of them must be `email`.")
        problems.raise_any()
    return list(_rows(reader))


def _rows(reader: "csv.DictReader[str]") -> Iterator[SuppressionFields]:
    try:
        for row in reader:
            email, reason, note = (str(row.get(name) or "").strip() for name in ("email", "reason", "note"))
            yield SuppressionFields(email=email, reason=cast("Reason | None", reason or None), note=note)
    except csv.Error as error:
        raise Refusal(400, "invalid_request", "The list is not valid CSV.") from error


def _row(each: Suppression) -> list[Any]:
    """Return a row of the CSV."""
    values = msgspec.structs.asdict(view_of(each))
    return ["" if values[name] is msgspec.UNSET else values[name] for name in _COLUMNS]


def view_of(each: Suppression) -> SuppressionView:
    """Show an entry."""
    return SuppressionView(
        email=each.email,
        reason=each.reason,
        for_all=each.scope == ALL,
        at=each.at,
        expires_at=given(each.expires_at),
        source=given(each.source or None),
        note=given(each.note or None),
    )
