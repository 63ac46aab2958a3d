"""JSON Schema of request shapes, for the OpenAPI document and the connector."""

from typing import Any

import msgspec

REFERENCE = "#/components/schemas/"


def schemas_of(*shapes: type) -> dict[str, dict[str, Any]]:
    """Return the schema of each shape and of every struct within it, by name.

    An optional field has no `default`: clients that are generated from a schema treat a field with a default as always there.
    """
    _, schemas = msgspec.json.schema_components(shapes, ref_template=f"{REFERENCE}{{name}}")
    return {name: _adjusted(schema) for name, schema in schemas.items()}


def _adjusted(schema: Any) -> Any:
    """Leave out defaults of null, and give the choices of a string their type."""
    if isinstance(schema, list):
        return [_adjusted(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    adjusted = {name: _adjusted(each) for name, each in schema.items() if not (name == "default" and each is None)}
    if all(isinstance(choice, str) for choice in adjusted.get("enum", (None,))):
        adjusted = {"type": "string", **adjusted}
    return adjusted
