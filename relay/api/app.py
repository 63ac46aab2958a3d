"""Respond to requests: find the operation and the caller, call the handler, and turn every failure into a refusal."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from relay.api.authentication import demand
from relay.api.body_budget import BodyBudget
from relay.api.http import Request, Response, json_response
from relay.api.operation import Operation, Operations, loaded
from relay.api.router import Found, unknown_path
from relay.clients.registry import Client
from relay.core.errors import NewerVersion, NotFound, Refusal, StorageError, Unavailable, UnreadableEntry
from relay.platform.log import log_failure

if TYPE_CHECKING:
    from relay.api.services import Services

MAX_ID = 128
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response; an operation whose response a browser shows sets its own instead."""
HTTPS_ONLY = "max-age=31536000"
"""A year of `Strict-Transport-Security`; RFC 6797 section 7.2 has it over https alone."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a handler. `values` are those of the path; `caller` is None for an operation that needs no key."""

    services: "Services"
    request: Request
    values: Mapping[str, str]
    request_id: str
    operations: Operations
    caller: Client | None = None

    @property
    def client(self) -> Client:
        """The caller of an operation that has one."""
        if self.caller is None:
            raise TypeError("this operation has no caller")
        return self.caller

    @property
    def base_url(self) -> str:
        """The address callers use, without a last slash."""
        return self.services.settings.public_url or _origin(self.request)


class Api:
    """Responds to requests. Never raises."""

    def __init__(self, services: "Services", operations: Operations) -> None:
        self._services = services
        self._operations = operations
        self._bodies = BodyBudget(services.settings.memory)

    async def handle(self, request: Request) -> Response:
        """The response to a request, whatever happens."""
        span = self._services.telemetry.request(request.headers.get("traceparent", ""))
        if span is None:
            return await self._respond(request)
        headers = {**request.headers, "traceparent": span.traceparent}
        response = await self._respond(msgspec.structs.replace(request, headers=headers))
        span.end(request.method, self._path_of(request), response.status)
        return response

    def _path_of(self, request: Request) -> str:
        try:
            return self._found(request).target.path
        except Refusal:
            return ""

    def _found(self, request: Request) -> Found[Operation]:
        found = self._operations.find(request.path)
        if found is None:
            raise unknown_path()
        return found[1].find(request.method, request.path)

    async def _respond(self, request: Request) -> Response:
        request_id = _request_id(request)
        try:
            with self._bodies.hold(len(request.body)):
                response = await self._answer(request, request_id)
        except Refusal as refusal:
            response = self._refused(request, refusal, request_id)
        except StorageError as error:
            response = self._refused(request, _storage_refusal(error), request_id)
        except NewerVersion:
            response = self._refused(request, _newer_version(), request_id)
        except UnreadableEntry:
            response = self._refused(request, _unreadable(), request_id)
        except Exception:
            log_failure("request_failed", request=request_id)
            failure = Refusal(
                500, "internal_error", "Relay failed on this request. The log has the reason under `request_id`."
            )
            response = self._refused(request, failure, request_id)
        return _finished(request, response, request_id)

    def _refused(self, request: Request, refusal: Refusal, request_id: str) -> Response:
        found = self._operations.find(request.path)
        if found is None or not found[0].refused:
            return refused(refusal, request_id)
        response: Response = loaded(found[0].refused)(refusal, request_id)
        return response

    async def _answer(self, request: Request, request_id: str) -> Response:
        found = self._found(request)
        operation = found.target
        caller = None
        if operation.role is not None:
            caller = await self._services.authentication.client_of(request)
            self._services.quotas.requests.take(caller, operation.cost, len(request.body))
            demand(caller, operation.role)
        problem = operation.path_problem(found.values)
        if problem is not None:
            if operation.is_idempotent_delete:
                return Response(status=204)
            raise problem
        call = Call(
            services=self._services,
            request=request,
            values=found.values,
            request_id=request_id,
            operations=self._operations,
            caller=caller,
        )
        response = await operation.load()(call)
        limits = self._services.quotas.headers(caller) if caller is not None else {}
        return msgspec.structs.replace(response, headers={**limits, **response.headers}) if limits else response


def refused(refusal: Refusal, request_id: str) -> Response:
    """Return a refusal as Azure's services write it."""
    from relay.api.errors import error_view

    headers = {"x-ms-error-code": refusal.code, **refusal.headers}
    return json_response(error_view(refusal, request_id), refusal.status, headers)


def _storage_refusal(error: StorageError) -> Refusal:
    if isinstance(error, NotFound):
        return Refusal(404, "not_found", "Nothing exists at this address, or it was purged.")
    seconds = error.retry_after_seconds if isinstance(error, Unavailable) else None
    return Refusal(
        503,
        "storage_unavailable",
        "Storage did not answer. Repeat the request after Retry-After.",
        headers={"Retry-After": str(max(1, round(seconds or 5)))},
    )


def _newer_version() -> Refusal:
    text = (
        "A newer version of Relay wrote this message's record, and the one that answers cannot read it. "
        "Nothing is lost: install the newer version again, and repeat the request."
    )
    return Refusal(503, "newer_version", text, headers={"Retry-After": "60"})


def _unreadable() -> Refusal:
    text = (
        "What Relay has stored about this cannot be read: it is damaged, or a newer version of Relay wrote it. "
        "Nothing was changed; the log line `row_unreadable` names the row."
    )
    return Refusal(503, "unreadable", text, headers={"Retry-After": "300"})


def _finished(request: Request, response: Response, request_id: str) -> Response:
    headers = {
        "x-ms-request-id": request_id,
        **SECURITY_HEADERS,
        "Cache-Control": "no-store",
        **response.headers,
    }
    if request.url.startswith("https:"):
        headers["Strict-Transport-Security"] = HTTPS_ONLY
    echoed = request.headers.get("x-ms-client-request-id", "")
    if echoed and len(echoed) <= MAX_ID and echoed.isascii() and echoed.isprintable():
        headers["x-ms-client-request-id"] = echoed
    body = b"" if request.method == "HEAD" else response.body
    return Response(status=response.status, headers=headers, body=body)


def _request_id(request: Request) -> str:
    """The trace id of the caller's W3C trace context (`traceparent`), so that logs can be joined; else a new one."""
    parts = request.headers.get("traceparent", "").split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef"):
        return parts[1]
    return os.urandom(16).hex()


def _origin(request: Request) -> str:
    scheme, _, rest = request.url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
