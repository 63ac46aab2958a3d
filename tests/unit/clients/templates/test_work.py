"""Rendering a template ends within its budget of work, whatever it does with whatever values.

Measured are Python's instructions, the memory and the size of the output, not time. What runs in C is not among the instructions:
for that, each filter, test and operator is shown to be charged by what it reads.
"""

from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

from relay.clients.templates import filters
from relay.clients.templates.sandbox import Part
from relay.rendering.errors import NoTemplate, Unrenderable
from relay.rendering.work import WorkBudget
from tests.work import allocated, counted

NESTED: Any = [[[["x" * 10] * 10] * 10] * 10] * 2
"""20,000 texts: 240,000 characters of JSON."""
TEXT = "<a href='b'>c & d</a> " * 10_000
TEST_LIMIT = 1_000_000
VARIABLES = {
    "nested": NESTED,
    "text": TEXT,
    "few": list(range(50)),
    "rows": [{"a": "b" * number, "n": number} for number in range(50)],
    "object": {f"k{number}": NESTED for number in range(3)},
}


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """Load what the first refusal loads, so that no count depends on the order of the tests."""
    with pytest.raises(Unrenderable):
        Part("{{ [[1], [2]] | sum(start=[]) }}", is_html=False).render({}, WorkBudget())
    Part("{{ 1 | date }}{{ 1 | number }}{{ 1 | currency('EUR') }}", is_html=False).render({}, WorkBudget())


def is_stopped(source: str, variables: Any = VARIABLES) -> bool:
    """Whether a rendering exceeds its budget."""
    budget = WorkBudget()
    budget.left = TEST_LIMIT
    try:
        Part(source, is_html=True).render(variables, budget)
    except Unrenderable as error:
        return "steps and characters" in str(error)
    return False


def test_every_filter_of_jinja_is_charged_or_refused_by_name() -> None:
    allowed = filters.filters().keys() - filters.FORMATS.keys()
    assert allowed | set(filters.REFUSED) == FILTERS.keys()
    assert not allowed & set(filters.REFUSED)
    assert filters.tests().keys() == TESTS.keys()
    for name in filters.REFUSED:
        with pytest.raises(NoTemplate, match=name):
            Part("{{ x | " + name + "(1) }}", is_html=True)


READERS = {
    **{
        name: f"nested | {name}"
        for name in ("string", "tojson", "upper", "lower", "title", "capitalize", "e", "wordcount")
    },
    **{name: f"nested | {name}" for name in ("escape", "forceescape", "safe", "striptags", "trim", "max")},
    **{name: f"nested | {name}" for name in ("min", "sort", "join", "urlize")},
    "urlencode": "object | urlencode",
    "truncate": "text | truncate(9)",
    "replace": "nested | replace('x', 'y')",
    "replace into": "text | replace('a', 'bbb')",
    "joined": "[nested] | join('x')",
    "join with": "few | join(text)",
    "unique": "[nested | string] | unique | list",
    "groupby": "[{'a': nested | string}] | groupby('a')",
    "dictsort": "object | dictsort(by='value')",
    "map": "[nested] | map('string') | list",
    "select": "[nested] | select('eq', nested) | list",
    "sum": "object.values() | map('string') | map('length') | sum",
    "eq": "nested is eq(object)",
    "lower test": "nested is lower",
    "in": "nested is in([object, nested])",
    "==": "nested == [nested]",
    "<": "nested < nested",
    "in operator": "'y' in text",
    "~": "nested ~ ''",
    "+": "text + text",
    "slice": "text[1:]",
    "key": "{text: 1}[text]",
    "count": "nested.count(few)",
    "index": "[nested, few].index(few)",
    "strip": "few.count(few) or text.strip('abc')",
    "split": "text.split()",
    "cycle": "namespace(a=nested)",
}


@pytest.mark.parametrize("expression", READERS.values(), ids=READERS)
def test_whatever_reads_a_large_value_is_charged_each_time(expression: str) -> None:
    source = "{% for a in range(100) %}{% for b in range(100) %}{% if (" + expression + ") is defined %}{% endif %}"
    assert is_stopped(source + "{% endfor %}{% endfor %}")


def test_a_value_of_shared_values_is_as_large_as_it_would_be_written() -> None:
    tower = "{% set a = [1, 2] %}" + "".join(
        f"{{% set {name} = [{last}, {last}, {last}, {last}] %}}" for last, name in pairwise("abcdefghijklmno")
    )
    for end in (
        "{{ o }}",
        "{{ o | tojson }}",
        "{{ o == o }}",
        "{% if o in [o] %}{% endif %}",
        "{{ [o] | unique | list }}",
    ):
        assert is_stopped(tower + end)
    tuples = tower.replace("[", "(").replace("]", ")")
    for end in ("{{ {o: 1} }}", "{{ {}[o] }}", "{{ [o] | map('default') | unique | list }}"):
        assert is_stopped(tuples + end)


def test_body_of_a_macro_or_block_is_charged_each_time_it_runs() -> None:
    body = "{% if a.b.c or a.b.c %}{% endif %}" * 1000
    variables = {"a": {"b": {"c": 0}}}
    macro = "{% macro m() %}" + body + "{% endmacro %}{% for x in range(999) %}{% if m() %}{% endif %}{% endfor %}"
    block = "{% block b %}" + body + "{% endblock %}{% for x in range(999) %}{% if self.b() %}{% endif %}{% endfor %}"
    caller = (
        "{% macro m() %}{% for x in range(999) %}{% if caller() %}{% endif %}{% endfor %}{% endmacro %}"
        "{% call m() %}" + body + "{% endcall %}"
    )
    for source in (macro, block, caller):
        assert is_stopped(source, variables)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 | round(-1000000000) }}",
        "{{ 1 | round(1000000000, 'ceil') }}",
        "{{ [[1], [2]] | sum(start=[]) }}",
        "{{ '9' * 99 }}",
        "{{ namespace(a=few) }}",
        "{{ (text | int(base=36)) * 2 }}",
    ],
)
def test_operation_without_a_bound_is_refused(source: str) -> None:
    part = Part(source, is_html=False)
    with counted() as steps, pytest.raises(Unrenderable):
        part.render({"few": [1], "text": "z" * 4000}, WorkBudget())
    assert steps.instructions < 5_000


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ("{{ text | urlize }}", {"text": ")" * 20_000 + "x."}),
        ("{{ text | urlize(rel=rel) }}", {"text": "www.a.de " * 2_000, "rel": "r" * 10_000}),
        ("{{ text | trim(some) }}", {"text": "a" * 20_000, "some": "b" * 20_000 + "a"}),
        ("{{ text.strip(some) }}", {"text": "a" * 20_000, "some": "b" * 20_000 + "a"}),
        ("{{ rows | map(attribute=path, default=1) | list }}", {"rows": [1] * 2_000, "path": "a." * 5_000}),
        ("{{ text" + " | tojson" * 40 + " }}", {"text": '"'}),
        ("{{ text" + " | forceescape" * 40 + " }}", {"text": "&" * 20_000}),
    ],
    ids=["punctuation", "attributes of links", "trim", "strip", "path", "growth of json", "growth of entities"],
)
def test_pathological_value_is_stopped(source: str, variables: Any) -> None:
    with allocated() as memory:
        assert is_stopped(source, variables)
    assert memory.peak < 100_000_000


def test_request_has_one_budget_for_all_its_messages() -> None:
    part = Part("{{ text }}", is_html=False)
    budget = WorkBudget(messages=60)
    rendered = 0
    while budget.left > 1_100_000:
        part.render({"text": "x" * 1_000_000}, budget)
        rendered += 1
    assert rendered in (12, 13, 14)
    with pytest.raises(Unrenderable, match="Send smaller batches"):
        part.render({"text": "x" * 1_200_000}, budget)


def test_thousand_ordinary_messages_stay_within_their_budget() -> None:
    html = "<tr><td>Some text of the template</td><td>{{ row.a }}</td><td>{{ row.n | round(2) }}</td></tr>"
    source = (
        "x" * 20_000
        + "{% for row in rows %}"
        + html
        + "{% endfor %}{% if name == 'Ada' %}{{ name | upper }}{% endif %}"
    )
    rows = [{"a": "an article", "n": 9.5} for _ in range(20)]
    part, budget = Part(source, is_html=True), WorkBudget(messages=1000)
    for _ in range(1000):
        part.render({"rows": rows, "name": "Ada"}, budget)
    assert budget.left > 0


NAMES = st.sampled_from(["nested", "text", "few", "rows", "object", "1", "'a'", "x"])
FILTERED = st.sampled_from(sorted(filters.filters()))
TESTED = st.sampled_from(["eq(few)", "in(rows)", "defined", "lower", "mapping", "lt(few)"])
EXPRESSIONS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.builds("({} | {})".format, inner, FILTERED),
        st.builds("({} is {})".format, inner, TESTED),
        st.builds("({} {} {})".format, inner, st.sampled_from(["~", "+", "*", "==", "<", "in", "and"]), inner),
        st.builds("[{0}, {1}, {0}]".format, inner, inner),
        st.builds("({}, {})".format, inner, inner),
        st.builds("{}[1:]".format, inner),
        st.builds("range({} | length)".format, inner),
        st.builds("({} | map('{}'))".format, inner, FILTERED),
    ),
    max_leaves=6,
)
STATEMENTS = st.recursive(
    st.builds("{{{{ {} }}}}".format, EXPRESSIONS),
    lambda inner: st.one_of(
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, EXPRESSIONS, inner),
        st.builds("{{% set x = {} %}}{}".format, EXPRESSIONS, inner),
        st.builds("{{% set x %}}{}{{% endset %}}{}".format, inner, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, EXPRESSIONS, inner),
        st.builds("{{% macro m(x) %}}{}{{% endmacro %}}{{{{ m(few) }}}}{}".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=8,
)
LIMIT = 20_000


@given(source=STATEMENTS)
def test_instructions_of_any_template_follow_the_work_it_is_charged(source: str) -> None:
    try:
        part = Part(source, is_html=True)
    except NoTemplate:
        return
    budget = WorkBudget()
    budget.left = LIMIT
    output = ""
    with counted() as steps, suppress(Unrenderable):
        output = part.render({**VARIABLES, "x": 1}, budget)
    spent = LIMIT - budget.left
    assert spent <= LIMIT
    assert len(output) <= 10 * LIMIT
    assert steps.instructions <= 20_000 + 10 * spent
