"""Changes applied to whatever the record says by then, and what follows from a record."""

from datetime import timedelta

import msgspec
import pytest

from relay.core import entries as wire
from relay.core.model import Attempt, MessageStatus, Part, State
from relay.core.parts import part_history, part_states
from relay.core.settings import Lane
from relay.delivery.settlement import MAX_DELAY_SECONDS, Change, apply, is_applied
from relay.journal.dead_letters import TABLE as DEAD_LETTERS
from relay.journal.pending import SOON, rows_of
from relay.journal.pending import TABLE as PENDING
from relay.journal.record_rows import Record
from tests.doubles import START, Place, batch_id, changed, entry_of, place_of, settings_of, submission_of

SENDING = part_states.begin(Part(route="", state=State.QUEUED), "main", START)
SENT = part_states.end(SENDING, State.SENT, "")
AT = START + timedelta(seconds=40)
DEFERRED = changed(SENDING, state=State.DEFERRED, due_at=AT, lease_until=None)
HELD = part_states.hold(SENDING, "main", "bad_credentials", START, AT, scope="main")


def failed(code: str = "policy_refused") -> Part:
    return part_states.end(SENDING, State.FAILED, code)


def status(*parts: Part) -> MessageStatus:
    return MessageStatus(parts=parts)


def record(*statuses: MessageStatus, batch: str = "") -> Record:
    batch = batch or batch_id()
    content = entry_of(*[submission_of() for _ in statuses], batch=batch)
    return Record(batch=batch, lane="transactional", content=content, statuses=statuses, etag="e")


# ── applying ──


def test_change_replaces_its_part_in_place() -> None:
    one, other = changed(SENDING, recipients=(0,)), changed(SENDING, recipients=(1, 2))
    after = (changed(SENT, recipients=(1,)), changed(DEFERRED, recipients=(2,)))
    altered = apply([status(SENT), status(one, other)], [Change(index=1, before=other, after=after)])
    assert altered == {1: status(one, *after)}


def test_change_of_a_missing_part_is_skipped() -> None:
    assert apply([status(SENT)], [Change(index=0, before=SENDING, after=(DEFERRED,))]) == {}


def test_change_without_effect_is_none() -> None:
    assert apply([status(HELD)], [Change(index=0, before=HELD, after=(HELD,))]) == {}


def test_changes_of_one_message_are_merged() -> None:
    one, other = changed(SENDING, recipients=(0,)), changed(SENDING, recipients=(1,))
    ended = [changed(SENT, recipients=each.recipients) for each in (one, other)]
    changes = [
        Change(index=0, before=before, after=(after,)) for before, after in zip((one, other), ended, strict=True)
    ]
    altered = apply([status(one, other)], changes)
    assert altered == {0: status(*ended)}
    assert all(is_applied([altered[0]], change) for change in changes)
    assert not is_applied([status(one, other)], changes[0])


def test_message_with_many_parts_fits_its_property() -> None:
    attempt = Attempt(number=1, route="main", provider="smtp", at=START, outcome="deferred", reply="é" * 1000)
    short = changed(attempt, reply="é" * part_history.SHORT_REPLY)
    whole = changed(SENDING, attempts=(short,) * 17 + (attempt,) * 3, recipients=tuple(range(20)))
    parts: tuple[Part, ...] = (whole,)
    for number in range(60):
        last = parts[-1]
        after = (changed(SENT, attempts=last.attempts, recipients=(number,)), changed(last, recipients=(number + 1,)))
        parts = apply([status(*parts)], [Change(index=0, before=last, after=after)])[0].parts
    assert len(parts) == 61
    assert parts[-1].attempts == whole.attempts
    assert len(msgspec.json.encode(status(*parts))) < 65_536


# ── following ──


async def follow(place: Place, before: Record | None, after: Record, *indices: int) -> None:
    await place.follow_up.run(before, after, indices or range(len(after.statuses)))


def pending(place: Place) -> list[str]:
    return [row.row for row in place.memory.tables.rows(PENDING)]


def dead(place: Place) -> list[tuple[str, str]]:
    return [(row.partition, row.row) for row in place.memory.tables.rows(DEAD_LETTERS)]


def keys(of: Record) -> list[str]:
    return list(rows_of(of.batch, of.lane, enumerate(of.statuses)))


async def test_deferred_parts_have_a_row_and_share_one_entry(place: Place) -> None:
    before = record(status(SENDING), status(SENDING), status(SENDING))
    after = changed(before, statuses=(status(DEFERRED), status(SENT), status(changed(DEFERRED, attempt=3))))
    await follow(place, before, after)
    assert pending(place) == keys(after)
    assert place.waiting() == [
        wire.ReferenceEntry(relay=1, ref=after.batch, lane="transactional", indices=(0, 2), attempt=4)
    ]
    assert place.memory.queues.next_visible_at("relay-transactional") == AT


async def test_held_part_has_a_row_and_no_entry(place: Place) -> None:
    before = record(status(SENDING))
    after = changed(before, statuses=(status(HELD),))
    await follow(place, before, after)
    assert pending(place) == keys(after)
    assert place.waiting() == []


@pytest.mark.parametrize(("seconds", "entries"), [(SOON.total_seconds(), 1), (SOON.total_seconds() + 1, 0)])
@pytest.mark.parametrize("state", [State.SCHEDULED, State.DEFERRED])
async def test_part_due_soon_has_an_entry_and_a_later_one_only_a_row(
    place: Place, state: State, seconds: float, entries: int
) -> None:
    waiting = Part(route="", state=state, due_at=START + timedelta(seconds=seconds))
    after = record(status(waiting))
    await follow(place, changed(after, statuses=(status(),)), after)
    assert pending(place) == keys(after)
    assert len(place.waiting()) == entries
    (listed,) = [each async for each in place.pending.until(START + timedelta(days=1))]
    assert listed.has_entry is bool(entries)


async def test_final_part_has_no_row(place: Place) -> None:
    before = record(status(DEFERRED), status(HELD))
    await follow(place, None, before)
    assert len(pending(place)) == 2
    after = changed(before, statuses=(status(SENT), status(HELD)))
    await follow(place, before, after, 0)
    assert pending(place) == keys(after)


async def test_dead_letter_is_listed_once_by_its_cause(place: Place) -> None:
    before = record(status(SENDING), status(failed("expired")))
    after = changed(before, statuses=(status(failed()), status(failed("expired"))))
    for _ in range(2):
        await follow(place, before, after)
    assert dead(place) == [("policy_refused", f"{after.batch}-00")]
    await follow(place, None, after)
    assert dead(place) == [("expired", f"{after.batch}-01"), ("policy_refused", f"{after.batch}-00")]


async def test_dead_letter_stays_listed_while_any_part_is_dead_of_its_cause(place: Place) -> None:
    one, other = failed(), changed(failed(), attempt=2)
    before = record(status(one, other))
    await follow(place, None, before)
    revived = changed(before, statuses=(status(DEFERRED, other),))
    await follow(place, before, revived)
    assert dead(place) == [("policy_refused", f"{before.batch}-00")]
    # A late delete would take it off the list after all.
    reported = changed(before, statuses=(status(one, changed(other, attempt=3)),))
    deletes = place.tables.calls["delete_all"]
    await follow(place, before, reported)
    assert place.tables.calls["delete_all"] == deletes
    assert dead(place) == [("policy_refused", f"{before.batch}-00")]


async def test_repair_rewrites_everything_and_can_be_repeated(place: Place) -> None:
    after = record(status(DEFERRED), status(HELD), status(SENT))
    for _ in range(2):
        await follow(place, None, after)
    assert sorted(pending(place)) == sorted(keys(after))
    assert [entry.indices for entry in place.waiting() if isinstance(entry, wire.ReferenceEntry)] == [(0,), (0,)]


async def test_follow_up_covers_only_the_chosen_messages(place: Place) -> None:
    after = record(status(changed(DEFERRED, due_at=AT)), status(changed(DEFERRED, due_at=AT + timedelta(seconds=1))))
    await follow(place, None, after, 1)
    assert pending(place) == keys(after)[1:]
    assert [entry.indices for entry in place.waiting() if isinstance(entry, wire.ReferenceEntry)] == [(1,)]


async def test_successful_message_costs_no_follow_up_operation(place: Place) -> None:
    before = record(status(SENDING), status(SENDING))
    await follow(place, before, changed(before, statuses=(status(SENT), status(SENT))))
    assert not place.tables.calls
    assert not place.queues.calls


# ── entries ──


@pytest.mark.parametrize(
    ("offset", "visible"), [(-5.0, 0.0), (0.4, 0.0), (90.0, 90.0), (MAX_DELAY_SECONDS * 3.0, MAX_DELAY_SECONDS)]
)
async def test_entry_is_visible_at_its_time_or_after_a_week(place: Place, offset: float, visible: float) -> None:
    await place.follow_up.put_reference(batch_id(), "transactional", [0], 1, START + timedelta(seconds=offset))
    assert place.memory.queues.next_visible_at("relay-transactional") == START + timedelta(seconds=visible)


async def test_batches_spread_over_a_lanes_queues_and_a_removed_lane_has_a_queue() -> None:
    lanes = {"transactional": Lane(), "bulk": Lane(shards=2)}
    place = await place_of(settings_of(lanes=lanes))
    batches = [batch_id() for _ in range(8)]
    for batch in batches:
        await place.follow_up.put_reference(batch, "bulk", [0], 1, START)
    sizes = [len(place.memory.queues.bodies(name)) for name in ("relay-bulk", "relay-bulk-2")]
    assert sizes == [4, 4]
    await place.follow_up.put_reference(batches[0], "gone", [0], 1, START)
    assert len(place.waiting()) == 1
