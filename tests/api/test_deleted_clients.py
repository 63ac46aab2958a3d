"""A client is not its name: what belonged to a deleted client is gone for its successor, and a disabled one gets no posts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.clients import registry, uploads
from relay.clients.suppressions import rows as suppressions
from relay.core.errors import Unavailable
from relay.events.webhooks import subscriptions
from relay.events.webhooks.retries import Retry
from relay.journal import pending
from relay.operations.deleted_clients import LISTED
from relay.platform.resources import EVENTS_QUEUE, WEBHOOKS_QUEUE
from relay.platform.storage.ports import Entity
from tests.api.harness import Harness, message
from tests.unit.events.webhooks.hook import hook

LOOPBACK = {"RELAY_WEBHOOKS_ALLOW_LOOPBACK": "true"}
KEY = {"idempotency-key": "k-1"}
REPORT = (Path(__file__).parents[1] / "samples" / "bounces" / "exchange.eml").read_bytes()
OWNED = (subscriptions.TABLE, uploads.TABLE, suppressions.TABLE, pending.TABLE)


async def upload(relay: Harness) -> str:
    """Upload a file; its id."""
    answer = await relay.call(
        "POST", "/v1/attachments?name=a.txt", body=b"hello", headers={"content-type": "text/plain"}
    )
    return str(answer.json["id"])


async def report_bounce(relay: Harness, name: str) -> None:
    """Report a bounce as an operator, and notify the clients."""
    await relay.deliver()
    body = REPORT.replace(b"msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735", name.encode())
    headers = {"content-type": "message/rfc822"}
    answer = await relay.call("POST", "/v1/events/bounce", body=body, client="boss", headers=headers)
    assert answer.status == 202
    for queue, apply in ((EVENTS_QUEUE, relay.relay.events.apply), (WEBHOOKS_QUEUE, relay.relay.webhooks.deliver)):
        for entry in await relay.memory.queues.receive(queue, limit=32):
            await apply(entry.body)
            await relay.memory.queues.delete(queue, entry)


async def renew(relay: Harness, name: str = "app") -> None:
    """Delete a client, and make another of the same name."""
    assert (await relay.call("DELETE", f"/v1/clients/{name}", client="boss")).status == 204
    await relay.add_client(name)


async def add_retry(relay: Harness, client_id: str, webhook: str = "wh_1") -> None:
    """Let posts of a webhook wait for their next attempt."""
    at = relay.clock() + timedelta(hours=12)
    await relay.relay.webhook_retries.put(Retry(client_id=client_id, webhook=webhook, at=at, body=b"{}"))


def owned(relay: Harness, client_id: str) -> list[tuple[str, str]]:
    """Return the rows that belong to a client, by table and partition."""
    return [
        (table, row.partition)
        for table in OWNED
        for row in relay.memory.tables.rows(table)
        if client_id in (row.partition.removeprefix("of-"), row.properties.get("client_id"))
    ]


async def suppressed(relay: Harness, email: str = "ada@example.com") -> list[Any]:
    answer = await relay.call("GET", f"/v1/suppressions/{email}")
    return list(answer.json["value"]) if answer.status == 200 else []


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_webhook_of_a_deleted_or_disabled_client_gets_no_event(*, is_deleted: bool) -> None:
    async with hook() as receiver:
        relay = await Harness(LOOPBACK).start()
        await relay.call("POST", "/v1/webhooks", json={"url": receiver.url, "events": ["bounced"]})
        name = await relay.send()
        if is_deleted:
            await renew(relay)
        else:
            await relay.call("PATCH", "/v1/clients/app", json={"is_disabled": True}, client="boss")
        await report_bounce(relay, name)
        assert receiver.posts == []
        await relay.relay.close()


async def test_webhook_of_the_successor_gets_only_its_own_events() -> None:
    async with hook() as receiver:
        relay = await Harness(LOOPBACK).start()
        old = await relay.send()
        await renew(relay)
        await relay.call("POST", "/v1/webhooks", json={"url": receiver.url, "events": ["bounced"]})
        new = await relay.send()
        await report_bounce(relay, old)
        await report_bounce(relay, new)
        assert [post.json["data"]["message"] for post in receiver.posts] == [new]
        await relay.relay.close()


async def test_successor_finds_nothing_of_the_deleted_client(relay: Harness) -> None:
    first = await relay.call("POST", "/v1/messages", json=message(), headers=KEY)
    file = await upload(relay)
    await relay.call("POST", "/v1/suppressions", json={"email": "ada@example.com"})
    await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/hook"})
    before = (await relay.relay.clients.get("app")).id
    await add_retry(relay, before)
    assert len(owned(relay, before)) == 4
    await renew(relay)
    assert (await relay.call("GET", "/v1/webhooks")).json["value"] == []
    assert (await relay.call("GET", f"/v1/attachments/{file}")).status == 404
    assert await suppressed(relay) == []
    assert (await relay.call("GET", f"/v1/messages/{first.json['id']}")).status == 404
    assert (await relay.call("GET", "/v1/messages")).json["value"] == []
    again = await relay.call("POST", "/v1/messages", json=message(subject="Another"), headers=KEY)
    assert (again.status, again.json["id"] == first.json["id"]) == (202, False)
    assert owned(relay, before) == []


async def test_quota_of_the_deleted_client_is_not_counted_for_its_successor(relay: Harness) -> None:
    policy = {"daily_quota": 1, "senders": ["*"]}
    for _ in range(2):
        await relay.call("DELETE", "/v1/clients/small", client="boss")
        made = await relay.call("POST", "/v1/clients", json={"name": "small", "policy": policy}, client="boss")
        relay.keys["small"] = made.json["key"]
        await relay.send("small")
    assert (await relay.call("POST", "/v1/messages", json=message(), client="small")).status == 429


async def test_messages_of_a_deleted_client_keep_their_uploads_until_they_are_sent(relay: Harness) -> None:
    file = await upload(relay)
    name = await relay.send(attachments=[{"id": file}])
    before = (await relay.relay.clients.get("app")).id
    await renew(relay)
    assert owned(relay, before) == [(uploads.TABLE, before)]
    await relay.deliver()
    shown = await relay.status(name, "boss")
    assert (shown["state"], shown["client"]) == ("sent", "app")


@pytest.mark.parametrize("operation", ["query", "merge", "delete", "delete_all"])
async def test_nightly_timer_finishes_an_interrupted_deletion(relay: Harness, operation: str) -> None:
    await upload(relay)
    await relay.call("POST", "/v1/suppressions", json={"email": "ada@example.com"})
    await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/hook"})
    before = (await relay.relay.clients.get("app")).id
    await add_retry(relay, before)
    await relay.relay.clients.delete("app")
    relay.tables.fail(operation, *(Unavailable("away") for _ in range(3)))
    with pytest.raises(Unavailable):
        await relay.relay.deleted_clients.clear()
    assert owned(relay, before)
    relay.tables.fail(operation)
    while True:
        try:
            progress = await relay.relay.deleted_clients.clear()
        except Unavailable:
            continue
        break
    assert progress.is_complete
    assert owned(relay, before) == []


async def test_deletion_that_ends_before_the_row_is_deleted_leaves_the_client_as_it_was(relay: Harness) -> None:
    await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/hook"})
    relay.tables.fail("delete", Unavailable("away"))
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 503
    await relay.relay.deleted_clients.clear()
    assert len((await relay.call("GET", "/v1/webhooks")).json["value"]) == 1
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 204
    assert relay.memory.tables.rows(subscriptions.TABLE) == []


async def test_storage_failure_after_the_row_is_deleted_does_not_fail_the_request(relay: Harness) -> None:
    await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/hook"})
    relay.tables.fail("delete_all", Unavailable("away"))
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 204
    assert len(relay.memory.tables.rows(subscriptions.TABLE)) == 1
    await relay.relay.nightly.run()
    assert relay.memory.tables.rows(subscriptions.TABLE) == []


async def test_what_another_process_stored_with_the_old_key_is_deleted_later(relay: Harness) -> None:
    client = await relay.relay.clients.get("app")
    await relay.call("GET", "/v1/me")
    await relay.call("DELETE", "/v1/clients/app", client="boss")
    await relay.relay.uploads.store(client.id, "late.txt", "text/plain", b"late")
    relay.clock.move(LISTED.total_seconds())
    await relay.relay.deleted_clients.clear()
    assert owned(relay, client.id) == []
    assert [row for row in relay.memory.tables.rows(registry.TABLE) if row.partition == "deleted"] == []
    assert (await relay.relay.clients.deleted()) == []


async def test_operator_lists_and_deletes_the_webhooks_of_a_client(relay: Harness) -> None:
    made = await relay.call("POST", "/v1/webhooks", json={"url": "https://thief.example/hook"})
    listed = await relay.call("GET", "/v1/clients/app/webhooks", client="boss")
    assert [each["url"] for each in listed.json["value"]] == ["https://thief.example/hook"]
    assert "secret" not in listed.json["value"][0]
    where = f"/v1/clients/app/webhooks/{made.json['id']}"
    for _ in range(2):
        assert (await relay.call("DELETE", where, client="boss")).status == 204
    assert (await relay.call("GET", "/v1/webhooks")).json["value"] == []


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", f"/wh_{'0' * 32}")])
async def test_webhooks_of_clients_are_for_operators(relay: Harness, method: str, path: str) -> None:
    refused = await relay.call(method, f"/v1/clients/boss/webhooks{path}")
    assert (refused.status, refused.error["code"]) == (403, "operators_only")
    assert (await relay.call(method, f"/v1/clients/ghost/webhooks{path}", client="boss")).status == 404


@pytest.mark.parametrize("left", ["id", "nothing"])
async def test_client_that_cannot_be_read_is_deleted_and_its_name_is_free(left: str) -> None:
    relay = await Harness().start()
    client_id = (await relay.relay.clients.get("app")).id
    whole = await relay.memory.tables.get(registry.TABLE, "client", "app")
    body = msgspec.json.encode({"id": client_id, "name": "app", "role": 7}) if left == "id" else b"{}"
    damaged = Entity(partition="client", row="app", properties={**whole.properties, "client": body})
    await relay.memory.tables.upsert(registry.TABLE, damaged)
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 204
    assert [gone.id for gone in await relay.relay.clients.deleted()] == ([client_id] if left == "id" else [])
    await relay.add_client("app")
    assert (await relay.relay.clients.get("app")).id != client_id


async def test_unreadable_row_that_names_another_client_does_not_clear_that_one() -> None:
    relay = await Harness().start()
    other = (await relay.memory.tables.get(registry.TABLE, "client", "boss")).properties
    await relay.memory.tables.upsert(registry.TABLE, Entity(partition="client", row="app", properties=other))
    assert (await relay.call("DELETE", "/v1/clients/app", client="boss")).status == 204
    assert await relay.relay.clients.deleted() == []


@pytest.mark.parametrize("by", ["client", "operator", "callback"])
async def test_deleted_webhook_takes_its_retries_along(relay: Harness, by: str) -> None:
    url = "https://example.com/hook"
    made = await relay.call("POST", "/v1/webhooks", json={"callbackUrl": url})
    client = (await relay.relay.clients.get("app")).id
    await add_retry(relay, client, made.json["id"])
    await add_retry(relay, client, "wh_2")
    path, operator = f"/v1/webhooks/{made.json['id']}", f"/v1/clients/app/webhooks/{made.json['id']}"
    if by == "callback":
        await relay.call("DELETE", "/v1/webhooks", json={"callbackUrl": url})
    else:
        await relay.call("DELETE", path if by == "client" else operator, client="app" if by == "client" else "boss")
    assert [row.properties["webhook"] for row in relay.memory.tables.rows(pending.TABLE)] == ["wh_2"]
