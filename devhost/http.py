"""HTTP triggers: from an ASGI request to an invocation. Served by uvicorn without a framework between.

Source: azure-functions-host GrpcMessageConversionExtensions.ToRpcHttp, FunctionInvocationMiddleware.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from devhost.host_json import HostSettings
from devhost.keys import KeyRing, Level, presented_key, required_level
from devhost.protos import RpcHttp, TypedData
from devhost.replies import Headers, Reply, reply_of
from devhost.routes import Route, RouteTable, compile_route
from devhost.settings import FunctionConfigurationError, resolve_names
from devhost.worker import Function, Invocation

BODY_LIMIT_BYTES = 104_857_600
REQUEST_TARGET_LIMIT_BYTES = 8192
BODYLESS = frozenset({204, 304})
PING = "/admin/host/ping"

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type OwnPages = Callable[[str, str, bytes], Awaitable[Reply]]
type Invoke = Callable[[Function, TypedData, Mapping[str, TypedData], str], Awaitable[Invocation]]


class DisconnectedError(Exception):
    """The caller went away before the whole body was here: nobody waits for an answer."""


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
    return [str(method).upper() for method in function.trigger.get("methods") or ()]


class HttpFront:
    """The ASGI application. Without `keys` every caller may call everything, as under `func start`."""

    def __init__(
        self,
        *,
        invoke: Invoke,
        settings: HostSettings,
        routes: RouteTable[Function],
        disabled: frozenset[str],
        own_pages: OwnPages,
        keys: KeyRing | None = None,
        is_loaded: bool = True,
    ) -> None:
        self._invoke = invoke
        self._routes = routes
        self._disabled = disabled
        self._own_pages = own_pages
        self._keys = keys
        self._is_loaded = is_loaded
        self._most = settings.max_outstanding_requests
        self._outstanding = 0
        self._extra = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in settings.custom_headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            reply = await self._answer(scope, receive)
        except DisconnectedError:
            return
        has_body = reply.status not in BODYLESS
        headers = [h for h in reply.headers if h[0] not in {b"content-length", b"transfer-encoding"}]
        if has_body:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers + self._extra})
        await send({"type": "http.response.body", "body": reply.body if has_body else b""})

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        path = scope["raw_path"].decode("latin-1")
        if len(path) + len(scope["query_string"]) > REQUEST_TARGET_LIMIT_BYTES:
            return Reply(414)
        headers = joined_headers(scope["headers"])
        if path[:7].lower() == "/admin/":
            return await self._own_page(scope, path.lower(), headers, receive)
        if not self._is_loaded:
            return Reply(503, b"Function host is not running.", [(b"content-type", b"text/plain")])
        found = self._routes.match(scope["method"], path)
        if found is None:
            return Reply(404) if path != "/" else await self._own_pages(scope["method"], path, b"")
        function, route_values = found
        query = query_values(scope["query_string"].decode("latin-1"))
        if (refusal := await self._refusal(function, headers, query)) is not None:
            return refusal
        if declared_length(headers) > BODY_LIMIT_BYTES:
            return Reply(413)
        body = await read_body(receive, headers)
        request = RpcHttp(
            method=scope["method"],
            url=_url(scope, path, headers),
            headers=headers,
            body=TypedData(bytes=body) if body else TypedData(),
            params=route_values,
            query=query,
        )
        return await self._run(function, request, headers.get("traceparent", ""))

    async def _refusal(self, function: Function, headers: Mapping[str, str], query: Mapping[str, str]) -> Reply | None:
        level = Level.ANONYMOUS
        if self._keys is not None:
            level = await self._keys.level_of(presented_key(headers, query), function.name)
            if not level.opens(required_level(function.trigger)):
                return Reply(401)
        if function.name in self._disabled and level is not Level.ADMIN:
            return Reply(404)
        if self._most is not None and self._outstanding >= self._most:
            return Reply(429, headers=[(b"x-function-scaleout", b"1")])
        return None

    async def _own_page(self, scope: Scope, path: str, headers: Mapping[str, str], receive: Receive) -> Reply:
        if self._keys is not None and path != PING:
            query = query_values(scope["query_string"].decode("latin-1"))
            if await self._keys.level_of(presented_key(headers, query), None) is not Level.ADMIN:
                return Reply(401)
        return await self._own_pages(scope["method"], path, await read_body(receive, headers))

    async def _run(self, function: Function, request: RpcHttp, trace_parent: str) -> Reply:
        self._outstanding += 1
        try:
            invocation = await self._invoke(function, TypedData(http=request), {}, trace_parent)
        finally:
            self._outstanding -= 1
        return reply_of(function, invocation)


def declared_length(headers: Mapping[str, str]) -> int:
    """Content-Length; 0 without one, so that a chunked body counts as empty."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


async def read_body(receive: Receive, headers: Mapping[str, str]) -> bytes:
    """The body, if its length was declared: the genuine host hands over no other. Raises DisconnectedError."""
    if declared_length(headers) == 0:
        return b""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


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


def _url(scope: Scope, path: str, headers: Mapping[str, str]) -> str:
    query = scope["query_string"].decode("latin-1")
    scheme = headers.get("x-forwarded-proto", scope["scheme"])
    return f"{scheme}://{headers.get('host', '')}{path}" + (f"?{query}" if query else "")
