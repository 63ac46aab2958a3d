"""The OpenAPI 3.1 document, made from the table of operations, the facts beside it and the handlers' docstrings."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib import import_module
from typing import Any

from relay.api.app import Call, Operation
from relay.api.http import Response, json_response
from relay.api.openapi.operations import COMMON, FACTS, JSON, OF_CALLERS, Body, Facts
from relay.api.openapi.parameters import Parameter
from relay.api.openapi.responses import SCHEMAS
from relay.api.shapes.json_schema import REFERENCE, schemas_of
from relay.clients.registry import Role

_TEXT = {"type": "string"}
_DESCRIBED = {
    400: "The request is wrong: `details` says where.",
    401: "There is no key, or none that is known.",
    403: "The caller may not do this.",
    404: "There is no such thing.",
    409: "It cannot be done as things stand.",
    410: "It was erased.",
    411: "The body came without a length.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "It is understood, and cannot be done.",
    429: "Too many: repeat after Retry-After.",
    500: "Relay failed; its log tells why.",
    503: "Storage or a provider does not answer: repeat after Retry-After.",
}


async def show(call: Call) -> Response:
    """GET /openapi.json: this document, with the address it was asked at as the server."""
    return json_response(document(call.base_url, call.operations))


def document(base_url: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document. Imports every handler and every shape, so only the operation itself calls it."""
    schemas: dict[str, Any] = dict(SCHEMAS)
    paths: dict[str, Any] = {}
    for operation in operations:
        path = re.sub(r"\{\*", "{", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Relay", "version": "1"},
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    summary = " ".join((operation.load().__doc__ or operation.name).partition("\n\n")[0].split())
    summary = re.sub(r"^[A-Z]+ /\S*: ", "", summary)
    names = re.findall(r"\{\*?(\w+)\}", operation.path)
    facts = FACTS[operation.name]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary[:1].upper() + summary[1:],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names),
            *map(_parameter, facts.parameters),
        ],
        "security": [] if operation.role is None else [{"key": []}],
        "responses": _responses(operation, facts),
    }
    if operation.role is Role.OPERATOR:
        described["description"] = "Needs the key of an operator."
    if facts.body is not None:
        described["requestBody"] = {"required": facts.body.is_required, "content": _body(facts.body, schemas)}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": parameter.says,
        "schema": parameter.schema,
    }


def _responses(operation: Operation, facts: Facts) -> dict[str, Any]:
    error = _content("SendGridErrors" if operation.path.startswith("/v3/") else "Error")
    statuses = {*COMMON, *facts.errors, *(OF_CALLERS if operation.role is not None else ())}
    refusals = {status: {"description": _DESCRIBED[status], "content": error} for status in statuses}
    answers = {status: _answer(status, kind) for status, kind in facts.answers.items()}
    return {str(status): answer for status, answer in sorted((refusals | answers).items())}


def _answer(status: int, kind: str) -> dict[str, Any]:
    described = {"description": _DESCRIBED.get(status, HTTPStatus(status).phrase)}
    return described | ({"content": _content(kind)} if kind else {})


def _content(kind: str) -> dict[str, Any]:
    if "/" in kind:
        return {kind: {"schema": _TEXT}}
    return {JSON: {"schema": {"$ref": f"{REFERENCE}{kind}"}}}


def _body(body: Body, schemas: dict[str, Any]) -> dict[str, Any]:
    """The media types a body may have. The schema of its model is put among the schemas."""
    others: dict[str, Any] = {media_type: {"schema": _TEXT} for media_type in body.others}
    if body.other_example:
        others[body.others[0]]["example"] = body.other_example
    if not body.model:
        return others
    module, _, name = body.model.rpartition(".")
    if module:
        schemas |= schemas_of(getattr(import_module(f"relay.api.{module}"), name))
    example = {} if body.example is None else {"example": body.example}
    return {**{kind: {**said, **example} for kind, said in _content(name).items()}, **others}
