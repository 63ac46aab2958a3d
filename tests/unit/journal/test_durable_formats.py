"""The durable formats of the tables: rows that were written once are read today, and today's rows look the same.

A sample is a row's properties as JSON; bytes and times are marked. A property that was added later is in the newest
sample only, so that the older ones prove that it may be missing.
"""

import json
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.clients import idempotency, registry
from relay.clients.idempotency import Plan
from relay.clients.keys import Key, Role
from relay.clients.policy import Policy
from relay.clients.registry import Client
from relay.clients.suppressions import rows as suppressions
from relay.clients.suppressions.rows import Suppression, key_of
from relay.core import ids
from relay.core.events import RecordedEvent
from relay.core.model import Address, Attempt, DeliveryGuarantee, Erased, MessageStatus, Part, Reported, State
from relay.core.settings import Pace
from relay.journal import dead_letters, pending, records
from relay.journal.dead_letters import DeadLetter
from relay.journal.old_batches import old_batches
from relay.journal.pending import Due, Listed
from relay.journal.record_rows import partition
from relay.platform.storage.ports import Entity, Value
from relay.routes import hold_rows, pacing
from relay.routes.hold_rows import Hold, RouteState
from relay.routes.pacing import Pacing
from relay.unsubscribe import topics
from relay.unsubscribe.topics import Topic
from tests.doubles import START, Clock, Place, batch_of, changed

SAMPLES = Path(__file__).parents[2] / "samples"
BATCH = "019c9e5e7a107a3b8c4d5e6f70819203"
LATER = START + timedelta(minutes=5)


def as_json(properties: Mapping[str, Value]) -> str:
    """A row's properties as a sample holds them."""

    def marked(value: Value) -> Any:
        if isinstance(value, bytes):
            return {"bytes": value.decode()}
        return {"time": value.isoformat()} if isinstance(value, datetime) else value

    return json.dumps({name: marked(value) for name, value in sorted(properties.items())}, indent=1) + "\n"


def sample(name: str) -> Mapping[str, Value]:
    """A sample as a row's properties."""

    def unmarked(value: Any) -> Value:
        if isinstance(value, dict):
            return value["bytes"].encode() if "bytes" in value else datetime.fromisoformat(value["time"])
        return value  # type: ignore[no-any-return] # JSON's plain values are table values

    text = (SAMPLES / name).read_text()
    return {key: unmarked(value) for key, value in json.loads(text).items()}


async def put(place: Place, table: str, key: tuple[str, str], name: str) -> None:
    """Put a sample into a table, as an earlier version left it there."""
    await place.memory.tables.upsert(table, Entity(partition=key[0], row=key[1], properties=sample(name)))


async def assert_written(place: Place, table: str, key: tuple[str, str], name: str) -> None:
    """Today's row is the sample, byte for byte."""
    row = await place.memory.tables.get(table, *key)
    assert as_json(row.properties) == (SAMPLES / name).read_text()


# ── journal ──

ATTEMPTS = (
    Attempt(number=1, route="main", provider="smtp", at=START, outcome="deferred", code="unreachable", seconds=0.25),
    Attempt(
        number=2,
        route="main",
        provider="smtp",
        at=LATER,
        outcome="sent",
        reply='250 2.0.0 Ok: "請求書" <x@example>',
        provider_id="p-1",
        seconds=1.5,
    ),
)
STATUSES = (
    MessageStatus(
        parts=(
            Part(
                route="main",
                state=State.SENT,
                recipients=(0, 2),
                attempt=2,
                attempts=ATTEMPTS,
                provider_id="p-1",
                redriven=1,
                is_pinned=True,
                expires_at=LATER,
            ),
            Part(
                route="main",
                state=State.HELD,
                recipients=(1, 3),
                attempt=1,
                due_at=LATER,
                held_since=START,
                held_seconds=12.5,
                held_scope="main|orders@example.org",
                code="sender_not_verified",
                slot_at=LATER,
                may_resend=True,
            ),
        ),
        sender=Address(email="other@example.org", name="Other"),
    ),
    MessageStatus(parts=(Part(route="main", state=State.SENDING, attempt=1, lease_until=LATER),)),
)
JOURNAL = (partition(BATCH), "batch")


async def test_written_journal_rows_match_the_sample(place: Place) -> None:
    content = (SAMPLES / "batch-entry-1.json").read_bytes()
    await place.journal.open(batch_of(content), content, STATUSES)
    await assert_written(place, records.TABLE, JOURNAL, "journal-row-1.2.json")


@pytest.mark.parametrize("name", ["journal-row-1.json", "journal-row-1.1.json", "journal-row-1.2.json"])
async def test_sample_journal_rows_are_read(place: Place, name: str) -> None:
    await put(place, records.TABLE, JOURNAL, name)
    record = await place.journal.read(BATCH)
    assert (record.batch, record.lane, record.statuses) == (BATCH, "transactional", STATUSES)
    assert record.content == (SAMPLES / "batch-entry-1.json").read_bytes()
    before = START + timedelta(days=99)
    assert [old async for old in old_batches(place.tables, ids.shard(BATCH), before=before)] == []


EXPIRING = Part(
    route="main",
    state=State.HELD,
    attempt=1,
    due_at=LATER,
    held_since=START,
    held_scope="main",
    held_expires_at=LATER,
    code="repeated_failure",
    busy={"main": LATER},
)


async def test_journal_rows_of_messages_that_expire_while_held_are_read_and_written_as_before(place: Place) -> None:
    statuses = (MessageStatus(parts=(EXPIRING,)), STATUSES[1])
    content = (SAMPLES / "batch-entry-1.json").read_bytes()
    await place.journal.open(batch_of(content), content, statuses)
    await assert_written(place, records.TABLE, JOURNAL, "journal-row-1.3.json")
    await put(place, records.TABLE, JOURNAL, "journal-row-1.3.json")
    assert (await place.journal.read(BATCH)).statuses == statuses


async def test_journal_rows_of_messages_with_reports_are_read_and_written_as_before(place: Place) -> None:
    reported = (
        Reported(word="delivered", attempt=2, recipients=(0, 2)),
        Reported(word="bounced", attempt=0, recipients=(1,)),
    )
    statuses = (msgspec.structs.replace(STATUSES[0], reported=reported), STATUSES[1])
    content = (SAMPLES / "batch-entry-1.json").read_bytes()
    await place.journal.open(batch_of(content), content, statuses)
    await assert_written(place, records.TABLE, JOURNAL, "journal-row-1.4.json")
    await put(place, records.TABLE, JOURNAL, "journal-row-1.4.json")
    assert (await place.journal.read(BATCH)).statuses == statuses


SENT = MessageStatus(parts=(Part(route="main", state=State.SENT, attempt=2, attempts=ATTEMPTS, provider_id="p-1"),))


async def test_written_erased_message_matches_the_sample(place: Place) -> None:
    content = (SAMPLES / "batch-entry-1.json").read_bytes()
    await place.journal.open(batch_of(content), content, (SENT, STATUSES[1]))
    await place.erasure.step("bob@example.com")
    await assert_written(place, records.TABLE, JOURNAL, "journal-row-erased-1.json")


async def test_sample_erased_message_is_read(place: Place) -> None:
    await put(place, records.TABLE, JOURNAL, "journal-row-erased-1.json")
    record = await place.journal.read(BATCH)
    assert record.statuses[0].erased == Erased(at=START, recipients=4)
    assert record.statuses[0].state is State.SENT
    assert record.statuses[1] == STATUSES[1]
    first, second = record.entry().messages
    assert (first.is_bare, first.client, first.size) == (True, "shop", 2345)
    assert second.message is not None


class OlderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status as it was before messages could be erased."""

    parts: tuple[Part, ...]
    sender: Address | None = None


def test_older_version_reads_an_erased_message_as_missing_content() -> None:
    row = sample("journal-row-erased-1.json")
    status = msgspec.json.decode(bytes(row["m00"]), type=OlderStatus)  # type: ignore[arg-type] # bytes
    assert [part.state for part in status.parts] == [State.SENT]
    first = batch_of(bytes(row["content"])).messages[0]  # type: ignore[arg-type] # bytes
    assert (first.message, first.blob) == (None, None)


async def test_withdrawals_match_the_sample(place: Place) -> None:
    for index in (3, 0):
        await place.journal.cancel_unrecorded(BATCH, index)
    await assert_written(place, records.TABLE, JOURNAL, "journal-row-withdrawn-1.json")
    await put(place, records.TABLE, JOURNAL, "journal-row-withdrawn-1.json")
    assert await place.journal.cancelled_unrecorded(BATCH) == {0, 3}


async def test_events_match_the_sample(place: Place) -> None:
    event = RecordedEvent(
        index=1,
        kind="bounced",
        at=LATER,
        key="k1",
        recipient="ada@example.com",
        code="5.1.1",
        reply="no such user",
        provider="sendgrid",
        raw='{"event":"bounce"}',
    )
    await place.journal.note(BATCH, event)
    key = (partition(BATCH), "event-01-k1")
    await assert_written(place, records.TABLE, key, "event-row-1.json")
    await put(place, records.TABLE, key, "event-row-1.json")
    await put(place, records.TABLE, JOURNAL, "journal-row-1.json")
    assert list((await place.journal.history(BATCH))[1]) == [event]


async def test_event_batches_match_the_sample(place: Place) -> None:
    first = RecordedEvent(index=0, kind="delivered", at=START, key="k0", recipient="bob@example.com", attempt=1)
    second = RecordedEvent(
        index=1, kind="bounced", at=LATER, key="k1", code="5.1.1", bounce_class="address", reply="請求書"
    )
    await place.journal.note_all(BATCH, [first, second])
    key = (partition(BATCH), "events-51efc3832d00ff86b40510ae5e60ab0b")
    await assert_written(place, records.TABLE, key, "events-row-1.json")
    await put(place, records.TABLE, JOURNAL, "journal-row-1.json")
    assert list((await place.journal.history(BATCH))[1]) == [first, second]


# ── the others ──

CLIENT = Client(
    id="5e2f0a9b1c7d4e36",
    name="shop",
    mac_key=bytes(range(32)),
    role=Role.OPERATOR,
    keys=(Key(id="0a1b2c3d", digest="d" * 64, created_at=START, expires_at=LATER),),
    policy=Policy(
        senders=("*@example.org",),
        recipients=("*",),
        redirect_to="tests@example.org",
        routes=("main",),
        lanes=("bulk",),
        delivery=DeliveryGuarantee.AT_MOST_ONCE,
        rate_per_minute=60,
        daily_quota=1000,
        max_bytes=1_000_000,
        refused_attachments=("*.exe",),
        ip_ranges=("203.0.113.0/24",),
    ),
    principals=("3f2504e0-4f89-11d3-9a0c-0305e82c3301",),
    is_disabled=True,
)


async def test_client_rows_match_the_sample(place: Place) -> None:
    await put(place, registry.TABLE, ("client", "shop"), "client-row-1.json")
    assert await place.clients.get("shop") == CLIENT
    await place.clients.change("shop", lambda known: known)
    await assert_written(place, registry.TABLE, ("client", "shop"), "client-row-1.json")


async def test_topic_rows_match_the_sample(place: Place) -> None:
    topic = Topic(
        name="news",
        created_at=START,
        titles={"en": "News", "ja": "お知らせ"},
        descriptions={"en": "What is new."},
        sendgrid_group_id=12,
    )
    assert await place.topics.put("5e2f0a9b1c7d4e36", topic)
    key = ("5e2f0a9b1c7d4e36", "news")
    await assert_written(place, topics.TABLE, key, "topic-row-1.json")
    await put(place, topics.TABLE, key, "topic-row-1.json")
    assert await place.topics.get(*key) == topic


async def test_unsubscription_of_a_topic_matches_the_sample(place: Place) -> None:
    email, client_id = "ada@example.com", "5e2f0a9b1c7d4e36"
    key = (f"of-{client_id}~news", key_of(email))
    await put(place, suppressions.TABLE, key, "topic-suppression-row-1.json")
    assert await place.suppressions.is_unsubscribed(client_id, "news", email)
    await place.suppressions.put([Suppression(email=email, reason="unsubscribed", scope=key[0][3:], at=START)])
    await assert_written(place, suppressions.TABLE, key, "topic-suppression-row-1.json")


async def test_hold_rows_match_the_sample(place: Place) -> None:
    key = ("route", "main|orders@example.org")
    await put(place, hold_rows.TABLE, key, "hold-row-1.json")
    hold = (await place.holds.all())[key[1]]
    assert hold == Hold(
        route="main",
        sender="orders@example.org",
        state=RouteState.TRIAL,
        code="sender_not_verified",
        reply="550 5.7.60",
        since=START,
        probes=2,
        canary_batch=BATCH,
        canary_until=LATER,
        etag=hold.etag,
    )
    hold = msgspec.structs.replace(hold, suspects=(f"{BATCH}-00", f"{BATCH}-03"))
    assert await place.holds.mark_woken(hold)
    await put(place, hold_rows.TABLE, key, "hold-row-1.1.json")
    read = (await place.holds.all(fresh=True))[key[1]]
    assert read == msgspec.structs.replace(hold, etag=read.etag)
    read = msgspec.structs.replace(read, owner="boss", reason="maintenance", until=LATER)
    assert await place.holds.mark_woken(read)
    await put(place, hold_rows.TABLE, key, "hold-row-1.2.json")
    again = (await place.holds.all(fresh=True))[key[1]]
    assert again == msgspec.structs.replace(read, etag=again.etag)
    again = msgspec.structs.replace(again, is_by_report=True, confirmed_at=LATER, reopened_at=START)
    assert await place.holds.mark_woken(again)
    await assert_written(place, hold_rows.TABLE, key, "hold-row-1.3.json")
    await put(place, hold_rows.TABLE, key, "hold-row-1.3.json")
    latest = (await place.holds.all(fresh=True))[key[1]]
    assert latest == msgspec.structs.replace(again, etag=latest.etag)


@pytest.mark.parametrize(
    ("name", "row", "due"),
    [
        (
            "pending-row-1.json",
            f"20260301T120500250000-{BATCH}",
            Due(batch=BATCH, lane="bulk", at=LATER, indices=(0, 3), kind="deferred", attempt=2),
        ),
        (
            "pending-row-held-1.json",
            f"20260301T120500250000-{BATCH}-0d6e4079",
            Due(batch=BATCH, lane="bulk", at=LATER, indices=(1,), kind="held", attempt=1, scope="main"),
        ),
        (
            "pending-row-held-1.1.json",
            f"20260301T120500250000-{BATCH}-0d6e4079",
            Due(
                batch=BATCH, lane="bulk", at=LATER, indices=(1,), kind="held", attempt=1, scope="main", expires_at=LATER
            ),
        ),
    ],
)
async def test_pending_rows_match_the_sample(place: Place, name: str, row: str, due: Due) -> None:
    key = ("due-3", row)
    await place.pending.put(due)
    await place.pending.mark_requeued(due, START)
    await assert_written(place, pending.TABLE, key, name)
    await put(place, pending.TABLE, key, name)
    assert [listed async for listed in place.pending.until(LATER + timedelta(seconds=1))] == [
        Listed(due=due, requeued_at=START)
    ]


async def test_pending_rows_without_an_entry_match_the_sample(place: Place) -> None:
    due = Due(batch=BATCH, lane="bulk", at=LATER, indices=(0, 3), kind="deferred", attempt=2)
    await place.pending.put(due, has_entry=False)
    await assert_written(place, pending.TABLE, ("due-3", due.row), "pending-row-1.1.json")
    await put(place, pending.TABLE, ("due-3", due.row), "pending-row-1.1.json")
    assert [listed async for listed in place.pending.until(LATER + timedelta(seconds=1))] == [
        Listed(due=due, has_entry=False)
    ]


async def test_dead_letter_rows_match_the_sample(place: Place) -> None:
    await place.dead_letters.note([DeadLetter(code="policy_refused", batch=BATCH, index=7, at=LATER)])
    key = ("policy_refused", f"{BATCH}-07")
    await assert_written(place, dead_letters.TABLE, key, "deadletter-row-1.json")
    await put(place, dead_letters.TABLE, key, "deadletter-row-1.json")
    found, _ = await place.dead_letters.of("policy_refused")
    assert list(found) == [DeadLetter(code="policy_refused", batch=BATCH, index=7, at=LATER)]


async def test_idempotency_rows_match_the_sample(place: Place) -> None:
    plan = Plan(lane="bulk", entry=b'{"relay":1}', response=b'{"id":"msg_x"}', expires_at=LATER)
    reserved = await place.idempotency.reserve("shop", "k1", "f" * 64, plan)
    key = (reserved.partition, reserved.row)
    row = await place.memory.tables.get(idempotency.TABLE, *key)
    properties = dict(row.properties)
    response = properties.pop("response00")
    assert isinstance(response, bytes)
    assert zlib.decompress(response) == plan.response
    assert as_json(properties) == (SAMPLES / "idempotency-row-1.json").read_text()
    await place.idempotency.finish(reserved)
    row = await place.memory.tables.get(idempotency.TABLE, *key)
    properties = {name: value for name, value in row.properties.items() if name != "response00"}
    assert as_json(properties) == (SAMPLES / "idempotency-row-finished-1.json").read_text()


async def test_pacing_rows_match_the_sample(place: Place, clock: Clock) -> None:
    pace, shared = Pace(count=30, seconds=60), Pacing(place.memory.tables, clock)
    await shared.slots([pace], ["main"], 1)
    (row,) = place.memory.tables.rows(pacing.TABLE)
    assert row.row == "30-60"
    assert as_json(row.properties) == (SAMPLES / "pacing-row-1.1.json").read_text()
    assert await shared.slots([pace], ["main"], 5) == [START] * 5


async def test_sample_pacing_row_is_read(place: Place, clock: Clock) -> None:
    pace, shared = Pace(count=30, seconds=60), Pacing(place.memory.tables, clock)
    await shared.slots([pace], ["main"], 1)
    (row,) = place.memory.tables.rows(pacing.TABLE)
    properties = json.loads((SAMPLES / "pacing-row-1.json").read_text())
    await place.memory.tables.upsert(pacing.TABLE, changed(row, properties=properties))
    assert await shared.slots([pace], ["main"], 6) == [*[START] * 5, START + timedelta(seconds=2.5)]


def test_every_sample_is_used() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [path.name for path in sorted(SAMPLES.iterdir()) if path.name not in tests] == []
