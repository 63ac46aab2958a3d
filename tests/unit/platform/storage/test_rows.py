"""Changes of one table row that other writers change too, on tables in memory."""

import pytest

from relay.core.errors import AlreadyExists, Changed, NotFound, Unavailable
from relay.platform.storage.ports import Entity
from relay.platform.storage.rows import MAX_RACES, RowChange, change_row, write_row
from tests.doubles import Watched, watched_tables


@pytest.fixture
async def tables() -> Watched:
    return await watched_tables("t")


def count(known: Entity | None) -> RowChange[int]:
    total = int(str(known.properties["total"])) + 1 if known else 1
    return RowChange(result=total, properties={"total": total})


async def test_missing_row_is_inserted_and_existing_row_is_merged(tables: Watched) -> None:
    await change_row(tables, "t", "p", "r", count)
    assert await change_row(tables, "t", "p", "r", count) == 2
    assert tables.calls == {"get": 2, "insert": 1, "merge": 1}


async def test_new_row_costs_one_operation(tables: Watched) -> None:
    assert await change_row(tables, "t", "p", "r", count, is_new=True) == 1
    assert tables.calls == {"insert": 1}


async def test_row_that_is_not_new_is_read_after_the_insert_fails(tables: Watched) -> None:
    await change_row(tables, "t", "p", "r", count)
    assert await change_row(tables, "t", "p", "r", count, is_new=True) == 2


async def test_known_row_saves_the_first_read(tables: Watched) -> None:
    await change_row(tables, "t", "p", "r", count)
    known = await tables.get("t", "p", "r")
    tables.calls.clear()
    assert await change_row(tables, "t", "p", "r", count, known=known) == 2
    assert tables.calls == {"merge": 1}


async def test_known_row_that_has_changed_is_read_again(tables: Watched) -> None:
    await change_row(tables, "t", "p", "r", count)
    known = await tables.get("t", "p", "r")
    await change_row(tables, "t", "p", "r", count)
    assert await change_row(tables, "t", "p", "r", count, known=known) == 3


async def test_decision_without_properties_writes_nothing(tables: Watched) -> None:
    assert await change_row(tables, "t", "p", "r", lambda known: RowChange(result=known)) is None
    assert tables.calls == {"get": 1}


async def test_decision_that_raises_ends_the_change(tables: Watched) -> None:
    def refuse(known: Entity | None) -> RowChange[None]:
        raise ValueError(known)

    with pytest.raises(ValueError, match="None"):
        await change_row(tables, "t", "p", "r", refuse)
    assert tables.calls == {"get": 1}


@pytest.mark.parametrize("races", [1, MAX_RACES - 1])
async def test_lost_race_decides_again_on_the_new_row(tables: Watched, races: int) -> None:
    await change_row(tables, "t", "p", "r", count)
    for _ in range(races):
        tables.before("merge", lambda: tables.upsert("t", Entity(partition="p", row="r", properties={"total": 10})))
    assert await change_row(tables, "t", "p", "r", count) == 11


async def test_row_deleted_before_the_write_is_inserted_again(tables: Watched) -> None:
    await change_row(tables, "t", "p", "r", count)
    tables.before("merge", lambda: tables.delete("t", "p", "r"))
    assert await change_row(tables, "t", "p", "r", count) == 1


async def test_row_that_always_changes_raises_unavailable(tables: Watched) -> None:
    await change_row(tables, "t", "p", "r", count)
    tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    with pytest.raises(Unavailable) as raised:
        await change_row(tables, "t", "p", "r", count, retry_after_seconds=7)
    assert raised.value.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("name", "error"), [("insert", AlreadyExists("x")), ("merge", Changed("x")), ("merge", NotFound("x"))]
)
async def test_single_write_returns_false_after_a_lost_race(tables: Watched, name: str, error: Exception) -> None:
    etag = await tables.insert("t", Entity(partition="p", row="r", properties={}))
    tables.fail(name, error)
    entity = Entity(partition="p", row="r", properties={}, etag=etag if name == "merge" else "")
    assert not await write_row(tables, "t", entity)
    assert await write_row(tables, "t", Entity(partition="p", row="r", properties={}, etag=etag))
