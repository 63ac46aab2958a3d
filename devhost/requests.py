"""Represent a request in progress, and convert it to the value that an HTTP function receives.

Source: azure-functions-host GrpcMessageConversionExtensions.ToRpcHttp, AppServiceHeaderFixupMiddleware.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qsl

from devhost.values import Datum, texts


class DisconnectedError(Exception):
    """The caller disconnected before sending the whole body."""


def _ignore() -> None: ...


class Request:
    """One request. Header names are in lower case; `path` and `query` are as sent. Its body arrives after its headers."""

    __slots__ = (
        "_chunks", "_is_complete", "_is_disconnected", "_send_continue", "_waiting",
        "headers", "keeps_alive", "length", "method", "path", "query",
    )  # fmt: skip

    def __init__(
        self,
        *,
        method: str,
        path: str,
        headers: dict[str, str],
        query: str = "",
        send_continue: Callable[[], None] = _ignore,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.keeps_alive = True
        self.length = _declared_length(headers)
        self._send_continue = send_continue
        # The genuine host passes no body without a Content-Length.
        self._chunks: list[bytes] | None = [] if self.length else None
        self._is_complete = False
        self._is_disconnected = False
        self._waiting: asyncio.Event | None = None

    def add(self, chunk: bytes) -> None:
        """Take the next part of the body."""
        if self._chunks is not None:
            self._chunks.append(chunk)

    def complete(self) -> None:
        """Note that the body is complete."""
        self._is_complete = True
        if self._waiting is not None:
            self._waiting.set()

    def disconnect(self) -> None:
        """Note that the caller disconnected."""
        self._is_disconnected = True
        if self._waiting is not None:
            self._waiting.set()

    def drop_body(self) -> None:
        """Keep no more of the body: the request has its response."""
        self._chunks = None

    async def body(self) -> bytes:
        """Return the body if it has a Content-Length: the genuine host passes no other. Raises DisconnectedError."""
        if not self.length:
            return b""
        if not self._is_complete:
            if self.headers.get("expect", "").lower() == "100-continue":
                self._send_continue()
            self._waiting = asyncio.Event()
            if not self._is_disconnected:
                await self._waiting.wait()
            if not self._is_complete:
                raise DisconnectedError
        chunks = self._chunks or []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def request_value(request: Request, query: dict[str, str], route_values: dict[str, str], body: bytes) -> Datum:
    """Return the trigger's argument."""
    content = {
        "method": Datum("string", request.method),
        "url": Datum("string", request_url(request)),
        "headers": texts(request.headers),
        "query": texts(query),
        "params": texts(route_values),
        "body": Datum("bytes", body),
    }
    return Datum("http", content)


def request_url(request: Request) -> str:
    """Return the whole URL, with the scheme and host that App Service's front end sends in headers."""
    headers = request.headers
    host = headers.get("disguised-host") or headers.get("host", "")
    scheme = headers.get("x-forwarded-proto") or "http"
    end = f"?{request.query}" if request.query else ""
    return f"{scheme}://{host}{request.path}{end}"


def query_values(query: str) -> dict[str, str]:
    """Return the query parameters. Empty values are dropped, repeated ones joined by commas."""
    values: dict[str, str] = {}
    if not query:
        return values
    for name, value in parse_qsl(query):
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def _declared_length(headers: dict[str, str]) -> int:
    """Return Content-Length; 0 without one, so that a chunked body counts as empty."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0
