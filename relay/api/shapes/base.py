"""The base of all request shapes, and what the OpenAPI document says about a field."""

from typing import Any

from msgspec import Meta, Struct


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object of a request. Unknown names are errors, and no value is converted from another type."""


def says(description: str, *examples: Any, **schema: Any) -> Meta:
    """Describe a field: a sentence, examples, and further keywords of JSON Schema, which are documented and not enforced."""
    return Meta(description=description, examples=list(examples) or None, extra_json_schema=schema or None)


def expects(phrase: str) -> Meta:
    """Name what fits a union of types, for the error message: "Expected <phrase>, got a number"."""
    return Meta(extra={"expected": phrase})
