"""The JSON of a request to the SendGrid face, also gzipped, as its contract allows."""

import zlib
from typing import Any

from relay.api.http import Request
from relay.api.problems import Problems
from relay.api.reading import json_text
from relay.api.reading.body import check_length
from relay.core.errors import Refusal

_GZIP = 31


def read_body(request: Request, most_bytes: int, faults: Problems) -> Any:
    """The body's value. Raises `Refusal` for what is not JSON, and for a subuser, whom Relay does not have."""
    if "on-behalf-of" in request.headers:
        text = "The relay has no subusers: use a key of the client that shall send, and leave this header out."
        raise Refusal(400, "not_applicable", text, target="on-behalf-of")
    check_length(request)
    json_text.check_content_type(request.headers.get("content-type", ""))
    return json_text.read_json(_unpacked(request, most_bytes), most_bytes, faults)


def _unpacked(request: Request, most_bytes: int) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        return request.body
    if encoding != "gzip":
        text = "The Content-Encoding must be gzip or identity."
        raise Refusal(415, "unsupported_media_type", text, target="Content-Encoding")
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        # One byte more than may be, so that a larger body is noticed without unpacking it.
        body = unpacker.decompress(request.body, most_bytes + 1)
    except zlib.error as error:
        raise _not_gzip() from error
    if not unpacker.eof and len(body) <= most_bytes:
        raise _not_gzip()
    return body


def _not_gzip() -> Refusal:
    return Refusal(400, "invalid_value", "The body is not whole gzip data.", target="Content-Encoding")
