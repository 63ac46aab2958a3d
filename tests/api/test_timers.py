"""Listing the timers' steps and running one now, through the API."""

from datetime import timedelta

import pytest

from relay.operations.timers.run_now import LEASE
from relay.operations.timers.steps import TABLE
from relay.platform.storage.ports import Entity
from tests.api.harness import Harness


async def test_step_is_run_and_listed_with_its_report(relay: Harness) -> None:
    before = (await relay.call("GET", "/v1/timers", client="boss")).json["value"]
    assert [step["name"] for step in before][:3] == ["recovery", "webhook_retries", "sent_checks"]
    assert all(step["last_run"] is None for step in before)
    ran = await relay.call("POST", "/v1/timers/recovery/run", client="boss")
    assert ran.json == {"at": "2026-03-01T12:00:00Z", "seconds": 0.0, "done": 0, "is_complete": True, "error": ""}
    after = (await relay.call("GET", "/v1/timers", client="boss")).json["value"]
    assert after[0] == {"name": "recovery", "last_run": ran.json}


async def test_second_run_gets_409_with_the_running_step(relay: Harness) -> None:
    until = relay.clock() + LEASE - timedelta(seconds=20)
    lease = Entity(partition="manual", row="lease", properties={"name": "purge", "token": "another", "until": until})
    await relay.memory.tables.upsert(TABLE, lease)
    refused = await relay.call("POST", "/v1/timers/recovery/run", client="boss")
    assert (refused.status, refused.error["code"]) == (409, "step_running")
    assert "purge" in refused.error["message"]
    assert refused.headers["retry-after"] == "40"


@pytest.mark.parametrize("name", ["recover", "late_timer", "A%2Fb"])
async def test_unknown_step_is_not_found(relay: Harness, name: str) -> None:
    refused = await relay.call("POST", f"/v1/timers/{name}/run", client="boss")
    assert (refused.status, refused.error["code"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/timers"), ("POST", "/v1/timers/recovery/run")])
async def test_only_an_operator_may_list_and_run_steps(relay: Harness, method: str, path: str) -> None:
    assert (await relay.call(method, path)).status == 403
