"""SendGrid's `formatDate`: a time, written with the tokens that its documentation lists."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from relay.handlebars.values import to_text
from relay.rendering.errors import WrongValue
from relay.rendering.moments import read_moment
from relay.rendering.work import STEP, charge

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TOKENS = re.compile("YYYY|YY|MMMM|MMM|MM|M|DD|D|dddd|ddd|hh|h|HH|H|mm|m|ss|s|A|ZZ|Z")
_OFFSET = re.compile(r"([+-])([01]?[0-9]|2[0-3]):?([0-5][0-9])")


def format_date(value: Any, form: Any, offset: Any = None) -> str:
    """Return a time (ISO 8601, or seconds or milliseconds since 1970) in a form, in UTC or with an offset such as -0800.

    A missing time is an empty text. Raises `WrongValue`.
    """
    if value is None or value == "":
        return ""
    moment = read_moment(value).astimezone(_zone(offset))
    return _TOKENS.sub(lambda token: _part(moment, token[0]), to_text(form))


def _zone(offset: Any) -> timezone:
    if offset is None or offset == "":
        return UTC
    found = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
    if found is None:
        raise WrongValue("the time zone offset is not written as -0800 or -08:00")
    distance = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-distance if found[1] == "-" else distance)


def _part(moment: datetime, letters: str) -> str:
    charge(STEP)
    match letters:
        case "MMMM" | "MMM":
            name = _MONTHS[moment.month - 1]
        case "dddd" | "ddd":
            name = _DAYS[moment.weekday()]
        case "A":
            return "AM" if moment.hour < 12 else "PM"
        case "Z" | "ZZ":
            offset = moment.strftime("%z")
            return offset if letters == "ZZ" else f"{offset[:3]}:{offset[3:]}"
        case _:
            return _digits(moment, letters)
    return name if len(letters) == 4 else name[:3]


def _digits(moment: datetime, letters: str) -> str:
    number = {
        "Y": moment.year,
        "M": moment.month,
        "D": moment.day,
        "h": moment.hour % 12 or 12,
        "H": moment.hour,
        "m": moment.minute,
        "s": moment.second,
    }[letters[0]]
    if letters == "YY":
        number %= 100
    return f"{number:0{len(letters)}d}"
