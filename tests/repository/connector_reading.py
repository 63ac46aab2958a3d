"""Reads the files of connector/ for the tests about them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.connector.files import FOLDER

DEFINITION = json.loads((FOLDER / "apiDefinition.swagger.json").read_text(encoding="utf-8"))
PROPERTIES = json.loads((FOLDER / "apiProperties.json").read_text(encoding="utf-8"))["properties"]
METHODS = ("get", "post", "put", "patch", "delete")
CALLS = {
    item[method]["operationId"]: (path, method, item[method])
    for path, item in DEFINITION["paths"].items()
    for method in METHODS
    if method in item
}


def every(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of a JSON value."""
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from every(each)
    elif isinstance(value, list):
        for each in value:
            yield from every(each)


def fields() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every property of every schema, and every parameter, with its name."""
    for each in every(DEFINITION):
        if each.get("type") == "object" and "properties" in each:
            yield from each["properties"].items()
    for _, _, call in CALLS.values():
        yield from ((each["name"], each) for each in call["parameters"])


def body_of(name: str) -> Mapping[str, Any]:
    return next(each["schema"] for each in CALLS[name][2]["parameters"] if each["in"] == "body")


def sample(schema: Mapping[str, Any]) -> Any:
    """A value that a designer lets pass."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        return {name: sample(each) for name, each in schema.get("properties", {}).items()}
    if schema["type"] == "array":
        return [sample(schema["items"])]
    return {"string": "text", "integer": 100, "boolean": True}[schema["type"]]


def undescribed_fields(value: Any, schema: Mapping[str, Any], path: str = "$") -> Iterator[str]:
    """What a value has and its schema does not name."""
    if isinstance(value, list):
        for each in value:
            yield from undescribed_fields(each, schema["items"], path)
    elif isinstance(value, dict) and "properties" in schema:
        for name, each in value.items():
            if name not in schema["properties"]:
                yield f"{path}.{name}"
            else:
                yield from undescribed_fields(each, schema["properties"][name], f"{path}.{name}")
