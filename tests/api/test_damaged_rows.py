"""Each row of each table is damaged in turn: no list answers 500 or hides another row, and no timer loses or purges any."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from relay.clients.policy import Policy
from relay.core import ids
from relay.core.errors import UnreadableEntry
from relay.events.mailboxes import TABLE as MAILBOXES
from relay.events.provider_events import QUEUE as EVENTS
from relay.events.provider_events import ProviderEvent
from relay.journal.records import TABLE as JOURNAL
from relay.platform.resources import ARRIVALS_TABLE, AUDIT_TABLE, PENDING_TABLE, SEARCH_TABLE, TABLES, WEBHOOK_LOG_TABLE
from relay.platform.storage.memory.memory_storage import StorageSnapshot
from relay.platform.storage.ports import Entity, Value
from tests.api.harness import Harness, message
from tests.api.sendgrid_requests import mail

ROUTES = {
    "main": {"provider": "capture", "paces": [{"count": 600, "seconds": 60, "resource": "main"}]},
    "spare": {"provider": "capture"},
}
LISTS = (
    "/v1/messages?limit=100",
    "/v1/deadletters?code=recipient_refused",
    "/v1/clients",
    "/v1/templates",
    "/v1/templates/welcome/versions",
    "/v1/webhooks",
    "/v1/routes",
    "/v1/suppressions",
    "/v1/topics",
)
"""Lists whose elements these fields identify."""
NAMES = ("id", "name", "email", "version")
OTHER_READS = ("/v1/overview?span=hour", "/v1/deadletters", "/v1/suppressions/export", "/v1/pause", "/v1/ready")
WRONG: Mapping[type, Value] = {str: 7, bytes: "text", int: "text", bool: "text"}


async def test_rows_of_every_table_are_there_to_be_damaged() -> None:
    relay = await filled()
    assert [table for table in TABLES if not relay.memory.tables.rows(table)] == []


async def filled() -> Harness:
    """A relay with rows of every kind in every table, at least two where a list shows them."""
    relay = await Harness({"RELAY_ROUTES": msgspec.json.encode(ROUTES).decode()}).start()
    policy = Policy(rate_per_minute=600, daily_quota=1000)
    await relay.add_client("other", policy=policy)
    sent = await relay.send()
    await relay.send(client="other")
    for to in ("rejected@relay.test", "rejected@relay.test", "deferred@relay.test"):
        await relay.send(to=to)
    group = (await relay.call("POST", "/v3/mail/batch", client="app")).json["batch_id"]
    await relay.call("POST", "/v3/mail/send", json=mail(batch_id=group), client="app")
    await relay.call("POST", "/v3/user/scheduled_sends", json={"batch_id": group, "status": "pause"})
    await relay.deliver()
    await relay.call("POST", "/v1/routes/spare/hold", json={}, client="boss")
    await relay.send(route="spare")
    await relay.send(send_at="2026-03-01T13:00:00Z")
    await relay.send(send_at="2026-03-01T13:30:00Z")
    await relay.deliver()
    cancelled = await relay.send()
    await relay.call("DELETE", f"/v1/messages/{cancelled}")
    key = {"Idempotency-Key": "one"}
    await relay.call("POST", "/v1/messages", json=message(), headers=key)
    for name in ("welcome", "welcome", "other"):
        await relay.call("PUT", f"/v1/templates/{name}", json={"subject": "x", "text": "Hello"}, client="boss")
    for name in ("one.pdf", "two.pdf"):
        await relay.call(
            "POST", f"/v1/attachments?name={name}", body=b"%PDF-1.7", headers={"Content-Type": "application/pdf"}
        )
    for email in ("bo@example.net", "cy@example.net"):
        await relay.call("POST", "/v1/suppressions", json={"email": email}, client="boss")
    for name in ("news", "offers"):
        await relay.call("PUT", f"/v1/topics/{name}", json={"titles": {"en": "News"}}, client="boss")
        await relay.call("POST", f"/v1/topics/{name}/suppressions", json={"email": "bo@example.net"}, client="boss")
    for path in ("a", "b"):
        await relay.call("POST", "/v1/webhooks", json={"url": f"https://example.com/{path}"}, client="boss")
    await note_event(relay, sent)
    await relay.memory.tables.insert(MAILBOXES, Entity(partition="mailbox", row="main-x", properties={"cursor": "c"}))
    row: dict[str, Value] = {"id": "evt_1", "at": relay.clock(), "attempt": 1, "outcome": "taken", "status": 200}
    for number in (1, 2):
        await relay.memory.tables.insert(
            WEBHOOK_LOG_TABLE, Entity(partition="wh_1", row=f"{number:015d}", properties=row)
        )
    await relay.relay.late_timer.note()
    await relay.relay.arrival_rates.run()
    relay.clock.move(660)
    await relay.relay.search_indexing.run()
    relay.clock.move(-660)
    return relay


async def note_event(relay: Harness, name: str) -> None:
    event = ProviderEvent(
        kind="delivered", provider="capture", message=name, key="k", recipient="ada@example.org", at=relay.clock()
    )
    await relay.relay.events.enqueue([event])
    for entry in await relay.memory.queues.receive(EVENTS, limit=32):
        await relay.relay.events.apply(entry.body)
        await relay.memory.queues.delete(EVENTS, entry)


def chosen(rows: Sequence[Entity], table: str) -> Sequence[Entity]:
    """The rows to damage: all, but of the audit log and the counted hours one of each kind: the others differ in values only."""
    if table not in (ARRIVALS_TABLE, AUDIT_TABLE):
        return rows
    return list({frozenset(row.properties): row for row in rows}.values())


def damages(row: Entity) -> Iterator[tuple[str, Entity]]:
    """The row without a property, with one of another type, with one cut short: each property in turn."""
    for name, value in row.properties.items():
        rest = {key: each for key, each in row.properties.items() if key != name}
        yield f"without {name}", msgspec.structs.replace(row, properties=rest)
        wrong = WRONG.get(type(value), "text")
        yield f"wrong {name}", msgspec.structs.replace(row, properties={**rest, name: wrong})
        if isinstance(value, str | bytes) and len(value) > 1:
            yield f"cut {name}", msgspec.structs.replace(row, properties={**rest, name: value[: len(value) // 2]})


async def listed(relay: Harness) -> dict[str, set[tuple[Any, ...]]]:
    """What each list shows, and each of the other reads answers 200."""
    shown = {}
    for path in LISTS:
        answer = await relay.call("GET", path, client="boss")
        assert answer.status == 200, (path, answer.body)
        shown[path] = {tuple(each.get(name) for name in NAMES) for each in answer.json["value"]}
    for path in OTHER_READS:
        answer = await relay.call("GET", path, client="boss")
        assert answer.status == 200, (path, answer.body)
    return shown


async def messages_answer(relay: Harness) -> None:
    """Every message answers a read of itself, and each client's list does."""
    for client in ("app", "other"):
        answer = await relay.call("GET", "/v1/messages?limit=100", client=client)
        # Its own row may be the damaged one: then the client cannot sign in.
        assert answer.status in (200, 401), answer.body
    # An operator's own key opens every message, and its row stays whole.
    boss = (await relay.relay.clients.all())["boss"]
    for batch in {batch_of(row) for row in relay.memory.tables.rows(JOURNAL)}:
        name = ids.MessageId(batch=batch, index=0, mac=ids.mac(boss.mac_key, batch, 0))
        answer = await relay.call("GET", f"/v1/messages/{name}", client="boss")
        assert answer.status in (200, 503), answer.body


async def timers(relay: Harness) -> set[tuple[str, str, str]]:
    """Run both timers while everything is young, and when what is scheduled is due; the keys of all rows after that."""
    await relay.relay.every_minute.run()
    await relay.relay.nightly.run()
    await deliver(relay)
    relay.clock.move(3_600)
    for _ in range(3):
        relay.clock.move(60)
        await relay.relay.every_minute.run()
        await deliver(relay)
    await relay.relay.nightly.run()
    rows = {(table, row.partition, row.row) for table in TABLES for row in relay.memory.tables.rows(table)}
    # A message that waits gets another row whenever its time changes: only its batch counts.
    return {(table, part, row.split("-")[1] if table == PENDING_TABLE else row) for table, part, row in rows}


async def deliver(relay: Harness) -> None:
    """Deliver as the host does: what raises goes to the poison queue in the end."""
    queue = "relay-transactional"
    while received := await relay.memory.queues.receive(queue, limit=32):
        for entry in received:
            try:
                await relay.relay.delivery.deliver(queue, entry.body, is_redelivery=entry.dequeue_count > 1)
            except UnreadableEntry:
                await relay.relay.poison.record_dead_letters(f"{queue}-poison", entry.body)
            await relay.memory.queues.delete(queue, entry)


async def restarted(relay: Harness, snapshot: StorageSnapshot) -> Harness:
    """Another process, with nothing in its caches, on the storage as it was."""
    other = Harness({"RELAY_ROUTES": msgspec.json.encode(ROUTES).decode()})
    other.memory.restore(snapshot)
    other.keys = relay.keys
    return other


async def states(relay: Harness) -> dict[str, str]:
    answer = await relay.call("GET", "/v1/messages?limit=100", client="boss")
    return {each["id"]: each["state"] for each in answer.json["value"]}


def batch_of(row: Entity) -> str:
    return row.partition.partition("-")[2]


@pytest.mark.parametrize("table", TABLES)
async def test_damaged_row_hides_and_loses_no_other(table: str) -> None:
    relay = await filled()
    snapshot = relay.memory.snapshot()
    healthy = await restarted(relay, snapshot)
    shown, kept, ended = await listed(healthy), await timers(healthy), await states(healthy)
    for row in chosen(relay.memory.tables.rows(table), table):
        if (table, row.partition, row.row) == ("clients", "client", "boss"):
            continue  # it makes the calls
        for what, damaged in damages(row):
            one = await restarted(relay, snapshot)
            await one.memory.tables.upsert(table, damaged)
            place = (table, row.partition, row.row, what)
            found = await listed(one)
            for path in LISTS:
                hidden = shown[path] - found[path]
                assert len(hidden) <= (table != JOURNAL or "deadletters" in path), (place, path, hidden)
            await messages_answer(one)
            # The search index follows from the journal: without a damaged record's content it has less.
            lost = {each for each in kept - await timers(one) if each[0] != SEARCH_TABLE}
            assert not lost, (place, lost)
            own = {name for name in ended if ids.parse(name).batch == row.partition.partition("-")[2]}
            after = await states(one)
            wrong = {name for name in ended.keys() - own if after.get(name) != ended[name]}
            # A damaged hold or stop may let wait what it concerns, and nothing else.
            assert len(wrong) <= (table in ("routes", "groups")), (place, wrong)
