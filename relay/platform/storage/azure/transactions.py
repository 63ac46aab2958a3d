"""Encode an entity group transaction of a table, and read its response.

Source: learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions. A change set succeeds as a whole: then
each change has its own response; otherwise the only one is that of the change that failed.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from relay.core.errors import Unavailable
from relay.platform.storage.azure.errors import refused

CONTENT_TYPE = "multipart/mixed; boundary=batch_relay"
# The parts are lines of ASCII and JSON without line breaks, so no boundary occurs in them.
_HEAD = b"--batch_relay\r\nContent-Type: multipart/mixed; boundary=changeset_relay\r\n\r\n"
_PART = b"--changeset_relay\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
_ROW = b"Content-Type: application/json\r\nAccept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\n\r\n"
_TAIL = b"--changeset_relay--\r\n--batch_relay--\r\n"
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
_CODE = re.compile(rb'"code"\s*:\s*"(\w+)"')


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A row to write, with its whole URL: merged if it still has this ETag, or without one, inserted or replaced."""

    url: str
    row: bytes
    etag: str | None = None


def encode_transaction(changes: Sequence[Change]) -> bytes:
    """Return the body of the request that makes these changes of one partition, all or none."""
    return b"".join((_HEAD, *(piece for change in changes for piece in _pieces(change)), _TAIL))


def check_response(what: str, body: bytes, changes: int) -> None:
    """Raise the error of the change that failed. Raises `Unavailable` if the response does not have one part for each change."""
    statuses = [int(status) for status in _STATUS.findall(body)]
    failed = next((status for status in statuses if status >= 400), None)
    if failed is not None:
        code = _CODE.search(body)
        raise refused(what, failed, code[1].decode() if code else "", {})
    if len(statuses) != changes:
        raise Unavailable(f"{what}: {len(statuses)} responses to {changes} changes")


def _pieces(change: Change) -> Iterable[bytes]:
    method, condition = ("PUT", "") if change.etag is None else ("PATCH", f"If-Match: {change.etag}\r\n")
    return _PART, f"{method} {change.url} HTTP/1.1\r\n{condition}".encode(), _ROW, change.row, b"\r\n"
