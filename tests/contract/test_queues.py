"""Contract of the port `Queues`, for every adapter."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from relay.core import entries
from relay.core.errors import NotFound, StorageError
from relay.platform.storage.ports import Queues, Storage

_AROUND = "<QueueMessage><MessageText></MessageText></QueueMessage>"
BODIES = {
    "json": b'{"relay":1,"ref":"0","indices":[0,3],"attempt":2}',
    "markup": b"""{"html":"<p class='a'>&amp; \\"<![CDATA[ ]]> ]]>&#13;</p>"}""",
    "scripts": json.dumps({"subject": "件名 مرحبا 🎉👩‍👩‍👧 \u2028\u00a0"}, ensure_ascii=False).encode(),
    "escapes": rb'{"text":"\ufffe\uffff\r\n\u0000\ud83d\ude00"}',
    "spaces": b' \t{"a": 1}\n\n ',
    "full": b"x" * 65_536,
    "full of markup": b"<&>" * 10_117 + b"x" * 7,
    # As heavy as our entries may be. Azurite breaks characters where one of its reads of 64 KiB ends.
    "heavy with scripts": "\U0001f4e7件é".encode() * (entries.MAX_ENTRY_BYTES // 9),
    "heavy with markup and scripts": "<&>'\"\U0001f4e7".encode() * (entries.MAX_ENTRY_BYTES // 19),
}


@pytest.fixture
async def queues(storage: Storage, name: str) -> Queues:
    await storage.queues.create(name)
    return storage.queues


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_body_is_returned_unchanged(queues: Queues, name: str, body: bytes) -> None:
    await queues.put(name, body)
    (received,) = await queues.receive(name)
    assert received.body == body
    assert received.dequeue_count == 1


def test_bodies_have_the_sizes_in_their_names() -> None:
    assert len(BODIES["full"]) == 65_536
    assert entries.weight(BODIES["full of markup"]) + len(_AROUND) == 131_584
    assert all(
        64_000 - 20 < entries.weight(body) <= 64_000 for name, body in BODIES.items() if name.startswith("heavy")
    )


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 65_537,
        BODIES["full of markup"] + b"x",
        b"\xff",
        b"a\x00b",
        b"a\rb",
        b"a\x0bb",
        "\ufffe".encode(),
        "\uffff".encode(),
    ],
    ids=["too big", "too much markup", "not UTF-8", "NUL", "carriage return", "control", "U+FFFE", "U+FFFF"],
)
async def test_unsupported_entry_is_refused(queues: Queues, name: str, body: bytes) -> None:
    with pytest.raises(StorageError) as caught:
        await queues.put(name, body)
    assert type(caught.value) is StorageError
    assert await queues.count(name) == 0


@pytest.mark.parametrize("delay_seconds", [-1, 604_801])
async def test_delay_out_of_range_is_refused(queues: Queues, name: str, delay_seconds: int) -> None:
    with pytest.raises(StorageError):
        await queues.put(name, b"{}", delay_seconds=delay_seconds)


async def test_longest_delay_is_a_week(queues: Queues, name: str) -> None:
    await queues.put(name, b"{}", delay_seconds=604_800)
    assert await queues.receive(name) == []
    assert await queues.count(name) == 1


async def test_delayed_entry_becomes_visible(
    queues: Queues, name: str, wait: Callable[[float], Awaitable[None]]
) -> None:
    await queues.put(name, b"{}", delay_seconds=1)
    assert await queues.receive(name) == []
    assert await queues.oldest_inserted_at(name) is None
    await wait(1.1)
    assert len(await queues.receive(name)) == 1


async def test_leased_entry_is_hidden_until_the_lease_ends(
    queues: Queues, name: str, wait: Callable[[float], Awaitable[None]]
) -> None:
    await queues.put(name, b"{}")
    (first,) = await queues.receive(name, lease_seconds=1)
    assert await queues.receive(name) == []
    await wait(1.1)
    (second,) = await queues.receive(name, lease_seconds=600)
    assert second.id == first.id
    assert second.dequeue_count == 2
    assert second.receipt != first.receipt
    await queues.delete(name, first)
    assert await queues.count(name) == 1, "the lease was lost, so nothing was deleted"
    await queues.delete(name, second)
    assert await queues.count(name) == 0


async def test_deleting_a_missing_entry_does_not_raise(queues: Queues, name: str) -> None:
    await queues.put(name, b"{}")
    (received,) = await queues.receive(name)
    await queues.delete(name, received)
    await queues.delete(name, received)
    await queues.delete(name + "-missing", received)


async def test_entries_are_received_in_order_up_to_the_limit(queues: Queues, name: str) -> None:
    bodies = [b"%d" % number for number in range(5)]
    for body in bodies:
        await queues.put(name, body)
    first = await queues.receive(name, limit=3)
    rest = await queues.receive(name, limit=32)
    assert [received.body for received in first] == bodies[:3]
    assert [received.body for received in rest] == bodies[3:]
    assert len({received.id for received in (*first, *rest)}) == 5


@pytest.mark.parametrize("limit", [0, 33])
async def test_receiving_more_than_32_is_refused(queues: Queues, name: str, limit: int) -> None:
    with pytest.raises(StorageError):
        await queues.receive(name, limit=limit)


async def test_count_includes_invisible_entries(queues: Queues, name: str) -> None:
    await queues.put(name, b"1")
    await queues.put(name, b"2", delay_seconds=60)
    await queues.receive(name)
    assert await queues.count(name) == 2


async def test_oldest_entry_has_its_insertion_time(queues: Queues, name: str) -> None:
    assert await queues.oldest_inserted_at(name) is None
    await queues.put(name, b"{}")
    oldest = await queues.oldest_inserted_at(name)
    (received,) = await queues.receive(name)
    assert oldest == received.inserted_at
    assert received.inserted_at.utcoffset() == timedelta(0)
    assert await queues.oldest_inserted_at(name) is None


async def test_entry_has_the_current_insertion_time(queues: Queues, name: str) -> None:
    await queues.put(name, b"{}")
    (received,) = await queues.receive(name)
    assert received.inserted_at > datetime(2026, 1, 1, tzinfo=UTC)


async def test_missing_queue_raises_not_found_or_is_empty(storage: Storage, name: str) -> None:
    with pytest.raises(NotFound):
        await storage.queues.put(name, b"{}")
    with pytest.raises(NotFound):
        await storage.queues.receive(name)
    assert await storage.queues.count(name) == 0
    assert await storage.queues.oldest_inserted_at(name) is None


async def test_creating_twice_keeps_the_contents(queues: Queues, name: str) -> None:
    await queues.put(name, b"{}")
    await queues.create(name)
    assert await queues.count(name) == 1


async def test_exists_is_true_only_after_creation(storage: Storage, name: str) -> None:
    assert not await storage.queues.exists(name)
    await storage.queues.create(name)
    assert await storage.queues.exists(name)


async def test_queues_are_listed_by_prefix(queues: Queues, name: str) -> None:
    await queues.create(f"{name}-b")
    await queues.create(f"{name}-a")
    assert await queues.names(name) == [name, f"{name}-a", f"{name}-b"]
    assert await queues.names(f"{name}-c") == []
