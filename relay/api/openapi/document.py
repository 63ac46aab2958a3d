"""Generate the OpenAPI 3.1 document from the operations and the shapes that they name."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec

from relay.api.http import Response
from relay.api.openapi.json_schema import REFERENCE, name_of, schemas_of
from relay.api.operation import JSON, REASON, Audit, Body, Operation, Operations, Parameter, Tag, loaded
from relay.api.services import Call
from relay.clients.keys import Role
from relay.clients.roles import OPERATORS, SENDERS

COMMON = (500, 503)
"""Error responses of every operation."""
OF_CALLERS = (401, 403, 429)
"""Further error responses of every operation that needs a key."""

_ADDRESS = "https://the-address-of-the-server.invalid"
_ADDRESS_IN_JSON = msgspec.json.encode(_ADDRESS)
_TEXT = {"type": "string"}
_INFO = {
    "title": "Relay",
    "version": "1",
    "description": "Send email durably by SendGrid, Exchange Online, Azure Communication Services or SMTP, and follow what "
    "happens to it. Call with `Authorization: Bearer <key>`. An error's `code` is for programs; its `details` list every "
    "problem and its field.",
    "contact": {"name": "The operators of this Relay"},
    "license": {"name": "MIT", "identifier": "MIT"},
}
_REFUSALS = {
    400: "The request is invalid: `details` names each problem.",
    401: "The key is missing, unknown, removed or expired.",
    403: "The caller may not do this.",
    404: "Nothing exists at this address, or it was purged.",
    409: "The current state does not allow this.",
    410: "The message was erased.",
    411: "The body has no Content-Length.",
    413: "The body is too large.",
    415: "The Content-Type is not supported.",
    422: "The request is valid but cannot be carried out.",
    429: "Rate limit, quota or too many failed sign-ins: repeat after Retry-After.",
    500: "Relay failed; its log has the details under the request id.",
    503: "Storage or a provider did not answer: repeat after Retry-After.",
}


async def show(call: Call) -> Response:
    """Handle GET /openapi.json: the server is the address that the request used."""
    before, after = _encoded(call.operations)
    body = before + msgspec.json.encode(call.base_url) + after
    return Response(headers={"Content-Type": "application/json"}, body=body)


@lru_cache(maxsize=1)
def _encoded(operations: Operations) -> tuple[bytes, bytes]:
    """Return the document before and after the server's URL. Cached: anyone may request it, and it is expensive to make."""
    before, _, after = msgspec.json.encode(document(_ADDRESS, operations.tags())).partition(_ADDRESS_IN_JSON)
    return before, after


def document(base_url: str, tags: Sequence[Tag]) -> dict[str, Any]:
    """Return the whole document. Imports every shape."""
    paths: dict[str, Any] = {}
    for tag in tags:
        for operation in tag.operations:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, tag)
    shapes = dict.fromkeys(shape for tag in tags for shape in _shapes(tag))
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": base_url}],
        "tags": [{"name": tag.name, "description": tag.description} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": schemas_of(*map(loaded, shapes)),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _shapes(tag: Tag) -> Iterator[str]:
    """Yield the names of a tag's structs."""
    yield tag.error
    for operation in tag.operations:
        yield from (kind.removesuffix("[]") for kind in operation.responses.values() if ":" in kind)
        if operation.body is not None and operation.body.shape:
            yield operation.body.shape


def _operation(operation: Operation, tag: Tag) -> dict[str, Any]:
    counts = f" Counts as {operation.cost} requests in the client's rate." if operation.cost > 1 else ""
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [tag.name],
        "summary": operation.summary,
        "description": operation.description + _needed_role(operation) + counts,
        "parameters": [_parameter(parameter) for parameter in _parameters(operation)],
        "security": [] if operation.roles is None else [{"key": []}],
        "responses": _responses(operation, tag),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": operation.body.is_required, "content": _body(operation.body)}
    return described


def _needed_role(operation: Operation) -> str:
    """Name the roles that may call, unless they are the roles that may send."""
    if operation.roles is None or operation.roles == SENDERS:
        return ""
    if operation.roles == OPERATORS:
        return " Needs the key of an operator."
    return f" For the roles {', '.join(role for role in Role if role in operation.roles)}."


def _parameters(operation: Operation) -> Sequence[Parameter]:
    return (*operation.parameters, REASON) if isinstance(operation.audit, Audit) else operation.parameters


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _responses(operation: Operation, tag: Tag) -> dict[str, Any]:
    error = _content(tag.error)
    statuses = {*COMMON, *operation.errors, *(OF_CALLERS if operation.roles is not None else ())}
    refusals = {status: {"description": _REFUSALS[status], "content": error} for status in statuses}
    own = {status: _response(status, kind) for status, kind in operation.responses.items()}
    return {str(status): response for status, response in sorted((refusals | own).items())}


def _response(status: int, kind: str) -> dict[str, Any]:
    described = {"description": _REFUSALS.get(status, HTTPStatus(status).phrase)}
    return described | ({"content": _content(kind)} if kind else {})


def _content(kind: str) -> dict[str, Any]:
    if kind == JSON:
        return {JSON: {"schema": {"type": "object"}}}
    if ":" not in kind:
        return {kind: {"schema": _TEXT}}
    reference = {"$ref": REFERENCE + name_of(kind.removesuffix("[]").partition(":")[2])}
    return {JSON: {"schema": {"type": "array", "items": reference} if kind.endswith("[]") else reference}}


def _body(body: Body) -> dict[str, Any]:
    """Return the media types that a body may have."""
    others: dict[str, Any] = {media_type: {"schema": _TEXT} for media_type in body.others}
    if body.other_example:
        others[body.others[0]]["example"] = body.other_example
    if not body.shape and body.schema is None:
        return others
    content = _content(body.shape)[JSON] if body.shape else {"schema": body.schema}
    example = {} if body.example is None else {"example": body.example}
    return {JSON: content | example, **others}
