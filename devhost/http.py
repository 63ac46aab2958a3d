"""Serve HTTP triggers: route a request, check its key, run the function, write the response.

An ASGI application on uvicorn, without a framework. Source: azure-functions-host
FunctionInvocationMiddleware, HostAvailabilityCheckMiddleware, CustomHttpHeadersMiddleware.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any

from devhost.host_json import HostSettings
from devhost.keys import KeyRing, Level, presented_key, required_level
from devhost.replies import Reply, reply_of
from devhost.requests import (
    DisconnectedError,
    Receive,
    Scope,
    declared_length,
    joined_headers,
    query_values,
    read_body,
    request_value,
)
from devhost.routes import Route, RouteTable, compile_route
from devhost.settings import FunctionConfigurationError, resolve_names
from devhost.values import Datum
from devhost.worker import Function, Invocation

log = logging.getLogger("devhost.http")

BODY_LIMIT_BYTES = 104_857_600
REQUEST_TARGET_LIMIT_BYTES = 8192
BODYLESS = frozenset({204, 304})
FRAMING = frozenset({b"content-length", b"transfer-encoding"})
PING = "/admin/host/ping"

type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type OwnPages = Callable[[str, str, bytes], Awaitable[Reply]]
type Invoke = Callable[[Function, Datum, Mapping[str, Datum], str], Awaitable[Invocation]]


def compile_function_route(
    function: Function, settings: HostSettings, environment: Mapping[str, str]
) -> Route[Function]:
    """Compile the function's route. Raises FunctionConfigurationError."""
    template = resolve_names(full_route(function, settings), environment)
    if template.lower().split("/")[0] == "admin":
        raise FunctionConfigurationError("routes under 'admin' are reserved for the host.")
    return compile_route(template, methods(function), function)


def full_route(function: Function, settings: HostSettings) -> str:
    """Return `prefix/route`; the function's name stands in for a missing route."""
    route = str(function.trigger.get("route") or function.name)
    return f"{settings.route_prefix}/{route}".strip("/")


def methods(function: Function) -> list[str]:
    """Return the trigger's methods in upper case; empty means every method."""
    return [str(method).upper() for method in function.trigger.get("methods") or ()]


class HttpFront:
    """The ASGI application. Without `keys`, callers need no key, as under `func start`.

    With `front_end_seconds`, a request that takes longer gets 502 while the function continues, as behind Azure's
    front end.
    """

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
        front_end_seconds: float | None = None,
    ) -> None:
        self._invoke = invoke
        self._routes = routes
        self._disabled = disabled
        self._own_pages = own_pages
        self._keys = keys
        self._is_loaded = is_loaded
        self._front_end_seconds = front_end_seconds
        self._max_outstanding = settings.max_outstanding_requests
        self._outstanding = 0
        self._late: set[asyncio.Task[Reply]] = set()
        self._extra = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in settings.custom_headers]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            reply = await self._answer(scope, receive)
        except DisconnectedError:
            return
        except Exception:
            log.exception("A request failed in the host")
            reply = Reply(500)
        has_body = reply.status not in BODYLESS
        headers = [header for header in reply.headers if header[0] not in FRAMING]
        if self._extra:
            taken = {name for name, _ in headers}
            headers += [header for header in self._extra if header[0] not in taken]
        if has_body:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
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
        query = query_values(scope["query_string"])
        if (refusal := await self._refusal(function, headers, query)) is not None:
            return refusal
        if declared_length(headers) > BODY_LIMIT_BYTES:
            return Reply(413)
        body = await read_body(receive, headers)
        value = request_value(scope, headers, query, route_values, body)
        if self._front_end_seconds is None:
            return await self._run(function, value, headers.get("traceparent", ""))
        return await self._run_behind_front_end(
            self._run(function, value, headers.get("traceparent", "")), self._front_end_seconds
        )

    async def _refusal(self, function: Function, headers: Mapping[str, str], query: Mapping[str, str]) -> Reply | None:
        level = Level.ANONYMOUS
        if self._keys is not None:
            level = await self._keys.level_of(presented_key(headers, query), function.name)
            if not level.opens(required_level(function.trigger)):
                return Reply(401)
        if function.name in self._disabled and level is not Level.ADMIN:
            return Reply(404)
        if self._max_outstanding is not None and self._outstanding >= self._max_outstanding:
            return Reply(429, headers=[(b"x-function-scaleout", b"1")])
        return None

    async def _own_page(self, scope: Scope, path: str, headers: Mapping[str, str], receive: Receive) -> Reply:
        if self._keys is not None and path != PING:
            query = query_values(scope["query_string"])
            if await self._keys.level_of(presented_key(headers, query), None) is not Level.ADMIN:
                return Reply(401)
        return await self._own_pages(scope["method"], path, await read_body(receive, headers))

    async def _run(self, function: Function, value: Datum, trace_parent: str) -> Reply:
        self._outstanding += 1
        try:
            return reply_of(function, await self._invoke(function, value, {}, trace_parent))
        finally:
            self._outstanding -= 1

    async def _run_behind_front_end(self, run: Coroutine[Any, Any, Reply], seconds: float) -> Reply:
        task = asyncio.create_task(run)
        # The loop keeps only weak references to tasks, and this one may outlive its request.
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        done, _ = await asyncio.wait([task], timeout=seconds)
        return task.result() if done else Reply(502)
