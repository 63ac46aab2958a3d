"""Relay renders Handlebars as handlebars.js does, for any template and data."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.handlebars.template import Part
from relay.rendering.errors import NoTemplate, Unrenderable
from relay.rendering.work import WorkBudget
from tests.depth import examples
from tests.unit.handlebars.oracle import Oracle, missing, oracle

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

NAMES = st.sampled_from(["a", "b", "items", "user", "name", "0"])
"""Few names, so that templates find them in the data. None is a helper's."""
TEXTS = st.text(st.sampled_from("ab1 <&>\"'`=\\é語\n"), max_size=6)
NUMBERS = st.one_of(st.integers(-3, 3), st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, width=64))
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.sampled_from(["1", "0", " 2.5 ", "1e3", "0x10", "-0", "abc"]))
VALUES = st.recursive(
    st.one_of(SCALARS, SCALARS, st.none()),
    # No null in a list: as `this` of a block it becomes a strange object of handlebars.js ("[object Object]").
    lambda inner: st.one_of(
        st.lists(inner.filter(lambda value: value is not None), max_size=3),
        st.dictionaries(st.one_of(NAMES, st.sampled_from(["10", "9", "k"])), inner, max_size=3),
    ),
    max_leaves=8,
)
DATA = st.dictionaries(NAMES, VALUES, max_size=5)

PLAIN_PATHS = st.one_of(
    NAMES.filter(lambda name: name != "0"),
    st.sampled_from(["this", ".", "this.a", "./b", "user.name", "items.length", "items.[0]", "items.0.name", "[a]"]),
    st.sampled_from(
        ["../a", "../../b", "..", "../user.name", "@root.a", "@root.user.name", "@index", "@key", "@first"]
    ),
    st.sampled_from(["@last", "@../index", "@../key", "item", "item.name", "number", "missing", "missing.deeper"]),
)
LITERALS = st.sampled_from(['"a"', "'it\\'s'", '""', "0", "1", "-2.5", "true", "false", "null", "undefined", '"<b>"'])
CONDITIONS = ["equals", "notEquals", "greaterThan"]
ARGUMENTS = st.recursive(
    st.one_of(PLAIN_PATHS, PLAIN_PATHS, LITERALS),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, st.sampled_from(CONDITIONS), inner, inner),
        st.builds("({} {} {})".format, st.sampled_from(["lessThan", "and", "or", "insert", "lookup"]), inner, inner),
        st.builds("(length {})".format, inner),
    ),
    max_leaves=4,
)
TILDE = st.sampled_from(["", "", "", "~"])
SPACES = st.text(st.sampled_from(" \n\t\r\u00a0"), max_size=4)
CONTENT = st.one_of(SPACES, SPACES, TEXTS, st.sampled_from(["x", " \n", "\n  ", "\r\n", "}}", "{", "\\"]))


def tag(inside: str, before: str, after: str, mark: str = "") -> str:
    return f"{{{{{before}{mark}{inside}{after}}}}}"


OUTPUTS = st.one_of(
    st.builds(tag, PLAIN_PATHS, TILDE, TILDE),
    st.builds(tag, PLAIN_PATHS.map(lambda path: f" {path} "), TILDE, TILDE),
    st.builds(tag, PLAIN_PATHS, TILDE, TILDE, st.just("&")),
    st.builds("{{{{{{{}}}}}}}".format, PLAIN_PATHS),
    st.builds(tag, st.builds("insert {} {}".format, ARGUMENTS, LITERALS), TILDE, TILDE),
    st.builds(tag, st.builds("insert {}".format, ARGUMENTS), TILDE, TILDE),
    st.builds(tag, st.builds("length {}".format, ARGUMENTS), TILDE, TILDE),
    st.builds(tag, st.builds("lookup {} {}".format, ARGUMENTS, ARGUMENTS), TILDE, TILDE),
    st.builds(tag, st.builds("{} {} {}".format, st.sampled_from(CONDITIONS), ARGUMENTS, ARGUMENTS), TILDE, TILDE),
    st.builds(tag, st.sampled_from(["! note ", "!-- }} --", "!"]), TILDE, TILDE).filter(lambda made: "~!-" not in made),
    st.sampled_from(["\\{{a}}", "\\\\{{a}}", "\\{{a}} \\{{b}}"]),
)
HEADS = st.one_of(
    st.builds("if {}".format, ARGUMENTS),
    st.builds("if {} includeZero=true".format, ARGUMENTS),
    st.builds("unless {}".format, ARGUMENTS),
    st.builds("each {}".format, PLAIN_PATHS),
    st.builds("each {} as |item number|".format, PLAIN_PATHS),
    st.builds("with {}".format, PLAIN_PATHS),
    st.builds("with {} as |item|".format, PLAIN_PATHS),
    st.builds("{} {} {}".format, st.sampled_from(["equals", "notEquals"]), ARGUMENTS, ARGUMENTS),
    st.builds("{} {} {}".format, st.sampled_from(["greaterThan", "lessThan", "and", "or"]), ARGUMENTS, ARGUMENTS),
    st.builds("and {} {} {}".format, ARGUMENTS, ARGUMENTS, ARGUMENTS),
    PLAIN_PATHS.filter(lambda path: path not in ("this", ".", "..")),
)
ELSES = st.one_of(st.just("else"), st.just("^"), st.just(" else "))


@st.composite
def blocks(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Draw a block, with what it shows otherwise."""
    head = draw(HEADS)
    closing = head.split()[0]
    mark = "^" if len(head.split()) == 1 and draw(st.booleans()) else "#"
    text = tag(head, draw(TILDE), draw(TILDE), mark) + draw(inner)
    if mark == "#":
        for _ in range(draw(st.integers(0, 2))):
            text += tag(f"else {draw(HEADS)}", draw(TILDE), draw(TILDE)) + draw(inner)
    if draw(st.booleans()):
        text += tag(draw(ELSES), draw(TILDE), draw(TILDE)) + draw(inner)
    return text + tag(closing, draw(TILDE), draw(TILDE), "/")


TEMPLATES = st.recursive(
    st.one_of(CONTENT, OUTPUTS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        blocks(inner),
        st.builds("{}{}{}".format, CONTENT, blocks(inner), CONTENT),
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def js() -> Iterator[Oracle]:
    with oracle() as found:
        yield found


def rendered(source: str, data: Any) -> str | None:
    """Return what Relay makes of a template; None if it refuses it."""
    try:
        return Part(source).render(data, WorkBudget())
    except (NoTemplate, Unrenderable):
        return None


@settings(max_examples=examples(150))
@given(source=TEMPLATES, data=DATA)
def test_any_template_is_rendered_as_by_handlebars_js(js: Oracle, source: str, data: Any) -> None:
    assert rendered(source, data) == js.render(source, data)


TAGS = ["{{", "}}", "{{{", "}}}", "{{#if", "{{#if a}}", "{{/if}}", "{{else}}", "~", "!", "--", "#", "/", "^"]
WORDS = ["else", "if", "each", "a", "b", "as", "this", "1", "true", " ", "\n"]
MARKS = ["\\", "(", ")", "=", "|", '"', "'", ".", "..", "@", "[", "]"]
NOISE = st.lists(st.sampled_from([*TAGS, *WORDS, *MARKS]), max_size=12).map("".join)


@given(source=NOISE)
def test_template_is_refused_when_handlebars_js_refuses_it(js: Oracle, source: str) -> None:
    data = {"a": 1, "b": [2]}
    assert rendered(source, data) == js.render(source, data)
