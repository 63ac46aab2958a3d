"""The JSON Schema of request shapes."""

from collections.abc import Iterator
from typing import Any

import pytest

from relay.api.openapi.json_schema import REFERENCE, schemas_of
from relay.api.shapes import clients, recovery, requests, routes, suppressions, templates, webhooks
from relay.api.shapes.base import Shape

SHAPES = [
    each
    for module in (requests, clients, routes, suppressions, templates, webhooks, recovery)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, Shape) and each.__module__ == module.__name__
]


def schemas_within(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a schema, itself included; examples are no schemas."""
    if isinstance(schema, dict):
        yield schema
        for name, each in schema.items():
            if name != "examples":
                yield from schemas_within(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from schemas_within(each)


@pytest.mark.parametrize("shape", SHAPES)
def test_optional_fields_have_no_default_and_enums_have_a_type(shape: type[Shape]) -> None:
    within = list(schemas_within(schemas_of(shape)[shape.__name__]))
    assert not [each for each in within if "default" in each and "properties" not in each and each["default"] is None]
    assert not [each for each in within if "enum" in each and "type" not in each]


@pytest.mark.parametrize("shape", [each for each in SHAPES if each is not requests.BatchEnvelope])
def test_every_field_is_described(shape: type[Shape]) -> None:
    properties = schemas_of(shape)[shape.__name__]["properties"]
    assert [name for name, schema in properties.items() if not schema["description"].endswith(".")] == []


def test_schema_has_limits_examples_and_references() -> None:
    schemas = schemas_of(requests.MessageRequest)
    message = schemas["MessageRequest"]
    assert message["required"] == ["from"]
    assert message["properties"]["subject"]["maxLength"] == 998
    assert message["properties"]["tags"]["examples"] == [["invoice", "eu"]]
    assert {"$ref": f"{REFERENCE}AddressObject"} in message["properties"]["from"]["anyOf"]
    assert {
        "MessageRequest",
        "AddressObject",
        "AttachmentObject",
        "LogicAppsFile",
        "UnsubscribeFields",
    } == schemas.keys()
