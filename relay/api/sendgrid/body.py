"""Decode the body of a request to SendGrid's API: JSON, optionally compressed with gzip, as its contract allows."""

import zlib
from typing import Any

from relay.api.http import Request
from relay.api.problems import Problems
from relay.api.reading import json_text
from relay.api.reading.body import check_length
from relay.core.errors import Refusal

_GZIP = 31


def read_body(request: Request, max_bytes: int, problems: Problems) -> Any:
    """Decode the body. Raises `Refusal` if it is not JSON, and for subusers, which Relay does not support."""
    if "on-behalf-of" in request.headers:
        text = "Relay has no subusers. Use the key of the client that sends, and leave this header out."
        raise Refusal(400, "not_applicable", text, target="on-behalf-of")
    check_length(request)
    json_text.check_content_type(request.headers.get("content-type", ""))
    return json_text.read_json(unpacked(request, max_bytes), max_bytes, problems)


def body_size(request: Request, max_bytes: int) -> int:
    """Return the size of the body in bytes, or the maximum for a compressed body, whose size is not known in advance."""
    return max_bytes if "content-encoding" in request.headers else len(request.body)


def unpacked(request: Request, max_bytes: int) -> bytes:
    """Return the decompressed body, at most one byte more than allowed. Raises `Refusal`."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return request.body
    if encoding != "gzip":
        text = "The Content-Encoding must be gzip or identity."
        raise Refusal(415, "unsupported_media_type", text, target="Content-Encoding")
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        # One byte more than allowed shows that a body is too large, without decompressing all of it.
        body = unpacker.decompress(request.body, max_bytes + 1)
    except zlib.error as error:
        raise _not_gzip() from error
    if not unpacker.eof and len(body) <= max_bytes:
        raise _not_gzip()
    return body


def _not_gzip() -> Refusal:
    return Refusal(400, "invalid_value", "The body is not complete gzip data.", target="Content-Encoding")
