"""Represent values that go into and come out of the worker library."""

from __future__ import annotations

from typing import Any

import msgspec


class Datum(msgspec.Struct):
    """A value and its kind (string, json, bytes, http, int, double), like the library's own `Datum`.

    The library reads only these two attributes, and returns values of its own class with the same two.
    """

    type: str
    value: Any


def texts(values: dict[str, str]) -> dict[str, Datum]:
    """Return each value as a string."""
    return {name: Datum("string", value) for name, value in values.items()}
