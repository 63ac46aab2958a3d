"""A record of the audit log, and its row in table `audit`.

The keys run backwards in time: a scan of the table meets the newest record first, so that the cost of a page does not grow with
the number of records. A partition has the records of an hour.
"""

import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec

from relay.core.errors import UnreadableEntry
from relay.platform import resources
from relay.platform.storage.ports import Entity, Value
from relay.platform.storage.readable import decode

TABLE = resources.AUDIT_TABLE
MAX_TEXT = 256
"""Characters kept of a value that a caller chose."""
MAX_DETAIL = 1024
"""The same of a detail, which may list message ids."""
_LAST_HOUR = 99_999_999
_LAST_MILLISECOND = _LAST_HOUR * 3_600_000
_VERSION = re.compile(r"[0-9]{1,7}")


class AuditOutcome(StrEnum):
    """The outcome of a call. `unknown`: it still runs, or Relay or storage failed before the outcome was recorded."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `credential` is the key or Entra principal of the client, and `role` its role at that time.

    `target` is the resource or address that the call names. `code` is the error's code. `before` and `after` are SHA-256 digests
    of the stored resource, empty where there is none.
    """

    id: str
    at: datetime
    client: str = ""
    credential: str = ""
    role: str = ""
    operation: str = ""
    target: str = ""
    details: Mapping[str, str] = {}
    reason: str = ""
    address: str = ""
    request_id: str = ""
    outcome: AuditOutcome = AuditOutcome.UNKNOWN
    status: int = 0
    code: str = ""
    before: str = ""
    after: str = ""


def new_id(at: datetime) -> str:
    """Return an id for a record of this time. Ids of later records are less."""
    return f"{row_floor(at)}{secrets.token_hex(8)}"


def row_floor(at: datetime) -> str:
    """Return a lower bound of the ids of this millisecond's records. Ids of later records are less than it."""
    return f"{_LAST_MILLISECOND - int(at.timestamp() * 1000):015d}-"


def partition_of(at: datetime) -> str:
    """Return the partition of the records of this hour. Partitions of later hours are less."""
    return f"{_LAST_HOUR - int(at.timestamp()) // 3600:08d}"


def partition_of_id(record_id: str) -> str:
    """Return the partition of a record."""
    return partition_of(_time_of(record_id))


def clipped(text: str, limit: int = MAX_TEXT) -> str:
    """Return a caller's text as the log keeps it: shortened, without control characters, and without an address.

    A digest replaces an address, so that a reader who knows the address finds the record.
    """
    if "@" in text and not _VERSION.fullmatch(text.rpartition("@")[2]):
        return address_digest(text)
    return plain(text, limit)


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text shortened and without control characters."""
    return "".join(each if each.isprintable() else " " for each in text[:limit])


def address_digest(address: str) -> str:
    """Return the digest that the log keeps instead of an address."""
    return f"sha256:{sha256(address.strip().casefold().encode(errors='replace')).hexdigest()[:32]}"


def to_row(record: AuditRecord) -> Entity:
    """Return the row of a record."""
    properties: dict[str, Value] = {
        name: value
        for name in AuditRecord.__struct_fields__
        if name not in ("id", "details") and (value := getattr(record, name)) != ""
    }
    if record.details:
        properties["details"] = msgspec.json.encode(record.details).decode()
    properties["outcome"] = str(record.outcome)
    return Entity(partition=partition_of_id(record.id), row=record.id, properties=properties)


def from_row(row: Entity) -> AuditRecord:
    """Return the record in a row, or the readable fields of a damaged one."""
    try:
        return decode(TABLE, row, _whole)
    except UnreadableEntry:
        return _salvaged(row)


def _whole(row: Entity) -> AuditRecord:
    details = row.properties.get("details", "{}")
    if not isinstance(details, str):
        raise TypeError("details")
    return msgspec.convert({**row.properties, "id": row.row, "details": msgspec.json.decode(details)}, AuditRecord)


def _salvaged(row: Entity) -> AuditRecord:
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(AuditRecord):
        if field.name in row.properties and field.name != "details":
            with suppress(msgspec.ValidationError):
                known[field.name] = msgspec.convert(row.properties[field.name], field.type)
    try:
        at = _time_of(row.row)
    except ValueError:
        at = row.written_at or datetime.fromtimestamp(0, UTC)
    return AuditRecord(**{"at": at, **known, "id": row.row})


def _time_of(record_id: str) -> datetime:
    return datetime.fromtimestamp((_LAST_MILLISECOND - int(record_id.partition("-")[0])) / 1000, UTC)
