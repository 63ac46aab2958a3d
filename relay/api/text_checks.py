"""Check texts of a request, and convert them to numbers and times."""

import re
from datetime import UTC, datetime

_MAX_DIGITS = 12
_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAMES = {"\r": "a carriage return", "\n": "a line break", "\0": "a NUL", "\t": "a tab", "\u2028": "a line separator"}


def control_problem(text: str) -> str:
    """Describe the first control character of a text, as the end of a sentence; empty if it has none."""
    found = _CONTROL.search(text)
    if found is None:
        return ""
    name = _NAMES.get(found[0], f"the control character U+{ord(found[0]):04X}")
    return f"has {name} at position {found.start() + 1}"


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th …"""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def whole_number(text: str) -> int | None:
    """Read a text of at most twelve ASCII digits as a number; None for any other text (Python refuses very long numbers)."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def moment_of(text: str) -> datetime | None:
    """Read ISO 8601 with an offset as a time in UTC; None for any other text.

    Times before Relay's first or far after its last become `_EARLIEST` or `_LATEST`, so that any span can be added to them:
    .NET's `DateTime.MinValue` and `MaxValue`, for example, are the first and the last moment that Python has.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else max(_EARLIEST, min(_LATEST, found)).astimezone(UTC)
