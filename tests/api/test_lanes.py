"""A lane of several queues: accept, deliver, retry and dead-letter through all of them."""

from collections.abc import AsyncIterator

import pytest

from relay.core.entries import revive
from tests.api.harness import Harness, message

QUEUES = ("relay-transactional", "relay-transactional-2", "relay-transactional-3")
MESSAGES = 9
MINUTES = 5


@pytest.fixture
async def sharded() -> AsyncIterator[Harness]:
    relay = await Harness({"RELAY_LANES": '{"transactional": {"shards": 3}}'}).start()
    yield relay
    await relay.relay.close()


def entries(relay: Harness) -> list[int]:
    """How many entries lie on each queue."""
    return [len(relay.memory.queues.bodies(queue)) for queue in QUEUES]


async def states(relay: Harness, names: list[str]) -> set[str]:
    return {(await relay.status(name))["state"] for name in names}


async def test_messages_are_spread_over_the_queues_and_sent(sharded: Harness) -> None:
    names = [await sharded.send(subject=f"number {number}") for number in range(MESSAGES)]
    assert entries(sharded) == [3, 3, 3]
    assert await sharded.deliver() == MESSAGES
    assert await states(sharded, names) == {"sent"}


async def test_entries_of_a_large_batch_are_spread_over_the_queues(sharded: Harness) -> None:
    body = {"messages": [message(to=f"a{number}@example.org") for number in range(32 * 3)]}
    response = await sharded.call("POST", "/v1/messages/batch", json=body)
    await sharded.deliver()
    names = [row["id"] for row in response.json["value"]]
    assert len(names) == 32 * 3
    assert await states(sharded, names) == {"sent"}


async def test_retries_are_spread_over_the_queues(sharded: Harness) -> None:
    names = [await sharded.send(to=f"deferred+{number}@relay.test") for number in range(MESSAGES)]
    await sharded.deliver()
    assert await states(sharded, names) == {"deferred"}
    assert all(entries(sharded))
    for _ in range(MINUTES):
        await sharded.pass_time(60)
    assert await states(sharded, names) == {"sent"}


@pytest.mark.parametrize("queue", QUEUES)
async def test_poison_entry_of_any_queue_becomes_a_dead_letter(sharded: Harness, queue: str) -> None:
    names = [await sharded.send() for _ in QUEUES]
    [entry] = await sharded.memory.queues.receive(queue)
    await sharded.memory.queues.delete(queue, entry)
    await sharded.relay.poison.record_dead_letters(f"{queue}-poison", revive(entry.body))
    await sharded.deliver()
    assert sorted([(await sharded.status(name))["state"] for name in names]) == ["failed", "sent", "sent"]
