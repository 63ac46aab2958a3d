"""The helpers that SendGrid documents (twilio.com/docs/sendgrid/for-developers/sending-email/using-handlebars), and a few more.

`if`, `unless`, `each` and `with` open blocks. Other conditions open a block too, or return true or false in parentheses.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from relay.handlebars.dates import format_date
from relay.handlebars.values import are_equal, is_empty, is_falsy, is_less, is_true, member, to_text
from relay.rendering.formats import format_currency, format_number
from relay.rendering.formats import format_date as format_local_date


class Helper(msgspec.Struct, frozen=True):
    """A helper: its function, the minimum and maximum number of its values, and the names of its options."""

    function: Callable[..., Any]
    minimum: int
    maximum: int
    options: tuple[str, ...] = ()
    is_condition: bool = False
    """It chooses between a block and its `{{else}}`."""
    is_block: bool = False
    """It only opens blocks."""


def _if(value: Any, **options: Any) -> bool:
    return is_true(value) or (is_true(options.get("includeZero")) and not is_empty(value))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list) else 0


def _insert(value: Any, default: Any = None) -> Any:
    """Return the value, or the default for a missing or empty one: `"default=friend"` or `"friend"`."""
    return to_text(default).removeprefix("default=") if value is None or value == "" else value


def _lookup(value: Any, name: Any) -> Any:
    """Return the member with a computed name. A falsy value is returned itself, as in handlebars.js."""
    return value if is_falsy(value) else member(value, to_text(name))


def _condition(function: Callable[..., bool], values: int, at_most: int | None = None) -> Helper:
    return Helper(function, values, at_most or values, is_condition=True)


_MANY = 100
_ZERO = ("includeZero",)

HELPERS: Mapping[str, Helper] = {
    "if": Helper(_if, 1, 1, _ZERO, is_condition=True, is_block=True),
    "unless": Helper(lambda value, **options: not _if(value, **options), 1, 1, _ZERO, is_condition=True, is_block=True),
    # These two change `this`, so the evaluation implements them.
    "each": Helper(to_text, 1, 1, is_block=True),
    "with": Helper(to_text, 1, 1, is_block=True),
    "equals": _condition(are_equal, 2),
    "notEquals": _condition(lambda left, right: not are_equal(left, right), 2),
    "greaterThan": _condition(lambda left, right: is_less(right, left), 2),
    "lessThan": _condition(is_less, 2),
    "and": _condition(lambda *values: all(map(is_true, values)), 2, _MANY),
    "or": _condition(lambda *values: any(map(is_true, values)), 2, _MANY),
    "length": Helper(_length, 1, 1),
    "insert": Helper(_insert, 1, 2),
    "formatDate": Helper(format_date, 2, 3),
    "lookup": Helper(_lookup, 2, 2),
    # Relay's own, beyond SendGrid's.
    "date": Helper(format_local_date, 1, 2, ("time", "timezone")),
    "number": Helper(format_number, 1, 2),
    "currency": Helper(format_currency, 2, 2),
}
