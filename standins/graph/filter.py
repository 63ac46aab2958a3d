"""Evaluate `$filter` over messages: the comparisons this stand-in supports, joined by `and`; others are refused.

Sources: learn.microsoft.com/graph/filter-query-parameter, /graph/api/singlevaluelegacyextendedproperty-get.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from standins.graph.errors import GraphError
from standins.inbox import Mail

INTERNET_HEADERS = "{00020386-0000-0000-c000-000000000046}"
"""PS_INTERNET_HEADERS: extended properties of this set are the message's header fields."""

type Test = Callable[[Mail], bool]

_BY_MESSAGE_ID = re.compile(r"internetMessageId eq '((?:[^']|'')*)'", re.IGNORECASE)
_BY_EXTENDED = re.compile(
    r"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id eq '([^']+)' and \1/value eq '((?:[^']|'')*)'\s*\)",
    re.IGNORECASE,
)
_BY_TIME = re.compile(r"(?:received|sent|created)DateTime (ge|gt|le|lt) ([0-9T:.+\-]+Z?)", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)


def select(mails: Sequence[Mail], expression: str | None) -> list[Mail]:
    """Return the mails that match a `$filter`. Raises GraphError for an unsupported filter."""
    tests = _tests(expression.strip()) if expression else []
    return [mail for mail in mails if all(test(mail) for test in tests)]


def _tests(expression: str) -> list[Test]:
    tests: list[Test] = []
    position = 0
    while True:
        test, position = _term(expression, position)
        tests.append(test)
        if position == len(expression):
            return tests
        joint = _AND.match(expression, position)
        if joint is None:
            raise _unknown()
        position = joint.end()


def _term(expression: str, position: int) -> tuple[Test, int]:
    """Parse one comparison. Return it with the position of its end."""
    if found := _BY_MESSAGE_ID.match(expression, position):
        wanted = found[1].replace("''", "'")
        return (lambda mail: mail.fields.get("internetMessageId") == wanted), found.end()
    if found := _BY_EXTENDED.match(expression, position):
        key, value = found[2], found[3].replace("''", "'")
        return (lambda mail: _property(mail, key) == value), found.end()
    if found := _BY_TIME.match(expression, position):
        compare, moment = getattr(operator, found[1].lower()), _moment(found[2])
        return (lambda mail: bool(compare(mail.accepted_at, moment))), found.end()
    raise _unknown()


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _unknown() from error
    if moment.tzinfo is None:
        raise _unknown()
    return moment


def _unknown() -> GraphError:
    return GraphError(400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")


def _property(mail: Mail, property_id: str) -> str | None:
    kind, _, rest = property_id.partition(" ")
    namespace, _, name = rest.partition(" Name ")
    if kind.lower() == "string" and namespace.lower() == INTERNET_HEADERS:
        return next((v for k, v in mail.headers.items() if k.lower() == name.lower()), None)
    known: Mapping[str, str] = mail.fields.get("extended", {})
    return next((v for k, v in known.items() if k.lower() == property_id.lower()), None)
