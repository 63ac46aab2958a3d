"""Values on their way into the worker library and out of it."""

from __future__ import annotations

from typing import Any


class Datum:
    """A value and its kind (string, json, bytes, http, int, double), as the library's own `Datum` has them.

    The library asks for no more than these two attributes, and gives values of its own class with the same two.
    """

    __slots__ = ("type", "value")

    def __init__(self, kind: str, value: Any) -> None:
        self.type = kind
        self.value = value


def texts(values: dict[str, str]) -> dict[str, Datum]:
    """Each value as a string."""
    return {name: Datum("string", value) for name, value in values.items()}
