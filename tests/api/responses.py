"""Checks responses against a closed copy of the OpenAPI document: a member that it does not name is an error."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from relay.api.http import Request, Response
from relay.api.openapi.document import document
from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from relay.core.errors import Refusal


def check_response(request: Request, response: Response) -> None:
    """Check the response to a request for an operation: its status, its media type and its body are documented."""
    operation = _operation(request)
    if operation is None:
        return
    described = _closed()["paths"][operation.path][operation.method.lower()]["responses"].get(str(response.status))
    assert described is not None, f"{operation.name} does not document {response.status}: {response.body!r}"
    if request.method == "HEAD":
        return
    content: Mapping[str, Any] = described.get("content", {})
    media_type = dict(response.headers).get("Content-Type", "").partition(";")[0]
    assert media_type in content or not (response.body or content), f"{operation.name}: {media_type}"
    if media_type == "application/json":
        validator = _validator(json.dumps(content[media_type]["schema"]))
        problems = [
            f"{error.instance_path}: {error.message}" for error in validator.iter_errors(json.loads(response.body))
        ]
        assert problems == [], (operation.name, response.status, response.body)


def _operation(request: Request) -> Operation | None:
    found = OPERATIONS.find(request.path)
    if found is None or not found[0].description:
        return None
    try:
        return found[1].find(request.method, request.path).target
    except Refusal:
        return None


@cache
def _closed() -> dict[str, Any]:
    whole: dict[str, Any] = _close(document("https://relay.example", OPERATIONS.tags()))
    return whole


def _close(part: Any) -> Any:
    """Return a part of the document in which no object has a member that its schema does not name."""
    if isinstance(part, list):
        return [_close(each) for each in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _close(value) for key, value in part.items()}
    if part.get("type") == "object" and "properties" in part:
        closed.setdefault("additionalProperties", False)
    return closed


@cache
def _validator(schema_text: str) -> jsonschema_rs.Draft202012Validator:
    schema = {**json.loads(schema_text), "components": _closed()["components"]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
