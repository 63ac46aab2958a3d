"""Function keys: their levels, and where they are stored."""

import json
from collections.abc import Iterator

import pytest

from devhost.keys import KeyRing, Level, new_key, presented_key, required_level
from tests.devhost.doubles import MemoryBlobs


class Stopwatch:
    """Seconds, set by the test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def numbered() -> Iterator[str]:
    yield from (f"key-{number}" for number in range(1, 100))


def ring(blobs: MemoryBlobs, clock: Stopwatch | None = None) -> KeyRing:
    keys = numbered()
    return KeyRing(blobs, "host", new_key=lambda: next(keys), clock=clock or Stopwatch())


@pytest.mark.parametrize(
    ("held", "opened"),
    [
        (Level.ANONYMOUS, {Level.ANONYMOUS}),
        (Level.FUNCTION, {Level.ANONYMOUS, Level.FUNCTION}),
        (Level.SYSTEM, {Level.ANONYMOUS, Level.SYSTEM}),
        (Level.ADMIN, set(Level)),
    ],
)
def test_level_satisfies_only_itself_and_master_satisfies_all(held: Level, opened: set[Level]) -> None:
    assert {level for level in Level if held.opens(level)} == opened


def test_default_required_level_is_function() -> None:
    assert required_level({}) is Level.FUNCTION
    assert required_level({"authLevel": "ANONYMOUS"}) is Level.ANONYMOUS


def test_key_header_precedes_the_query_and_the_first_value_counts() -> None:
    assert presented_key({"x-functions-key": "a,b"}, {"code": "c"}) == "a"
    assert presented_key({}, {"code": "c,d"}) == "c"
    assert presented_key({}, {}) == ""


async def test_keys_are_created_on_first_use_in_the_genuine_format() -> None:
    blobs = MemoryBlobs()
    await ring(blobs).level_of("unknown", "Deliver")
    master, default = (
        {"name": n, "value": f"key-{i}", "encrypted": False} for i, n in enumerate(["master", "default"], 1)
    )
    assert json.loads(blobs.texts["host/host.json"]) == {
        "masterKey": master,
        "functionKeys": [default],
        "systemKeys": [],
    }
    assert json.loads(blobs.texts["host/deliver.json"])["keys"][0]["value"] == "key-3"


async def test_each_key_gives_its_level() -> None:
    key = {"name": "k", "encrypted": False}
    blobs = MemoryBlobs()
    host = {
        "masterKey": {**key, "value": "m"},
        "functionKeys": [{**key, "value": "f"}],
        "systemKeys": [{**key, "value": "s"}],
        "hostName": "elsewhere",
    }
    blobs.texts = {"host/host.json": json.dumps(host), "host/one.json": json.dumps({"keys": [{**key, "value": "own"}]})}
    keys = ring(blobs)
    worth = [await keys.level_of(value, "one") for value in ("m", "s", "f", "own", "M", "")]
    assert worth == [Level.ADMIN, Level.SYSTEM, Level.FUNCTION, Level.FUNCTION, Level.ANONYMOUS, Level.ANONYMOUS]
    assert await keys.level_of("own", "two") is Level.ANONYMOUS
    assert await keys.level_of("f", None) is Level.ANONYMOUS


async def test_unknown_key_rereads_the_keys_at_most_once_a_minute() -> None:
    blobs, clock = MemoryBlobs(), Stopwatch()
    keys = ring(blobs, clock)
    await keys.level_of("late", "one")
    added = json.loads(blobs.texts["host/host.json"])
    added["functionKeys"].append({"name": "late", "value": "late", "encrypted": False})
    blobs.texts["host/host.json"] = json.dumps(added)
    reads = blobs.reads
    clock.now = 59.0
    assert await keys.level_of("late", "one") is Level.ANONYMOUS
    assert blobs.reads == reads
    clock.now = 60.0
    assert await keys.level_of("late", "one") is Level.FUNCTION


def test_new_key_is_long_and_url_safe() -> None:
    first = new_key()
    assert first != new_key()
    assert len(first) >= 53
    assert not set(first) & set("+/&?#%")
