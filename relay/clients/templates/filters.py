"""The filters and tests of Jinja2 that templates may use, each charged for the text that it reads and writes.

A filter or test without an entry here does not exist for templates, such as those that pad, repeat or format to any width, or
reach attributes. `tests/unit/clients/templates/test_work.py` compares this list with Jinja2's own.
"""

from collections.abc import Iterable, Iterator
from functools import wraps
from typing import Any

from jinja2 import nodes, pass_eval_context
from jinja2.environment import Environment
from jinja2.filters import FILTERS, do_join, do_round
from jinja2.runtime import Context
from jinja2.tests import TESTS
from jinja2.utils import htmlsafe_json_dumps

from relay.rendering.formats import format_currency, format_date, format_number
from relay.rendering.work import BACKTRACKING, STEP, Function, charge, charge_all, charge_length, length, metered

_BY_LENGTH = ("abs", "count", "d", "default", "first", "float", "int", "items", "last", "length", "list", "map", "reject",
    "rejectattr", "reverse", "select", "selectattr")  # fmt: skip
"""Filters that look at elements, or pass them on, without reading their content."""
_BY_CONTENT = ("capitalize", "e", "escape", "forceescape", "lower", "safe", "string", "striptags", "title", "truncate",
    "upper", "urlencode", "wordcount")  # fmt: skip
"""Filters that read everything in their value once."""
_ORDERING = ("dictsort", "groupby", "max", "min", "sort", "unique")
"""Filters that compare the elements of a value."""
REFUSED = (
    "attr",
    "batch",
    "center",
    "filesizeformat",
    "format",
    "indent",
    "pprint",
    "random",
    "slice",
    "wordwrap",
    "xmlattr",
)
"""Jinja2's other filters."""
_READING_TESTS = ("!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lower",
    "lt", "ne", "upper")  # fmt: skip
"""Tests that read everything in the values they compare. The others look at a value's kind."""
_MAX_DIGITS = 100
FORMATS: dict[str, Function] = {"currency": format_currency, "date": format_date, "number": format_number}
"""Relay's own filters, which charge their work themselves."""


def filters() -> dict[str, Function]:
    """Return the filters by name."""
    own: dict[str, Function] = {
        "join": _join,
        "replace": _replace,
        "round": _round,
        "sum": _sum,
        "tojson": _tojson,
        "trim": _trim,
        "urlize": _urlize,
    }
    by_length = {name: _charged(FILTERS[name], charge_length) for name in _BY_LENGTH}
    by_content = {name: _charged(FILTERS[name], charge_all) for name in _BY_CONTENT}
    ordering = {name: _charged(FILTERS[name], _charge_ordering) for name in _ORDERING}
    return by_length | by_content | ordering | own | FORMATS


def tests() -> dict[str, Function]:
    """Return the tests by name."""
    return {
        name: _charged(function, charge_all if name in _READING_TESTS else charge_length)
        for name, function in TESTS.items()
    }


def _charged(function: Any, charge_values: Function) -> Function:
    """Wrap a filter or test so that its input is charged: at the call, or as it takes the items of an iterator."""

    @wraps(function)  # keeps the mark by which Jinja2 knows what to pass as the first argument
    def call(*args: Any, **kwargs: Any) -> Any:
        at = 1 if args and isinstance(args[0], Context | Environment | nodes.EvalContext) else 0
        texts = sum(len(each) for each in (*args[at + 1 :], *kwargs.values()) if isinstance(each, str))
        value = args[at] if len(args) > at else None
        if isinstance(value, Iterator):
            value = metered(value, texts)
            value = list(value) if charge_values is _charge_ordering else value
            args = (*args[:at], value, *args[at + 1 :])
        charge(STEP + texts * length(value))
        charge_values(*args[at:], *kwargs.values())
        result = function(*args, **kwargs)
        return metered(result, texts) if isinstance(result, Iterator) else result

    return call


def _charge_ordering(*values: Any) -> None:
    size = charge_all(*values)
    charge(size * max(1, length(values[0]).bit_length()))


@pass_eval_context
def _join(context: nodes.EvalContext, value: Iterable[Any], separator: Any = "", attribute: str | None = None) -> str:
    items = list(metered(iter(value), length(separator) + length(attribute)))
    joined: str = do_join(context, items, separator, attribute)
    return joined


def _replace(value: Any, old: str, new: str) -> str:
    charge(STEP + charge_all(value, old, new))
    text = value if isinstance(value, str) else str(value)
    charge((text.count(str(old)) + 1) * len(str(new)))
    return text.replace(old, new)


def _round(value: Any, precision: int = 0, method: str = "common") -> Any:
    charge_all(value)
    if abs(precision) > _MAX_DIGITS:
        raise ValueError("precision")
    return do_round(value, precision, method)  # type: ignore[arg-type] # checks the method itself


@wraps(FILTERS["sum"])
def _sum(environment: Environment, value: Iterable[Any], attribute: str | int | None = None, start: float = 0) -> Any:
    if not isinstance(start, int | float):
        raise TypeError("start")  # lists would be copied for each element
    items = list(metered(iter(value), length(attribute)))
    return FILTERS["sum"](environment, items, attribute, start)


def _tojson(value: Any) -> str:
    """Encode JSON that is safe in HTML, without an indent."""
    charge_all(value)
    return htmlsafe_json_dumps(value)


def _trim(value: Any, characters: str | None = None) -> str:
    size = charge_all(value, characters)
    charge(size * length(characters) // BACKTRACKING)
    trimmed: str = FILTERS["trim"](value, characters)
    return trimmed


@wraps(FILTERS["urlize"])
def _urlize(context: nodes.EvalContext, value: Any, *args: Any, **kwargs: Any) -> str:
    """Turn URLs into links. Jinja2's expressions backtrack over a word for each character, and each word gets all arguments."""
    charge_all(value, *args, *kwargs.values())
    words = str(value).split()
    charge(sum(len(word) ** 2 for word in words) // BACKTRACKING)
    more = sum(STEP + length(each) for each in (*args, *kwargs.values()))
    charge(len(words) * (STEP + more))
    linked: str = FILTERS["urlize"](context, value, *args, **kwargs)
    return linked
