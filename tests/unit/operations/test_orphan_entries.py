"""Entries on queues that no function reads are moved to a queue that is read."""

import pytest

from relay.core import entries
from relay.core.errors import Unavailable
from relay.core.settings import Lane
from relay.operations import orphan_entries
from relay.operations.orphan_entries import OrphanEntries
from relay.platform.resources import DOCTOR_QUEUE, queues_of
from tests.api.harness import Harness
from tests.doubles import Watched

REF = entries.encode_reference("0198c0a5d3c07a3e9d2b1c4f5a6b7c8d", "bulk", [0], 1)


async def test_entries_of_removed_queues_are_delivered() -> None:
    relay = await Harness({"RELAY_LANES": '{"transactional": {"shards": 3}}'}).start()
    names = [await relay.send() for _ in range(6)]
    lowered = OrphanEntries(queues=relay.memory.queues, lanes={"transactional": Lane()})
    assert (await lowered.collect()).done == 4
    assert len(relay.memory.queues.bodies("relay-transactional")) == 6
    assert await relay.deliver() == 6
    assert {(await relay.status(name))["state"] for name in names} == {"sent"}
    assert (await lowered.collect()).done == 0


@pytest.mark.parametrize(
    ("queue", "home"),
    [
        ("relay-transactional-9", "relay-transactional"),
        ("relay-bulk-2", "relay-bulk"),
        ("relay-gone", "relay-transactional"),
        ("relay-gone-2", "relay-transactional"),
        ("relay-bulk-2-poison", "relay-bulk-poison"),
        ("relay-gone-poison", "relay-transactional-poison"),
    ],
)
async def test_entry_moves_to_its_own_lane_and_poison_to_a_poison_queue(queue: str, home: str) -> None:
    relay = await Harness().start()
    await relay.memory.queues.create(queue)
    await relay.memory.queues.put(queue, REF)
    assert (await relay.relay.orphan_entries.collect()).done == 1
    assert relay.memory.queues.bodies(queue) == []
    assert relay.memory.queues.bodies(home) == [REF]


async def test_read_and_foreign_queues_are_left_alone() -> None:
    relay = await Harness().start()
    others = [DOCTOR_QUEUE, "relayed", "relay-Bulk_2", "other-bulk-2"]
    for queue in others:
        await relay.memory.queues.create(queue)
    names = [*queues_of(relay.relay.settings.lanes), *others]
    for queue in names:
        await relay.memory.queues.put(queue, REF)
    assert (await relay.relay.orphan_entries.collect()).done == 0
    assert [len(relay.memory.queues.bodies(queue)) for queue in names] == [1] * len(names)


async def test_foreign_entry_stays_and_newer_entry_is_moved() -> None:
    relay = await Harness().start()
    await relay.memory.queues.create("relay-gone")
    newer = b'{"relay":3}'
    for body in (b"hello", newer):
        await relay.memory.queues.put("relay-gone", body)
    assert (await relay.relay.orphan_entries.collect()).done == 1
    assert relay.memory.queues.bodies("relay-gone") == [b"hello"]
    assert relay.memory.queues.bodies("relay-transactional") == [newer]


async def test_crash_between_put_and_delete_duplicates_and_never_loses() -> None:
    relay = await Harness().start()
    await relay.memory.queues.create("relay-gone")
    await relay.memory.queues.put("relay-gone", REF)
    queues = Watched(relay.memory.queues)
    queues.failing = frozenset({"delete"})
    with pytest.raises(Unavailable):
        await OrphanEntries(queues=queues, lanes={"transactional": Lane()}).collect()
    assert relay.memory.queues.bodies("relay-gone") == relay.memory.queues.bodies("relay-transactional") == [REF]


async def test_run_stops_at_its_limit_and_the_next_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphan_entries, "MAX_ENTRIES", 64)
    relay = await Harness().start()
    await relay.memory.queues.create("relay-gone")
    for _ in range(100):
        await relay.memory.queues.put("relay-gone", REF)
    assert (await relay.relay.orphan_entries.collect()).done == 64
    assert (await relay.relay.orphan_entries.collect()).done == 36
