"""Respond to requests: find the operation and the caller, call the handler, and convert every failure to a refusal."""

import os

import msgspec

from relay.api.body_budget import BodyBudget
from relay.api.http import Request, Response, json_response
from relay.api.operation import Audit, Operation, Operations, loaded
from relay.api.router import Found, unknown_path
from relay.api.services import Call, Services
from relay.core.errors import Refusal
from relay.platform.log import log_failure

MAX_ID = 128
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response; an operation whose response a browser shows overrides them."""
HTTPS_ONLY = "max-age=31536000"
"""A year of `Strict-Transport-Security`, which is sent over HTTPS only (RFC 6797 section 7.2)."""


class Api:
    """Responds to requests. Never raises."""

    def __init__(self, services: Services, operations: Operations) -> None:
        self._services = services
        self._operations = operations
        self._bodies = BodyBudget(services.settings.memory)

    async def handle(self, request: Request) -> Response:
        """Return the response to a request. Never raises."""
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
        except Exception as error:
            response = self._refused(request, _refusal(error, request_id), request_id)
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
        if operation.roles is not None:
            caller = await self._services.authentication.client_of(request)
            self._services.quotas.requests.take(caller, operation.cost, len(request.body))
        call = Call(
            services=self._services,
            request=request,
            values=found.values,
            request_id=request_id,
            operations=self._operations,
            caller=caller,
        )
        response = await self._perform(operation, call)
        limits = self._services.quotas.headers(caller) if caller is not None else {}
        return msgspec.structs.replace(response, headers={**limits, **response.headers}) if limits else response

    async def _perform(self, operation: Operation, call: Call) -> Response:
        """Call the handler, if the caller may and the path can name something. Record an audited call in the audit log."""
        if isinstance(operation.audit, Audit):
            from relay.api.auditing.calls import audited

            return await audited(operation, operation.audit, call)
        early = operation.early_response(call.caller, call.values)
        return early if early is not None else await operation.load()(call)


def refused(refusal: Refusal, request_id: str) -> Response:
    """Return the response of a refusal, in the format of Azure's services."""
    from relay.api.errors import error_view

    headers = {"x-ms-error-code": refusal.code, **refusal.headers}
    return json_response(error_view(refusal, request_id), refusal.status, headers)


def _refusal(error: Exception, request_id: str) -> Refusal:
    """Return the refusal for an error, and log an unexpected one."""
    if isinstance(error, Refusal):
        return error
    from relay.api.errors import refusal_of

    refusal = refusal_of(error)
    if refusal.code == "internal_error":
        log_failure("request_failed", request_id=request_id)
    return refusal


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
    """Return the trace id of the caller's W3C trace context (`traceparent`), so that logs can be joined; else a new id."""
    parts = request.headers.get("traceparent", "").split("-")
    if len(parts) == 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef"):
        return parts[1]
    return os.urandom(16).hex()
