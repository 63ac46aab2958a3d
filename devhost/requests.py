"""Convert an ASGI request to the value that an HTTP function receives.

Source: azure-functions-host GrpcMessageConversionExtensions.ToRpcHttp, AppServiceHeaderFixupMiddleware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from devhost.values import Datum, texts

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class DisconnectedError(Exception):
    """The caller disconnected before sending the whole body."""


def request_value(
    scope: Scope, headers: dict[str, str], query: dict[str, str], route_values: dict[str, str], body: bytes
) -> Datum:
    """Return the trigger's argument."""
    content = {
        "method": Datum("string", scope["method"]),
        "url": Datum("string", request_url(scope, headers)),
        "headers": texts(headers),
        "query": texts(query),
        "params": texts(route_values),
        "body": Datum("bytes", body),
    }
    return Datum("http", content)


def request_url(scope: Scope, headers: Mapping[str, str]) -> str:
    """Return the whole URL, with the scheme and host that App Service's front end sends in headers."""
    host = headers.get("disguised-host") or headers.get("host", "")
    scheme = headers.get("x-forwarded-proto") or scope["scheme"]
    query = scope["query_string"]
    end = f"?{query.decode('latin-1')}" if query else ""
    return f"{scheme}://{host}{scope['raw_path'].decode('latin-1')}{end}"


def joined_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name, as in ASGI; repeated values are joined by commas."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def query_values(query: bytes) -> dict[str, str]:
    """Return the query parameters. Empty values are dropped, repeated ones joined by commas."""
    values: dict[str, str] = {}
    if not query:
        return values
    for name, value in parse_qsl(query.decode("latin-1")):
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def declared_length(headers: Mapping[str, str]) -> int:
    """Return Content-Length; 0 without one, so that a chunked body counts as empty."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


async def read_body(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """Return the body if it has a Content-Length: the genuine host passes no other. Raises DisconnectedError."""
    if not declared_length(headers):
        return b""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
