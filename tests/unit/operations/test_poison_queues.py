"""The nightly drain empties every poison queue, each through the function that handles its entries."""

import pytest

from relay.core.entries import revive
from relay.core.errors import Unavailable
from relay.core.model import MessageStatus, Part, State
from relay.core.settings import Lane
from relay.events.provider_events import ProviderEvent, pack
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.journal.intake import POISON_TRIES
from relay.platform.concurrency import Deadline
from relay.platform.resources import EVENTS_QUEUE, WEBHOOKS_QUEUE, poison_of
from tests.doubles import START, Place, batch_of, entry_of, place_of, settings_of

POISON = "relay-transactional-poison"


async def unreadable(place: Place) -> list[bytes]:
    blobs, _ = await place.memory.blobs.list(UNREADABLE_CONTAINER)
    return [await place.memory.blobs.get(UNREADABLE_CONTAINER, blob.name) for blob in blobs]


async def test_queue_of_several_pages_is_emptied(place: Place) -> None:
    bodies = [revive(entry_of()) for _ in range(40)] + [b"foreign"]
    for body in bodies:
        await place.memory.queues.put(POISON, body)
    assert (await place.poison_queues.drain()).done == 41
    assert await place.memory.queues.count(POISON) == 0
    assert await place.dead_letters.counts() == {"poisoned": 40}
    assert await unreadable(place) == [b"foreign"]


async def test_poison_queues_of_every_lane_and_shard_are_emptied() -> None:
    place = await place_of(settings_of(lanes={"transactional": Lane(shards=2), "bulk": Lane()}))
    queues = [POISON, "relay-transactional-2-poison", "relay-bulk-poison"]
    for queue in queues:
        await place.memory.queues.put(queue, entry_of())
    assert (await place.poison_queues.drain()).done == 3
    assert [await place.memory.queues.count(queue) for queue in queues] == [0, 0, 0]


async def test_poison_events_are_applied_and_poison_webhooks_are_kept(place: Place) -> None:
    body = entry_of()
    record = await place.journal.open(
        batch_of(body), body, [MessageStatus(parts=(Part(route="", state=State.SENT, attempt=1),))]
    )
    name = record.message_id(0, batch_of(body))
    delivered = ProviderEvent(kind="delivered", at=START, key="1", provider="sendgrid", message=name)
    [events] = pack([delivered])
    await place.memory.queues.put(poison_of(EVENTS_QUEUE), events)
    await place.memory.queues.put(poison_of(WEBHOOKS_QUEUE), b"[]")
    assert (await place.poison_queues.drain()).done == 2
    assert await unreadable(place) == [b"[]"]
    _, recorded = await place.journal.history(record.batch)
    assert [event.key for event in recorded] == ["1"]


async def test_entry_that_no_storage_takes_stays_on_its_poison_queue(place: Place) -> None:
    body = revive(entry_of())
    await place.memory.queues.put(POISON, body)
    place.tables.fail("insert", *(Unavailable("away") for _ in range(POISON_TRIES)))
    place.queues.failing = frozenset({"put"})
    with pytest.raises(Unavailable):
        await place.poison_queues.drain()
    assert list(place.memory.queues.bodies(POISON)) == [body]


async def test_drain_ends_at_its_deadline_within_a_page(place: Place) -> None:
    for _ in range(10):
        await place.memory.queues.put(POISON, revive(entry_of()))
    place.tables.is_away = True
    progress = await place.poison_queues.drain(Deadline(place.time, 60.0))
    assert not progress.is_complete
    assert 0 < progress.done < 10
    place.tables.is_away = False
    place.time.move(600)
    assert (await place.poison_queues.drain()).is_complete
    assert await place.dead_letters.counts() == {"poisoned": 10}
