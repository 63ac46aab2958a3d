"""Pausing and resuming delivery through the API."""

import pytest

from relay.journal import pending
from relay.platform import resources
from relay.platform.storage.ports import Entity
from tests.api.harness import Harness

NOTHING = {
    "is_paused": False,
    "is_quiet": False,
    "sending": 0,
    "routes": [],
    "since": None,
    "reason": "",
    "owner": "",
    "until": None,
}


async def test_pause_holds_mail_until_delivery_is_resumed(relay: Harness) -> None:
    body = {"reason": "deployment", "wait_seconds": 30}
    paused = await relay.call("POST", "/v1/pause", json=body, client="boss")
    assert paused.json == {
        "is_paused": True,
        "is_quiet": True,
        "sending": 0,
        "routes": ["capture"],
        "since": "2026-03-01T12:00:00Z",
        "reason": "deployment",
        "owner": "boss",
        "until": None,
    }
    assert (await relay.call("GET", "/v1/pause", client="boss")).json == paused.json
    name = await relay.send()
    await relay.deliver()
    assert (await relay.call("GET", f"/v1/messages/{name}")).json["state"] == "held"
    assert (await relay.call("POST", "/v1/resume", client="boss")).json == {"resumed": 1}
    await relay.deliver()
    assert (await relay.call("GET", f"/v1/messages/{name}")).json["state"] == "sent"
    assert (await relay.call("GET", "/v1/pause", client="boss")).json == NOTHING


async def test_pause_needs_no_body(relay: Harness) -> None:
    paused = await relay.call("POST", "/v1/pause", client="boss")
    assert (paused.json["is_quiet"], paused.json["reason"]) == (True, "")


async def test_pause_without_a_wait_returns_at_once(relay: Harness) -> None:
    before = relay.clock()
    paused = await relay.call("POST", "/v1/pause", json={"wait_seconds": 0}, client="boss")
    assert (paused.json["is_paused"], paused.json["is_quiet"]) == (True, False)
    assert relay.clock() == before


async def test_too_long_a_wait_is_refused(relay: Harness) -> None:
    refused = await relay.call("POST", "/v1/pause", json={"wait_seconds": 600}, client="boss")
    assert refused.status == 400
    assert [target for _, target in refused.problems] == ["wait_seconds"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/pause"), ("POST", "/v1/pause"), ("POST", "/v1/resume")])
async def test_only_an_operator_may_pause_and_resume(relay: Harness, method: str, path: str) -> None:
    assert (await relay.call(method, path)).status == 403


async def test_row_that_cannot_be_read_does_not_hide_the_state_of_a_pause(relay: Harness) -> None:
    damaged = Entity(partition="due-0", row="damaged", properties={"kind": "sending"})
    await relay.memory.tables.upsert(pending.TABLE, damaged)
    assert (await relay.call("GET", "/v1/pause", client="boss")).json == NOTHING


async def test_record_that_cannot_be_read_does_not_hide_the_state_of_a_pause(relay: Harness) -> None:
    await relay.send()
    await relay.deliver()
    record = relay.memory.tables.rows(resources.JOURNAL_TABLE)[0]
    batch = record.partition.removeprefix("e-")
    due = pending.Due(batch=batch, lane="bulk", at=relay.clock(), indices=(0,), kind="sending", attempt=2)
    await pending.Pending(relay.memory.tables).put(due)
    damaged = Entity(partition=record.partition, row=record.row, properties={"m00": b"damaged"})
    await relay.memory.tables.merge(resources.JOURNAL_TABLE, damaged)
    relay.clock.move(30 * 86_400)
    assert (await relay.call("GET", "/v1/pause", client="boss")).json == NOTHING
