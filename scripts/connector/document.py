"""Generate the connector's definition (OpenAPI 2.0)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from relay.api.openapi.json_schema import name_of
from relay.api.operation import Body, Operation, loaded
from relay.api.operations import OPERATIONS
from scripts.connector.actions import ACTIONS, Action
from scripts.connector.responses import definitions
from scripts.connector.shapes import body, parameter, title

_OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}
_MEANINGS = {200: "Done.", 201: "Created.", 202: "Accepted.", 204: "Done, without content."}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """The relay that the connector calls: its host name, and the registrations of both in Entra ID.

    `api` and `client` are application ids, Relay's and the connector's. `takes_keys_only`: users sign in with a key only.
    """

    host: str = "relay.example.com"
    tenant: str = "common"
    api: str = "00000000-0000-0000-0000-000000000000"
    client: str = "00000000-0000-0000-0000-000000000000"
    takes_keys_only: bool = False


def definition(target: Target) -> dict[str, Any]:
    """Return the content of apiDefinition.swagger.json."""
    paths: dict[str, Any] = {}
    for action in ACTIONS:
        operation = _OPERATIONS[action.operation]
        place = paths.setdefault(action.path or operation.path, {})
        place[operation.method.lower()] = _operation(action)
        if action.is_trigger:
            place["x-ms-notification-content"] = {
                "description": "An event of an email.",
                "schema": _reference("MailEvent"),
            }
    return {
        "swagger": "2.0",
        "info": {
            "title": "Relay",
            "description": "Sends email reliably through several providers and reports whether it was delivered.",
            "version": "1.0",
            "contact": {"name": "The operators of Relay", "url": f"https://{target.host}/docs"},
        },
        "host": target.host,
        "basePath": "/",
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "paths": paths,
        "definitions": definitions(),
        "securityDefinitions": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        "security": [{"api_key": []}],
        "x-ms-connector-metadata": [
            {"propertyName": "Website", "propertyValue": f"https://{target.host}/docs"},
            {"propertyName": "Privacy policy", "propertyValue": f"https://{target.host}/docs"},
            {"propertyName": "Categories", "propertyValue": "Communication"},
        ],
    }


def _operation(action: Action) -> dict[str, Any]:
    known = _OPERATIONS[action.operation].body
    described: dict[str, Any] = {
        "operationId": action.name,
        "summary": action.summary,
        "description": action.description,
        "x-ms-visibility": action.visibility,
        "parameters": [*_parameters(action), *([_body(action, known)] if known and action.fields else [])],
        "responses": _responses(action),
    }
    return described | ({"x-ms-trigger": "single"} if action.is_trigger else {})


def _parameters(action: Action) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", _OPERATIONS[action.operation].path):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "type": "string",
            "x-ms-summary": title(name),
            "description": "The ID from the response that created it.",
            "x-ms-visibility": "important",
            "x-ms-url-encoding": "single",
        }
    known = {each.name: each for each in _OPERATIONS[action.operation].parameters}
    for name, special in action.parameters.items():
        yield {**parameter(known[name]), **special}


def _body(action: Action, known: Body) -> dict[str, Any]:
    schema = body(loaded(known.shape), fields=action.fields, required=action.required)
    for name, special in action.special.items():
        schema["properties"][name] |= special
    return {
        "name": "body",
        "in": "body",
        "required": True,
        "x-ms-summary": "Body",
        "description": "What is sent to Relay.",
        "x-ms-visibility": "important",
        "schema": schema,
    }


def _responses(action: Action) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, name in (action.responses or _own_responses(action)).items():
        if status >= 400:
            continue  # `default` stands for every refusal
        responses[str(status)] = {"description": _MEANINGS[status]} | ({"schema": _reference(name)} if name else {})
        if status == 201:
            where = {"type": "string", "description": "Where it is, to be deleted."}
            responses[str(status)]["headers"] = {"Location": where}
    return {**responses, "default": {"description": "The request was refused.", "schema": _reference("Error")}}


def _own_responses(action: Action) -> Mapping[int, str]:
    """Return the names of the operation's response bodies, by status."""
    responses = _OPERATIONS[action.operation].responses
    return {status: name_of(kind.partition(":")[2]) for status, kind in responses.items()}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/definitions/{name}"}
