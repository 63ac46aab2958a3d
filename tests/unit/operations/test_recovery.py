"""Recovery: probes, wakes, lost entries, and the cost of a run."""

import asyncio
from datetime import datetime, timedelta

import pytest

from relay.core.errors import StorageError, Unavailable
from relay.core.model import MessageStatus, Part, State
from relay.core.outcomes import Deferred, RouteFault, Sent, Unknown
from relay.core.parts import part_states
from relay.core.settings import Route
from relay.delivery.overdue import AGAIN, GRACE
from relay.journal.pending import SHARDS, SOON, TABLE, Due
from relay.platform.concurrency import Deadline
from relay.platform.storage.ports import Entity
from relay.routes.hold_changes import CANARY_SECONDS, PROBE_DELAYS
from relay.routes.hold_rows import RouteState
from relay.routes.probes import PROBES_AT_ONCE
from tests.doubles import START, Place, batch_id, batch_of, entry_of, message_of, place_of, settings_of, submission_of

FAULT = RouteFault(code="bad_credentials")
QUEUE = "relay-transactional"


async def states(place: Place, *batches: str) -> list[State]:
    return [(await place.journal.read(batch)).statuses[0].state for batch in batches]


async def route(place: Place, scope: str = "main") -> RouteState:
    return (await place.holds.all(fresh=True))[scope].state


def pending(place: Place) -> int:
    return len(place.memory.tables.rows(TABLE))


async def lose_entries(place: Place) -> None:
    """Lose every entry on the queue."""
    while received := await place.memory.queues.receive(QUEUE, limit=32):
        for each in received:
            await place.memory.queues.delete(QUEUE, each)


async def minutes(place: Place, number: int) -> None:
    """Run the minute timer this many times, with the deliveries between."""
    for _ in range(number):
        place.time.move(60)
        await place.recovery.run()
        await place.work()


# ── probes ──


async def test_held_route_is_probed_with_backoff(place: Place) -> None:
    provider = place.script()
    provider.health = RouteFault(code="account_restricted", reply="403")
    await place.holds.hold("main", "bad_credentials")
    probed: list[int] = []
    for minute in range(1, 40):
        place.time.move(60)
        before = provider.probes
        await place.recovery.run()
        if provider.probes > before:
            probed.append(minute)
    # 60, 120, 300, 600, 900, 900 seconds
    assert probed == [1, 3, 8, 18, 33]
    assert list(PROBE_DELAYS) == [60, 120, 300, 600, 900]
    hold = (await place.holds.all(fresh=True))["main"]
    assert (hold.code, hold.reply, hold.since) == ("account_restricted", "403", START)


async def test_two_days_of_account_vetting_lose_no_message(place: Place) -> None:
    provider = place.script()
    provider.answers.append(RouteFault(code="account_restricted"))
    provider.health = RouteFault(code="account_restricted")
    batches = [await place.send(submission_of(expires_at=START + timedelta(hours=1))) for _ in range(3)]
    for _ in range(48):
        place.time.move(3600)
        await place.recovery.run()
        await place.work()
    assert await states(place, *batches) == [State.HELD] * 3
    assert len(provider.sent) == 1
    provider.health = Sent()
    await minutes(place, 20)
    assert await states(place, *batches) == [State.SENT] * 3
    assert {request.attempt for request in provider.sent} == {1}
    assert len(provider.sent) == 4
    assert await route(place) is RouteState.ACTIVE
    assert pending(place) == 0


async def test_messages_expire_on_time_while_the_provider_is_away(place: Place) -> None:
    place.script().health = RouteFault(code="provider_unavailable")
    await place.holds.hold("main", "repeated_failure")
    hour = await place.send(submission_of(expires_at=START + timedelta(hours=1)))
    day = await place.send()
    await minutes(place, 59)
    assert await states(place, hour, day) == [State.HELD, State.HELD]
    await minutes(place, 2)
    assert await states(place, hour, day) == [State.EXPIRED, State.HELD]
    assert place.script().sent == []
    place.script().health = Sent()
    await minutes(place, 20)
    assert await states(place, day) == [State.SENT]
    assert pending(place) == 0


async def test_expiry_that_a_caller_asked_for_comes_while_a_wrong_key_holds_the_route(place: Place) -> None:
    place.script().health = RouteFault(code="bad_credentials")
    await place.holds.hold("main", "bad_credentials")
    code = await place.send(submission_of(expires_at=START + timedelta(seconds=60), has_own_expiry=True))
    other = await place.send(submission_of(expires_at=START + timedelta(seconds=60)))
    await minutes(place, 2)
    assert await states(place, code, other) == [State.EXPIRED, State.HELD]


async def test_expired_message_is_not_the_canary(place: Place) -> None:
    place.script().health = RouteFault(code="provider_unavailable")
    await place.holds.hold("main", "repeated_failure")
    old = await place.send(submission_of(expires_at=START + timedelta(seconds=55)))
    young = await place.send()
    place.script().health = Sent()
    await minutes(place, 1)
    assert await states(place, old, young) == [State.EXPIRED, State.SENT]


async def test_successful_probe_lets_one_batch_try(place: Place) -> None:
    provider = place.script()
    provider.answers.extend([FAULT, FAULT])
    batches = [await place.send() for _ in range(5)]
    assert await states(place, *batches) == [State.HELD] * 5
    await minutes(place, 1)
    # The canary failed with the same fault: the other batches were not sent.
    assert len(provider.sent) == 2
    assert await route(place) is RouteState.HELD
    await minutes(place, 2)
    assert len(provider.sent) == 3
    assert await route(place) is RouteState.ACTIVE
    await minutes(place, 1)
    assert await states(place, *batches) == [State.SENT] * 5


async def test_message_at_fault_holds_up_no_other(place: Place) -> None:
    place.script().faults["bad@example.com"] = FAULT
    faulty = await place.send(submission_of(message_of("bad@example.com")))
    others = [await place.send() for _ in range(3)]
    assert await states(place, faulty, *others) == [State.HELD] * 4
    await minutes(place, 1)
    # The canary is not the message that met the fault, though that has waited longest.
    assert await route(place) is RouteState.ACTIVE
    await minutes(place, 2)
    assert await states(place, faulty, *others) == [State.DEFERRED, *[State.SENT] * 3]
    assert await states(place, await place.send()) == [State.SENT]
    assert await route(place) is RouteState.ACTIVE
    await minutes(place, 26 * 60)
    assert await states(place, faulty) == [State.EXPIRED]
    assert await route(place) is RouteState.ACTIVE
    assert pending(place) == 0


async def test_only_waiting_message_is_the_canary_although_it_met_the_fault(place: Place) -> None:
    place.script().answers.extend([FAULT, FAULT])
    batch = await place.send()
    await minutes(place, 1)
    assert await states(place, batch) == [State.HELD]
    await minutes(place, 2)
    assert await states(place, batch) == [State.SENT]
    assert await route(place) is RouteState.ACTIVE


async def test_suspect_waits_while_another_batch_is_the_canary(place: Place) -> None:
    place.script().answers.append(FAULT)
    await place.send()
    assert await place.holds.begin_trial((await place.holds.all(fresh=True))["main"])
    assert await place.holds.claim_canary("main", "another")
    place.time.move(60)
    await place.recovery.recover()
    assert place.waiting() == []
    place.time.move(CANARY_SECONDS)
    await place.recovery.recover()
    assert len(place.waiting()) == 1


async def test_sender_hold_is_tried_with_a_message_of_that_sender(place: Place) -> None:
    provider = place.script()
    provider.answers.append(RouteFault(code="sender_not_verified"))
    held = await place.send()
    other = await place.send(submission_of(message_of(sender=message_of("crm@example.org").to[0])))
    assert await states(place, held, other) == [State.HELD, State.SENT]
    await minutes(place, 2)
    assert provider.probes == 0
    assert await states(place, held) == [State.SENT]


@pytest.mark.parametrize("bug", [ZeroDivisionError(), TimeoutError()])
async def test_failing_provider_does_not_stop_the_run(bug: Exception) -> None:
    place = await place_of(settings_of(Route(name="main", provider="smtp"), Route(name="bad", provider="smtp")))
    place.script("bad").health = bug
    await place.holds.hold("bad", "misconfigured")
    place.script().answers.append(Deferred(code="unreachable"))
    batch = await place.send()
    await lose_entries(place)
    place.time.move(3600)
    await lose_entries(place)
    await place.recovery.run()
    await place.work()
    assert await states(place, batch) == [State.SENT]
    hold = (await place.holds.all(fresh=True))["bad"]
    assert (hold.state, hold.probes, hold.reply) == (RouteState.HELD, 1, type(bug).__name__)


async def test_hold_of_a_removed_route_is_released(place: Place) -> None:
    await place.holds.hold("gone", "bad_credentials")
    await minutes(place, 1)
    assert await route(place, "gone") is RouteState.ACTIVE


# ── wakes ──


async def test_release_enqueues_held_messages_at_once(place: Place) -> None:
    place.script().answers.append(RouteFault(code="bad_credentials", retry_after_seconds=80_000))
    batches = [await place.send() for _ in range(3)]
    place.time.move(10)
    await place.holds.release("main", "operator")
    await place.recovery.run()
    assert await place.work() == 3
    assert await states(place, *batches) == [State.SENT] * 3
    calls = place.queues.calls["put"]
    await place.recovery.run()
    assert place.queues.calls["put"] == calls


async def test_interrupted_wake_is_repeated(place: Place) -> None:
    place.script().answers.append(FAULT)
    batches = [await place.send() for _ in range(3)]
    await place.holds.release("main", "operator")
    place.queues.fail("put", None, Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.recovery.wake()
    await place.recovery.wake()
    # Only the row whose put failed is enqueued again.
    assert await place.work() == 3
    assert await states(place, *batches) == [State.SENT] * 3
    assert len(place.script().sent) == 4


async def test_message_held_by_a_stale_view_of_an_active_route_is_enqueued(place: Place) -> None:
    body = entry_of()
    held = part_states.hold(Part(route="", state=State.QUEUED), "main", "x", START, START + timedelta(60), scope="main")
    record = await place.journal.open(batch_of(body), body, [MessageStatus(parts=(held,))])
    await place.follow_up.run(None, record, [0])
    place.time.now = START + timedelta(days=61)
    await place.recovery.run()
    await place.work()
    assert await states(place, record.batch) == [State.SENT]


# ── recovery ──


async def test_entry_within_the_grace_time_is_left_alone(place: Place) -> None:
    place.script().answers.append(Deferred(code="unreachable"))
    await place.send()
    puts = place.queues.calls["put"]
    place.time.move(22.5 + GRACE.total_seconds() - 1)
    assert (await place.recovery.recover()).done == 0
    assert place.queues.calls["put"] == puts


async def test_lost_entry_of_a_retry_is_enqueued_again_at_intervals(place: Place) -> None:
    place.script().answers.append(Deferred(code="unreachable"))
    batch = await place.send()
    place.time.move(25 + GRACE.total_seconds())
    await lose_entries(place)
    assert (await place.recovery.recover()).done == 1
    assert (await place.recovery.recover()).done == 0
    await lose_entries(place)
    place.time.move(AGAIN.total_seconds() + 1)
    assert (await place.recovery.recover()).done == 1
    await place.work()
    assert await states(place, batch) == [State.SENT]
    assert pending(place) == 0


async def test_interrupted_retry_is_recovered_after_its_lease(place: Place) -> None:
    place.script().answers.append(Unknown(code="response_lost"))
    batch = await place.send()
    record = await place.journal.read(batch)
    (part,) = record.statuses[0].parts
    assert part.due_at is not None
    begun = part_states.begin(part, "main", part.due_at)
    await place.journal.settle(record, {0: MessageStatus(parts=(begun,))})
    place.time.now = part.due_at + GRACE + timedelta(seconds=1)
    await lose_entries(place)
    assert (await place.recovery.recover()).done == 0
    place.time.now = part.due_at + timedelta(seconds=part_states.LEASE_SECONDS)
    assert (await place.recovery.recover()).done == 1
    await place.work()
    assert await states(place, batch) == [State.SENT]


async def test_scheduled_message_is_enqueued_shortly_before_its_time(place: Place) -> None:
    at = START + timedelta(days=20)
    batch = await place.send(submission_of(send_at=at, expires_at=at + timedelta(hours=1)))
    place.time.now = at - timedelta(seconds=121)
    assert (await place.recovery.recover()).done == 0
    place.time.move(2)
    assert (await place.recovery.recover()).done == 1
    assert place.memory.queues.next_visible_at(QUEUE) == at
    place.time.now = at
    await place.work()
    assert await states(place, batch) == [State.SENT]


async def test_stale_rows_are_removed(place: Place) -> None:
    batch = await place.send()
    for stale in (batch, batch_id()):
        due = Due(batch=stale, lane="transactional", at=START, indices=(0,), kind="deferred", attempt=2)
        await place.pending.put(due)
    place.time.move(600)
    assert (await place.recovery.recover()).done == 0
    assert pending(place) == 0


async def test_unreadable_record_does_not_stop_the_run(place: Place) -> None:
    place.script().answers.extend([Deferred(code="unreachable")] * 2)
    batches = [await place.send() for _ in range(2)]
    await lose_entries(place)
    place.time.move(600)
    await lose_entries(place)
    damaged = next(row for row in place.memory.tables.rows("journal") if batches[0] in row.partition)
    await place.memory.tables.merge(
        "journal", Entity(partition=damaged.partition, row=damaged.row, properties={"m00": b"{"})
    )
    assert (await place.recovery.recover()).done == 1
    await place.work()
    assert await states(place, batches[1]) == [State.SENT]
    # The next runs leave its row alone for a while: many of them must not use up the time of the rows after them.
    place.time.move(60)
    place.tables.calls.clear()
    await place.recovery.recover()
    assert place.tables.calls["get"] == 0
    place.time.move(AGAIN.total_seconds())
    await place.recovery.recover()
    assert place.tables.calls["get"] >= 1


# ── cost ──


async def waiting(place: Place, number: int, *, kind: str, at: timedelta, scope: str = "") -> None:
    """Write this many pending rows."""
    for _ in range(number):
        due = Due(
            batch=batch_id(), lane="transactional", at=START + at, indices=(0,), kind=kind, attempt=1, scope=scope
        )
        await place.memory.tables.upsert(
            TABLE,
            Entity(
                partition=due.partition,
                row=due.row,
                properties={
                    "lane": due.lane,
                    "indices": "[0]",
                    "kind": kind,
                    "attempt": 1,
                    "scope": scope,
                    "requeued_at": "",
                },
            ),
        )


async def test_idle_run_costs_one_query_per_shard(place: Place) -> None:
    await place.recovery.run()
    # One query of the routes, and one per shard.
    assert dict(place.tables.calls) == {"query": 1 + SHARDS}
    assert not place.queues.calls


async def test_rows_that_are_not_due_cost_nothing(place: Place) -> None:
    await waiting(place, 6000, kind="scheduled", at=timedelta(days=1))
    await place.recovery.run()
    assert dict(place.tables.calls) == {"query": 1 + SHARDS}


async def test_rows_of_a_held_route_cost_one_operation_per_thousand(place: Place) -> None:
    await place.holds.hold_for_operator("main")
    place.tables.calls.clear()
    await waiting(place, 10_000, kind="held", at=timedelta(seconds=-60), scope="main")
    await place.recovery.run()
    # 2,500 rows per shard are three pages: a million rows would cost a thousand operations, and no write.
    assert dict(place.tables.calls) == {"query": 1 + 3 * SHARDS}
    assert not place.queues.calls


async def test_each_recovered_row_costs_three_operations(place: Place) -> None:
    place.script().answers.extend([Deferred(code="unreachable")] * 20)
    for _ in range(20):
        await place.send()
    place.time.move(600)
    place.tables.calls.clear()
    place.queues.calls.clear()
    assert (await place.recovery.recover()).done == 20
    assert dict(place.tables.calls) == {"query": 1 + SHARDS, "get": 20, "merge": 20}
    assert dict(place.queues.calls) == {"put": 20}


# ── what waits for long ──


def next_visible_at(place: Place) -> datetime | None:
    return place.memory.queues.next_visible_at(QUEUE)


async def test_long_wait_leaves_nothing_on_the_queue_until_it_is_nearly_over(place: Place) -> None:
    busy = Deferred(code="rate_limited", retry_after_seconds=1_800)
    place.script().answers.extend([busy] * 20)
    batches = [await place.send() for _ in range(20)]
    due_at = START + timedelta(seconds=1_800.5)
    while not place.waiting():
        assert place.time() < due_at
        await minutes(place, 1)
    assert due_at - SOON <= place.time()
    await place.recovery.recover()
    assert len(place.waiting()) == 20
    visible_at = next_visible_at(place)
    assert visible_at is not None
    assert abs(visible_at - due_at) <= timedelta(seconds=1)
    assert await states(place, *batches) == [State.DEFERRED] * 20
    await minutes(place, 2)
    assert await states(place, *batches) == [State.SENT] * 20
    assert (len(place.script().sent), pending(place)) == (40, 0)


async def test_short_wait_is_enqueued_once(place: Place) -> None:
    place.script().answers.append(Deferred(code="rate_limited", retry_after_seconds=110))
    await place.send()
    await place.recovery.recover()
    assert len(place.waiting()) == 1


async def test_refused_put_of_a_long_wait_is_repeated_by_the_next_run(place: Place) -> None:
    place.script().answers.append(Deferred(code="rate_limited", retry_after_seconds=600))
    batch = await place.send()
    place.time.move(590)
    place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.recovery.recover()
    await minutes(place, 1)
    assert await states(place, batch) == [State.SENT]


async def test_late_mark_does_not_bring_a_removed_row_back(place: Place) -> None:
    place.script().answers.append(Deferred(code="rate_limited", retry_after_seconds=600))
    batch = await place.send()
    place.time.move(700)
    # The entry is delivered before recovery has marked its row.
    place.tables.before("merge", place.work)
    await place.recovery.recover()
    assert await states(place, batch) == [State.SENT]
    assert pending(place) == 0


# ── deadlines ──


async def test_run_stops_at_its_deadline_and_later_runs_finish(place: Place) -> None:
    await waiting(place, 400, kind="deferred", at=timedelta(minutes=-10))
    place.tables.take_time(place.time, 0.05)
    runs = 0
    while True:
        before = place.time.now
        progress = await place.recovery.recover(Deadline(place.time, 10.0))
        runs += 1
        # What has begun is finished: at most sixteen rows of a few operations each.
        assert (place.time.now - before).total_seconds() < 10.0 + 16 * 3 * 0.05 + 1
        if progress.is_complete:
            break
    assert 1 < runs < 20
    assert pending(place) == 0  # none has a record: each row was looked at and removed


async def test_waking_goes_on_where_the_deadline_ended_it(place: Place) -> None:
    place.script().answers.append(FAULT)
    batches = [await place.send() for _ in range(40)]
    await place.holds.release("main", "operator")
    place.tables.take_time(place.time, 0.2)
    place.queues.calls.clear()
    runs = 0
    while not (await place.recovery.wake(Deadline(place.time, 4.0))).is_complete:
        runs += 1
    assert runs >= 1
    assert place.queues.calls["put"] == 40  # none is enqueued twice
    place.tables.take_time(place.time, 0.0)
    await place.work()
    assert await states(place, *batches) == [State.SENT] * 40


async def test_probes_run_side_by_side() -> None:
    routes = {name: Route(name=name, provider="capture") for name in ("a", "b", "c")}
    place = await place_of(settings_of(routes=routes))
    started = asyncio.Barrier(3)
    for name in routes:
        await place.holds.hold(name, "bad_credentials")
        place.script(name).before_probe = started.wait
    place.time.move(3600)
    async with asyncio.timeout(5):
        await place.probes.run()


async def test_scan_of_held_rows_ends_at_the_deadline(place: Place) -> None:
    place.script().answers.append(FAULT)
    await place.send()
    place.time.move(3600)
    assert not (await place.recovery.recover(Deadline(place.time, 0.0))).is_complete


async def test_invalid_write_for_one_row_does_not_stop_the_others(place: Place) -> None:
    place.script().answers.extend([Deferred(code="unreachable")] * 2)
    await place.send()
    await place.send()
    place.time.move(3600)
    await lose_entries(place)
    place.tables.fail("merge", StorageError("400 EntityTooLarge"))
    assert (await place.recovery.recover()).done == 1


async def test_probes_without_an_answer_end_at_the_deadline_and_go_on_at_the_next_run() -> None:
    names = [f"route{number}" for number in range(PROBES_AT_ONCE + 1)]
    place = await place_of(settings_of(*(Route(name=name, provider="smtp") for name in names)))

    async def hang() -> None:
        place.time.move(30)

    for name in names:
        await place.holds.hold(name, "account_restricted")
        place.script(name).before_probe = hang
        place.script(name).health = RouteFault(code="account_restricted")
    place.time.move(60)
    assert not (await place.recovery.run(Deadline(place.time, 35.0))).is_complete
    assert sum(place.script(name).probes for name in names) == PROBES_AT_ONCE
    await place.recovery.run(Deadline(place.time, 35.0))
    assert all(place.script(name).probes for name in names)
