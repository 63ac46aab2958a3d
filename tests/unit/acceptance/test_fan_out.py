"""Fan-out: every entry of a request is put at least once."""

from typing import Any, cast

import pytest

from relay.acceptance.fan_out import FanOut
from relay.core import entries
from relay.core.errors import NotFound, Unavailable
from relay.core.settings import Lane
from relay.platform.resources import CONTENT_CONTAINER
from tests.doubles import Place, Watched, entry_of, place_of, submission_of

BLOB = "20260301-request"
ENTRY = entries.FanOutEntry(relay=1, fan_out=BLOB, lane="bulk")
LANES = {"bulk": Lane(shards=2)}


@pytest.fixture
async def place() -> Place:
    return await place_of()


async def prepared(place: Place, count: int) -> tuple[FanOut, Watched, list[bytes]]:
    """Prepare a request of this many entries, and queues for them."""
    for queue in LANES["bulk"].queues("bulk"):
        await place.memory.queues.create(queue)
    bodies = [entry_of(submission_of(), lane="bulk") for _ in range(count)]
    await place.memory.blobs.put(CONTENT_CONTAINER, BLOB, b"\n".join(bodies))
    queues = Watched(place.memory.queues)
    return FanOut(queues=cast(Any, queues), blobs=place.memory.blobs, lanes=LANES), queues, bodies


async def lying(place: Place) -> list[bytes]:
    return [
        each.body
        for queue in LANES["bulk"].queues("bulk")
        for each in await place.memory.queues.receive(queue, limit=32)
    ]


async def test_every_entry_is_put_once_on_one_of_the_lanes_queues(place: Place) -> None:
    fan_out, _, bodies = await prepared(place, 5)
    await fan_out.fan_out(ENTRY)
    for queue, count in zip(LANES["bulk"].queues("bulk"), (3, 2), strict=True):
        assert await place.memory.queues.count(queue) == count
    assert sorted(await lying(place)) == sorted(bodies)


async def test_blob_is_deleted_after_all_puts_and_a_repeat_puts_nothing(place: Place) -> None:
    fan_out, queues, _ = await prepared(place, 3)
    await fan_out.fan_out(ENTRY)
    with pytest.raises(NotFound):
        await place.memory.blobs.get(CONTENT_CONTAINER, BLOB)
    await fan_out.fan_out(ENTRY)
    assert queues.calls["put"] == 3


async def test_failed_put_keeps_the_blob_and_a_repeat_puts_all(place: Place) -> None:
    fan_out, queues, bodies = await prepared(place, 3)
    queues.fail("put", None, Unavailable("busy"))
    with pytest.raises(Unavailable):
        await fan_out.fan_out(ENTRY)
    await fan_out.fan_out(ENTRY)
    assert set(await lying(place)) == set(bodies)


async def test_entries_of_a_removed_lane_go_to_the_default_lane(place: Place) -> None:
    _, _, bodies = await prepared(place, 2)
    await FanOut(queues=place.memory.queues, blobs=place.memory.blobs, lanes={}).fan_out(ENTRY)
    assert await place.memory.queues.count("relay-transactional") == len(bodies)
