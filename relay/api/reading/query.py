"""Read the query of a list: its filters, its range of time, and the size of a page."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum

from relay.api.problems import Problems, printable
from relay.api.text_checks import moment_of, whole_number

_IGNORED = ("api-version", "code")
"""Query parameters that Azure's own clients and the Functions host add."""


def check_names(query: Mapping[str, str], known: Sequence[str], problems: Problems) -> None:
    """Refuse unknown parameters: a misspelled filter would list everything."""
    for name in query:
        if name not in known and name.lower() not in _IGNORED:
            close = get_close_matches(name[:64].lower(), known, n=1, cutoff=0.6)
            hint = f"Did you mean `{close[0]}`?" if close else f"Known parameters: {', '.join(known)}."
            problems.add("unknown_field", printable(name[:64]), f"Unknown parameter. {hint}")


def read_time(query: Mapping[str, str], name: str, problems: Problems) -> datetime | None:
    """Return a time in the query; None if it is absent or invalid, which is noted."""
    text = query.get(name)
    if text is None:
        return None
    # An unescaped plus sign arrives as a space.
    found = moment_of(text.replace(" ", "+"))
    if found is None:
        problems.add("invalid_time", name, "Write ISO 8601 with an offset, such as 2030-01-31T08:00:00Z.")
    return found


def read_choice[Choice: StrEnum](
    query: Mapping[str, str], name: str, choices: type[Choice], problems: Problems
) -> Choice | None:
    """Return one of the choices; None if it is absent or invalid, which is noted."""
    text = query.get(name)
    if text is None:
        return None
    known: Collection[str] = list(choices)
    if text not in known:
        problems.add("invalid_choice", name, f"Unknown {name}. Use one of: {', '.join(known)}.")
        return None
    return choices(text)


def read_limit(query: Mapping[str, str], problems: Problems, *, default: int, maximum: int) -> int:
    """Return the size of a page."""
    text = query.get("limit")
    if text is None:
        return default
    number = whole_number(text)
    if number is None or not 1 <= number <= maximum:
        problems.add("out_of_range", "limit", f"`limit` must be a whole number from 1 to {maximum}.")
        return default
    return number


def time_text(at: datetime) -> str:
    """Return a time in the form of a query parameter."""
    return at.isoformat().replace("+00:00", "Z")
