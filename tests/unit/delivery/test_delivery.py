"""Delivery as its steps: record, plan, attempt, settle, follow; what is seen twice, put back, or somebody else's."""

from datetime import timedelta

import pytest

from relay.core import entries
from relay.core.errors import Changed, Unavailable
from relay.core.model import DeliveryGuarantee, MessageStatus, Part, State
from relay.core.outcomes import Deferred, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import part_states
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.journal.intake import PUT_BACK_SECONDS
from relay.journal.pending import TABLE as PENDING
from tests.doubles import START, Place, batch_id, batch_of, entry_of, submission_of

QUEUE = "relay-transactional"
LEASE = part_states.LEASE_SECONDS
SENDING = part_states.begin(Part(route="", state=State.QUEUED), "main", START)
DEFERRED = Deferred(code="unreachable")


async def states(place: Place, batch: str) -> list[State]:
    return [status.state for status in (await place.journal.read(batch)).statuses]


async def recorded(place: Place, *parts: Part) -> bytes:
    """A batch of which so much is recorded, with what follows from it left undone."""
    body = entry_of(*(submission_of() for _ in parts))
    await place.journal.open(batch_of(body), body, [MessageStatus(parts=(part,)) for part in parts])
    return body


async def again(place: Place, body: bytes) -> str:
    """The host gives an entry out once more."""
    await place.delivery.deliver(QUEUE, body, is_redelivery=True)
    return batch_of(body).batch


def references(place: Place) -> list[tuple[tuple[int, ...], int]]:
    return [(each.indices, each.attempt) for each in place.waiting() if isinstance(each, entries.ReferenceEntry)]


# ── fresh ──


async def test_batch_of_any_size_costs_one_insert_and_one_merge(place: Place) -> None:
    await place.holds.all()
    place.tables.calls.clear()
    batch = await place.send(*(submission_of() for _ in range(32)))
    assert dict(place.tables.calls) == {"insert": 1, "merge": 1}
    assert not place.queues.calls
    assert await states(place, batch) == [State.SENT] * 32


async def test_each_outcome_has_its_follow_up(place: Place) -> None:
    place.script().answers.extend(
        [Sent(), DEFERRED, Rejected(code="policy_refused"), RouteFault(code="bad_credentials")]
    )
    batch = await place.send(*(submission_of() for _ in range(4)))
    assert await states(place, batch) == [State.SENT, State.DEFERRED, State.FAILED, State.HELD]
    assert references(place) == [((1,), 2)]
    assert await place.dead_letters.counts() == {"policy_refused": 1}
    assert len(place.memory.tables.rows(PENDING)) == 2


async def test_record_is_sending_before_the_attempt(place: Place) -> None:
    seen: list[list[State]] = []
    body = entry_of()

    async def look() -> None:
        seen.append(await states(place, batch_of(body).batch))

    place.script().before_send = look
    await place.delivery.deliver(QUEUE, body)
    assert seen == [[State.SENDING]]


async def test_message_that_cannot_be_recorded_is_not_sent(place: Place) -> None:
    body = entry_of()
    place.tables.fail("insert", Unavailable("away"))
    await place.delivery.deliver(QUEUE, body)
    assert place.script().sent == []
    assert list(place.memory.queues.bodies(QUEUE)) == [body]
    assert place.memory.queues.next_visible_at(QUEUE) == START + timedelta(seconds=PUT_BACK_SECONDS)


async def test_failing_put_back_raises_so_that_the_host_keeps_the_entry(place: Place) -> None:
    place.tables.fail("insert", Unavailable("away"))
    place.queues.fail("put", *(Unavailable("away") for _ in range(100)))
    with pytest.raises(Unavailable):
        await place.delivery.deliver(QUEUE, entry_of())


async def test_unreadable_entry_is_kept_and_removed_from_the_queue(place: Place) -> None:
    await place.delivery.deliver(QUEUE, b"[" * 100_000)
    assert len((await place.memory.blobs.list(UNREADABLE_CONTAINER))[0]) == 1


async def test_messages_of_a_held_route_are_recorded_without_an_attempt(place: Place) -> None:
    await place.holds.hold("main", "bad_credentials")
    batch = await place.send(submission_of(), submission_of())
    assert await states(place, batch) == [State.HELD] * 2
    assert place.script().sent == []
    assert references(place) == []


# ── seen before ──


async def test_entry_delivered_twice_is_sent_once(place: Place) -> None:
    body = entry_of()
    await place.delivery.deliver(QUEUE, body)
    await again(place, body)
    assert len(place.script().sent) == 1


async def test_attempt_of_another_process_is_checked_after_its_lease(place: Place) -> None:
    body = await recorded(place, SENDING)
    batch = await again(place, body)
    assert place.script().sent == []
    assert references(place) == [((0,), 2)]
    at = place.memory.queues.next_visible_at(QUEUE)
    assert at is not None
    assert SENDING.lease_until is not None
    assert at > SENDING.lease_until
    place.time.now = at
    await place.work()
    assert await states(place, batch) == [State.SENT]
    assert [request.attempt for request in place.script().sent] == [2]


async def test_interrupted_attempt_is_repeated_or_unknown(place: Place) -> None:
    body = await recorded(place, SENDING)
    place.time.move(LEASE)
    assert await states(place, await again(place, body)) == [State.SENT]
    once = entry_of(submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE))
    await place.journal.open(batch_of(once), once, [MessageStatus(parts=(SENDING,))])
    assert await states(place, await again(place, once)) == [State.UNKNOWN]
    assert len(place.script().sent) == 1


async def test_redelivery_finishes_an_interrupted_follow_up(place: Place) -> None:
    due = Part(route="main", state=State.DEFERRED, due_at=START + timedelta(minutes=1), attempt=1)
    failed = part_states.end(SENDING, State.FAILED, "policy_refused")
    held = part_states.hold(SENDING, "main", "x", START, START + timedelta(hours=1), scope="main")
    await place.holds.hold("main", "bad_credentials")
    body = await recorded(place, due, failed, held)
    await again(place, body)
    assert references(place) == [((0,), 2)]
    assert len(place.memory.tables.rows(PENDING)) == 2
    assert await place.dead_letters.counts() == {"policy_refused": 1}
    assert place.script().sent == []


# ── references ──


async def test_retry_runs_at_its_time_and_a_stale_entry_is_dropped(place: Place) -> None:
    place.script().answers.append(DEFERRED)
    batch = await place.send()
    place.time.move(60)
    await place.work()
    assert await states(place, batch) == [State.SENT]
    for attempt in (1, 2):
        await place.delivery.deliver(QUEUE, entries.encode_reference(batch, "transactional", [0], attempt))
    assert len(place.script().sent) == 2
    assert references(place) == []


@pytest.mark.parametrize(("wait", "left"), [(timedelta(seconds=90), [((0,), 2)]), (timedelta(days=9), [])])
async def test_early_entry_is_put_back_or_left_to_recovery(place: Place, wait: timedelta, left: object) -> None:
    due = Part(route="main", state=State.DEFERRED, due_at=START + wait, attempt=1)
    body = await recorded(place, due)
    await place.delivery.deliver(QUEUE, entries.encode_reference(batch_of(body).batch, "transactional", [0], 2))
    assert references(place) == left
    assert len(place.memory.tables.rows(PENDING)) == 1
    assert place.script().sent == []


async def test_two_entries_for_one_retry_send_once(place: Place) -> None:
    place.script().answers.append(DEFERRED)
    batch = await place.send()
    place.time.move(60)
    other = entries.encode_reference(batch, "transactional", [0], 2)
    place.tables.before("merge", lambda: place.delivery.deliver(QUEUE, other))
    await place.work()
    assert len(place.script().sent) == 2
    assert await states(place, batch) == [State.SENT]


async def test_reference_to_a_missing_batch_or_message_is_skipped(place: Place) -> None:
    batch = await place.send()
    for body in (
        entries.encode_reference(batch_id(), "transactional", [0], 2),
        entries.encode_reference(batch, "transactional", [0, 9, 31], 9),
    ):
        await place.delivery.deliver(QUEUE, body)
    assert len(place.script().sent) == 1


async def test_reference_that_was_put_back_is_not_stale(place: Place) -> None:
    place.script().answers.append(DEFERRED)
    batch = await place.send()
    place.time.move(60)
    # The record says `sending` for attempt 2 when storage goes away: nothing was sent yet, and nobody knows.
    place.tables.fail("query", None)
    place.tables.fail("merge", Unavailable("the response was lost"))
    await place.work()
    assert references(place) == [((0,), 3)]
    place.time.move(PUT_BACK_SECONDS)
    await place.work()
    assert await states(place, batch) == [State.SENT]


@pytest.mark.parametrize("is_revived", [False, True])
async def test_entry_that_is_put_back_keeps_its_mark_of_the_poison_queue(place: Place, is_revived: bool) -> None:
    reference = entries.encode_reference(await place.send(), "transactional", [0], 2)
    for body in (reference, entry_of()):
        place.tables.fail("get" if body == reference else "insert", Unavailable("away"))
        await place.delivery.deliver(QUEUE, entries.revive(body) if is_revived else body)
        entry = entries.decode_entry(place.memory.queues.bodies(QUEUE)[-1])
        assert not isinstance(entry, entries.FanOutEntry)
        assert entry.revived == is_revived


# ── settling ──


async def test_settlement_is_repeated_after_a_concurrent_write(place: Place) -> None:
    place.tables.fail("merge", Changed("first"))
    assert await states(place, await place.send(submission_of(), submission_of())) == [State.SENT] * 2
    assert len(place.script().sent) == 2


async def test_settlement_is_retried_during_an_outage(place: Place) -> None:
    place.tables.fail("merge", *(Unavailable("away") for _ in range(6)))
    assert await states(place, await place.send()) == [State.SENT]
    assert len(place.script().sent) == 1


async def test_settlement_with_a_lost_response_is_found_in_the_record(place: Place) -> None:
    place.tables.lose("merge")
    batch = await place.send()
    assert await states(place, batch) == [State.SENT]
    assert len(place.script().sent) == 1
    assert place.tables.calls["merge"] == 1


async def test_settlement_that_never_succeeds_leaves_the_attempt_uncertain(place: Place) -> None:
    body = entry_of()
    place.tables.fail("merge", *(Unavailable("away") for _ in range(1000)))
    await place.delivery.deliver(QUEUE, body)
    assert list(place.memory.queues.bodies(QUEUE)) == [body]
    assert await states(place, batch_of(body).batch) == [State.SENDING]


async def test_settlement_after_a_long_attempt_ends_with_the_lease(place: Place) -> None:
    async def send_slowly() -> None:
        place.time.move(LEASE - 15)

    place.script().before_send = send_slowly
    place.tables.fail("merge", *(Unavailable("away") for _ in range(1000)))
    await place.delivery.deliver(QUEUE, entry_of())
    assert timedelta(seconds=LEASE) <= place.time() - START < timedelta(seconds=LEASE + 30)


async def test_message_with_lost_responses_is_retried_until_it_expires(place: Place) -> None:
    place.script().answers.extend([Unknown(code="response_lost")] * 200)
    batch = await place.send()
    for _ in range(200):
        place.time.move(1200)
        await place.recovery.run()
        await place.work()
    assert await states(place, batch) == [State.UNKNOWN]
    assert await place.dead_letters.counts() == {"response_lost": 1}
    assert len(place.memory.tables.rows(PENDING)) == 0
