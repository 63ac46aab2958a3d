"""Liveness and readiness."""

import asyncio

import pytest

from tests.api.harness import Harness


async def test_liveness_needs_no_storage(relay: Harness) -> None:
    relay.tables.is_away = relay.queues.is_away = relay.blobs.is_away = True
    response = await relay.call("GET", "/v1/health", client=None)
    assert (response.status, response.json) == (200, {"status": "ok"})


async def test_readiness_reports_storage_and_routes(relay: Harness) -> None:
    response = await relay.call("GET", "/v1/ready", client="boss")
    assert response.status == 200
    assert response.json == {"status": "ok", "storage": "ok", "routes": {"capture": "active"}}
    await relay.call("POST", "/v1/routes/capture/hold", client="boss")
    assert (await relay.call("GET", "/v1/ready", client="boss")).json["routes"] == {"capture": "held"}


@pytest.mark.parametrize("client", [None, "app"])
async def test_readiness_names_routes_to_operators_only(relay: Harness, client: str | None) -> None:
    assert (await relay.call("GET", "/v1/ready", client=client)).json == {"status": "ok", "storage": "ok"}


async def test_probe_for_readiness_does_not_fail_by_its_key(relay: Harness) -> None:
    response = await relay.call("GET", "/v1/ready", headers={"x-api-key": "wrong"}, client=None)
    assert (response.status, response.json) == (200, {"status": "ok", "storage": "ok"})


async def test_many_questions_for_readiness_cost_one_query(relay: Harness) -> None:
    before = relay.tables.calls.total()
    for _ in range(3):
        await asyncio.gather(*(relay.call("GET", "/v1/ready", client=None) for _ in range(20)))
    assert relay.tables.calls.total() - before == 1
    relay.clock.move(6)
    await relay.call("GET", "/v1/ready", client=None)
    assert relay.tables.calls.total() - before == 2


async def test_failure_of_storage_is_remembered_for_seconds(relay: Harness) -> None:
    relay.tables.is_away = True
    for _ in range(3):
        assert (await relay.call("GET", "/v1/ready", client=None)).status == 503
    relay.tables.is_away = False
    assert (await relay.call("GET", "/v1/ready", client=None)).status == 503
    relay.clock.move(6)
    assert (await relay.call("GET", "/v1/ready", client=None)).status == 200


async def test_readiness_fails_without_storage(relay: Harness) -> None:
    relay.tables.is_away = True
    response = await relay.call("GET", "/v1/ready", client=None)
    assert response.status == 503
    assert response.json["status"] == "unavailable"
    assert response.headers["retry-after"] == "5"


async def test_head_returns_no_body(relay: Harness) -> None:
    response = await relay.call("HEAD", "/v1/health", client=None)
    assert (response.status, response.body) == (200, b"")


async def test_held_route_holds_mail_until_released(relay: Harness) -> None:
    await relay.call("POST", "/v1/routes/capture/hold", client="boss")
    name = await relay.send()
    await relay.deliver()
    assert (await relay.status(name))["state"] == "held"
    listed = (await relay.call("GET", "/v1/routes", client="boss")).json["value"]
    assert listed[0]["state"] == "held"
    assert (await relay.call("POST", "/v1/routes/capture/release", client="boss")).json["state"] == "active"
    await relay.deliver()
    assert (await relay.status(name))["state"] == "sent"
    assert (await relay.call("POST", "/v1/routes/other/hold", client="boss")).error["code"] == "unknown_route"
