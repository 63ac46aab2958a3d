"""Convert an HTTP function's result to the response on the wire.

Source: azure-functions-host HttpBinding.CreateResult, RawScriptResult; Microsoft.Net.Http.Headers SetCookieHeaderValue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http.cookies import Morsel
from typing import Any

from devhost.worker import Function, Invocation

type Headers = Sequence[tuple[bytes, bytes]]
FRAMING = frozenset({"content-length", "transfer-encoding"})
"""Headers of a function's response that the host replaces by its own."""


class Reply:
    """A response ready to be written."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers


def json_reply(status: int, content: object) -> Reply:
    """Return a JSON response, for the host's own pages."""
    body = json.dumps(content).encode()
    return Reply(status, body, [(b"content-type", b"application/json; charset=utf-8")])


def reply_of(function: Function, invocation: Invocation) -> Reply:
    """Return the response to an HTTP invocation: 500 without a body if it failed, 204 if it returned nothing."""
    if not invocation.succeeded:
        return Reply(500)
    for name, value in invocation.outputs:
        if name == function.http_output:
            return _reply_of_http(value.value) if value.type == "http" else _reply_of_text(str(value.value))
    return Reply(204)


def _reply_of_text(text: str) -> Reply:
    envelope = _envelope(text)
    if envelope is None:
        return Reply(200, text.encode(), [(b"content-type", b"text/plain; charset=utf-8")])
    body = envelope["body"]
    named = {str(name).lower(): str(value) for name, value in (envelope.get("headers") or {}).items()}
    headers = [(name.encode(), value.encode()) for name, value in named.items() if name not in FRAMING]
    encoded = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Reply(int(envelope.get("statusCode") or envelope.get("status") or 200), encoded, headers)


def _envelope(text: str) -> dict[str, Any] | None:
    """Return the response envelope in a text. The genuine host reads a JSON object with `body` as one, not as a body."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) and "body" in content else None


def _reply_of_http(response: dict[str, Any]) -> Reply:
    headers = [
        (name.encode("latin-1"), value.value.encode("latin-1"))
        for key, value in response["headers"].items()
        if (name := key.lower()) not in FRAMING
    ]
    for cookie in response["cookies"] or ():
        headers += [(b"set-cookie", cookie_text(morsel).encode("latin-1")) for morsel in cookie.values()]
    return Reply(int(response["status_code"].value), response["body"].value, headers)


def cookie_text(morsel: Morsel[str]) -> str:
    """Format a cookie as ASP.NET does, with only the attributes that the worker's protocol carries."""
    parts = [f"{morsel.key}={morsel.value}"]
    parts += [f"{name}={morsel[name]}" for name in ("expires", "max-age", "domain", "path") if morsel[name]]
    parts += ["secure"] if morsel["secure"] else []
    if (same_site := str(morsel["samesite"]).lower()) in {"lax", "strict", "none"}:
        parts.append(f"samesite={same_site}")
    parts += ["httponly"] if morsel["httponly"] else []
    return "; ".join(parts)
