"""Read times from the variables of templates."""

import re
from datetime import UTC, datetime
from typing import Any

from relay.rendering.errors import WrongValue

_DIGITS = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?")
_MILLISECONDS = 100_000_000_000
"""Numbers from this one on are milliseconds: as seconds they would be later than the year 5000."""
_MAX_CHARS = 100
_YEARS = range(2, 9_999)
"""Years in which any time zone can be applied."""


def read_moment(value: Any) -> datetime:
    """Read an aware time from ISO 8601, by default in UTC, or from seconds or milliseconds since 1970. Raises `WrongValue`."""
    moment: datetime | None = None
    try:
        if is_number(value) or (isinstance(value, str) and _DIGITS.fullmatch(value)):
            seconds = float(value)
            moment = datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS else seconds, UTC)
        elif isinstance(value, str) and len(value) <= _MAX_CHARS:
            moment = datetime.fromisoformat(value.strip())
    except (ValueError, OverflowError, OSError):
        pass
    if moment is not None and moment.year in _YEARS:
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    raise WrongValue("the time is neither ISO 8601 nor a number of seconds or milliseconds since 1970")


def is_number(value: Any) -> bool:
    """Return whether a value is a number, and not a boolean, which Python counts as one."""
    return isinstance(value, int | float) and not isinstance(value, bool)
