"""Read the method of a calendar invitation (RFC 5546), which its MIME part must state (RFC 6047 section 2.4)."""

import re

METHODS = ("PUBLISH", "REQUEST", "REPLY", "ADD", "CANCEL", "REFRESH", "COUNTER", "DECLINECOUNTER")
"""The methods of RFC 5546 section 1.4."""
_METHOD = re.compile(r"^METHOD[^:\r\n]*:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_WHOLE = re.compile(r"BEGIN:VCALENDAR\r?\n.*\nEND:VCALENDAR", re.IGNORECASE | re.DOTALL)


def method_of(calendar: str) -> str:
    """Return the method of an iCalendar object in upper case; empty if it has none."""
    found = _METHOD.search(calendar)
    return "" if found is None else found[1].upper()


def calendar_problem(calendar: str) -> str:
    """Explain why a text cannot be sent as an invitation, in one or two sentences; empty if it can."""
    if not _WHOLE.fullmatch(calendar.strip()):
        return "Not an iCalendar object: it must begin with BEGIN:VCALENDAR and end with END:VCALENDAR."
    method = method_of(calendar)
    if method not in METHODS:
        return f"The iCalendar object needs a METHOD, such as METHOD:REQUEST. Known methods: {', '.join(METHODS)}."
    if len(_METHOD.findall(calendar)) > 1:
        return "The iCalendar object has several METHOD properties. Keep one."
    return ""
