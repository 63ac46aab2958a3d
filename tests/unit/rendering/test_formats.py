"""Dates, numbers and amounts are written as the locale does, in both kinds of templates."""

from collections.abc import Callable
from typing import Any

import pytest
from babel import localedata

from relay.clients.templates.sandbox import Part as JinjaPart
from relay.handlebars.template import Part as HandlebarsPart
from relay.rendering.errors import Unrenderable
from relay.rendering.work import WorkBudget

type Fill = Callable[[str, str, dict[str, Any], str], str]


def jinja(name: str, arguments: str, variables: dict[str, Any], locale: str) -> str:
    found = ", ".join(each.strip() for each in arguments.split(";") if each.strip())
    part = JinjaPart(f"{{{{ value | {name}({found}) }}}}", is_html=True)
    return part.render(variables, WorkBudget(), locale)


def handlebars(name: str, arguments: str, variables: dict[str, Any], locale: str) -> str:
    part = HandlebarsPart(f"{{{{{{{name} value {arguments.replace(';', ' ')}}}}}}}")
    return part.render(variables, WorkBudget(), locale)


both = pytest.mark.parametrize("fill", [jinja, handlebars])
TIME = "2026-03-09T20:05:07Z"


@both
@pytest.mark.parametrize(
    ("call", "value", "locale", "text"),
    [
        (("date", "'long'"), TIME, "en", "March 9, 2026"),
        (("date", "'long'"), TIME, "de-AT", "9. März 2026"),
        (("date", "'full'"), TIME, "ja-JP", "2026年3月9日月曜日"),
        (("date", ""), TIME, "fr", "9 mars 2026"),
        (("date", "'long'; timezone='Asia/Tokyo'"), TIME, "ja", "2026年3月10日"),
        (("date", "'short'; time='short'; timezone='Europe/Berlin'"), TIME, "de", "09.03.26, 21:05"),
        (("date", "'long'; time='short'; timezone='Asia/Tokyo'"), 1773086707, "ja", "2026年3月10日 5:05"),
        (("date", "'long'"), "2026-03-09", "en", "March 9, 2026"),
        (("date", "'long'; timezone='Pacific/Auckland'"), "2026-03-09", "en", "March 9, 2026"),
        (("date", "'long'"), None, "en", ""),
        (("number", ""), 1234567.5, "en", "1,234,567.5"),
        (("number", ""), 1234567.5, "de", "1.234.567,5"),
        (("number", "2"), "1234567.5", "hi", "12,34,567.50"),
        (("number", "0"), 2.6, "en", "3"),
        (("number", ""), "", "en", ""),
        (("currency", "'EUR'"), 1234.5, "de", "1.234,50\u00a0€"),
        (("currency", "'EUR'"), "1234.5", "en", "€1,234.50"),
        (("currency", "'JPY'"), 1200, "ja-JP", "￥1,200"),
        (("currency", "'USD'"), 9, "xx-YY", "$9.00"),
        (("currency", "'USD'"), 9, "en-Nowhere", "$9.00"),
    ],
)
def test_value_is_written_as_in_the_locale(
    fill: Fill, call: tuple[str, str], value: Any, locale: str, text: str
) -> None:
    assert fill(*call, {"value": value}, locale) == text


@both
@pytest.mark.parametrize(
    ("name", "arguments", "value", "reason"),
    [
        ("date", "'long'", "tomorrow", "the time is neither ISO 8601"),
        ("date", "'long'", "2026-02-30", "there is no such day"),
        ("date", "'huge'", TIME, "the style is none of short, medium, long, full"),
        ("date", "'long'; timezone='Mars/Olympus'", TIME, "there is no such time zone"),
        ("date", "'long'; timezone='../../etc/passwd'", TIME, "there is no such time zone"),
        ("date", "'long'; timezone=7", TIME, "there is no such time zone"),
        ("date", "'long'; timezone='Asia/Tokyo'", "9999-12-31T23:59:59Z", "the time is neither"),
        ("date", "'long'", "0001-01-01T00:00:00Z", "the time is neither"),
        ("number", "", "1e999999999", "the value is not a number"),
        ("number", "", "9" * 51, "the value is not a number"),
        ("number", "", [1], "the value is not a number"),
        ("number", "", True, "the value is not a number"),
        ("number", "", "NaN", "the value is not a number"),
        ("number", "21", 1, "the number of decimals"),
        ("currency", "'euro'", 1, "the currency is not a code"),
        ("currency", "7", 1, "the currency is not a code"),
    ],
)
def test_value_that_has_no_format_is_refused(fill: Fill, name: str, arguments: str, value: Any, reason: str) -> None:
    with pytest.raises(Unrenderable) as refused:
        fill(name, arguments, {"value": value}, "en")
    assert reason in str(refused.value)
    assert str(value) not in str(refused.value) or value in (1, True)


@both
@pytest.mark.parametrize(
    ("name", "arguments", "value", "text"),
    [
        ("number", "", 10**30, "1" + ",000" * 10),
        ("number", "20", 10**20, "100" + ",000" * 6 + "." + "0" * 20),
        ("currency", "'EUR'", 10**30, "\u20ac1" + ",000" * 10 + ".00"),
    ],
)
def test_largest_numbers_are_written_with_all_their_digits(
    fill: Fill, name: str, arguments: str, value: int, text: str
) -> None:
    assert fill(name, arguments, {"value": value}, "en") == text


@both
def test_many_locales_take_no_more_memory_than_a_few(fill: Fill) -> None:
    tags = [each.replace("_", "-") for each in localedata.locale_identifiers()[:90]]
    for tag in tags:
        fill("number", "", {"value": 1}, tag)
    assert len(localedata._cache) < 80


@both
def test_formats_are_charged(fill: Fill) -> None:
    budget = WorkBudget()
    budget.left = 10_000
    source = "{{#each a}}{{date this}}{{/each}}" if fill is handlebars else "{% for x in a %}{{ x | date }}{% endfor %}"
    part = HandlebarsPart(source) if fill is handlebars else JinjaPart(source, is_html=True)
    with pytest.raises(Unrenderable, match="steps and characters"):
        part.render({"a": [TIME] * 6}, budget, "en")


@pytest.mark.parametrize("name", ["date", "number", "currency"])
def test_variable_with_the_name_of_a_format_is_a_variable(name: str) -> None:
    assert HandlebarsPart(f"{{{{{name}}}}}").render({name: "x"}, WorkBudget()) == "x"
    assert JinjaPart(f"{{{{ {name} }}}}", is_html=True).render({name: "x"}, WorkBudget()) == "x"
