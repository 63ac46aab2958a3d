"""Count the work of rendering templates, in steps and characters, so that a limit stops it at the same place on any machine.

Every operation that repeats, copies, compares or writes is charged before it runs, by the size of its input. The size of a value
is that of everything within it, also if it occurs twice: `[a, a]` is twice `a`.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

type Function = Callable[..., Any]

MAX_WORK = 4_000_000
"""The work of one rendering of one part, in characters and elements: a few tenths of a second at worst."""
_PARTS = 3
_MESSAGE = 40_000
"""The average work that each message of a request may add to the first: thirty thousand characters and two hundred steps."""
STEP = 20
ELEMENT = 8
BACKTRACKING = 16
"""Steps of a search or a regular expression that take as long as a unit of work."""
_ITERABLE = (list, tuple, KeysView, ItemsView, ValuesView)
_SIZED = (str, dict, range, *_ITERABLE)


class Exhausted(Exception):
    """The rendering exceeded its budget of work."""


class Unwritable(Exception):
    """A value that templates may use, but not write or compare."""


class WorkBudget:
    """The work that all renderings of a request may take together."""

    def __init__(self, messages: int = 1) -> None:
        self.limit = _PARTS * MAX_WORK + _MESSAGE * (messages - 1)
        self.left = self.limit


def exhausted(budget: WorkBudget) -> str:
    """Explain why a rendering was stopped."""
    if budget.left == 0:
        return f"The messages of this request take more than {budget.limit} steps and characters. Send smaller batches."
    return f"Filling it in takes more than {MAX_WORK} steps and characters; it repeats too much."


class _Rendering:
    """The work that is left to one rendering, and the locale of its formats."""

    def __init__(self, limit: int, locale: str) -> None:
        self.left = limit
        self.locale = locale

    def charge(self, work: int) -> None:
        """Subtract work. Raises `Exhausted` if less is left."""
        if work > self.left:
            self.left = 0
            raise Exhausted
        self.left -= work


_RENDERING: ContextVar[_Rendering] = ContextVar("rendering")


@contextmanager
def rendering(budget: WorkBudget, locale: str) -> Iterator[None]:
    """Charge the block to a new rendering, whose limit is `MAX_WORK`, or what its request has left if that is less."""
    limit = min(MAX_WORK, budget.left)
    current = _Rendering(limit, locale)
    token = _RENDERING.set(current)
    try:
        yield
    finally:
        _RENDERING.reset(token)
        budget.left -= limit - current.left


def charge(work: int) -> None:
    """Charge work to the rendering. Raises `Exhausted`, and `LookupError` outside of one (while a template is compiled)."""
    _RENDERING.get().charge(work)


def locale() -> str:
    """Return the locale whose formats the rendering uses."""
    return _RENDERING.get().locale


def work_left() -> int:
    """Return the work that is left to the rendering."""
    return _RENDERING.get().left


def charge_all(*values: Any) -> int:
    """Charge values with everything in them, and return the amount. Raises `Exhausted`, and `Unwritable` for a namespace."""
    left = work_left()
    total = 0
    waiting = list(values)
    while waiting and total <= left:
        value = waiting.pop()
        total += ELEMENT
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, int):
            total += value.bit_length() // 8
        elif isinstance(value, dict):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, _ITERABLE):
            waiting.extend(value)
        elif type(value).__name__ == "Namespace":
            raise Unwritable
        if ELEMENT * len(waiting) > left:
            raise Exhausted
    charge(total)
    return total


def charge_length(*values: Any) -> None:
    """Charge values by the number of their characters or elements, not by the size of these. Raises `Exhausted`."""
    charge(STEP + sum(length(value) for value in values))


def length(value: Any) -> int:
    """Return the number of a value's characters or elements; 0 if it has none."""
    return len(value) if isinstance(value, _SIZED) else 0


def metered(items: Iterator[Any], cost: int) -> Iterator[Any]:
    """Yield items, each charged with everything in it, and `cost`."""
    for item in items:
        charge(cost + STEP)
        charge_all(item)
        yield item
