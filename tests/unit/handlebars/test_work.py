"""Rendering Handlebars ends within its budget of work, whatever it does with whatever values. Parsing is linear."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.handlebars.template import Part
from relay.rendering.errors import NoTemplate, Unrenderable
from relay.rendering.work import WorkBudget
from tests.work import allocated, counted

NESTED: Any = [[[["x" * 10] * 10] * 10] * 10] * 2
VARIABLES: dict[str, Any] = {
    "nested": NESTED,
    "text": "<a href='b'>c & d</a> " * 10_000,
    "few": list(range(50)),
    "rows": [{"a": "b" * number, "n": number, "k": {"1": 1}} for number in range(50)],
    "object": {f"k{number}": NESTED for number in range(3)},
    "keys": {str(number): number for number in range(1000)},
    "digits": "9" * 5_000,
}
TEST_LIMIT = 1_000_000


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """Load what the first refusal loads, so that no count depends on the order of the tests."""
    with pytest.raises(Unrenderable):
        Part("{{formatDate 'x' 'y'}}").render({}, WorkBudget())


def is_stopped(source: str, variables: Any = None) -> bool:
    """Whether a rendering exceeds its budget."""
    budget = WorkBudget()
    budget.left = TEST_LIMIT
    try:
        Part(source).render(VARIABLES if variables is None else variables, budget)
    except Unrenderable as error:
        return "steps and characters" in str(error)
    return False


READERS = {
    "written": "{{@root.nested}}",
    "unescaped": "{{{@root.text}}}",
    "equals": "{{#equals @root.nested @root.object}}{{/equals}}",
    "notEquals": "{{#notEquals @root.text @root.nested}}{{/notEquals}}",
    "greaterThan": "{{#greaterThan @root.text @root.text}}{{/greaterThan}}",
    "lessThan": "{{#lessThan @root.nested @root.few}}{{/lessThan}}",
    "number in a text": "{{#lessThan @root.digits 1}}{{/lessThan}}",
    "insert": "{{#if (insert missing @root.text)}}{{/if}}",
    "formatDate": "{{formatDate 1 @root.text}}",
    "lookup": "{{lookup @root.object @root.text}}",
    "keys": "{{#each @root.keys}}{{/each}}",
    "with": "{{#each @root.few}}{{#with @root.text}}{{/with}}{{/each}}",
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_whatever_reads_a_large_value_is_charged_each_time(reader: str) -> None:
    assert is_stopped("{{#each few}}{{#each @root.few}}" + reader + "{{/each}}{{/each}}")


def test_empty_loops_within_loops_are_stopped() -> None:
    source = "{{#each @root.few}}" * 50 + "{{/each}}" * 50
    budget = WorkBudget()
    budget.left = 100_000
    with counted() as steps, pytest.raises(Unrenderable, match="steps and characters"):
        Part(source).render(VARIABLES, budget)
    assert steps.instructions < 10 * 100_000


def test_escaping_is_charged_by_what_it_writes() -> None:
    with allocated() as memory:
        assert is_stopped("{{#each few}}{{@root.text}}{{/each}}", {"few": [1] * 99, "text": "'" * 50_000})
    assert memory.peak < 20_000_000


def test_format_of_a_date_is_charged_by_its_tokens() -> None:
    budget = WorkBudget()
    budget.left = TEST_LIMIT
    with counted() as steps, pytest.raises(Unrenderable, match="steps and characters"):
        Part("{{formatDate 1 form}}").render({"form": "D" * 300_000}, budget)
    assert steps.instructions < 10 * TEST_LIMIT


def test_copied_block_parameters_are_charged_with_those_of_the_blocks_around() -> None:
    names = " ".join(f"n{number}" for number in range(1_000))
    source = f"{{{{#with object as |{names}|}}}}{{{{#each @root.keys as |k|}}}}{{{{/each}}}}{{{{/with}}}}"
    assert is_stopped(source)


@pytest.mark.parametrize("tail", ["x", ".x", "e", ".1e+", "\n1"])
def test_text_that_is_almost_a_number_is_compared_in_time_proportional_to_its_length(tail: str) -> None:
    """Backtracking is no instruction that could be counted: an expression that is quadratic would keep this test for minutes."""
    text = "1" * 100_000 + tail
    assert Part("{{#equals text 1}}a{{else}}b{{/equals}}").render({"text": text}, WorkBudget()) == "b"


def test_request_has_one_budget_for_all_its_messages() -> None:
    part = Part("{{{text}}}")
    budget = WorkBudget(messages=60)
    rendered = 0
    while budget.left > 1_100_000:
        part.render({"text": "x" * 1_000_000}, budget)
        rendered += 1
    assert rendered in (12, 13, 14)
    with pytest.raises(Unrenderable, match="Send smaller batches"):
        part.render({"text": "x" * 1_200_000}, budget)


def test_thousand_ordinary_messages_stay_within_their_budget() -> None:
    row = "<tr><td>Some text of the template</td><td>{{this.a}}</td><td>{{this.n}}</td></tr>"
    source = "x" * 20_000 + "{{#each rows}}" + row + "{{/each}}{{#equals name 'Ada'}}{{insert name 'you'}}{{/equals}}"
    rows = [{"a": "an article", "n": 9.5} for _ in range(20)]
    part, budget = Part(source), WorkBudget(messages=1000)
    for _ in range(1000):
        part.render({"rows": rows, "name": "Ada"}, budget)
    assert budget.left > 0


PIECES = (
    [
        "{{a}}",
        "{{! x }}",
        "{{#if a}}{{/if}}",
        " \n",
        "{{a ",
        "{{'x",
        "\\{{",
        "\\",
        "{{#a}}",
        "{{a.b.c",
        "{{[x",
        "{{!--",
    ],
    ["{{a}} ", "a=1 ", "\n{{~a~}}\n", "{", "{{a (b ", "{{else}}", "{{@../"],
)


@pytest.mark.parametrize("piece", [piece for some in PIECES for piece in some])
def test_parsing_takes_work_in_proportion_to_the_source(piece: str) -> None:
    costs = []
    for count in (150, 300, 600):
        with counted() as steps, suppress(NoTemplate):
            Part(piece * count)
        costs.append(steps.instructions)
    assert costs[2] < 2.3 * costs[1] + 5_000
    assert costs[1] < 2.3 * costs[0] + 5_000


PATHS = st.sampled_from(
    ["nested", "text", "few", "rows", "object", "keys", "this", "..", "@root.rows", "x", "@index", "1"]
)
EXPRESSIONS = st.recursive(
    PATHS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, st.sampled_from(["equals", "lessThan", "and", "or", "lookup"]), inner, inner),
        st.builds("(insert {} {})".format, inner, inner),
        st.builds("(length {})".format, inner),
    ),
    max_leaves=5,
)
STATEMENTS = st.recursive(
    st.builds("{{{{insert {}}}}}".format, EXPRESSIONS),
    lambda inner: st.one_of(
        st.builds("{{{{#each {}}}}}{}{{{{/each}}}}".format, PATHS, inner),
        st.builds("{{{{#with {} as |x|}}}}{}{{{{/with}}}}".format, PATHS, inner),
        st.builds("{{{{#if {}}}}}{}{{{{else}}}}{}{{{{/if}}}}".format, EXPRESSIONS, inner, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=8,
)
LIMIT = 20_000


@given(source=STATEMENTS)
def test_instructions_of_any_template_follow_the_work_it_is_charged(source: str) -> None:
    part = Part(source)
    budget = WorkBudget()
    budget.left = LIMIT
    output = ""
    with counted() as steps, suppress(Unrenderable):
        output = part.render({**VARIABLES, "x": 1}, budget)
    spent = LIMIT - budget.left
    assert spent <= LIMIT
    assert len(output) <= 10 * LIMIT
    assert steps.instructions <= 20_000 + 10 * spent
