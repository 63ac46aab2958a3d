"""Cancel, reschedule, redrive and discard, with concurrent writers."""

from datetime import timedelta

import pytest

from relay.core.errors import Changed, NotFound, Unavailable
from relay.core.model import Address, DeliveryGuarantee, MessageStatus, State
from relay.core.outcomes import Deferred, Rejected, RouteFault, Unknown
from relay.core.parts import part_states
from relay.core.settings import Lane, Route
from relay.journal.dead_letters import DeadLetter
from relay.journal.pending import TABLE as PENDING
from relay.journal.record_rows import partition
from relay.journal.records import TABLE as JOURNAL
from relay.operations.message_changes import Redrive
from relay.platform.storage.ports import Entity
from relay.platform.storage.rows import MAX_RACES
from tests.doubles import START, Place, batch_id, entry_of, ids_of, place_of, settings_of, submission_of

LATER = START + timedelta(days=2)
SCHEDULED = submission_of(send_at=LATER, expires_at=LATER + timedelta(hours=1))


async def status(place: Place, batch: str, index: int = 0) -> MessageStatus:
    return (await place.journal.read(batch)).statuses[index]


async def state(place: Place, batch: str, index: int = 0) -> State:
    return (await status(place, batch, index)).state


def pending(place: Place) -> int:
    return len(place.memory.tables.rows(PENDING))


async def dead(place: Place, code: str = "policy_refused", count: int = 1) -> list[DeadLetter]:
    """Let a provider refuse messages, and return their dead letters."""
    for _ in range(count):
        place.script().answers.append(Rejected(code=code))
        await place.send()
        place.time.move(1)
    return list((await place.dead_letters.of(code))[0])


# ── cancel ──


async def test_scheduled_message_is_cancelled_for_certain(place: Place) -> None:
    batch = await place.send(SCHEDULED, SCHEDULED)
    assert await place.message_changes.cancel(batch, 0)
    assert await state(place, batch) is State.CANCELLED
    assert pending(place) == 1
    assert await place.message_changes.cancel(batch, 1)
    assert pending(place) == 0
    place.time.now = LATER
    await place.recovery.run()
    await place.work()
    assert place.script().sent == []


async def test_deferred_or_held_message_is_cancelled(place: Place) -> None:
    place.script().answers.extend([Deferred(code="unreachable"), RouteFault(code="bad_credentials")])
    for _ in range(2):
        batch = await place.send()
        assert await place.message_changes.cancel(batch, 0)
        assert await state(place, batch) is State.CANCELLED
    place.time.move(3600)
    await place.holds.release("main", "operator")
    await place.recovery.run()
    await place.work()
    assert len(place.script().sent) == 2
    assert pending(place) == 0


async def test_final_message_is_not_cancelled(place: Place) -> None:
    batch = await place.send()
    assert not await place.message_changes.cancel(batch, 0)
    assert await state(place, batch) is State.SENT


async def test_uncertain_message_ends_unknown_when_cancelled(place: Place) -> None:
    place.script().answers.append(Unknown(code="response_lost"))
    batch = await place.send()
    assert not await place.message_changes.cancel(batch, 0)
    assert await state(place, batch) is State.UNKNOWN
    place.time.move(3600)
    await place.work()
    assert len(place.script().sent) == 1


async def test_missing_record_raises_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        await place.message_changes.reschedule(batch_id(), 0, START)
    batch = await place.send()
    with pytest.raises(NotFound):
        await place.message_changes.cancel(batch, 1)


async def test_queued_message_is_cancelled_without_the_rest_of_its_batch(place: Place) -> None:
    body = entry_of(submission_of(), submission_of(), submission_of(send_at=START + timedelta(days=1)))
    for index in (0, 2, 2):
        assert await place.message_changes.cancel(ids_of(body), index)
    await place.queues.put("relay-transactional", body)
    await place.queues.put("relay-transactional", body)
    await place.work()
    record = await place.journal.read(ids_of(body))
    assert [status.state for status in record.statuses] == [State.CANCELLED, State.SENT, State.CANCELLED]
    assert len(place.script().sent) == 1
    assert pending(place) == 0


async def test_concurrent_cancel_and_delivery_agree(place: Place) -> None:
    """The first writer of the batch's row wins, whichever operation the other interrupts."""
    for operation in ("get", "insert"):
        body = entry_of()

        async def deliver(body: bytes = body) -> None:
            await place.delivery.deliver("relay-transactional", body)

        place.tables.before(operation, deliver)
        is_cancelled = await place.message_changes.cancel(ids_of(body), 0)
        record = await place.journal.read(ids_of(body))
        assert not is_cancelled
        assert record.statuses[0].state is State.SENT
    for operation in ("insert", "merge"):
        body = entry_of(submission_of(), submission_of())
        await place.message_changes.cancel(ids_of(body), 0)

        async def cancel(body: bytes = body) -> None:
            assert await place.message_changes.cancel(ids_of(body), 1)

        place.tables.before(operation, cancel)
        await place.delivery.deliver("relay-transactional", body)
        record = await place.journal.read(ids_of(body))
        assert [status.state for status in record.statuses] == [State.CANCELLED, State.CANCELLED]


async def test_purge_keeps_a_cancellation_for_its_entry(place: Place) -> None:
    body = entry_of()
    await place.message_changes.cancel(ids_of(body), 0)
    place.time.move(100 * 86_400)
    await place.purge.run()
    await place.delivery.deliver("relay-transactional", body)
    assert await state(place, ids_of(body)) is State.CANCELLED


async def test_cancel_after_the_delivery_returns_false(place: Place) -> None:
    place.script().answers.append(Deferred(code="unreachable"))
    batch = await place.send()
    place.time.move(60)
    place.tables.before("merge", place.work)
    assert not await place.message_changes.cancel(batch, 0)
    assert await state(place, batch) is State.SENT


async def test_record_that_always_changes_raises_unavailable(place: Place) -> None:
    batch = await place.send(SCHEDULED)
    place.tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    with pytest.raises(Unavailable):
        await place.message_changes.cancel(batch, 0)


# ── reschedule ──


async def test_rescheduled_message_is_sent_at_its_new_time(place: Place) -> None:
    batch = await place.send(SCHEDULED)
    at = START + timedelta(days=30)
    assert await place.message_changes.reschedule(batch, 0, at)
    assert pending(place) == 1
    place.time.now = LATER
    await place.recovery.run()
    await place.work()
    assert await state(place, batch) is State.SCHEDULED
    place.time.now = at + timedelta(seconds=1)
    await place.recovery.run()
    await place.work()
    assert await state(place, batch) is State.SENT


async def test_only_scheduled_messages_can_be_rescheduled(place: Place) -> None:
    batch = await place.send()
    assert not await place.message_changes.reschedule(batch, 0, LATER)


# ── redrive ──


async def test_redriving_twice_sends_once(place: Place) -> None:
    (dead_letter,) = await dead(place)
    assert await place.message_changes.redrive(dead_letter.batch, 0, Redrive())
    assert not await place.message_changes.redrive(dead_letter.batch, 0, Redrive())
    assert await place.message_changes.redrive_all([dead_letter, dead_letter], Redrive()) == 0
    place.time.move(1)
    await place.work()
    await place.work()
    assert len(place.script().sent) == 2
    assert await state(place, dead_letter.batch) is State.SENT
    assert await place.dead_letters.counts() == {}
    assert pending(place) == 0


async def test_concurrent_redrives_send_once(place: Place) -> None:
    (dead_letter,) = await dead(place)
    place.tables.before("merge", lambda: place.message_changes.redrive(dead_letter.batch, 0, Redrive()))
    assert await place.message_changes.redrive_all([dead_letter], Redrive()) == 0
    place.time.move(1)
    await place.work()
    assert len(place.script().sent) == 2


async def test_redrive_of_a_cause_skips_purged_messages(place: Place) -> None:
    dead_letters = await dead(place, count=3)
    await place.dead_letters.note([DeadLetter(code="policy_refused", batch=batch_id(), index=0, at=START)])
    dead_letters = list((await place.dead_letters.of("policy_refused"))[0])
    assert await place.message_changes.redrive_all(dead_letters, Redrive()) == 3
    assert await place.dead_letters.counts() == {}


async def dead_record(place: Place, messages: int) -> str:
    """Let a provider refuse all messages of one record."""
    place.script().answers.extend(Rejected(code="policy_refused") for _ in range(messages))
    return await place.send(*(submission_of() for _ in range(messages)))


async def letters_of(place: Place) -> list[DeadLetter]:
    return list((await place.dead_letters.of("policy_refused", limit=1000))[0])


async def operations(place: Place, records: int, messages: int) -> int:
    """The storage operations of redriving this many records, each with this many dead messages."""
    for _ in range(records):
        await dead_record(place, messages)
    letters = await letters_of(place)
    ports = (place.tables, place.queues, place.blobs)
    for port in ports:
        port.calls.clear()
    assert await place.message_changes.redrive_all(letters, Redrive()) == records * messages
    assert len(place.waiting()) == records
    return sum(sum(port.calls.values()) for port in ports)


async def test_redrive_costs_the_same_for_a_record_however_many_of_its_messages_died() -> None:
    one = await operations(await place_of(), records=1, messages=1)
    assert await operations(await place_of(), records=1, messages=32) == one
    assert await operations(await place_of(), records=20, messages=32) == 20 * one
    assert one <= 7


async def test_redriven_record_sends_each_message_once(place: Place) -> None:
    batch = await dead_record(place, 32)
    assert await place.message_changes.redrive_all(await letters_of(place), Redrive()) == 32
    place.time.move(1)
    await place.work()
    assert len(place.script().sent) == 64
    assert {status.state for status in (await place.journal.read(batch)).statuses} == {State.SENT}
    assert (await place.dead_letters.counts(), pending(place), place.waiting()) == ({}, 0, [])


@pytest.mark.parametrize("operation", ["get", "upsert", "merge", "delete_all", "put"])
async def test_two_redrives_and_a_cancel_at_once_send_each_message_once(place: Place, operation: str) -> None:
    """Another operator redrives, and a caller cancels one message, just before each kind of operation of the first."""
    batch = await dead_record(place, 3)
    letters = await letters_of(place)
    counted: list[int] = []
    cancelled: list[bool] = []

    async def others() -> None:
        counted.append(await place.message_changes.redrive_all(letters, Redrive()))
        cancelled.append(await place.message_changes.cancel(batch, 1))

    port = place.queues if operation == "put" else place.tables
    port.before(operation, others)
    counted.append(await place.message_changes.redrive_all(letters, Redrive()))
    for _ in range(3):
        place.time.move(20 * 60)
        await place.recovery.run()
        await place.work()
    assert sum(counted) == 3
    states = [status.state for status in (await place.journal.read(batch)).statuses]
    assert states == [State.SENT, State.CANCELLED if cancelled == [True] else State.SENT, State.SENT]
    assert len(place.script().sent) == 3 + states.count(State.SENT)
    assert (pending(place), place.waiting()) == (0, [])


@pytest.mark.parametrize("operation", ["delete_all", "put"])
async def test_redrive_that_dies_after_the_record_was_written_is_finished_by_recovery(
    place: Place, operation: str
) -> None:
    batch = await dead_record(place, 3)
    port = place.queues if operation == "put" else place.tables
    port.fail(operation, Unavailable("the process died here"))
    with pytest.raises(Unavailable):
        await place.message_changes.redrive_all(await letters_of(place), Redrive())
    assert place.waiting() == []
    place.time.move(600)
    await place.recovery.run()
    await place.work()
    assert {status.state for status in (await place.journal.read(batch)).statuses} == {State.SENT}
    assert len(place.script().sent) == 6
    # The next redrive removes what the dead process left on the index.
    assert await place.message_changes.redrive_all(await letters_of(place), Redrive()) == 0
    assert await place.dead_letters.counts() == {}


async def test_one_unreadable_record_does_not_stop_the_redrive_of_others(place: Place) -> None:
    bad, good = await dead_record(place, 2), await dead_record(place, 2)
    damaged = Entity(partition=partition(bad), row="batch", properties={"m01": b"{"})
    await place.tables.merge(JOURNAL, damaged)
    assert await place.message_changes.redrive_all(await letters_of(place), Redrive()) == 2
    assert await state(place, good) is State.DEFERRED
    assert await place.dead_letters.counts() == {"policy_refused": 2}


async def test_message_that_fails_again_is_listed_again(place: Place) -> None:
    (dead_letter,) = await dead(place)
    place.script().answers.append(Rejected(code="policy_refused"))
    # A delivery faster than the rest of the redrive must not lose its new row to the removal of the old one.
    place.tables.before("delete_all", place.work)
    assert await place.message_changes.redrive_all([dead_letter], Redrive()) == 1
    await place.work()
    assert len(place.script().sent) == 2
    assert await place.dead_letters.counts() == {"policy_refused": 1}
    assert await state(place, dead_letter.batch) is State.FAILED


async def test_redrive_uses_another_route_and_sender() -> None:
    place = await place_of(settings_of(Route(name="main", provider="smtp"), Route(name="spare", provider="smtp")))
    (dead_letter,) = await dead(place)
    how = Redrive(route="spare", sender=Address(email="other@example.org"))
    assert await place.message_changes.redrive(dead_letter.batch, 0, how)
    place.time.move(1)
    await place.work()
    (request,) = place.script("spare").sent
    assert request.message.sender.email == "other@example.org"
    assert request.attempt == 2
    part = (await status(place, dead_letter.batch)).parts[0]
    assert (part.route, part.is_pinned, part.redriven) == ("spare", True, 1)


async def test_redriven_message_gets_the_lanes_expiry() -> None:
    place = await place_of(settings_of(lanes={"transactional": Lane(expires_in_seconds=600), "bulk": Lane()}))
    (dead_letter,) = await dead(place)
    place.time.move(5 * 86_400)
    await place.message_changes.redrive(dead_letter.batch, 0, Redrive())
    part = (await status(place, dead_letter.batch)).parts[0]
    assert part.due_at is not None
    assert part_states.expires_at(part, submission_of()) == part.due_at + timedelta(seconds=600)


async def test_unknown_message_is_sent_again_by_a_redrive(place: Place) -> None:
    place.script().answers.append(Unknown(code="response_lost"))
    batch = await place.send(submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE))
    assert await place.dead_letters.counts() == {"response_lost": 1}
    place.script().answers.append(Unknown(code="response_lost"))
    assert await place.message_changes.redrive(batch, 0, Redrive())
    place.time.move(1)
    await place.work()
    place.time.move(86_400)
    await place.recovery.run()
    await place.work()
    assert len(place.script().sent) == 2
    assert await state(place, batch) is State.UNKNOWN


async def test_redrive_with_a_lost_entry_is_recovered(place: Place) -> None:
    (dead_letter,) = await dead(place)
    place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.message_changes.redrive(dead_letter.batch, 0, Redrive())
    assert place.waiting() == []
    place.time.move(600)
    await place.recovery.run()
    await place.work()
    assert await state(place, dead_letter.batch) is State.SENT


async def test_stale_pending_row_is_removed(place: Place) -> None:
    (dead_letter,) = await dead(place)
    place.tables.fail("merge", Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.message_changes.redrive(dead_letter.batch, 0, Redrive())
    assert pending(place) == 1
    place.time.move(600)
    await place.recovery.run()
    assert pending(place) == 0
    assert await state(place, dead_letter.batch) is State.FAILED
    assert await place.dead_letters.counts() == {"policy_refused": 1}


async def test_discarded_dead_letter_is_unlisted_and_can_be_redriven_by_id(place: Place) -> None:
    dead_letters = await dead(place, count=2)
    assert await place.message_changes.discard(dead_letters) == 2
    assert await place.dead_letters.counts() == {}
    assert await state(place, dead_letters[0].batch) is State.FAILED
    assert await place.message_changes.redrive(dead_letters[0].batch, 0, Redrive())
