"""The conventions and helpers of all shapes.

A request is a `Shape`. A response is a frozen struct whose name ends in `View`; the OpenAPI document names its schema without
that ending. A member that may be left out has the type `… | UnsetType` and the default `UNSET`: it is never null. A member that
may be null has the type `… | None` and is always there.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType


class Shape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object of a request. Unknown names are errors, and no value is converted from another type."""


def says(description: str, *examples: Any, **schema: Any) -> Meta:
    """Describe a field: a sentence, examples, and further keywords of JSON Schema, which are documented and not enforced."""
    return Meta(description=description, examples=list(examples) or None, extra_json_schema=schema or None)


def expects(phrase: str) -> Meta:
    """Name the accepted values of a union of types, for the error message: "Expected <phrase>, got a number"."""
    return Meta(extra={"expected": phrase})


Time = Annotated[datetime, Meta(tz=True)]
"""A time with an offset, written as RFC 3339."""
Uri = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
MessageName = Annotated[str, Meta(pattern="^msg_[0-9a-v]{40}$")]
NextLink = Annotated[Uri, says("The URL of the next page. Absent on the last page.")]
Lifetime = Annotated[int, Meta(ge=60, le=315_360_000)]
"""Seconds until something expires: a minute to ten years."""


def given[T](value: T | None) -> T | UnsetType:
    """Return the value, or for None the mark that leaves a member out of the JSON."""
    return UNSET if value is None else value
