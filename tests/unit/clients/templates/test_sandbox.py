"""Jinja2 in its sandbox, which templates cannot escape or keep busy."""

from typing import Any

import pytest

from relay.clients.templates.sandbox import Part
from relay.rendering.errors import NoTemplate, Unrenderable
from relay.rendering.work import WorkBudget


def fill(source: str, variables: dict[str, Any] | None = None, *, is_html: bool = False) -> str:
    return Part(source, is_html=is_html).render(variables or {}, WorkBudget())


ORDER = {"order": {"lines": [{"name": "a"}, {"name": "b"}]}}
SUM = "{% set sum = namespace(of=0) %}{% for x in range(4) %}{% set sum.of = sum.of + x %}{% endfor %}{{ sum.of }}"
FILTERED = "{{ names | join(', ') }} {{ 'a-b' | replace('-', '+') }} {{ names | tojson }}"


@pytest.mark.parametrize(
    ("source", "variables", "text"),
    [
        ("Hello {{ name }}.", {"name": "Ada"}, "Hello Ada."),
        ("{{ nothing }}!", {"nothing": None}, "!"),
        ("{{ 1 + 2 }} {{ 7 % 4 }} {{ 2 * 3 }}", {}, "3 3 6"),
        ("{% for line in order.lines %}{{ loop.index }}:{{ line.name }} {% endfor %}", ORDER, "1:a 2:b "),
        ("{% for key, value in order.items() %}{{ key }}={{ value }};{% endfor %}", {"order": {"a": 1}}, "a=1;"),
        ("{% for x in few if x > 1 %}{{ x }}{% else %}none{% endfor %}", {"few": [1, 2, 3]}, "23"),
        ("{% for x in few %}{{ x }}{% else %}none{% endfor %}", {"few": []}, "none"),
        ("{% if 2 in few and 4 not in few %}yes{% endif %}", {"few": [1, 2, 3]}, "yes"),
        (SUM, {}, "6"),
        ("{% macro b(x) %}[{{ x }}]{% endmacro %}{{ b('a') }}", {}, "[a]"),
        (FILTERED, {"names": ["a", "b"]}, 'a, b a+b ["a", "b"]'),
        ("{{ name.upper() }} {{ name | default('x') }} {{ missing | default('y') }}", {"name": "a"}, "A a y"),
        ("a\n", {}, "a\n"),
    ],
)
def test_template_renders_with_variables(source: str, variables: dict[str, Any], text: str) -> None:
    assert fill(source, variables) == text


def test_values_are_escaped_only_in_html() -> None:
    variables = {"name": "<b>&\"'"}
    assert fill("<p>{{ name }}</p>", variables, is_html=True) == "<p>&lt;b&gt;&amp;&#34;&#39;</p>"
    assert fill("{{ name }}", variables) == "<b>&\"'"
    assert fill("{{ name | safe }}", variables, is_html=True) == "<b>&\"'"
    joined = fill("{{ names | join('<br>' | safe) }}", {"names": ["<i>", "b"]}, is_html=True)
    assert joined == "&lt;i&gt;<br>b"
    assert fill("{% set x %}<i>{{ name }}{% endset %}{{ x }}", variables, is_html=True).startswith("<i>&lt;b&gt;")


ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ ['__class__'] | map(attribute='__class__') | list }}{{ ''.__class__ }}",
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '{0.__class__}'.format_map({'a': 1}) }}",
    "{{ '%s' % name }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ loop_.__class__ }}{{ range.__globals__ }}",
    "{% for x in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{{ namespace.__init__.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}{{ m._environment }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ lipsum.__globals__ }}",
    "{{ order.update({'a': 1}) }}",
    "{{ order.clear() }}",
    "{{ [1].append(2) }}",
    "{{ config }}",
    "{{ order | attr('clear') }}",
]


@pytest.mark.parametrize("source", ESCAPES)
def test_sandbox_escape_is_refused(source: str) -> None:
    order = {"number": 4711}
    with pytest.raises((NoTemplate, Unrenderable)):
        fill(source, {"name": "Ada", "order": order})
    assert order == {"number": 4711}


@pytest.mark.parametrize(
    "source",
    [
        "{% include 'a' %}",
        "{% import 'os' as os %}",
        "{% from 'a' import b %}",
        "{% extends 'a' %}",
        "{% if true %}{% include name ignore missing %}{% endif %}",
        "{% for x in few recursive %}{{ loop(x) }}{% endfor %}",
        "{{ name",
        "{% if %}",
        "{{ name | nofilter }}",
        "{{ 'x' | center(1000000000) }}",
        "{{ '%d' | format(1) }}",
        "{% do 1 %}",
        "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
        "{% if 1 %}" * 150 + "{% endif %}" * 150,
    ],
)
def test_invalid_template_is_refused_with_its_line(source: str) -> None:
    with pytest.raises(NoTemplate) as raised:
        Part(source, is_html=True)
    assert str(raised.value).endswith(".")


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}",
        "{% for a in range(1000000000) %}{% endfor %}",
        "{% for a in range(1000) if range(1000) | list %}{% endfor %}",
        "{% for a in few %}{% for b in few %}{% for c in few %}{{ big }}{% endfor %}{% endfor %}{% endfor %}",
        "{% set x %}{% for a in few %}{% for b in few %}{{ big }}{% endfor %}{% endfor %}{% endset %}",
        "{% for a in few %}{% for b in few %}" + "x" * 10_000 + "{% endfor %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'x'.ljust(1000000000) }}{{ 'x'.zfill(1000000000) }}",
        "{% set n = namespace(x='xxxxxxxxxx') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x=3) %}{% for a in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
        "{% for a in few %}{% for b in few %}{{ few | sort | first }}{{ a in few }}{{ big.split() }}{% endfor %}{% endfor %}",
        "{{ few | join(big) | join(big) }}",
        "{{ big | replace('x', big) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(40) }}",
        "{{ 1 / 0 }}",
        "{{ name.number.deep }}",
        "{{ name() }}",
        "{{ missing }}",
    ],
)
def test_excessive_rendering_is_stopped(source: str) -> None:
    part = Part(source, is_html=True)
    with pytest.raises(Unrenderable) as raised:
        part.render({"name": "SECRET", "few": list(range(1000)), "big": "x" * 10_000}, WorkBudget())
    assert "SECRET" not in str(raised.value)


def test_template_lists_the_variables_it_reads() -> None:
    source = "{% set a = b %}{{ a }}{% for c in d %}{{ c }}{% endfor %}{{ e | default('') }}{{ range(2) | list }}"
    assert Part(source, is_html=False).names == {"b", "d", "e"}
