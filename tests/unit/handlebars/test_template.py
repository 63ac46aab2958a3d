"""What is wrong with a template is reported with its place, and no value of a message appears in an error."""

from typing import Any

import pytest

from relay.handlebars.template import Part
from relay.rendering.errors import NoTemplate, Unrenderable
from relay.rendering.work import WorkBudget


def fill(source: str, variables: dict[str, Any] | None = None) -> str:
    return Part(source).render(variables or {}, WorkBudget())


@pytest.mark.parametrize(
    ("source", "place", "reason"),
    [
        ("Hello {{name", 1, "column 9: the template ends within a tag"),
        ("a\n{{#if a}}\n  {{b}}", 2, "column 1: {{#if}} is not closed"),
        ("a\n{{#if a}}{{/each}}", 2, "column 13: {{/each}} closes {{#if}}"),
        ("{{/if}}", 1, "column 1: {{/ has no block to belong to"),
        ("{{else}}", 1, "column 1: {{else}} has no block to belong to"),
        ("\n\n  {{upper name}}", 3, "column 5: there is no helper upper"),
        ("{{#if (upper name)}}{{/if}}", 1, "column 8: there is no helper upper"),
        ("{{#list items 3}}{{/list}}", 1, "column 4: there is no helper list"),
        ("{{> footer}}", 1, "column 1: partials are not supported"),
        ("{{#> footer}}{{/footer}}", 1, "column 1: partials are not supported"),
        ("{{{{raw}}}} {{{{/raw}}}}", 1, "column 1: raw blocks"),
        ("{{* decorate}}", 1, "column 1: decorators are not supported"),
        ("{{#* decorate}}{{/decorate}}", 1, "column 1: decorators are not supported"),
        ("{{if name}}", 1, "column 3: if opens a block"),
        ("{{#length name}}{{/length}}", 1, "column 4: length gives a value"),
        ("{{#if}}{{/if}}", 1, "column 4: if takes 1 values, here it has 0"),
        ("{{insert a b c}}", 1, "column 3: insert takes 1 to 2 values, here it has 3"),
        ("{{#each}}{{/each}}", 1, "column 4: each takes 1 values, here it has 0"),
        ("{{equals a=1 b}}", 1, "values stand before options"),
        ("p {color: {{{color}}}}", 1, "column 19: unexpected }}}}"),
        ("{{!-- never", 1, "column 1: this comment does not end"),
        ("{{a.this}}", 1, "column 5: invalid path a.this"),
        ("{{#if a}}" * 101, 1, "nested too deeply (limit 100)"),
        ("{{#if a}}" + "{{else if a}}" * 100 + "{{/if}}", 1, "nested too deeply (limit 100)"),
        ("{{#if " + "(and a " * 101, 1, "nested too deeply (limit 100)"),
    ],
)
def test_invalid_template_error_gives_line_column_and_reason(source: str, place: int, reason: str) -> None:
    with pytest.raises(NoTemplate) as refused:
        Part(source)
    assert str(refused.value).startswith(f"Line {place}, column ")
    assert reason in str(refused.value)


def test_deepest_template_that_is_accepted_is_rendered() -> None:
    chain = "{{#if a}}1" + "".join(f"{{{{else if b{number}}}}}{number}" for number in range(98)) + "{{else}}no{{/if}}"
    assert fill(chain, {"b97": True}) == "97"
    assert fill(chain) == "no"
    nested = "{{#each a}}" * 99 + "x" + "{{/each}}" * 99
    value: Any = [1]
    for _ in range(98):
        value = [value]
    with pytest.raises(Unrenderable) as failed:
        fill("{{#with this}}" * 99 + "{{formatDate 'x' 'y'}}" + "{{/with}}" * 99, {"a": 1})
    assert "the time is neither" in str(failed.value)
    assert fill(nested.replace("each a", "each this").replace("each this", "each a", 1), {"a": value}) == "x"
    calls = "(and a " * 97 + "a" + ")" * 97
    assert fill(f"{{{{#if {calls}}}}}yes{{{{/if}}}}", {"a": 1}) == "yes"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("\n{{formatDate secret 'YYYY'}}", "Line 2, column 3: the time is neither ISO 8601 nor a number"),
        ("{{formatDate '2026-01-01' 'YYYY' secret}}", "the time zone offset is not written as -0800"),
    ],
)
def test_wrong_value_error_gives_place_but_not_the_value(source: str, reason: str) -> None:
    with pytest.raises(Unrenderable) as failed:
        fill(source, {"secret": "tomorrow"})
    assert reason in str(failed.value)
    assert "tomorrow" not in str(failed.value)


@pytest.mark.parametrize("name", ["length", "insert", "equals", "and", "lookup", "formatDate"])
def test_variable_with_the_name_of_a_helper_is_a_variable(name: str) -> None:
    assert fill(f"{{{{{name}}}}} {{{{#{name}}}}}yes{{{{/{name}}}}}", {name: "12"}) == "12 yes"


@pytest.mark.parametrize(
    "source",
    [
        "{{constructor}}",
        "{{a.__proto__}}",
        "{{a.toString}}",
        "{{lookup a '__class__'}}",
        "{{b.append}}",
        "{{__class__}}",
    ],
)
def test_nothing_but_the_members_of_values_is_reachable(source: str) -> None:
    assert fill(source, {"a": {}, "b": [1]}) == ""


def test_characters_are_counted_as_people_do() -> None:
    assert fill("{{length a}} {{a.length}}", {"a": "é😀"}) == "2 2"


def test_numbers_beyond_javascripts_precision_stay_exact() -> None:
    assert fill("{{a}}", {"a": 9007199254740993}) == "9007199254740993"


HUGE = 10**4_000


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{a}} {{b}}", "Infinity -Infinity"),
        ("{{#if a}}yes{{/if}}", "yes"),
        ("{{#equals a 1}}yes{{else}}no{{/equals}}", "no"),
        ("{{#lessThan 1.5 a}}yes{{/lessThan}}", "yes"),
        (f"{{{{insert {'1' * 5_000}}}}}", "Infinity"),
        (f"{{{{#lessThan {'1' * 400} a}}}}yes{{{{/lessThan}}}}", "yes"),
    ],
)
def test_huge_whole_numbers_are_numbers(source: str, expected: str) -> None:
    """Those above 2^1024 are infinite in JavaScript; Python makes no float of them, and no text of more than 4,300 digits."""
    assert fill(source, {"a": HUGE, "b": -HUGE}) == expected


def test_number_that_is_huge_where_a_name_stands_is_a_name() -> None:
    assert fill("{{" + "1" * 5_000 + "}}") == ""
