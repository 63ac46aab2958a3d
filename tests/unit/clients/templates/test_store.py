"""The versions of templates, of which storage loses none."""

import pytest

from relay.clients.templates.model import Template
from relay.clients.templates.store import CACHE, MAX_VERSIONS, TABLE, Templates
from relay.core.errors import NotFound, Unavailable
from relay.platform.storage.ports import Entity
from relay.rendering.work import WorkBudget
from tests.doubles import START, Place


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
    assert (await ours.compiled("welcome")).render("text", {}, WorkBudget()) == "old"
    await Templates(place.memory.tables, place.time).put(welcome("new"))
    place.time.move(CACHE.total_seconds())
    assert (await ours.compiled("welcome")).render("text", {}, WorkBudget()) == "old"
    place.time.move(1)
    assert (await ours.compiled("welcome")).render("text", {}, WorkBudget()) == "new"


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
    compiled = await place.templates.compiled("welcome")
    for number in range(500):
        assert await place.templates.find(f"none-{number}") is None
    assert await place.templates.compiled("welcome") is compiled
    assert len(place.templates._missing) <= 200


async def test_what_was_read_last_counts_while_storage_is_away(place: Place) -> None:
    await place.templates.put(welcome("x"))
    compiled = await place.templates.compiled("welcome")
    assert await place.templates.find("none") is None
    place.time.move(CACHE.total_seconds() + 1)
    place.tables.is_away = True
    assert await place.templates.find("welcome") is compiled
    assert await place.templates.find("none") is None
    with pytest.raises(Unavailable):
        await place.templates.find("never-read")
