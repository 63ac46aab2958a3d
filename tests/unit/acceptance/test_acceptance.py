"""Acceptance: stored before it is confirmed, inline or by claim check, with limits while storage is slow."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from relay.acceptance.acceptance import LaneGroup, Prepared
from relay.clients.policy import Policy
from relay.core import entries, ids
from relay.core.errors import NotFound, Refusal, StorageError, Unavailable
from relay.core.model import Address, Attachment, State, Submission
from relay.platform.resources import CONTENT_CONTAINER
from tests.doubles import CLIENT, START, Place, batch_id, changed, message_of, place_of, settings_of, submission_of

LANE = "transactional"


async def accept(place: Place, submission: Submission) -> str:
    return (await place.acceptance.accept(CLIENT, LANE, submission)).id


def stored(place: Place) -> list[Submission]:
    return [each for entry in place.waiting() if isinstance(entry, entries.BatchEntry) for each in entry.messages]


async def refusal(place: Place, submission: Submission) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await accept(place, submission)
    return refused.value


# ── durable ──


async def test_small_message_costs_one_put(place: Place) -> None:
    submission = submission_of()
    accepted = await place.acceptance.accept(CLIENT, LANE, submission)
    assert stored(place) == [submission]
    assert ids.belongs_to(ids.parse(accepted.id), CLIENT.mac_key)
    assert accepted.state is State.QUEUED
    assert (dict(place.queues.calls), dict(place.tables.calls), dict(place.blobs.calls)) == ({"put": 1}, {}, {})


async def test_message_with_send_at_is_scheduled(place: Place) -> None:
    submission = submission_of(send_at=START + timedelta(hours=1))
    assert (await place.acceptance.accept(CLIENT, LANE, submission)).state is State.SCHEDULED


async def test_concurrent_messages_share_puts_on_their_lane(place: Place) -> None:
    await asyncio.gather(
        *(accept(place, submission_of()) for _ in range(64)),
        *(place.acceptance.accept(CLIENT, "bulk", submission_of()) for _ in range(10)),
    )
    assert len(place.waiting()) == 2
    assert len(place.memory.queues.bodies("relay-bulk")) == 1
    assert place.queues.calls["put"] == 3


# ── claim check ──

BIG = message_of(
    cc=(Address(email="c@example.com"),),
    headers={"X-A": "1"},
    text="x" * 60_000,
    tags=("t",),
    metadata={"k": "v"},
    return_path="b@example.org",
    attachments=(Attachment(name="a.bin", content=b"\x00" * 100),),
)


async def test_large_content_goes_to_a_blob_first(place: Place) -> None:
    submission = submission_of(BIG)
    await accept(place, submission)
    (entry,) = stored(place)
    assert entry.blob is not None
    assert entry.blob.startswith("20260301/")
    assert await place.content.message(entry) == BIG
    assert entry.message == message_of(
        text=None, cc=BIG.cc, tags=BIG.tags, metadata=BIG.metadata, return_path=BIG.return_path
    )
    assert changed(entry, blob=None, span=None, message=BIG) == submission


async def test_recipients_that_do_not_fit_go_to_the_blob(place: Place) -> None:
    many = message_of(*(f"{'r' * 40}{number}@example.com" for number in range(1000)))
    await accept(place, submission_of(many))
    (entry,) = stored(place)
    assert entry.message is None
    assert await place.content.message(entry) == many


@pytest.mark.parametrize(("length", "blobs"), [(entries.MAX_INLINE_BYTES - 400, 0), (entries.MAX_INLINE_BYTES, 1)])
async def test_only_large_messages_cost_a_blob(place: Place, length: int, blobs: int) -> None:
    await accept(place, submission_of(message_of(text="x" * length)))
    assert place.blobs.calls["put"] == blobs


async def test_failed_blob_write_accepts_nothing(place: Place) -> None:
    place.blobs.fail("put", Unavailable("away"))
    assert (await refusal(place, submission_of(BIG))).code == "storage_unavailable"
    assert place.waiting() == []


async def test_failed_put_leaves_an_orphan_blob(place: Place) -> None:
    place.queues.fail("put", Unavailable("away"))
    await refusal(place, submission_of(BIG))
    blobs, _ = await place.memory.blobs.list(CONTENT_CONTAINER)
    assert len(blobs) == 1


# ── storage unavailable ──


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Unavailable("x"), "5"),
        (Unavailable("x", retry_after_seconds=17.6), "18"),
        (Unavailable("x", retry_after_seconds=0.01), "1"),
        (NotFound("no queue"), "5"),
        (StorageError("x"), "5"),
    ],
)
async def test_failed_put_is_503_with_retry_after(place: Place, error: StorageError, seconds: str) -> None:
    place.queues.fail("put", error)
    refused = await refusal(place, submission_of())
    assert (refused.status, refused.code, refused.headers) == (503, "storage_unavailable", {"Retry-After": seconds})
    await accept(place, submission_of())


async def test_failed_put_refuses_every_message_of_its_entry(place: Place) -> None:
    place.queues.fail("put", Unavailable("x", retry_after_seconds=9))
    refusals = await asyncio.gather(*(refusal(place, submission_of()) for _ in range(10)))
    assert [each.headers["Retry-After"] for each in refusals] == ["9"] * 10
    assert place.waiting() == []


# ── limits ──


async def crowded(**limits: Any) -> tuple[Place, asyncio.Event, list[asyncio.Task[str]]]:
    """A place whose queue does not respond, and three waiting messages of 1,000 bytes."""
    place = await place_of(settings_of(**limits))
    gate = asyncio.Event()
    place.queues.before("put", gate.wait)
    tasks = [asyncio.create_task(accept(place, submission_of(size=1000))) for _ in range(3)]
    await asyncio.sleep(0)
    return place, gate, tasks


@pytest.mark.parametrize("limits", [{"max_waiting_messages": 3}, {"max_waiting_bytes": 3500}])
async def test_full_instance_is_busy_at_once(limits: dict[str, int]) -> None:
    place, gate, tasks = await crowded(**limits)
    refused = await refusal(place, submission_of(size=1000))
    assert (refused.status, refused.code, refused.headers) == (503, "busy", {"Retry-After": "1"})
    with pytest.raises(Refusal, match="busy"):
        await place.acceptance.accept_together(CLIENT, [group_of(submission_of(size=1000))], batch_id())
    gate.set()
    await asyncio.gather(*tasks)
    await accept(place, submission_of(size=1000))


@pytest.mark.parametrize("outcome", ["cancelled", "failed"])
async def test_finished_submission_makes_room(outcome: str) -> None:
    place, gate, tasks = await crowded(max_waiting_messages=3)
    if outcome == "cancelled":
        for task in tasks:
            task.cancel()
    else:
        place.queues.fail("put", Unavailable("away"))
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(accept(place, submission_of()) for _ in range(3)))


async def test_uploads_in_progress_count_towards_the_limit() -> None:
    place = await place_of(settings_of(max_waiting_messages=1))
    gate = asyncio.Event()
    place.blobs.before("put", gate.wait)
    task = asyncio.create_task(accept(place, submission_of(BIG)))
    await asyncio.sleep(0)
    assert (await refusal(place, submission_of())).code == "busy"
    gate.set()
    await task


async def test_request_above_the_limit_is_admitted_alone() -> None:
    place = await place_of(settings_of(max_waiting_bytes=1000))
    await accept(place, submission_of(size=50_000))


# ── several messages ──


def group_of(*submissions: Submission, lane: str = LANE) -> LaneGroup:
    return LaneGroup(lane=lane, submissions=submissions)


async def test_reserved_entry_is_the_entry_that_is_put(place: Place) -> None:
    batch, reserved = batch_id(), list[Prepared]()

    async def reserve(prepared: Prepared) -> None:
        assert place.waiting() == []
        reserved.append(prepared)

    accepted = await place.acceptance.accept_together(CLIENT, [group_of(submission_of())], batch, reserve=reserve)
    (prepared,) = reserved
    assert list(prepared.accepted) == accepted
    assert ids.parse(accepted[0].id).batch == batch
    await place.acceptance.put_again(prepared.lane, prepared.entry)
    assert [entry.batch for entry in place.waiting() if isinstance(entry, entries.BatchEntry)] == [batch, batch]


async def test_failed_reservation_stores_nothing(place: Place) -> None:
    async def reserve(prepared: Prepared) -> None:
        raise Unavailable("away")

    with pytest.raises(Refusal) as refused:
        await place.acceptance.accept_together(CLIENT, [group_of(submission_of())], batch_id(), reserve=reserve)
    assert refused.value.status == 503
    assert place.waiting() == []


async def test_messages_of_two_lanes_are_stored_with_one_put(place: Place) -> None:
    groups = [group_of(submission_of()), group_of(submission_of(), submission_of(), lane="bulk")]
    accepted = await place.acceptance.accept_together(CLIENT, groups, batch_id())
    assert place.queues.calls["put"] == 1
    assert len({each.id for each in accepted}) == 3


async def test_entry_of_a_removed_lane_is_put_on_the_default_lane(place: Place) -> None:
    await place.acceptance.put_again("gone", b'{"relay":1}')
    assert place.queues.calls["put"] == 1


async def test_exceeded_quota_stores_nothing(place: Place) -> None:
    client = changed(CLIENT, policy=Policy(daily_quota=1))
    await place.acceptance.accept(client, LANE, submission_of())
    with pytest.raises(Refusal) as refused:
        await place.acceptance.accept(client, LANE, submission_of(BIG))
    assert refused.value.status == 429
    assert len(place.waiting()) == 1
    assert not place.blobs.calls
