"""Check values against the limits of Azure Storage. The in-memory doubles and the adapters raise the same exceptions.

Sources: learn.microsoft.com/rest/api/storageservices, "Put Message" for queues and "Understanding the Table service
data model" for tables.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

from relay.core import entries
from relay.core.errors import NotFound, StorageError
from relay.platform.storage.ports import Value

MAX_BODY_BYTES = 65_536
MAX_REQUEST_BYTES = 131_584
"""Bytes of a Put Message request, in which XML escapes `<`, `>` and `&`: the `MaxLimit` in the service's own refusal
(github.com/Azure/azure-sdk-for-net/issues/32663)."""
MAX_DELAY_SECONDS = 604_800
MAX_RECEIVED = 32
MAX_PAGE_ROWS = 1000
MAX_ENTITY_BYTES = 1_048_576
MAX_PROPERTY_BYTES = 65_536
MAX_PROPERTIES = 252
MAX_KEY_BYTES = 1024

# XML 1.0 cannot carry control characters, U+FFFE and U+FFFF, and its parsers turn a carriage return into a line feed.
_NOT_XML_BYTES = bytes(code for code in range(32) if code not in b"\t\n")
_NOT_XML_CHARACTERS = ("\ufffe", "\uffff")
_AROUND_BODY = len("<QueueMessage><MessageText></MessageText></QueueMessage>")
_MOST_PER_BYTE = len("&amp;")
_NOT_IN_KEY = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
_PROPERTY_NAME = re.compile(r"[^\W\d]\w{0,254}")
_RESERVED = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_STORED_AS_THEY_ARE = frozenset({str, bytes, bool, float})
_NAMES_KEPT = 1024


def check_queue_entry(body: bytes) -> None:
    """Raise `StorageError` if a queue cannot hold this entry or would return it changed."""
    if len(body) > MAX_BODY_BYTES:
        raise StorageError(f"queue entry too large: {len(body)} bytes (limit {MAX_BODY_BYTES})")
    # Count markup only if the limit can be exceeded, and search only text beyond ASCII: a twentieth of accepting a message.
    if _MOST_PER_BYTE * len(body) + _AROUND_BODY > MAX_REQUEST_BYTES:
        escaped = entries.weight(body) + _AROUND_BODY
        if escaped > MAX_REQUEST_BYTES:
            raise StorageError(f"queue entry too large with its markup: {escaped} bytes (limit {MAX_REQUEST_BYTES})")
    is_xml = len(body.translate(None, _NOT_XML_BYTES)) == len(body)
    if not body.isascii():
        try:
            text = body.decode()
        except UnicodeDecodeError:
            # Without the cause: its text quotes the content.
            raise StorageError("a queue entry must be UTF-8 text") from None
        is_xml = is_xml and not any(each in text for each in _NOT_XML_CHARACTERS)
    if not is_xml:
        raise StorageError("a queue entry cannot hold control characters, U+FFFE or U+FFFF")


def check_blob_name(name: str) -> None:
    """Raise `NotFound` for a name with a segment `.` or `..`: HTTP libraries resolve it to another blob or container.

    RFC 3986 section 5.2.4 (remove dot segments); Relay writes no such blob.
    """
    if {".", ".."} & set(name.split("/")):
        raise NotFound("a blob name with a dot segment")


def check_range(what: str, value: int, minimum: int, maximum: int) -> None:
    """Raise `StorageError` unless minimum <= value <= maximum."""
    if not minimum <= value <= maximum:
        raise StorageError(f"{what} must be from {minimum} to {maximum}, not {value}")


def check_entity(partition: str, row: str, properties: Mapping[str, Value]) -> None:
    """Raise `StorageError` if a table cannot hold this row."""
    for key in (partition, row):
        if _NOT_IN_KEY.search(key) or _utf16_bytes(key) > MAX_KEY_BYTES:
            raise StorageError("a row key has a forbidden character or more than 512 UTF-16 units")
    if len(properties) > MAX_PROPERTIES:
        raise StorageError(f"too many properties in a row: {len(properties)} (limit {MAX_PROPERTIES})")
    size = 4 + _utf16_bytes(partition) + _utf16_bytes(row)
    for name, value in properties.items():
        size += 8 + _name_bytes(name) + _property_bytes(name, value)
    if size > MAX_ENTITY_BYTES:
        raise StorageError(f"row too large: {size} bytes (limit {MAX_ENTITY_BYTES})")


def as_stored(value: Value) -> Value:
    """Return the value as a table returns it: plain types, times in UTC.

    Raises `StorageError` for an integer of more than 64 bits or a time without a zone.
    """
    if type(value) in _STORED_AS_THEY_ARE:
        return value
    match value:
        case bool() | float() | bytes():
            return value
        case int():
            check_range("a number", value, -(2**63), 2**63 - 1)
            return int(value)
        case str():
            return str.__str__(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC)
        case _:
            raise StorageError(f"a property cannot hold this {type(value).__name__}")


@lru_cache(_NAMES_KEPT)
def _name_bytes(name: str) -> int:
    if not _PROPERTY_NAME.fullmatch(name) or name in _RESERVED:
        raise StorageError("invalid property name")
    return _utf16_bytes(name)


def _property_bytes(name: str, value: Value) -> int:
    match value:
        case bool():
            return 1
        case str() | bytes():
            size = len(value) if isinstance(value, bytes) else _utf16_bytes(value)
            if size > MAX_PROPERTY_BYTES:
                raise StorageError(f"property {name} is too large: {size} bytes (limit {MAX_PROPERTY_BYTES})")
            return 4 + size
        case _:
            return 8


def _utf16_bytes(text: str) -> int:
    if text.isascii():
        return 2 * len(text)
    try:
        return len(text.encode("utf-16-le"))
    except UnicodeEncodeError:
        raise StorageError("a text with a lone surrogate cannot be stored") from None
