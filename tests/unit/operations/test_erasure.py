"""Erasure: content and recipients are deleted, the final state stays, and no other message changes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from relay.core import entries
from relay.core.errors import Changed, Unavailable
from relay.core.events import RecordedEvent
from relay.core.model import Address, Attachment, Erased, MessageStatus, State, Submission
from relay.core.outcomes import Deferred, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import part_states
from relay.core.settings import Route
from relay.events.provider_events import QUEUE, ProviderEvent
from relay.journal.pending import TABLE as PENDING
from relay.journal.record_rows import partition
from relay.journal.records import TABLE
from relay.operations.erasure import EVENTS_DELETED_AGAIN, ErasureStep
from relay.operations.message_changes import Redrive
from relay.operations.resend_lost import LostMailQuery
from relay.platform.resources import ATTACHMENTS_CONTAINER, CONTENT_CONTAINER
from relay.platform.storage.ports import Entity
from relay.platform.storage.rows import MAX_RACES
from tests.doubles import (
    CLIENT,
    START,
    Place,
    changed,
    entry_of,
    ids_of,
    message_of,
    place_of,
    settings_of,
    submission_of,
)
from tests.traces import traces

ADA, BOB = "ada@example.com", "bob@example.org"
SECRET = "Your diagnosis"
REPLY = "250 2.0.0 ada it is"
TRACES = (ADA, "Lovelace", SECRET, REPLY, "name-at-provider")
TAKEN = Sent(provider_id="name-at-provider", reply=REPLY)


def to_ada(*others: str, **fields: Any) -> Submission:
    """Make a message to Ada and others."""
    to = (Address(email=ADA, name="Ada Lovelace"), *(Address(email=email) for email in others))
    content = {"to": to, "subject": SECRET, "text": f"Dear Ada: {SECRET}", **fields.pop("content", {})}
    return submission_of(message_of(**content), **fields)


async def erase(place: Place, recipient: str = ADA, *, is_dry: bool = False) -> ErasureStep:
    """Call until the scan is complete, and sum the counts."""
    total, cursor = ErasureStep(), None
    while True:
        step = await place.erasure.step(recipient, cursor, is_dry=is_dry)
        names = ("erased", "cancelled", "in_progress", "shared_files", "unreadable")
        total = ErasureStep(**{name: getattr(total, name) + getattr(step, name) for name in names})
        cursor = step.cursor
        if cursor is None:
            return total


async def status(place: Place, batch: str, index: int = 0) -> MessageStatus:
    return (await place.journal.read(batch)).statuses[index]


async def delivered(place: Place, batch: str, index: int, recipient: str, key: str = "k") -> RecordedEvent:
    """Record a delivery event of a message."""
    event = RecordedEvent(
        index=index, kind="delivered", at=START, key=f"{key}{index}", recipient=recipient, raw=f"to {recipient}"
    )
    await place.journal.note_all(batch, [event])
    return event


# ── content ──


async def test_erased_message_keeps_only_its_final_state(place: Place) -> None:
    place.script().answers.append(TAKEN)
    batch = await place.send(to_ada())
    await delivered(place, batch, 0, ADA)
    before = await status(place, batch)
    place.time.move(60)
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, *TRACES) == []
    after = await status(place, batch)
    assert after.erased == Erased(at=place.time(), recipients=1)
    [was], [part] = before.parts, after.parts
    assert (part.state, part.route, part.attempt) == (State.SENT, "main", 1)
    [attempt], [known] = part.attempts, was.attempts
    assert (attempt.at, attempt.outcome, attempt.seconds) == (known.at, "sent", known.seconds)
    [left] = (await place.journal.read(batch)).entry().messages
    assert left == Submission(client="shop", client_id=CLIENT.id, expires_at=submission_of().expires_at, size=800)
    assert (await place.journal.history(batch))[1] == []
    assert await erase(place) == ErasureStep()


@pytest.mark.parametrize("field", ["to", "cc", "bcc"])
async def test_message_with_other_recipients_is_erased_whole(place: Place, field: str) -> None:
    people = {"to": (Address(email=BOB),), field: (Address(email=BOB), Address(email="Ada@example.com"))}
    batch = await place.send(submission_of(message_of(subject=SECRET, **people)))
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, BOB, "Ada@", SECRET) == []
    mark = (await status(place, batch)).erased
    assert mark is not None
    assert mark.recipients == len([address for each in people.values() for address in each])


@pytest.mark.parametrize("to", ["nada@example.com", "ada@example.com.example", BOB])
async def test_similar_address_is_not_erased(place: Place, to: str) -> None:
    batch = await place.send(submission_of(message_of(to, text=f"about {ADA}")))
    before = await place.journal.read(batch)
    assert await erase(place) == ErasureStep()
    assert await place.journal.read(batch) == before


async def test_other_messages_of_the_batch_stay_unchanged(place: Place) -> None:
    other = submission_of(message_of(BOB, subject="件名 \ufffe", headers={"X-Odd": '"<&>"'}), traceparent="00-1")
    batch = await place.send(other, to_ada(), other)
    bobs = [await delivered(place, batch, 0, BOB), await delivered(place, batch, 2, BOB)]
    hers_too = RecordedEvent(index=1, kind="bounced", at=START, key="x", recipient=ADA, raw=REPLY)
    together = RecordedEvent(index=2, kind="opened", at=START + timedelta(seconds=1), key="y", recipient=BOB)
    await place.journal.note_all(batch, [hers_too, together])
    before = await place.journal.read(batch)
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, *TRACES) == []
    record, events = await place.journal.history(batch)
    assert list(events) == [*bobs, together]
    assert (record.statuses[0], record.statuses[2]) == (before.statuses[0], before.statuses[2])
    assert record.content.count(entries.encode_submission(other)) == 2
    assert record.entry().macs == before.entry().macs


async def test_fields_of_a_newer_version_are_kept(place: Place) -> None:
    body = entry_of(submission_of(message_of(BOB)), to_ada())
    newer = body.replace(b'{"client"', b'{"later":1,"client"', 1).replace(b'{"relay"', b'{"more":[2],"relay"', 1)
    await place.delivery.deliver("relay-transactional", newer)
    await erase(place)
    content = (await place.journal.read(ids_of(body))).content
    assert content.startswith(b'{"more":[2],"relay":1')
    assert content.count(b'"later":1') == 1


async def test_only_the_erased_messages_blob_is_deleted(place: Place) -> None:
    await place.blobs.put(CONTENT_CONTAINER, "20260301/a", msgspec.json.encode(message_of(ADA, text=SECRET)))
    await place.blobs.put(CONTENT_CONTAINER, "20260301/b", msgspec.json.encode(message_of(BOB)))
    batch = await place.send(to_ada(blob="20260301/a"), submission_of(message_of(BOB), blob="20260301/b"))
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, *TRACES) == []
    assert [blob.name for blob in (await place.memory.blobs.list(CONTENT_CONTAINER))[0]] == ["20260301/b"]
    row = await place.memory.tables.get(TABLE, partition(batch), "batch")
    assert row.properties["blobs"] == '["20260301/b"]'


async def test_recipients_in_the_blob_are_found(place: Place) -> None:
    await place.blobs.put(CONTENT_CONTAINER, "20260301/a", msgspec.json.encode(message_of(BOB, ADA)))
    batch = await place.send(
        Submission(client="shop", client_id=CLIENT.id, expires_at=START + timedelta(days=1), blob="20260301/a")
    )
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, ADA, "20260301/a") == []
    mark = (await status(place, batch)).erased
    assert mark is not None
    assert mark.recipients == 2


@pytest.mark.parametrize("is_checked", [False, True], ids=["in the entry", "in a blob"])
async def test_shared_files_stay_and_are_counted(place: Place, *, is_checked: bool) -> None:
    await place.blobs.put(ATTACHMENTS_CONTAINER, "uploads/att_1", b"%PDF")
    files = (Attachment(name="a.pdf", blob="uploads/att_1", size=4), Attachment(name="b.txt", content=b"b"))
    if is_checked:
        content = msgspec.json.encode(message_of(ADA, attachments=files))
        await place.blobs.put(CONTENT_CONTAINER, "20260301/a", content)
        await place.send(to_ada(blob="20260301/a"))
    else:
        await place.send(to_ada(content={"attachments": files}))
    assert await erase(place, is_dry=True) == ErasureStep(erased=1, shared_files=1)
    assert await erase(place) == ErasureStep(erased=1, shared_files=1)
    assert await place.memory.blobs.get(ATTACHMENTS_CONTAINER, "uploads/att_1") == b"%PDF"


async def test_erasure_does_not_extend_the_retention(place: Place) -> None:
    batch = await place.send(to_ada(), submission_of(message_of(BOB)))
    before = await place.memory.tables.get(TABLE, partition(batch), "batch")
    place.time.move(86_400)
    await erase(place)
    after = await place.memory.tables.get(TABLE, partition(batch), "batch")
    assert after.properties["written_at"] == before.properties["written_at"]
    place.time.move(13.5 * 86_400)
    await place.purge.run()
    assert place.memory.tables.rows(TABLE) == []


# ── unfinished messages ──


async def test_waiting_message_is_cancelled_and_erased(place: Place) -> None:
    later = START + timedelta(days=2)
    scheduled = to_ada(send_at=later, expires_at=later + timedelta(hours=1))
    place.script().answers.extend([Deferred(code="unreachable"), RouteFault(code="bad_credentials")])
    batches = [await place.send(scheduled), await place.send(to_ada()), await place.send(to_ada())]
    assert await erase(place, is_dry=True) == ErasureStep(erased=3, cancelled=3)
    assert await erase(place) == ErasureStep(erased=3, cancelled=3)
    assert {(await status(place, batch)).state for batch in batches} == {State.CANCELLED}
    assert place.memory.tables.rows(PENDING) == []
    place.time.now = later
    await place.holds.release("main", "operator")
    await place.recovery.run()
    await place.work()
    assert len(place.script().sent) == 2
    assert await traces(place.memory, *TRACES) == []


async def test_uncertain_message_ends_unknown(place: Place) -> None:
    place.script().answers.append(Unknown(code="response_lost"))
    batch = await place.send(to_ada())
    assert await erase(place) == ErasureStep(erased=1, cancelled=1)
    assert (await status(place, batch)).state is State.UNKNOWN
    assert await place.dead_letters.counts() == {}


async def test_message_being_sent_is_erased_by_a_repeat(place: Place) -> None:
    steps: list[ErasureStep] = []

    async def meanwhile() -> None:
        steps.extend([await erase(place, is_dry=True), await erase(place)])

    place.script().before_send = meanwhile
    place.script().answers.append(TAKEN)
    batch = await place.send(to_ada())
    assert steps == [ErasureStep(in_progress=1), ErasureStep(in_progress=1)]
    assert (await status(place, batch)).state is State.SENT
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, *TRACES) == []


async def test_waiting_parts_of_a_moving_message_are_cancelled(place: Place) -> None:
    """Recipients of one message may be in different parts: waiting parts are cancelled, parts in progress are left."""
    place.script().answers.append(Deferred(code="unreachable"))
    batch = await place.send(to_ada(BOB))
    record = await place.journal.read(batch)
    [part] = record.statuses[0].parts
    in_progress = part_states.begin(changed(part, recipients=(1,)), "main", START)
    await place.journal.settle(record, {0: MessageStatus(parts=(changed(part, recipients=(0,)), in_progress))})
    assert await erase(place) == ErasureStep(cancelled=1, in_progress=1)
    assert {each.state for each in (await status(place, batch)).parts} == {State.CANCELLED, State.SENDING}


# ── nothing comes back ──


async def test_erased_dead_letter_is_unlisted_and_cannot_be_redriven(place: Place) -> None:
    place.script().answers.append(Rejected(code="policy_refused", reply=REPLY))
    batch = await place.send(to_ada())
    dead_letters = (await place.dead_letters.of("policy_refused"))[0]
    assert await erase(place) == ErasureStep(erased=1)
    assert await place.dead_letters.counts() == {}
    assert not await place.message_changes.redrive(batch, 0, Redrive())
    assert await place.message_changes.redrive_all(dead_letters, Redrive()) == 0
    [part] = (await status(place, batch)).parts
    assert (part.state, part.code, part.attempts[0].code, part.attempts[0].reply) == (
        State.FAILED,
        "policy_refused",
        "policy_refused",
        "",
    )


async def test_redelivery_does_not_list_an_erased_message_again(place: Place) -> None:
    place.script().answers.append(Rejected(code="policy_refused"))
    body = entry_of(to_ada())
    await place.delivery.deliver("relay-transactional", body)
    await erase(place)
    reference = entries.encode_reference(ids_of(body), "transactional", [0], 1)
    await place.delivery.deliver("relay-transactional", body, is_redelivery=True)
    await place.delivery.deliver("relay-transactional", reference, is_redelivery=True)
    await place.poison.record_dead_letters("relay-transactional", body)
    assert await place.dead_letters.counts() == {}
    assert len(place.script().sent) == 1
    assert await traces(place.memory, *TRACES) == []


async def test_erased_message_is_not_resent_as_lost_mail() -> None:
    place = await place_of(settings_of(Route(name="main", provider="sendgrid")))
    batch = await place.send(to_ada())
    place.time.move(7200)
    await erase(place)
    wanted = LostMailQuery(route="main", since=START - timedelta(hours=1), before=START + timedelta(hours=1))
    assert (await place.resend_lost.step(wanted)).found == 0
    assert (await status(place, batch)).state is State.SENT


async def test_erased_message_is_not_checked_with_its_provider() -> None:
    place = await place_of(settings_of(Route(name="main", provider="acs")))
    place.script().answers.append(Sent(provider_id="name-at-provider", check_after_seconds=60))
    await place.send(to_ada())
    assert len(place.memory.tables.rows(PENDING)) == 1
    assert await erase(place) == ErasureStep(erased=1)
    assert place.memory.tables.rows(PENDING) == []


async def report(place: Place, batch: str, kind: str = "bounced") -> None:
    """Report an event, and apply it."""
    record = await place.journal.read(batch)
    name = record.message_id(0, record.entry())
    event = ProviderEvent(kind=kind, at=START, key="late", provider="sendgrid", message=name, recipient=ADA)
    await place.events.enqueue([event])
    [entry] = await place.memory.queues.receive(QUEUE)
    await place.events.apply(entry.body)


async def test_later_event_is_ignored(place: Place) -> None:
    batch = await place.send(to_ada())
    await erase(place)
    await report(place, batch)
    assert (await place.journal.history(batch))[1] == []
    assert await traces(place.memory, *TRACES) == []


async def test_concurrent_event_is_hidden_and_deleted_by_a_repeat(place: Place) -> None:
    batch = await place.send(to_ada())

    async def first() -> None:
        await erase(place)

    # The event handler has read the record; the erasure runs; then the handler writes its event.
    place.tables.before("upsert", first)
    await report(place, batch, "processed")
    assert (await place.journal.history(batch))[1] == []
    assert await traces(place.memory, ADA) != []
    place.time.move(EVENTS_DELETED_AGAIN.total_seconds() - 1)
    assert await erase(place, "other@else.example") == ErasureStep()
    assert [row.row for row in place.memory.tables.rows(TABLE)] == ["batch"]


async def test_concurrent_event_that_changes_the_record_is_not_written(place: Place) -> None:
    batch = await place.send(to_ada())

    async def first() -> None:
        await erase(place)

    place.tables.before("merge_with", first)
    await report(place, batch)
    assert await traces(place.memory, *TRACES) == []


async def test_events_are_deleted_again_only_for_an_hour(place: Place) -> None:
    await place.send(to_ada())
    await erase(place)
    place.time.move(EVENTS_DELETED_AGAIN.total_seconds())
    place.tables.calls.clear()
    assert await erase(place) == ErasureStep()
    # 16 shards of the journal, and the suppressions of topics.
    assert place.tables.calls == {"query": 17}


# ── races and failures ──


async def test_dry_run_changes_nothing(place: Place) -> None:
    await place.send(to_ada(), submission_of(message_of(BOB)))
    before = place.memory.tables.rows(TABLE)
    assert await erase(place, is_dry=True) == ErasureStep(erased=1)
    assert place.memory.tables.rows(TABLE) == before


async def test_lost_races_are_retried(place: Place) -> None:
    batch = await place.send(to_ada(), to_ada(send_at=START + timedelta(days=1)))

    async def touch() -> None:
        row = Entity(partition=partition(batch), row="batch", properties={"touched": True})
        await place.memory.tables.merge(TABLE, row)

    for _ in range(3):
        place.tables.before("merge", touch)
    assert await erase(place) == ErasureStep(erased=2, cancelled=1)
    assert await traces(place.memory, *TRACES) == []


async def test_record_that_always_changes_raises_unavailable(place: Place) -> None:
    await place.send(to_ada())
    place.tables.fail("merge", *(Changed("first") for _ in range(MAX_RACES)))
    with pytest.raises(Unavailable):
        await erase(place)


async def test_message_redriven_at_the_same_time_is_left(place: Place) -> None:
    place.script().answers.append(Rejected(code="policy_refused"))
    batch = await place.send(to_ada())
    place.tables.before("merge", lambda: place.message_changes.redrive(batch, 0, Redrive()))
    assert await erase(place) == ErasureStep(in_progress=1)
    assert await erase(place) == ErasureStep(erased=1, cancelled=1)
    assert await traces(place.memory, *TRACES) == []


async def test_concurrent_erasures_erase_once(place: Place) -> None:
    batch = await place.send(to_ada(), submission_of(message_of(BOB, subject=SECRET)))
    place.tables.before("merge", lambda: erase(place, BOB))
    assert await erase(place) == ErasureStep(erased=1)
    assert await traces(place.memory, *TRACES, BOB) == []
    assert all(each.erased for each in (await place.journal.read(batch)).statuses)


async def test_record_purged_during_the_scan_is_skipped(place: Place) -> None:
    batch = await place.send(to_ada())
    place.tables.before("get", lambda: place.tables.delete(TABLE, partition(batch), "batch"))
    assert await erase(place) == ErasureStep()


async def test_unreadable_record_does_not_stop_the_scan(place: Place) -> None:
    damaged = await place.send(to_ada())
    whole = await place.send(to_ada())
    row = Entity(partition=partition(damaged), row="batch", properties={"content": b'{"relay":1,"ref":1}'})
    await place.memory.tables.merge(TABLE, row)
    assert await erase(place, is_dry=True) == ErasureStep(erased=1, unreadable=1)
    assert await erase(place) == ErasureStep(erased=1, unreadable=1)
    assert (await status(place, whole)).erased is not None


async def test_messages_of_a_record_without_a_readable_row_are_counted_until_they_are_gone(place: Place) -> None:
    damaged = await place.send(to_ada())
    row = Entity(partition=partition(damaged), row="batch", properties={"m00": b"{"})
    await place.memory.tables.merge(TABLE, row)
    assert await erase(place) == ErasureStep(unreadable=1)
    await place.memory.tables.delete(TABLE, partition(damaged), "batch")
    assert await erase(place) == ErasureStep()


async def test_unreadable_content_is_deleted(place: Place) -> None:
    await place.blobs.put(CONTENT_CONTAINER, "20260301/a", b"damaged")
    await place.send(to_ada(blob="20260301/a"))
    assert await erase(place) == ErasureStep(erased=1)
    assert (await place.memory.blobs.list(CONTENT_CONTAINER))[0] == []


AWAY = Unavailable("away")
OUTAGES: dict[str, Callable[[Place], None]] = {
    "before the mark": lambda place: place.tables.fail("merge", AWAY),
    "after the mark": lambda place: place.tables.lose("merge"),
    "before the list of dead letters": lambda place: place.tables.fail("delete", AWAY),
    "before the events": lambda place: place.tables.fail("delete_all", AWAY),
    "before the blob": lambda place: place.blobs.fail("delete", AWAY),
    "before the content": lambda place: place.tables.fail("merge", None, AWAY),
}


@pytest.mark.parametrize("away", OUTAGES.values(), ids=OUTAGES)
async def test_interrupted_erasure_is_finished_by_any_scan(place: Place, away: Callable[[Place], None]) -> None:
    await place.blobs.put(CONTENT_CONTAINER, "20260301/a", msgspec.json.encode(message_of(ADA, text=SECRET)))
    place.script().answers.append(Rejected(code="policy_refused", reply=REPLY))
    batch = await place.send(to_ada(blob="20260301/a"))
    await delivered(place, batch, 0, ADA)
    away(place)
    with pytest.raises(Unavailable):
        await erase(place)
    marked = (await status(place, batch)).erased is not None
    [left] = (await place.journal.read(batch)).entry().messages
    assert left.is_bare == marked
    assert not marked or not await place.message_changes.redrive(batch, 0, Redrive())
    assert (await erase(place, BOB if marked else ADA)).in_progress == 0
    assert await traces(place.memory, *TRACES) == []
    assert await place.dead_letters.counts() == {}


async def test_erasure_of_many_messages_takes_bounded_steps(place: Place) -> None:
    for _ in range(260):
        await place.send(to_ada(), submission_of(message_of(BOB)))
        place.time.move(1)
    calls, cursor, erased = 0, None, 0
    while True:
        step = await place.erasure.step(ADA, cursor)
        calls, erased, cursor = calls + 1, erased + step.erased, step.cursor
        if cursor is None:
            break
    assert (erased, calls) == (260, 3)
    assert await traces(place.memory, ADA) == []


@pytest.mark.parametrize("cursor", ["", "x", "g|", "0|x"])
async def test_invalid_cursor_is_refused(place: Place, cursor: str) -> None:
    await place.send()
    with pytest.raises(ValueError, match="cursor"):
        await place.erasure.step(ADA, cursor)
