"""Contract of the port `Tables`, for every adapter."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from relay.core.errors import AlreadyExists, Changed, NotFound, StorageError
from relay.platform.storage.ports import Entity, Query, Storage, Tables, Value


@pytest.fixture
async def tables(storage: Storage, name: str) -> Tables:
    await storage.tables.create(name)
    return storage.tables


def entity(row: str = "r", partition: str = "p", /, **properties: Value) -> Entity:
    return Entity(partition=partition, row=row, properties=properties)


async def rows(tables: Tables, name: str, query: Query, *, limit: int = 1000) -> Sequence[Entity]:
    """Return the rows of all pages of a query."""
    found: list[Entity] = []
    cursor: str | None = None
    while True:
        page = await tables.query(name, query, limit=limit, cursor=cursor)
        assert len(page.entities) <= limit
        found += page.entities
        cursor = page.next
        if cursor is None:
            return found


VALUES: dict[str, Value] = {
    "text": "件名 <b>'quoted'</b> \U0001f4e7 \u0000\r\n\ufffe",
    "empty text": "",
    "full text": "é" * 32_768,
    "text like a time": "2026-03-01T12:00:00Z",
    "text like a number": "007",
    "zero": 0,
    "small int": -7,
    "int beyond 32 bit": 3_000_000_000,
    "greatest int": 2**63 - 1,
    "least int": -(2**63),
    "true": True,
    "false": False,
    "float": 0.1,
    "whole float": 2.0,
    "negative zero": -0.0,
    "large float": 1e300,
    "whole large float": 1e15,
    "infinity": math.inf,
    "bytes": bytes(range(256)),
    "empty bytes": b"",
    "full bytes": bytes(range(256)) * 256,
    "time": datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC),
    "whole second": datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
async def test_value_keeps_its_type(tables: Tables, name: str, value: Value) -> None:
    await tables.insert(name, entity(value=value))
    by_key = await tables.get(name, "p", "r")
    (by_query,) = await rows(tables, name, Query())
    await tables.merge(name, entity(merged=value))
    merged = await tables.get(name, "p", "r")
    for found in (by_key.properties["value"], by_query.properties["value"], merged.properties["merged"]):
        assert found == value
        assert type(found) is type(value)


async def test_nan_is_returned(tables: Tables, name: str) -> None:
    await tables.insert(name, entity(value=math.nan))
    value = (await tables.get(name, "p", "r")).properties["value"]
    assert isinstance(value, float)
    assert math.isnan(value)


async def test_time_is_returned_in_utc(tables: Tables, name: str) -> None:
    tokyo = datetime(2026, 3, 1, 21, tzinfo=timezone(timedelta(hours=9)))
    await tables.insert(name, entity(value=tokyo))
    value = (await tables.get(name, "p", "r")).properties["value"]
    assert isinstance(value, datetime)
    assert value.isoformat() == "2026-03-01T12:00:00+00:00"


async def test_only_written_properties_are_returned(tables: Tables, name: str) -> None:
    etag = await tables.insert(name, entity(a=1))
    found = await tables.get(name, "p", "r")
    assert (found.partition, found.row, found.properties, found.etag) == ("p", "r", {"a": 1}, etag)


async def test_read_row_has_the_time_of_its_last_write(tables: Tables, name: str) -> None:
    await tables.insert(name, entity(a=1))
    first = (await tables.get(name, "p", "r")).written_at
    await tables.merge(name, entity(b=2))
    (found,) = await rows(tables, name, Query(select=()))
    assert first is not None
    assert found.written_at is not None
    assert first <= found.written_at


@pytest.mark.parametrize(
    "value",
    ["é" * 32_769, "\U0001f4e7" * 16_385, b"x" * 65_537, 2**63, datetime(2026, 3, 1)],  # noqa: DTZ001 - what is refused
    ids=["long text", "long emoji", "long bytes", "65 bit", "time without zone"],
)
async def test_oversized_or_unsupported_value_is_refused(tables: Tables, name: str, value: Value) -> None:
    with pytest.raises(StorageError) as caught:
        await tables.insert(name, entity(value=value))
    assert type(caught.value) is StorageError


async def test_row_of_almost_one_mebibyte_fits(tables: Tables, name: str) -> None:
    properties = {f"text{number}": "x" * 32_768 for number in range(15)}
    await tables.insert(name, entity(**properties))
    assert (await tables.get(name, "p", "r")).properties == properties


@pytest.mark.parametrize("key", ["a/b", "a\\b", "a#b", "a?b", "a\tb", "x" * 513])
async def test_invalid_key_is_refused(tables: Tables, name: str, key: str) -> None:
    with pytest.raises(StorageError):
        await tables.insert(name, entity(key, a=1))


@pytest.mark.parametrize("key", ["it's 'quoted'", "件名 🎉", "a b+c%20&d=e@example.com", "x" * 512, ""])
async def test_unusual_keys_work_in_every_operation(tables: Tables, name: str, key: str) -> None:
    etag = await tables.insert(name, entity(key, key, a=1))
    assert (await tables.get(name, key, key)).etag == etag
    etag = await tables.merge(name, entity(key, key, b=2), etag=etag)
    assert [found.row for found in await rows(tables, name, Query(partition=key, row=key))] == [key]
    await tables.delete(name, key, key, etag=etag)
    await tables.upsert(name, entity(key, key, a=1))
    await tables.delete_all(name, key, [key])
    assert await rows(tables, name, Query()) == []


async def test_second_insert_raises_already_exists(tables: Tables, name: str) -> None:
    await tables.insert(name, entity(a=1))
    with pytest.raises(AlreadyExists):
        await tables.insert(name, entity(a=2))
    assert (await tables.get(name, "p", "r")).properties == {"a": 1}


async def test_merge_keeps_the_other_properties(tables: Tables, name: str) -> None:
    await tables.insert(name, entity(a=1, b="x", c=b"y"))
    etag = await tables.merge(name, entity(b=True, d=0.5))
    found = await tables.get(name, "p", "r")
    assert found.properties == {"a": 1, "b": True, "c": b"y", "d": 0.5}
    assert found.etag == etag


async def test_merge_with_an_old_etag_raises_changed(tables: Tables, name: str) -> None:
    first = await tables.insert(name, entity(a=1))
    second = await tables.merge(name, entity(a=2), etag=first)
    assert second != first
    with pytest.raises(Changed):
        await tables.merge(name, entity(a=3), etag=first)
    assert (await tables.get(name, "p", "r")).properties == {"a": 2}
    await tables.merge(name, entity(a=4), etag=second)


@pytest.mark.parametrize("etag", [None, "W/\"datetime'2026-03-01T12%3A00%3A00.0000000Z'\""])
async def test_merge_of_a_missing_row_raises_not_found(tables: Tables, name: str, etag: str | None) -> None:
    with pytest.raises(NotFound):
        await tables.merge(name, entity(a=1), etag=etag)


async def test_upsert_inserts_or_replaces_the_whole_row(tables: Tables, name: str) -> None:
    first = await tables.upsert(name, entity(a=1, b=2))
    second = await tables.upsert(name, entity(b=3))
    found = await tables.get(name, "p", "r")
    assert found.properties == {"b": 3}
    assert found.etag == second != first


async def test_delete_removes_the_row_and_ignores_a_missing_one(tables: Tables, name: str) -> None:
    await tables.insert(name, entity(a=1))
    await tables.delete(name, "p", "r")
    with pytest.raises(NotFound):
        await tables.get(name, "p", "r")
    await tables.delete(name, "p", "r")
    await tables.delete(name, "p", "r", etag="W/\"datetime'2026-03-01T12%3A00%3A00.0000000Z'\"")
    await tables.delete(name + "missing", "p", "r")


async def test_delete_with_an_old_etag_raises_changed(tables: Tables, name: str) -> None:
    first = await tables.insert(name, entity(a=1))
    second = await tables.merge(name, entity(a=2))
    with pytest.raises(Changed):
        await tables.delete(name, "p", "r", etag=first)
    await tables.delete(name, "p", "r", etag=second)
    assert await rows(tables, name, Query()) == []


async def test_delete_all_removes_rows_of_one_partition(tables: Tables, name: str) -> None:
    for number in range(120):
        await tables.insert(name, entity(f"{number:03}"))
    await tables.insert(name, entity("000", "q"))
    await tables.delete_all(name, "p", [f"{number:03}" for number in range(119)])
    assert [(found.partition, found.row) for found in await rows(tables, name, Query())] == [("p", "119"), ("q", "000")]


async def test_merge_with_writes_all_rows_or_none(tables: Tables, name: str) -> None:
    first = await tables.insert(name, entity("head", a=1, b=b"x"))
    await tables.insert(name, entity("one", a=1, b=2))
    others = [entity("one", a=3), entity("two", a=4)]
    await tables.merge_with(name, entity("head", a=2), others, etag=first)
    written = [("head", {"a": 2, "b": b"x"}), ("one", {"a": 3}), ("two", {"a": 4})]
    assert [(each.row, dict(each.properties)) for each in await rows(tables, name, Query())] == written
    with pytest.raises(Changed):
        await tables.merge_with(name, entity("head", a=9), [entity("two", a=9), entity("three", a=9)], etag=first)
    with pytest.raises(NotFound):
        await tables.merge_with(name, entity("missing", a=9), [entity("three", a=9)], etag=first)
    assert [(each.row, dict(each.properties)) for each in await rows(tables, name, Query())] == written


async def test_upsert_all_replaces_existing_rows(tables: Tables, name: str) -> None:
    await tables.insert(name, entity("007", a=1, b=2))
    await tables.upsert_all(name, [entity(f"{number:03}", a=number) for number in range(120)])
    found = await rows(tables, name, Query())
    assert [(each.row, dict(each.properties)) for each in found] == [(f"{n:03}", {"a": n}) for n in range(120)]
    await tables.upsert_all(name, [])


async def test_delete_all_ignores_missing_rows(tables: Tables, name: str) -> None:
    for number in range(0, 40, 2):
        await tables.insert(name, entity(f"{number:03}"))
    await tables.delete_all(name, "p", ["missing", *(f"{number:03}" for number in range(40)), "000"])
    assert await rows(tables, name, Query()) == []
    await tables.delete_all(name, "p", ["all", "missing"])
    await tables.delete_all(name, "p", [])


@pytest.mark.parametrize("select", [None, ("a",)])
async def test_delete_unchanged_keeps_rows_that_were_written_since(
    tables: Tables, name: str, select: Sequence[str] | None
) -> None:
    for number in range(120):
        await tables.insert(name, entity(f"{number:03}", a=1))
    known = await rows(tables, name, Query(select=select))
    await tables.upsert(name, entity("007", a=1))
    await tables.delete(name, "p", "008")
    await tables.merge(name, entity("119", b=2))
    assert await tables.delete_unchanged(name, known) == 118
    assert [found.row for found in await rows(tables, name, Query())] == ["007", "119"]
    assert await tables.delete_unchanged(name, await rows(tables, name, Query())) == 2
    assert await rows(tables, name, Query()) == []
    assert await tables.delete_unchanged(name, []) == 0


async def test_pages_are_ordered_by_key(tables: Tables, name: str) -> None:
    keys = [(partition, row) for partition in ("a", "b") for row in ("10", "2", "A", "a")]
    for partition, row in reversed(keys):
        await tables.insert(name, entity(row, partition))
    for limit in (1, 3, 4, 8, 1000):
        found = await rows(tables, name, Query(), limit=limit)
        assert [(each.partition, each.row) for each in found] == keys


@pytest.mark.parametrize("cursor", ["", "x", "1", '["a"]', "[[" * 2000])
async def test_invalid_cursor_raises_value_error(tables: Tables, name: str, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await tables.query(name, Query(), cursor=cursor)


async def test_cursor_works_after_its_row_is_deleted(tables: Tables, name: str) -> None:
    for row in "abcd":
        await tables.insert(name, entity(row))
    page = await tables.query(name, Query(), limit=2)
    await tables.delete(name, "p", "b")
    await tables.delete(name, "p", "c")
    rest = await tables.query(name, Query(), cursor=page.next)
    assert [found.row for found in page.entities] == ["a", "b"]
    assert [found.row for found in rest.entities] == ["d"]


RANGES = {
    "all": (Query(), "a1 a2 a3 b1 b2 c1"),
    "a partition": (Query(partition="a"), "a1 a2 a3"),
    "a row": (Query(partition="a", row="2"), "a2"),
    "a row of every partition": (Query(row="1"), "a1 b1 c1"),
    "partitions from": (Query(partition_from="b"), "b1 b2 c1"),
    "partitions before": (Query(partition_before="b"), "a1 a2 a3"),
    "partitions between": (Query(partition_from="a!", partition_before="c"), "b1 b2"),
    "rows from": (Query(partition="a", row_from="2"), "a2 a3"),
    "rows before": (Query(partition="a", row_before="2"), "a1"),
    "rows between": (Query(partition="a", row_from="15", row_before="3"), "a2"),
    "rows between in all partitions": (Query(row_from="2", row_before="3"), "a2 b2"),
    "nothing": (Query(partition="z"), ""),
    "a text": (Query(equals={"key": "a2"}), "a2"),
    "a number": (Query(partition_from="a", equals={"number": 1}), "a1 b1 c1"),
    "a flag": (Query(equals={"flag": True}), "b1 b2"),
    "no flag": (Query(equals={"flag": False}), "c1"),
    "both": (Query(row_from="2", equals={"flag": True, "number": 2}), "b2"),
    "a quote": (Query(equals={"quote": "it's"}), "c1"),
}


@pytest.fixture
async def ranged(tables: Tables, name: str) -> Tables:
    for key in ("a1", "a2", "a3", "b1", "b2", "c1"):
        properties: dict[str, Value] = {"key": key, "number": int(key[1]), "wide": 2**40 + int(key[1])}
        if key[0] != "a":
            properties["flag"] = key[0] == "b"
        if key == "c1":
            properties["quote"] = "it's"
        await tables.insert(name, Entity(partition=key[0], row=key[1], properties=properties))
    return tables


@pytest.mark.parametrize(("query", "keys"), RANGES.values(), ids=RANGES.keys())
async def test_ranges_include_the_start_and_exclude_the_end(ranged: Tables, name: str, query: Query, keys: str) -> None:
    for limit in (1000, 2):
        found = await rows(ranged, name, query, limit=limit)
        assert " ".join(each.partition + each.row for each in found) == keys


async def test_query_finds_a_64_bit_number(ranged: Tables, name: str) -> None:
    found = await rows(ranged, name, Query(equals={"wide": 2**40 + 3}))
    assert [each.properties["key"] for each in found] == ["a3"]


async def test_projection_returns_keys_and_etag(ranged: Tables, name: str) -> None:
    whole = await ranged.get(name, "c", "1")
    (found,) = await rows(ranged, name, Query(partition="c", select=("flag", "missing")))
    assert found == msgspec.structs.replace(whole, properties={"flag": False})
    (keys_only,) = await rows(ranged, name, Query(partition="c", select=()))
    assert keys_only == msgspec.structs.replace(whole, properties={})


async def test_page_limit_out_of_range_is_refused(tables: Tables, name: str) -> None:
    with pytest.raises(StorageError):
        await tables.query(name, Query(), limit=1001)


async def test_missing_table_raises_not_found(storage: Storage, name: str) -> None:
    with pytest.raises(NotFound):
        await storage.tables.insert(name, entity(a=1))
    with pytest.raises(NotFound):
        await storage.tables.upsert(name, entity(a=1))
    with pytest.raises(NotFound):
        await storage.tables.merge(name, entity(a=1))
    with pytest.raises(NotFound):
        await storage.tables.get(name, "p", "r")
    with pytest.raises(NotFound):
        await storage.tables.query(name, Query())


async def test_creating_twice_keeps_the_contents(tables: Tables, name: str) -> None:
    await tables.insert(name, entity(a=1))
    await tables.create(name)
    assert (await tables.get(name, "p", "r")).properties == {"a": 1}
