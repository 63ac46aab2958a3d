"""HTTP triggers: from an ASGI request to an invocation and back. Served by uvicorn without a framework between.

Source: azure-functions-host GrpcMessageConversionExtensions.ToRpcHttp, HttpBinding.CreateResult.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

from devhost.protos import RpcHttp, TypedData
from devhost.routes import Route, RouteTable, compile_route
from devhost.settings import FunctionConfigurationError, HostSettings, resolve_names
from devhost.worker import Function, Invocation

BODY_LIMIT_BYTES = 104_857_600
REQUEST_TARGET_LIMIT_BYTES = 8192
BODYLESS = frozenset({204, 304})

type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
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


type OwnPages = Callable[[str, str, bytes], Awaitable[Reply]]
type Invoke = Callable[[Function, TypedData, Mapping[str, TypedData], str], Awaitable[Invocation]]


def compile_function_route(
    function: Function, settings: HostSettings, environment: Mapping[str, str]
) -> Route[Function]:
    """The function's route. Raises FunctionConfigurationError."""
    template = resolve_names(full_route(function, settings), environment)
    if template.lower().split("/")[0] == "admin":
        raise FunctionConfigurationError("routes under 'admin' are reserved for the host.")
    return compile_route(template, methods(function), function)


def full_route(function: Function, settings: HostSettings) -> str:
    """`prefix/route`; without a route the function's name."""
    route = str(function.trigger.get("route") or function.name)
    return f"{settings.route_prefix}/{route}".strip("/")


def methods(function: Function) -> list[str]:
    """The trigger's methods in capitals; empty means every method."""
    return [str(getattr(method, "value", method)).upper() for method in function.trigger.get("methods") or ()]


class HttpFront:
    """The ASGI application."""

    def __init__(
        self,
        *,
        invoke: Invoke,
        settings: HostSettings,
        routes: RouteTable[Function],
        disabled: frozenset[str],
        admin: OwnPages,
        body_limit: int = BODY_LIMIT_BYTES,
    ) -> None:
        self._invoke = invoke
        self._routes = routes
        self._disabled = disabled
        self._admin = admin
        self._body_limit = body_limit
        self._most = settings.max_outstanding_requests
        self._outstanding = 0
        self._extra = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in settings.custom_headers]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reply = await self._answer(scope, receive)
        has_body = reply.status >= 200 and reply.status not in BODYLESS
        headers = [h for h in reply.headers if h[0] not in {b"content-length", b"transfer-encoding"}]
        if has_body:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers + self._extra})
        await send({"type": "http.response.body", "body": reply.body if has_body else b""})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> Reply:
        path = scope["raw_path"].decode("latin-1")
        if len(path) + len(scope["query_string"]) > REQUEST_TARGET_LIMIT_BYTES:
            return Reply(414)
        headers = joined_headers(scope["headers"])
        length = int(headers.get("content-length") or 0)
        if length > self._body_limit:
            return Reply(413)
        # The genuine host hands a body over only with Content-Length: a chunked one arrives empty.
        body = await _read(receive) if length > 0 else b""
        if path == "/" or path.startswith("/admin/"):
            return await self._own_page(scope["method"], path, body)
        found = self._routes.match(scope["method"], path)
        if found is None or found[0].name in self._disabled:
            return Reply(404)
        if self._most is not None and self._outstanding >= self._most:
            return Reply(429, headers=[(b"x-function-scaleout", b"1")])
        function, route_values = found
        request = RpcHttp(
            method=scope["method"],
            url=_url(scope, path, headers),
            headers=headers,
            body=TypedData(bytes=body) if body else TypedData(),
            params=route_values,
            query=query_values(scope["query_string"].decode("latin-1")),
        )
        return await self._run(function, request, headers.get("traceparent", ""))

    async def _own_page(self, method: str, path: str, body: bytes) -> Reply:
        root = self._routes.match(method, path) if path == "/" else None
        if root is not None:
            return await self._run(root[0], RpcHttp(method=method, url="/", body=TypedData(bytes=body)), "")
        return await self._admin(method, path, body)

    async def _run(self, function: Function, request: RpcHttp, trace_parent: str) -> Reply:
        self._outstanding += 1
        try:
            invocation = await self._invoke(function, TypedData(http=request), {}, trace_parent)
        finally:
            self._outstanding -= 1
        return reply_of(function, invocation)


async def _read(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks = [body]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
    return b"".join(chunks)


def joined_headers(headers: Headers) -> dict[str, str]:
    """Names in lower case, as ASGI gives them; repeated values joined by commas."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def query_values(query: str) -> dict[str, str]:
    """Parameters with an empty value are dropped, repeated ones joined by commas."""
    values: dict[str, str] = {}
    if not query:
        return values
    for name, value in parse_qsl(query):
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def _url(scope: MutableMapping[str, Any], path: str, headers: dict[str, str]) -> str:
    query = scope["query_string"].decode("latin-1")
    scheme = headers.get("x-forwarded-proto", scope["scheme"])
    return f"{scheme}://{headers.get('host', '')}{path}" + (f"?{query}" if query else "")


def reply_of(function: Function, invocation: Invocation) -> Reply:
    """The response to an HTTP invocation: 500 without a body if it failed, 204 if it gave no response."""
    if not invocation.succeeded:
        return Reply(500)
    for name, value in invocation.outputs:
        output = function.output(name)
        if output is not None and str(output["type"]).lower() == "http":
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
    for attribute in ("domain", "path", "max_age"):
        held = getattr(cookie, attribute)
        if held is not None and held.value not in ("", None):
            text = re.sub(r"\.0$", "", str(held.value))
            parts.append(f"{attribute.replace('_', '-')}={text}")
    if cookie.expires is not None:
        parts.append(f"expires={format_seconds(cookie.expires.value.seconds)}")
    parts += [word for word in ("secure", "http_only") if (held := getattr(cookie, word)) and held.value]
    same_site = {1: "lax", 2: "strict", 3: "none"}.get(cookie.same_site)
    if same_site:
        parts.append(f"samesite={same_site}")
    return "; ".join(parts).replace("http_only", "httponly")


def format_seconds(seconds: int) -> str:
    """Seconds since 1970 as an HTTP date."""
    from datetime import UTC, datetime

    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
