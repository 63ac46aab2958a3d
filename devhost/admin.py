"""Serve the host's own pages under /admin and the home page. The caller has checked the keys."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from devhost.host_json import HostSettings
from devhost.http import full_route, methods
from devhost.outputs import Invoker
from devhost.queue_rules import QueueMessage
from devhost.replies import Reply, json_reply
from devhost.requests import Request, request_value
from devhost.timers import timer_input
from devhost.worker import Function

log = logging.getLogger("devhost.admin")

VERSION = "4.0.0-devhost"


class HostState(Protocol):
    """The parts of the host that the pages use."""

    errors: list[str]
    state: str
    host_id: str
    is_draining: bool

    @property
    def uptime_seconds(self) -> float: ...

    @property
    def outstanding(self) -> int:
        """Invocations under way."""

    def drain(self) -> None: ...

    def resume(self) -> None: ...


class AdminPages:
    """Serves /admin/* and, if no function has that route, /."""

    def __init__(
        self,
        *,
        host: HostState,
        functions: Sequence[Function],
        disabled: frozenset[str],
        settings: HostSettings,
        invoker: Invoker,
        environment: Mapping[str, str],
    ) -> None:
        self._host = host
        self._functions = {f.name.lower(): f for f in functions}
        self._disabled = disabled
        self._settings = settings
        self._invoker = invoker
        self._has_homepage = environment.get("AzureWebJobsDisableHomepage", "").lower() != "true"
        self._host_name = environment.get("WEBSITE_HOSTNAME", "localhost")
        self._base = f"http://{self._host_name}"
        self._background: set[asyncio.Task[None]] = set()

    async def __call__(self, method: str, path: str, body: bytes) -> Reply:
        match method, path.rstrip("/"):
            case "GET", "":
                return self._homepage()
            case "GET" | "POST", "/admin/host/ping":
                return Reply(200)
            case "GET", "/admin/host/status":
                return json_reply(200, self._status())
            case "GET", "/admin/host/drain/status":
                return json_reply(200, self._drain_status())
            case "POST", "/admin/host/drain":
                self._host.drain()
                return Reply(202)
            case "POST", "/admin/host/resume":
                self._host.resume()
                return json_reply(200, {"state": self._host.state})
            case "GET", "/admin/functions":
                return json_reply(200, [self._describe(f) for f in self._functions.values()])
            case _, page if page.startswith("/admin/functions/"):
                return self._function_page(method, page.removeprefix("/admin/functions/"), body)
        return Reply(404)

    def _homepage(self) -> Reply:
        if not self._has_homepage:
            return Reply(204)
        page = b"<!doctype html><title>Functions</title><p>Your local Functions host is up and running."
        return Reply(200, page, [(b"content-type", b"text/html")])

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "id": self._host.host_id,
            "state": self._host.state,
            "version": VERSION,
            "versionDetails": VERSION,
            "processUptime": int(self._host.uptime_seconds * 1000),
        }
        if self._host.errors:
            status["errors"] = list(self._host.errors)
        return status

    def _drain_status(self) -> dict[str, Any]:
        outstanding = self._host.outstanding
        state = "Disabled"
        if self._host.is_draining:
            state = "InProgress" if outstanding else "Completed"
        return {"state": state, "outstandingInvocations": outstanding, "outstandingRetries": 0}

    def _describe(self, function: Function) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": function.name,
            "language": "python",
            "isDisabled": function.name in self._disabled,
            "href": f"{self._base}/admin/functions/{function.name}",
            "config": {"bindings": list(function.bindings)},
        }
        if function.kind == "httpTrigger":
            described["invoke_url_template"] = f"{self._base}/{full_route(function, self._settings)}"
        return described

    def _function_page(self, method: str, name: str, body: bytes) -> Reply:
        name, _, rest = name.partition("/")
        function = self._functions.get(name.lower())
        if function is None or rest not in {"", "status"}:
            return Reply(404)
        if method == "GET":
            status = {"isDisabled": function.name in self._disabled, "errors": None}
            return json_reply(200, status if rest else self._describe(function))
        if method != "POST" or rest:
            return Reply(404)
        text = _input_of(body)
        if text is None:
            return Reply(400)
        task = asyncio.create_task(self._invoke(function, text))
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return Reply(202)

    async def _invoke(self, function: Function, text: str) -> None:
        log.info("Invoking %s from the admin page", function.name)
        match function.kind:
            case "queueTrigger":
                message = QueueMessage(id="", pop_receipt="", text=text, dequeue_count=0)
                await self._invoker.invoke_with_message(function, text.encode(), message)
            case "timerTrigger":
                await self._invoker.invoke(function, timer_input(None, is_past_due=False), {})
            case "httpTrigger":
                request = Request(method="POST", path="/", headers={"host": self._host_name})
                await self._invoker.invoke(function, request_value(request, {}, {}, text.encode()), {})
            case kind:
                log.error("%s: a %s cannot be invoked here", function.name, kind)


def _input_of(body: bytes) -> str | None:
    """Return the `input` of `{"input": "…"}`; None if it is missing."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    value = content.get("input") if isinstance(content, dict) else None
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value)


def function_line(function: Function, address: str, settings: HostSettings) -> str:
    """Format a function's line in the startup list, as `func start` prints it."""
    if function.kind != "httpTrigger":
        return f"\t{function.name}: {function.kind}"
    listed = ",".join(methods(function))
    prefix = f"[{listed}] " if listed else ""
    return f"\t{function.name}: {prefix}{address}/{full_route(function, settings)}"
