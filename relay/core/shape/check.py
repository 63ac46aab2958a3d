"""Check whether a JSON value has the type of a msgspec struct. `relay.core.shape.mismatches` finds the reasons if it has not."""

from typing import Any

import msgspec


def fits(value: object, shape: Any) -> bool:
    """Return whether a JSON value has this type."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return False
    return True


def member_names(shape: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the names that a struct's members have in JSON."""
    return shape.__struct_encode_fields__
