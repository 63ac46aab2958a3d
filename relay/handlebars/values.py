"""The values of a template: those of JSON, with JavaScript's rules of truth, equality, order and text.

handlebars.js defines some rules (lib/handlebars/utils.js, internal/proto-access.js), ECMAScript the rest.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from relay.handlebars.lexer import SPACE
from relay.rendering.moments import is_number
from relay.rendering.work import charge_all, charge_length

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "`": "&#x60;", "=": "&#x3D;"}
_ESCAPED = re.compile("[&<>\"'`=]")
_INDEX = re.compile("0|[1-9][0-9]{0,9}")
_NUMBER = re.compile(r"[+-]?(?:Infinity|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)")
_RADIX = re.compile("0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)")
_MAX_BITS = 1_024
"""Bits of a whole number that is written with its digits: larger ones are infinite in JavaScript."""
MAX_DIGITS = 400
"""Digits of a number in a text: more are infinite in JavaScript, or make no difference."""


def member(value: Any, name: str) -> Any:
    """Return a member of an object, an element of a list, a character, or a length; None if there is none."""
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list | str):
        if name == "length":
            return len(value)
        if _INDEX.fullmatch(name) and int(name) < len(value):
            return value[int(name)]
    return None


def members(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield keys and values in JavaScript's order: whole numbers first, ascending, then as they were given."""
    if isinstance(value, list):
        yield from enumerate(value)
    elif isinstance(value, Mapping):
        charge_length(value)
        numbers = sorted((key for key in value if _INDEX.fullmatch(key)), key=int)
        for key in [*numbers, *(key for key in value if not _INDEX.fullmatch(key))] if numbers else value:
            yield key, value[key]


def is_true(value: Any) -> bool:
    """Return whether `if` shows its block. An empty object is true."""
    return not is_empty(value) and not _is_zero(value)


def is_empty(value: Any) -> bool:
    """Return whether there is nothing to show: null, false, an empty text or list. Zero is not empty."""
    return value is None or value is False or (isinstance(value, str | list) and not value)


def is_falsy(value: Any) -> bool:
    """Return whether a value is falsy in JavaScript, where an empty list is true."""
    return value is None or value is False or value == "" or _is_zero(value)


def _is_zero(value: Any) -> bool:
    # `math.isnan` raises for whole numbers that are too large for a float.
    return is_number(value) and (value == 0 or (isinstance(value, float) and math.isnan(value)))


def escape(text: str) -> str:
    """Escape a text for HTML."""
    return _ESCAPED.sub(lambda found: _ENTITIES[found[0]], text)


def to_text(value: Any) -> str:
    """Return the text that is written for a value. Charges the value with everything in it."""
    charge_all(value)
    return "" if value is None else _text(value)


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int() if value.bit_length() > _MAX_BITS:
            return "Infinity" if value > 0 else "-Infinity"
        case int():
            return str(value)
        case float():
            return _number_text(value)
        case list():
            return ",".join("" if each is None else _text(each) for each in value)
        case _:
            return "[object Object]"


def _number_text(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    mantissa, mark, exponent = repr(value).partition("e")
    if not mark:
        return "0" if value == 0 else mantissa.removesuffix(".0")
    # JavaScript writes exponents later than Python: from 1e21 and below 1e-6.
    power, sign = int(exponent), "-" if value < 0 else ""
    digits = mantissa.lstrip("-").replace(".", "")
    if 0 < power < 21:
        return sign + digits.ljust(power + 1, "0")
    if -7 < power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    return f"{mantissa}e{power:+d}"


def are_equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal by ECMAScript's `==`, which compares texts, numbers and booleans with each other."""
    charge_all(left, right)
    if left is None or right is None:
        return left is None and right is None
    if isinstance(left, dict | list) and isinstance(right, dict | list):
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return bool(_number(left) == _number(right))


def is_less(left: Any, right: Any) -> bool:
    """Return whether a value comes before another: texts by their characters, everything else as numbers (ECMAScript's `<`)."""
    charge_all(left, right)
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left.encode("utf-16-be", "surrogatepass") < right.encode("utf-16-be", "surrogatepass")
    return bool(_number(left) < _number(right))


def _primitive(value: Any) -> Any:
    return _text(value) if isinstance(value, dict | list) else value


def _number(value: Any) -> float:
    """Return a value as a number, or NaN. Null is NaN too, because it also stands for missing values."""
    if isinstance(value, str):
        text = value.strip(SPACE)
        if not text:
            return 0
        if _RADIX.fullmatch(text) and len(text) < MAX_DIGITS:
            return int(text, 0)
        return float(text) if _NUMBER.fullmatch(text) else math.nan
    if isinstance(value, bool | int | float):
        return value
    return math.nan
