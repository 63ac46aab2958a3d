"""The OpenAPI 3.1 document, made from the table of operations, the shapes of requests and the handlers' docstrings."""

import re
from importlib import import_module
from typing import Any, cast

from relay.api.app import Call, Operation
from relay.api.http import Response, json_response
from relay.api.table import OPERATIONS
from relay.clients import Role

BODIES = {
    "SendMessage": "schemas.MessageRequest",
    "SendBatch": "schemas.BatchRequest",
    "RescheduleMessage": "schemas.RescheduleRequest",
    "RedriveMessage": "schemas.RedriveRequest",
    "RedriveDeadLetters": "schemas.DeadLetterRedrive",
    "DiscardDeadLetters": "schemas.DeadLetterChoice",
    "RedriveLostMail": "schemas_redrive.LostMailRedrive",
    "CreateClient": "schemas_clients.ClientRequest",
    "ChangeClient": "schemas_clients.ClientChange",
    "AddClientKey": "schemas_clients.KeyRequest",
    "AddSuppression": "schemas_suppressions.SuppressionRequest",
    "ImportSuppressions": "schemas_suppressions.SuppressionImport",
    "SynchroniseSuppressions": "schemas_suppressions.SyncRequest",
    "PutTemplate": "schemas_templates.TemplateRequest",
    "PreviewTemplate": "schemas_templates.PreviewRequest",
    "CreateWebhook": "schemas_webhooks.WebhookRequest",
    "ChangeWebhook": "schemas_webhooks.WebhookChange",
    "RemoveCallback": "schemas_webhooks.CallbackRemoval",
}
"""The shape of each operation's JSON body, by the operation's name: module and class."""

_EXAMPLES: dict[str, dict[str, Any]] = {
    "SendMessage": {"from": "relay@example.com", "to": "ada@example.com", "subject": "Hello", "text": "Hello, Ada."},
}
_SCHEMAS = "#/components/schemas/"
_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": _TEXT, "message": _TEXT, "target": _TEXT},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id", "help"],
            "properties": {
                **_PROBLEM["properties"],  # type: ignore[dict-item]
                "details": {"type": "array", "items": _PROBLEM},
                "request_id": _TEXT,
                "help": _TEXT,
            },
        }
    },
}


async def show(call: Call) -> Response:
    """GET /openapi.json: this document, with the address it was asked at as the server."""
    return json_response(document(call.base_url))


def document(base_url: str) -> dict[str, Any]:
    """The whole document. Imports every handler and every shape, so only the operation itself calls it."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
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
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary[:1].upper() + summary[1:],
        "parameters": [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names],
        "security": [] if operation.role is None else [{"key": []}],
        "responses": _responses(operation),
    }
    if operation.role is Role.OPERATOR:
        described["description"] = "Needs the key of an operator."
    if operation.name in BODIES:
        described["requestBody"] = {"content": {"application/json": _body(operation.name, schemas)}}
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    failure: dict[str, Any] = {"description": "The request was refused, or could not be served."}
    if not operation.path.startswith("/v3/"):
        failure["content"] = {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Error"}}}
    return {"2XX": {"description": "Done, or taken on."}, "4XX": failure, "5XX": failure}


def _body(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    module, _, shape = BODIES[name].partition(".")
    model = getattr(import_module(f"relay.api.{module}"), shape)
    schema = cast(dict[str, Any], model.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}"))
    schemas |= schema.pop("$defs", {})
    schemas[shape] = schema
    body: dict[str, Any] = {"schema": {"$ref": f"{_SCHEMAS}{shape}"}}
    return body | ({"example": _EXAMPLES[name]} if name in _EXAMPLES else {})
