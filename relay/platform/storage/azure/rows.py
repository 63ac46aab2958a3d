"""Encode table rows as the service's JSON, and decode them.

Source: learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model and
…/payload-format-for-table-service-operations (minimal metadata).
"""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from relay.platform.storage import limits
from relay.platform.storage.ports import Entity, Value

_TYPE = "@odata.type"
_NO_PROPERTIES = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_decoder = msgspec.json.Decoder()


def encode_row(entity: Entity) -> bytes:
    """Return the body of a request that writes the row. Raises `StorageError` for a value that a table cannot hold."""
    fields: dict[str, Any] = {"PartitionKey": entity.partition, "RowKey": entity.row}
    for name, value in entity.properties.items():
        match limits.as_stored(value):
            case bool() | str() as plain:
                fields[name] = plain
            case int(number):
                fields[name], fields[name + _TYPE] = str(number), "Edm.Int64"
            case float(number):
                fields[name] = number if math.isfinite(number) else _not_finite(number)
                fields[name + _TYPE] = "Edm.Double"
            case bytes(content):
                fields[name], fields[name + _TYPE] = base64.b64encode(content).decode(), "Edm.Binary"
            case datetime() as at:
                fields[name], fields[name + _TYPE] = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", "Edm.DateTime"
    # ASCII only: Azurite breaks a multi-byte character at the end of a chunk that it reads.
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def decode_row(body: bytes) -> Entity:
    """Decode the row in a response body."""
    return _entity(_decoder.decode(body))


def decode_rows(body: bytes) -> Sequence[Entity]:
    """Decode the rows of a page."""
    return [_entity(found) for found in _decoder.decode(body)["value"]]


def _entity(found: Mapping[str, Any]) -> Entity:
    properties: dict[str, Value] = {}
    for name, value in found.items():
        if "@" in name or "." in name or name in _NO_PROPERTIES or value is None:
            continue
        read = _READERS.get(found.get(name + _TYPE, ""))
        properties[name] = read(value) if read is not None else value
    return Entity(
        partition=found["PartitionKey"],
        row=found["RowKey"],
        properties=properties,
        etag=_etag(found),
        written_at=_time(found["Timestamp"]),
    )


def _etag(found: Mapping[str, Any]) -> str:
    # A projection omits the ETag. It is derived from `Timestamp`, so every projection selects that.
    return str(found.get("odata.etag") or f"W/\"datetime'{quote(found['Timestamp'], safe='')}'\"")


def _time(text: str) -> datetime:
    # The service has a resolution of 0.1 microseconds; the times Relay writes have whole microseconds.
    return datetime.fromisoformat(text).astimezone(UTC)


def _number(value: str | float) -> float:
    return _NOT_FINITE[value] if isinstance(value, str) else float(value)


def _not_finite(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


_READERS: Mapping[str, Callable[[Any], Value]] = {
    "Edm.Int64": int,
    "Edm.Double": _number,
    "Edm.Binary": base64.b64decode,
    "Edm.DateTime": _time,
}
