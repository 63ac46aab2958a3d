"""What the host gave up on becomes dead letters, whatever it is and however far it came; nothing is raised."""

import pytest

from relay.core import entries
from relay.core.errors import Changed, StorageError, Unavailable
from relay.core.model import MessageStatus, Part, State
from relay.core.outcomes import Deferred, Sent
from relay.core.parts import part_states
from relay.delivery.poison import REVIVE_SECONDS
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.journal.intake import POISON_PUT_BACK_SECONDS, POISON_TRIES
from tests.doubles import START, Place, batch_id, batch_of, changed, entry_of, submission_of

QUEUE = "relay-transactional"
POISON = "relay-transactional-poison"
FRESH = Part(route="", state=State.QUEUED)
SENDING = part_states.begin(FRESH, "main", START)


async def states(place: Place, batch: str) -> list[tuple[State, str]]:
    statuses = (await place.journal.read(batch)).statuses
    return [(part.state, part.code) for status in statuses for part in status.parts]


async def kept(place: Place) -> int:
    return len((await place.memory.blobs.list(UNREADABLE_CONTAINER))[0])


async def recorded(place: Place, *parts: Part) -> bytes:
    """A batch of which so much is recorded: a delivery that died halfway."""
    body = entry_of(*(submission_of() for _ in parts))
    await place.journal.open(batch_of(body), body, [MessageStatus(parts=(part,)) for part in parts])
    return body


async def test_untried_entry_is_tried_again_once(place: Place) -> None:
    """Five failures may all be storage's: after a longer outage the mail must go out, not become dead letters."""
    body = entry_of()
    await place.poison.record_dead_letters(POISON, body)
    assert await place.dead_letters.counts() == {}
    place.time.move(REVIVE_SECONDS)
    await place.work()
    assert await states(place, batch_of(body).batch) == [(State.SENT, "")]


async def test_untried_retry_is_tried_again_once(place: Place) -> None:
    place.script().answers.append(Deferred(code="unreachable"))
    batch = await place.send()
    place.time.move(3600)
    (reference,) = [entry for entry in place.memory.queues.bodies(QUEUE) if b'"ref"' in entry]
    while received := await place.memory.queues.receive(QUEUE):
        for each in received:
            await place.memory.queues.delete(QUEUE, each)
    await place.poison.record_dead_letters(POISON, reference)
    assert await place.dead_letters.counts() == {}
    place.time.move(REVIVE_SECONDS)
    await place.work()
    assert await states(place, batch) == [(State.SENT, "")]


async def test_revived_entry_that_fails_again_becomes_dead_letters(place: Place) -> None:
    body = entries.revive(entry_of(submission_of(), submission_of()))
    await place.poison.record_dead_letters(POISON, body)
    batch = batch_of(body).batch
    assert await states(place, batch) == [(State.FAILED, "poisoned")] * 2
    dead_letters, _ = await place.dead_letters.of("poisoned")
    assert [(dead_letter.batch, dead_letter.index) for dead_letter in dead_letters] == [(batch, 0), (batch, 1)]
    assert (await place.journal.read(batch)).content == body


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'{"relay":0}', b"[" * 200_000, b'<QueueMessage/>{"foreign":1}'])
async def test_unreadable_entry_is_kept(place: Place, body: bytes) -> None:
    await place.poison.record_dead_letters(POISON, body)
    (blob,) = (await place.memory.blobs.list(UNREADABLE_CONTAINER))[0]
    assert await place.memory.blobs.get(UNREADABLE_CONTAINER, blob.name) == body


async def test_reference_to_a_missing_batch_is_skipped(place: Place) -> None:
    await place.poison.record_dead_letters(POISON, entries.encode_reference(batch_id(), "transactional", [0], 2))
    assert await place.dead_letters.counts() == {}
    assert await kept(place) == 0


async def test_reference_to_missing_messages_is_skipped(place: Place) -> None:
    batch = await place.send()
    await place.poison.record_dead_letters(POISON, entries.encode_reference(batch, "transactional", [0, 5, 31], 2))
    assert await states(place, batch) == [(State.SENT, "")]
    assert await kept(place) == 0


async def test_message_final_before_the_crash_is_unchanged_and_listed(place: Place) -> None:
    failed = part_states.end(SENDING, State.FAILED, "policy_refused")
    body = await recorded(place, part_states.end(SENDING, State.SENT, ""), failed)
    await place.poison.record_dead_letters(POISON, body)
    assert await states(place, batch_of(body).batch) == [(State.SENT, ""), (State.FAILED, "policy_refused")]
    assert await place.dead_letters.counts() == {"policy_refused": 1}


async def test_interrupted_attempt_is_unknown_and_due_part_fails(place: Place) -> None:
    due = Part(route="main", state=State.DEFERRED, due_at=START, attempt=1)
    body = await recorded(place, SENDING, due, FRESH)
    place.time.move(part_states.LEASE_SECONDS)
    await place.poison.record_dead_letters(POISON, body)
    assert await states(place, batch_of(body).batch) == [
        (State.UNKNOWN, "poisoned"),
        (State.FAILED, "poisoned"),
        (State.FAILED, "poisoned"),
    ]
    assert await place.dead_letters.counts() == {"poisoned": 3}


async def test_part_with_an_uncertain_earlier_attempt_is_unknown(place: Place) -> None:
    due = Part(route="main", state=State.DEFERRED, due_at=START, attempt=1)
    body = await recorded(place, changed(due, attempts=part_states.interrupt(SENDING, START).attempts))
    await place.poison.record_dead_letters(POISON, body)
    assert await states(place, batch_of(body).batch) == [(State.UNKNOWN, "poisoned")]


async def test_attempt_in_progress_is_checked_after_its_lease(place: Place) -> None:
    body = await recorded(place, SENDING)
    await place.poison.record_dead_letters(POISON, body)
    batch = batch_of(body).batch
    assert [state for state, _ in await states(place, batch)] == [State.SENDING]
    assert list(place.memory.queues.bodies(POISON)) == [body]
    at = place.memory.queues.next_visible_at(POISON)
    assert at is not None
    assert SENDING.lease_until is not None
    assert at > SENDING.lease_until
    place.time.now = at
    assert (await place.poison_queues.drain()).done == 1
    assert await states(place, batch) == [(State.UNKNOWN, "poisoned")]


async def test_waiting_part_gets_its_missing_follow_up(place: Place) -> None:
    waiting = Part(route="main", state=State.DEFERRED, due_at=START.replace(minute=1), attempt=1)
    body = await recorded(place, waiting)
    await place.poison.record_dead_letters(POISON, body)
    assert [state for state, _ in await states(place, batch_of(body).batch)] == [State.DEFERRED]
    assert [entry.indices for entry in place.waiting() if isinstance(entry, entries.ReferenceEntry)] == [(0,)]
    place.time.now = START.replace(minute=1)
    await place.work()
    assert await states(place, batch_of(body).batch) == [(State.SENT, "")]


# ── storage ──


async def test_concurrently_changed_record_is_read_again(place: Place) -> None:
    body = entries.revive(await recorded(place, FRESH))
    place.tables.fail("merge", Changed("first"), Unavailable("busy"))
    await place.poison.record_dead_letters(POISON, body)
    assert await states(place, batch_of(body).batch) == [(State.FAILED, "poisoned")]


async def test_unavailable_storage_puts_the_entry_back(place: Place) -> None:
    body = entries.revive(entry_of())
    place.tables.fail("insert", *(Unavailable("away") for _ in range(POISON_TRIES)))
    await place.poison.record_dead_letters(POISON, body)
    assert list(place.memory.queues.bodies(POISON)) == [body]
    place.time.move(POISON_PUT_BACK_SECONDS)
    assert (await place.poison_queues.drain()).done == 1
    assert await states(place, batch_of(body).batch) == [(State.FAILED, "poisoned")]


@pytest.mark.parametrize("error", [ZeroDivisionError(), StorageError("a row holds at most 1 MiB")])
async def test_bug_in_the_poison_handler_keeps_the_entry(place: Place, error: Exception) -> None:
    body = entries.revive(entry_of())
    place.tables.fail("insert", error)
    await place.poison.record_dead_letters(POISON, body)
    assert await kept(place) == 1


async def test_late_copy_of_a_delivered_entry_changes_nothing(place: Place) -> None:
    place.script().answers.extend([Deferred(code="unreachable"), Sent()])
    batch = await place.send()
    place.time.move(60)
    await place.work()
    body = (await place.journal.read(batch)).content
    await place.poison.record_dead_letters(POISON, body)
    assert await states(place, batch) == [(State.SENT, "")]
    assert len(place.script().sent) == 2
