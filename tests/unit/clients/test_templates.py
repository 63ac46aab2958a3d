"""Templates: the sandbox cannot be escaped or kept busy, and storage loses no version."""

from typing import Any

import pytest

from relay.clients.template_sandbox import Part
from relay.clients.templates import CACHE, MAX_VERSIONS, TABLE, Template, Templates
from relay.core.errors import NotFound, Unavailable
from relay.platform.storage.ports import Entity
from relay.rendering.errors import NoTemplate, Unrenderable
from relay.rendering.work import WorkBudget
from tests.doubles import START, Place


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


def welcome(text: str = "Hello") -> Template:
    return Template(name="welcome", version=0, created_at=START, text=text)


async def test_concurrent_writes_make_two_versions(place: Place) -> None:
    templates = place.templates
    place.tables.before("insert", lambda: templates.put(welcome("theirs")))
    assert (await templates.put(welcome("ours"))).version == 2
    assert [(await templates.get("welcome", number)).text for number in (1, 2)] == ["theirs", "ours"]


async def test_interrupted_deletion_restores_nothing(place: Place) -> None:
    templates = place.templates
    await templates.put(welcome("old"))
    place.tables.fail("delete_all", Unavailable("away"))
    with pytest.raises(Unavailable):
        await templates.delete("welcome")
    for version in (None, 1, 2):
        with pytest.raises(NotFound):
            await templates.get("welcome", version)
    assert await templates.index() == []
    assert (await templates.put(welcome("new"))).version == 3
    with pytest.raises(NotFound):
        await templates.get("welcome", 1)
    assert [each.text for each in await templates.versions("welcome")] == ["new"]


async def test_old_versions_are_deleted(place: Place) -> None:
    templates = place.templates
    for _ in range(MAX_VERSIONS + 2):
        await templates.put(welcome())
    assert len(place.memory.tables.rows(TABLE)) == MAX_VERSIONS
    with pytest.raises(NotFound):
        await templates.get("welcome", 2)
    assert (await templates.get("welcome", 3)).version == 3


async def test_other_process_sees_a_change(place: Place) -> None:
    ours = place.templates
    await ours.put(welcome("old"))
    assert (await ours.ready("welcome")).render("text", {}, WorkBudget()) == "old"
    await Templates(place.memory.tables, place.time).put(welcome("new"))
    place.time.move(CACHE.total_seconds())
    assert (await ours.ready("welcome")).render("text", {}, WorkBudget()) == "old"
    place.time.move(1)
    assert (await ours.ready("welcome")).render("text", {}, WorkBudget()) == "new"


async def test_largest_template_fits_a_row(place: Place) -> None:
    await place.templates.put(welcome("ä" * 200_000))
    assert (await place.templates.get("welcome")).text == "ä" * 200_000


OLD_ROW = (
    b'{"name":"welcome","version":1,"created_at":"2026-03-01T12:00:00Z","description":"d","subject":"s","html":"<p>h</p>",'
    b'"variables":{"name":{},"city":{"is_required":false,"default":"Paris"}}}'
)
"""A template as versions without kinds and translations stored it."""


async def test_row_of_an_earlier_version_is_read_and_written_as_it_was(place: Place) -> None:
    row = Entity(partition="welcome", row="99999998", properties={"template0": OLD_ROW, "version": 1})
    await place.memory.tables.insert(TABLE, row)
    found = await place.templates.get("welcome")
    assert (found.kind, found.locale, found.translations, found.test_data) == ("jinja2", "", {}, {})
    await place.templates.put(found)
    stored = await place.memory.tables.get(TABLE, "welcome", "99999997")
    now = START.isoformat().replace("+00:00", "Z").encode()
    expected = OLD_ROW.replace(b'"version":1', b'"version":2').replace(b"2026-03-01T12:00:00Z", now)
    assert stored.properties["template0"] == expected


async def test_what_is_not_there_is_looked_for_again_after_a_while(place: Place) -> None:
    assert await place.templates.find("welcome") is None
    other = Templates(place.memory.tables, place.time)
    await other.put(Template(name="welcome", version=0, created_at=START, text="x"))
    assert await place.templates.find("welcome") is None
    place.time.move(CACHE.total_seconds() + 1)
    assert await place.templates.find("welcome") is not None


async def test_names_that_do_not_exist_drop_no_compiled_template(place: Place) -> None:
    await place.templates.put(welcome("x"))
    ready = await place.templates.ready("welcome")
    for number in range(500):
        assert await place.templates.find(f"none-{number}") is None
    assert await place.templates.ready("welcome") is ready
    assert len(place.templates._missing) <= 200


async def test_what_was_read_last_counts_while_storage_is_away(place: Place) -> None:
    await place.templates.put(welcome("x"))
    ready = await place.templates.ready("welcome")
    assert await place.templates.find("none") is None
    place.time.move(CACHE.total_seconds() + 1)
    place.tables.is_away = True
    assert await place.templates.find("welcome") is ready
    assert await place.templates.find("none") is None
    with pytest.raises(Unavailable):
        await place.templates.find("never-read")
