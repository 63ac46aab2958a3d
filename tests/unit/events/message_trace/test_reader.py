"""Reading the message trace: what becomes of each recipient, late mail, pages, the tenant's limit, crashes, two instances."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from relay.core import ids
from relay.core.errors import Unavailable
from relay.events.message_trace.budget import LIMIT, PARTITION, TABLE, TraceBudget
from relay.events.message_trace.reader import MAX_REASONS
from relay.platform.concurrency import Deadline
from standins.graph.trace import TraceRow
from standins.script import Act, Fault
from tests.doubles import MAC_KEY, batch_id, message_of, submission_of
from tests.unit.events.message_trace.tenant import ROUTE, Tenant, another, tenant_of


@pytest.fixture
async def tenant() -> AsyncIterator[Tenant]:
    async with tenant_of() as opened:
        yield opened


def names(count: int) -> list[str]:
    """Return ids of messages without a record, 32 in a batch."""
    batches = [batch_id() for _ in range(count // 32 + 1)]
    return [
        str(ids.MessageId(batch=batch, index=index, mac=ids.mac(MAC_KEY, batch, index)))
        for batch in batches
        for index in range(32)
    ][:count]


async def test_every_status_becomes_an_event_of_its_recipient(tenant: Tenant) -> None:
    statuses = ("delivered", "quarantined", "filteredAsSpam", "expanded", "pending", "gettingStatus", "failed", "new")
    batch, (name,) = await tenant.send(submission_of(message_of(*(f"{status}@x.org" for status in statuses))))
    for status in statuses:
        tenant.add(name, f"{status}@x.org", status, reason="550 5.7.1 TRANSPORT.RULES.RejectMessage; refused by a rule")
    await tenant.run(minutes=3)
    events = {event.recipient: event for event in await tenant.events(batch)}
    assert {each.partition("@")[0]: (event.kind, event.bounce_class, event.code) for each, event in events.items()} == {
        "delivered": ("delivered", "", ""),
        "quarantined": ("bounced", "content", ""),
        "filteredAsSpam": ("bounced", "content", ""),
        "expanded": ("processed", "", ""),
        "pending": ("processed", "", ""),
        "gettingStatus": ("processed", "", ""),
        "failed": ("bounced", "policy", "5.7.1"),
    }
    assert {(event.provider, event.attempt) for event in events.values()} == {("graph", 1)}
    assert "refused by a rule" in events["failed@x.org"].reply


async def test_mail_that_appears_late_is_found_by_a_later_pass(tenant: Tenant) -> None:
    await tenant.run()
    tenant.trace.delay = timedelta(minutes=9)
    batch, (name,) = await tenant.send(submission_of())
    tenant.add(name, "ada@example.com")
    for _ in range(8):
        await tenant.run(minutes=1)
    assert await tenant.events(batch) == []
    for _ in range(9):
        await tenant.run(minutes=1)
    assert [event.kind for event in await tenant.events(batch)] == ["delivered"]


async def test_mail_that_exchange_retries_is_deferred_and_then_fails(tenant: Tenant) -> None:
    batch, (name,) = await tenant.send(submission_of())
    tenant.add(name, "ada@example.com", "pending")
    for _ in range(16):
        await tenant.run(minutes=1)
    assert {event.kind for event in await tenant.events(batch)} == {"processed", "deferred"}
    tenant.trace.others.clear()
    await tenant.run()
    tenant.clock.move(-16 * 60)
    tenant.add(name, "ada@example.com", "failed", reason="550 4.4.7 QUEUE.Expired; message expired")
    tenant.clock.move(16 * 60)
    for _ in range(27):
        await tenant.run(minutes=60)
    (bounce,) = [event for event in await tenant.events(batch) if event.kind == "bounced"]
    assert (bounce.code, bounce.bounce_class) == ("4.4.7", "network")


async def test_row_that_is_read_again_is_one_event(tenant: Tenant) -> None:
    batch, (name,) = await tenant.send(submission_of())
    tenant.add(name, "ADA@example.com", "failed")
    for _ in range(20):
        await tenant.run(minutes=1)
        await tenant.events(batch)
    await tenant.run(minutes=200)
    assert [event.kind for event in await tenant.events(batch)] == ["bounced"]
    assert tenant.trace.details_of == [("trace-" + name, "ada@example.com")]


async def test_members_of_a_list_become_one_event_without_a_recipient(tenant: Tenant) -> None:
    batch, (name,) = await tenant.send(submission_of(message_of("all@example.com")))
    tenant.add(name, "all@example.com", "expanded")
    for number in range(300):
        tenant.add(name, f"member-{number}@example.com")
    await tenant.run(minutes=3)
    assert sorted((event.kind, event.recipient) for event in await tenant.events(batch)) == [
        ("processed", ""),
        ("processed", "all@example.com"),
    ]


async def test_mail_of_others_costs_no_event(tenant: Tenant) -> None:
    for number in range(50):
        tenant.add("unused", "x@y.example", "failed", id=f"t{number}", message_id=f"<{number}@elsewhere>")
    await tenant.run(minutes=3)
    assert tenant.queued() == []
    assert len(tenant.trace.requests) == 1


async def test_message_id_without_a_record_is_ignored(tenant: Tenant) -> None:
    batch, _ = await tenant.send(submission_of())
    for status in ("delivered", "failed"):
        tenant.add(names(1)[0], "ada@example.com", status)
    await tenant.run(minutes=3)
    assert await tenant.events(batch) == []


async def test_idle_tenant_is_asked_a_few_times_in_five_minutes(tenant: Tenant) -> None:
    await tenant.run()
    for _ in range(27):
        await tenant.run(minutes=60)
    for _ in range(30):
        await tenant.run(minutes=1)
    assert 10 <= tenant.most_requests() <= 12


async def test_10000_mails_in_five_minutes_stay_below_the_limit_of_the_tenant(tenant: Tenant) -> None:
    await tenant.run()
    found = names(10_000)
    for minute in range(5):
        for name in found[minute * 2_000 : (minute + 1) * 2_000]:
            tenant.add(name, "ada@example.com")
        # And mail of the tenant's own people.
        for number in range(500):
            tenant.add("", "x@y.example", id=f"{minute}-{number}", message_id=f"<{minute}-{number}@elsewhere>")
        await tenant.run(minutes=1)
    for _ in range(16):
        await tenant.run(minutes=1)
    seen = {event.message for entry in tenant.queued() for event in entry.events}
    assert seen == set(found)
    assert tenant.most_requests() <= LIMIT < 100


async def test_reasons_are_asked_for_within_the_budget_only(tenant: Tenant) -> None:
    people = [f"p{number}@example.com" for number in range(120)]
    batch, (name,) = await tenant.send(submission_of(message_of(*people)))
    for each in people:
        tenant.add(name, each, "failed")
    await tenant.run(minutes=3)
    assert len(tenant.trace.details_of) == MAX_REASONS
    assert len(await tenant.events(batch)) == MAX_REASONS
    for _ in range(20):
        await tenant.run(minutes=1)
        await tenant.events(batch)
    events = await tenant.events(batch)
    assert {event.recipient for event in events} == set(people)
    assert len(events) == len(people)
    assert tenant.most_requests() <= LIMIT


async def test_spent_budget_stops_the_run_and_the_next_goes_on_at_the_same_page(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.events.message_trace.reader.PAGE_ROWS", 100)
    for name in names(350):
        tenant.add(name, "ada@example.com")
    tenant.clock.move(180)
    reader = tenant.place.message_traces.readers[0]
    budget = TraceBudget(tenant.place.storage.tables, reader.name, tenant.clock)
    for _ in range(LIMIT - 2):
        assert await budget.take()
    await tenant.run()
    assert len(tenant.trace.requests) == 2
    for _ in range(7):
        await tenant.run(minutes=1)
    seen = [event.message for entry in tenant.queued() for event in entry.events]
    assert len(seen) == len(set(seen)) == 350


async def test_link_that_graph_no_longer_takes_restarts_the_slice_in_half(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.events.message_trace.reader.PAGE_ROWS", 100)
    found = names(150)
    for name in found:
        tenant.add(name, "ada@example.com")
    tenant.standin.script.add(Fault(operation="trace", act=Act.RESPOND, status=410, skip=1))
    await tenant.run(minutes=3)
    for _ in range(3):
        await tenant.run(minutes=1)
    assert {event.message for entry in tenant.queued() for event in entry.events} == set(found)


async def test_refused_request_is_not_repeated_before_the_time_that_exchange_asked_for(tenant: Tenant) -> None:
    headers = {"Retry-After": "240"}
    tenant.standin.script.add(Fault(operation="trace", act=Act.RESPOND, status=429, headers=headers))
    await tenant.run(minutes=3)
    before = tenant.standin.inbox.requests
    async with another(tenant) as second:
        for _ in range(3):
            await tenant.run(minutes=1)
            await second.message_traces.run()
        assert tenant.standin.inbox.requests == before
        tenant.clock.move(61)
        await second.message_traces.run()
    assert len(tenant.trace.requests) > 0


async def test_two_instances_do_not_both_read(tenant: Tenant) -> None:
    async with another(tenant) as second:

        async def meanwhile() -> None:
            await second.message_traces.run()

        tenant.clock.move(180)
        tenant.place.tables.before("upsert", meanwhile)
        await tenant.run()
    assert len(tenant.trace.requests) == 1


async def test_lease_of_an_instance_that_died_ends_by_its_time(tenant: Tenant) -> None:
    tenant.place.tables.fail("upsert", Unavailable("away"))
    tenant.place.tables.failing = frozenset({"merge"})
    tenant.clock.move(180)
    with pytest.raises(Unavailable):
        await tenant.run()
    tenant.place.tables.failing = frozenset()
    await tenant.run(minutes=2)
    assert len(tenant.trace.requests) == 1
    await tenant.run(minutes=1)
    assert len(tenant.trace.requests) > 1


async def test_death_before_the_progress_is_stored_repeats_the_page(tenant: Tenant) -> None:
    batch, (name,) = await tenant.send(submission_of())
    tenant.add(name, "ada@example.com")
    tenant.place.tables.fail("upsert", Unavailable("away"))
    with pytest.raises(Unavailable):
        await tenant.run(minutes=3)
    assert len(tenant.queued()) == 1
    await tenant.run(minutes=1)
    assert len(tenant.queued()) == 2
    assert [event.kind for event in await tenant.events(batch)] == ["delivered"]


async def test_events_that_were_not_enqueued_are_read_again(tenant: Tenant) -> None:
    batch, (name,) = await tenant.send(submission_of())
    tenant.add(name, "ada@example.com")
    tenant.place.queues.fail("put", Unavailable("away"))
    with pytest.raises(Unavailable):
        await tenant.run(minutes=3)
    await tenant.run(minutes=1)
    assert [event.kind for event in await tenant.events(batch)] == ["delivered"]


async def test_nothing_is_begun_after_the_deadline(tenant: Tenant) -> None:
    tenant.clock.move(180)
    progress = await tenant.place.message_traces.run(Deadline(tenant.clock, 0.0))
    assert (progress.is_complete, tenant.trace.requests) == (False, [])


async def test_unreadable_trace_is_logged_with_its_cause(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    tenant.trace.has_service_principal = False
    await tenant.run(minutes=3)
    assert f'message_trace_unreadable {{"route":"{ROUTE}","code":"missing_service_principal"}}' in caplog.text


async def test_unreadable_progress_begins_again(tenant: Tenant) -> None:
    await tenant.run(minutes=3)
    reader = tenant.place.message_traces.readers[0]
    row = await tenant.place.tables.get(TABLE, PARTITION, reader.name)
    await tenant.place.tables.merge(TABLE, type(row)(partition=PARTITION, row=row.row, properties={"progress": "{"}))
    await tenant.run(minutes=1)
    assert (await reader.progress()) is not None


async def test_one_page_holds_rows_of_many_messages(tenant: Tenant) -> None:
    tenant.trace.others = [
        TraceRow(id=name, message_id=f"<{name}@x>", recipient="a@x", received_at=tenant.clock()) for name in names(600)
    ]
    await tenant.run(minutes=3)
    assert len(tenant.trace.requests) == 1
    assert sum(len(entry.events) for entry in tenant.queued()) == 600
