"""Records of a newer version after a rollback: reported, left unchanged, and continued after the upgrade."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from relay.core import entries, ids
from relay.core.events import RecordedEvent
from relay.delivery.overdue import AGAIN
from relay.events.provider_events import QUEUE, ProviderEvent
from relay.journal.dead_letters import UNREADABLE_CONTAINER
from relay.journal.intake import UPGRADE_PAUSE_SECONDS
from relay.journal.record_rows import partition
from relay.journal.records import TABLE
from relay.platform.storage.ports import Entity
from tests.api.harness import Harness

REDRIVE = "/v1/deadletters/redrive"
LANE = "relay-transactional"


async def row(relay: Harness, name: str) -> Entity:
    return await relay.memory.tables.get(TABLE, partition(ids.parse(name).batch), "batch")


async def roll_back(relay: Harness, name: str) -> Entity:
    """The message's record becomes one of a newer version; what it was before."""
    before = await row(relay, name)
    newer = {"content": b'{"relay":3,"batch":{"mails":[]}}', "m00": b'{"parts":[{"state":"mailed"}]}'}
    await relay.memory.tables.merge(TABLE, Entity(partition=before.partition, row=before.row, properties=newer))
    return before


async def upgrade(relay: Harness, before: Entity) -> None:
    """A version comes that reads the record."""
    await relay.memory.tables.merge(TABLE, before)


async def sent(relay: Harness, to: str = "ada@example.org") -> str:
    name = await relay.send(to=to)
    await relay.deliver()
    return name


async def kept(relay: Harness) -> int:
    return len((await relay.memory.blobs.list(UNREADABLE_CONTAINER))[0])


@pytest.mark.parametrize(
    ("method", "path", "body", "client"),
    [
        ("GET", "", None, "app"),
        ("GET", "/content", None, "app"),
        ("GET", "/source", None, "boss"),
        ("DELETE", "", None, "app"),
        ("PATCH", "", {"send_at": "2026-03-02T12:00:00Z"}, "app"),
        ("POST", "/redrive", {}, "boss"),
        ("POST", "/resend", {"sent_until": "2026-03-02T12:00:00Z"}, "boss"),
    ],
)
async def test_newer_record_is_reported_and_left_unchanged(
    relay: Harness, method: str, path: str, body: Any, client: str
) -> None:
    name = await sent(relay)
    await roll_back(relay, name)
    before = await row(relay, name)
    response = await relay.call(method, f"/v1/messages/{name}{path}", json=body, client=client)
    assert (response.status, response.error["code"]) == (503, "newer_version")
    assert await row(relay, name) == before


async def test_newer_record_is_listed_as_unreadable_and_hides_no_other(relay: Harness) -> None:
    one, newer, two = [await sent(relay) for _ in range(3)]
    await roll_back(relay, newer)
    relay.clock.move(60)
    listed = (await relay.call("GET", "/v1/messages")).json["value"]
    assert [(each["id"], each["state"]) for each in listed] == [(two, "sent"), (newer, "unreadable"), (one, "sent")]
    overview = (await relay.call("GET", "/v1/overview?span=hour", client="boss")).json
    assert (overview["totals"]["sent"], overview["unreadable"]) == (2, 1)


async def test_newer_record_does_not_block_other_dead_letters(relay: Harness) -> None:
    newer, other = [await sent(relay, "rejected@relay.test") for _ in range(2)]
    before = await roll_back(relay, newer)
    dead_letters = (await relay.call("GET", "/v1/deadletters?code=recipient_refused", client="boss")).json["value"]
    assert [each["id"] for each in dead_letters] == [other]
    response = await relay.call("POST", REDRIVE, json={"code": "recipient_refused"}, client="boss")
    assert response.json["redriven"] == 1
    await upgrade(relay, before)
    response = await relay.call("POST", REDRIVE, json={"ids": [newer]}, client="boss")
    assert response.json["redriven"] == 1


async def test_deferred_newer_message_is_sent_after_the_upgrade(relay: Harness) -> None:
    name = await sent(relay, "deferred@relay.test")
    before = await roll_back(relay, name)
    newer = await row(relay, name)
    for _ in range(3):
        await relay.pass_time(AGAIN.total_seconds() + UPGRADE_PAUSE_SECONDS)
        assert relay.waiting == 1
    assert (await row(relay, name), await kept(relay)) == (newer, 0)
    await upgrade(relay, before)
    await relay.pass_time(UPGRADE_PAUSE_SECONDS)
    assert len((await relay.status(name))["attempts"]) == 2


async def test_poison_entry_of_a_newer_record_ends_nothing(relay: Harness) -> None:
    name = await sent(relay)
    await roll_back(relay, name)
    before = await row(relay, name)
    poison = f"{LANE}-poison"
    await relay.memory.queues.create(poison)
    await relay.relay.poison.record_dead_letters(
        poison, entries.encode_reference(ids.parse(name).batch, "transactional", [0], 2)
    )
    assert (await row(relay, name), await kept(relay)) == (before, 0)
    assert len(relay.memory.queues.bodies(poison)) == 1


async def apply_events(relay: Harness) -> None:
    received = await relay.memory.queues.receive(QUEUE, limit=32)
    for entry in received:
        await relay.relay.events.apply(entry.body)
        await relay.memory.queues.delete(QUEUE, entry)


async def events(relay: Harness, name: str) -> list[str]:
    return [event["kind"] for event in (await relay.status(name))["events"]]


async def test_events_of_a_newer_record_wait_and_others_are_recorded(relay: Harness) -> None:
    newer, other = await sent(relay), await sent(relay)
    before = await roll_back(relay, newer)
    provider_events = [
        ProviderEvent(
            kind="delivered", provider="capture", message=name, key="k", recipient="ada@example.org", at=relay.clock()
        )
        for name in (newer, other)
    ]
    await relay.relay.events.enqueue(provider_events)
    await apply_events(relay)
    assert await events(relay, other) == ["delivered"]
    await upgrade(relay, before)
    assert await events(relay, newer) == []
    relay.clock.move(UPGRADE_PAUSE_SECONDS)
    await apply_events(relay)
    assert await events(relay, newer) == ["delivered"]
    assert timedelta(seconds=UPGRADE_PAUSE_SECONDS) <= AGAIN


NEWER = b'{"relay":9,"mails":[],"ref":{"of":"another shape"},"lane":7,"events":"none","client":[]}'
"""An entry of a version to come, whose names mean what they like."""


async def test_newer_entries_wait_on_every_queue(relay: Harness) -> None:
    await relay.relay.delivery.deliver(LANE, NEWER)
    await relay.relay.events.apply(NEWER)
    await relay.relay.webhooks.deliver(NEWER)
    for queue in (LANE, QUEUE, "webhooks"):
        assert relay.memory.queues.bodies(queue) == [NEWER]
        assert await relay.memory.queues.receive(queue) == [], "it is looked at again, but not at once"
    assert await kept(relay) == 0


async def test_newer_poison_entries_wait(relay: Harness) -> None:
    await relay.relay.poison.record_dead_letters(f"{LANE}-poison", NEWER)
    assert relay.memory.queues.bodies(f"{LANE}-poison") == [NEWER]
    assert await kept(relay) == 0


async def test_recorded_words_of_a_newer_version_are_shown_as_they_stand(relay: Harness) -> None:
    name = await sent(relay)
    known = await row(relay, name)
    status = msgspec.json.decode(bytes(known.properties["m00"]))  # type: ignore[arg-type] # bytes
    status["parts"][0]["attempts"][0]["outcome"] = "throttled"
    changed = Entity(partition=known.partition, row=known.row, properties={"m00": msgspec.json.encode(status)})
    await relay.memory.tables.merge(TABLE, changed)
    event = RecordedEvent(index=0, kind="forwarded", at=relay.clock(), key="k", bounce_class="greylisted")
    await relay.relay.journal.note(ids.parse(name).batch, event)
    shown = await relay.status(name)
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["throttled"]
    assert [(each["kind"], each["bounce_class"]) for each in shown["events"]] == [("forwarded", "greylisted")]


async def test_state_of_a_newer_version_is_unreadable(relay: Harness) -> None:
    name = await sent(relay)
    known = await row(relay, name)
    newer = {"m00": b'{"parts":[{"route":"main","state":"parked"}]}'}
    await relay.memory.tables.merge(TABLE, Entity(partition=known.partition, row=known.row, properties=newer))
    relay.clock.move(60)
    shown = await relay.status(name)
    assert (shown["state"], shown["client"], shown["lane"]) == ("unreadable", "app", "transactional")
    [listed] = (await relay.call("GET", "/v1/messages")).json["value"]
    assert (listed["id"], listed["state"], listed["client"]) == (name, "unreadable", "app")


async def test_webhook_for_a_kind_of_a_newer_version_stays_in_use(relay: Harness) -> None:
    made = await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/hook", "events": ["bounced"]})
    [known] = relay.memory.tables.rows("webhooks")
    definition = msgspec.json.decode(bytes(known.properties["definition"]))  # type: ignore[arg-type] # bytes
    newer = msgspec.json.encode({**definition, "events": ["bounced", "forwarded"]})
    await relay.memory.tables.merge("webhooks", msgspec.structs.replace(known, properties={"definition": newer}))
    relay.clock.move(60)
    shown = (await relay.call("GET", f"/v1/webhooks/{made.json['id']}")).json
    assert shown["events"] == ["bounced", "forwarded"]
    [subscription] = await relay.relay.webhooks.subscriptions.of(known.partition)
    assert subscription.wants("bounced")
