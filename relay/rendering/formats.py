"""Write dates, numbers and amounts as a locale does, with Babel. Only this module imports it.

Every value comes from a template or a message: locales, zones and digits are bounded.
"""

import re
from contextlib import suppress
from copy import copy
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from relay.rendering.errors import WrongValue
from relay.rendering.locales import fallbacks
from relay.rendering.moments import read_moment
from relay.rendering.work import charge, locale

if TYPE_CHECKING:
    from babel import Locale

_COST = 2_000
"""The work charged for one format, which takes up to a tenth of a millisecond."""
_STYLES = ("short", "medium", "long", "full")
_CURRENCY = re.compile("[A-Z]{3}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MAX_EXPONENT = 30
_MAX_DIGITS = 50
_MAX_DECIMALS = 20
_PRECISION = 100
"""More digits than a number within these limits has; Python's default is 28."""
_MAX_LOCALES = 30
"""Locales whose data is kept: each takes up to a megabyte, and there are more than a thousand."""
_locales: dict[str, "Locale"] = {}


def format_date(value: Any, style: Any = "medium", *, time: Any = None, timezone: Any = "UTC") -> str:
    """Format the day of a time in a time zone, such as Europe/Berlin; with a style in `time`, its time of day too.

    A day without a time stays that day. Styles are short, medium, long and full. A missing value becomes an empty text. Raises
    `WrongValue`.
    """
    if value is None or value == "":
        return ""
    from babel import dates

    charge(_COST)
    chosen = _locale()
    if isinstance(value, str) and _DAY.fullmatch(value) and time is None:
        return str(dates.format_date(_day(value), _style(style), locale=chosen))
    moment = read_moment(value).astimezone(_zone(timezone))
    day = dates.format_date(moment, _style(style), locale=chosen)
    if time is None:
        return str(day)
    clock = dates.format_time(moment, _style(time), tzinfo=moment.tzinfo, locale=chosen)
    pattern = str(dates.get_datetime_format(_style(style), locale=chosen)).replace("'", "")
    return pattern.replace("{0}", clock).replace("{1}", day)


def format_number(value: Any, decimals: Any = None) -> str:
    """Format a number with the separators of the locale, with `decimals` digits after the point. Raises `WrongValue`."""
    if value is None or value == "":
        return ""
    charge(_COST)
    number, chosen = _number(value), _locale()
    pattern = copy(chosen.decimal_formats[None])
    if decimals is not None:
        if not isinstance(decimals, int) or isinstance(decimals, bool) or not 0 <= decimals <= _MAX_DECIMALS:
            raise WrongValue(f"the number of decimals is not a whole number from 0 to {_MAX_DECIMALS}")
        pattern.frac_prec = (decimals, decimals)
    with localcontext(prec=_PRECISION):
        return str(pattern.apply(number, chosen))


def format_currency(value: Any, currency: Any) -> str:
    """Format an amount of a currency (ISO 4217, such as EUR), with its decimals. Raises `WrongValue`."""
    if value is None or value == "":
        return ""
    from babel import numbers

    charge(_COST)
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise WrongValue("the currency is not a code of three letters such as EUR")
    with localcontext(prec=_PRECISION):
        return str(numbers.format_currency(_number(value), currency, locale=_locale()))


def _locale() -> "Locale":
    """Return the locale of the rendering, or the nearest that Babel knows."""
    from babel import localedata

    name = locale()
    if name not in _locales:
        if len(_locales) >= _MAX_LOCALES:
            _locales.clear()
            localedata._cache.clear()
        _locales[name] = _found(name)
    return _locales[name]


def _found(name: str) -> "Locale":
    from babel import Locale, UnknownLocaleError

    for each in fallbacks(name):
        with suppress(UnknownLocaleError, ValueError):
            return Locale.parse(each, sep="-")
    return Locale("en")


def _style(style: Any) -> Any:
    if style not in _STYLES:
        raise WrongValue(f"the style is none of {', '.join(_STYLES)}")
    return style


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise WrongValue("there is no such day") from error


def _zone(name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise WrongValue("there is no such time zone; write its name, such as Europe/Berlin") from error


def _number(value: Any) -> Decimal:
    if (
        isinstance(value, str | int | float | Decimal)
        and not isinstance(value, bool)
        and len(str(value)) <= _MAX_DIGITS
    ):
        try:
            number = Decimal(str(value).strip())
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and abs(number.adjusted()) <= _MAX_EXPONENT:
            return number
    raise WrongValue("the value is not a number")
