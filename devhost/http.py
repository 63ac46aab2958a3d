"""Serve HTTP triggers: route a request, check its key, run the function, write the response.

Without a framework. Source: azure-functions-host FunctionInvocationMiddleware, HostAvailabilityCheckMiddleware,
CustomHttpHeadersMiddleware.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from devhost.host_json import HostSettings
from devhost.keys import KeyRing, Level, presented_key, required_level
from devhost.replies import Reply, reply_of
from devhost.requests import DisconnectedError, Request, query_values, request_value
from devhost.routes import Route, RouteTable, compile_route
from devhost.settings import FunctionConfigurationError, resolve_names
from devhost.values import Datum
from devhost.worker import Function, Invocation

log = logging.getLogger("devhost.http")

BODY_LIMIT_BYTES = 104_857_600
REQUEST_TARGET_LIMIT_BYTES = 8192
BODYLESS = frozenset({204, 304})
PING = "/admin/host/ping"

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
    """Responds to requests. Without `keys`, callers need no key, as under `func start`.

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

    async def respond(self, request: Request) -> Reply | None:
        """Return the response; None if the caller disconnected before sending the whole request."""
        try:
            reply = await self._answer(request)
        except DisconnectedError:
            return None
        except Exception:
            log.exception("A request failed in the host")
            reply = Reply(500)
        has_body = reply.status not in BODYLESS
        headers = [*reply.headers]
        if self._extra:
            taken = {name for name, _ in headers}
            headers += [header for header in self._extra if header[0] not in taken]
        if has_body:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        return Reply(reply.status, reply.body if has_body else b"", headers)

    async def _answer(self, request: Request) -> Reply:
        path = request.path
        if len(path) + len(request.query) > REQUEST_TARGET_LIMIT_BYTES:
            return Reply(414)
        if path[:7].lower() == "/admin/":
            return await self._own_page(request)
        if not self._is_loaded:
            return Reply(503, b"Function host is not running.", [(b"content-type", b"text/plain")])
        found = self._routes.match(request.method, path)
        if found is None:
            return Reply(404) if path != "/" else await self._own_pages(request.method, path, b"")
        function, route_values = found
        query = query_values(request.query)
        if (refusal := await self._refusal(function, request.headers, query)) is not None:
            return refusal
        if request.length > BODY_LIMIT_BYTES:
            return Reply(413)
        value = request_value(request, query, route_values, await request.body())
        run = self._run(function, value, request.headers.get("traceparent", ""))
        return await (run if self._front_end_seconds is None else self._late_502(run, self._front_end_seconds))

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

    async def _own_page(self, request: Request) -> Reply:
        path = request.path.lower()
        if self._keys is not None and path != PING:
            key = presented_key(request.headers, query_values(request.query))
            if await self._keys.level_of(key, None) is not Level.ADMIN:
                return Reply(401)
        return await self._own_pages(request.method, path, await request.body())

    async def _run(self, function: Function, value: Datum, trace_parent: str) -> Reply:
        self._outstanding += 1
        try:
            return reply_of(function, await self._invoke(function, value, {}, trace_parent))
        finally:
            self._outstanding -= 1

    async def _late_502(self, run: Coroutine[Any, Any, Reply], seconds: float) -> Reply:
        task = asyncio.create_task(run)
        # The loop keeps only weak references to tasks, and this one may outlive its request.
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        done, _ = await asyncio.wait([task], timeout=seconds)
        return task.result() if done else Reply(502)
