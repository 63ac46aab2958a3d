"""From what an HTTP function gave to the response on the wire.

Source: azure-functions-host HttpBinding.CreateResult; azure-functions-runtime datumdef for cookies.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from devhost.protos import RpcHttp, TypedData
from devhost.worker import Function, Invocation

# The numbers of protobuf's RpcHttp.Cookie.SameSite.
SAME_SITE = {1: "lax", 2: "strict", 3: "none"}

type Headers = Sequence[tuple[bytes, bytes]]


class Reply:
    """A response ready to be written."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes = b"", headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = headers


def json_reply(status: int, content: object) -> Reply:
    """A JSON response, for the host's own pages."""
    body = json.dumps(content).encode()
    return Reply(status, body, [(b"content-type", b"application/json; charset=utf-8")])


def reply_of(function: Function, invocation: Invocation) -> Reply:
    """The response to an HTTP invocation: 500 without a body if it failed, 204 if it gave no response."""
    if not invocation.succeeded:
        return Reply(500)
    for name, value in invocation.outputs:
        if function.writes(name, "http") is not None:
            return _reply_of_value(value)
    return Reply(204)


def _reply_of_value(value: TypedData) -> Reply:
    if value.http is not None:
        return _reply_of_http(value.http)
    text = str(value.string or "")
    envelope = _envelope(text)
    if envelope is None:
        return Reply(200, text.encode(), [(b"content-type", b"text/plain; charset=utf-8")])
    body = envelope["body"]
    headers = [(str(k).lower().encode(), str(v).encode()) for k, v in (envelope.get("headers") or {}).items()]
    encoded = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Reply(int(envelope.get("statusCode") or envelope.get("status") or 200), encoded, headers)


def _envelope(text: str) -> dict[str, Any] | None:
    """The host takes a plain `str` that is a JSON object with `body` for a response envelope, not for a body."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, dict) and "body" in content else None


def _reply_of_http(http: RpcHttp) -> Reply:
    headers = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in http.headers.items()]
    headers += [(b"set-cookie", cookie_text(cookie).encode("latin-1")) for cookie in http.cookies]
    body = http.body.bytes if http.body.bytes is not None else (http.body.string or "").encode()
    return Reply(int(http.status_code), body, headers)


def cookie_text(cookie: Any) -> str:
    """A worker's cookie as a Set-Cookie value."""
    parts = [f"{cookie.name}={cookie.value}"]
    parts += [f"{name}={held.value}" for name in ("domain", "path") if (held := getattr(cookie, name)) and held.value]
    if cookie.max_age is not None:
        parts.append(f"max-age={cookie.max_age.value:.0f}")
    if cookie.expires is not None:
        expires_at = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(expires_at, usegmt=True)}")
    parts += [word for word, held in (("secure", cookie.secure), ("httponly", cookie.http_only)) if held and held.value]
    if same_site := SAME_SITE.get(cookie.same_site):
        parts.append(f"samesite={same_site}")
    return "; ".join(parts)
