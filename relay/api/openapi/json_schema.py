"""JSON Schema of the shapes of requests and responses, for the OpenAPI document and the connector."""

from typing import Any

import msgspec

REFERENCE = "#/components/schemas/"


def schemas_of(*shapes: type) -> dict[str, dict[str, Any]]:
    """Return the schemas of shapes and of all shapes in their fields, by their names in the document (`name_of`).

    An optional field has no `default`: generated clients treat a field with a default as always present. Raises `ValueError`
    if two shapes have the same name.
    """
    _, found = msgspec.json.schema_components(shapes, ref_template=f"{REFERENCE}{{name}}")
    schemas = {name_of(name): _adjusted(schema) for name, schema in found.items()}
    if len(schemas) < len(found):
        raise ValueError("two shapes have the same name in the document")
    return schemas


def name_of(shape: str) -> str:
    """Return a shape's name in the document: `Message` for `MessageView`."""
    return shape.removesuffix("View")


def _adjusted(schema: Any) -> Any:
    """Leave out titles and defaults of null, rename references, and add the keywords that msgspec implies."""
    if isinstance(schema, list):
        return [_adjusted(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    adjusted = {
        name: _adjusted(each)
        for name, each in schema.items()
        if not (name == "default" and each is None) and not (name == "title" and isinstance(each, str))
    }
    if isinstance(adjusted.get("$ref"), str):
        adjusted["$ref"] = REFERENCE + name_of(adjusted["$ref"].removeprefix(REFERENCE))
    if adjusted.get("type") == "object" and not {"properties", "additionalProperties"} & adjusted.keys():
        adjusted["additionalProperties"] = True  # else generated types allow no member at all
    if all(isinstance(choice, str) for choice in adjusted.get("enum", (None,))):
        adjusted = {"type": "string", **adjusted}
    return adjusted
