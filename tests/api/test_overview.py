"""GET /v1/overview."""

import pytest

from tests.api.harness import Harness


async def test_overview_counts_messages_by_state(relay: Harness) -> None:
    await relay.send()
    await relay.send(to="rejected@relay.test")
    await relay.deliver()
    await relay.send(to="deferred@relay.test", lane="bulk")
    await relay.deliver()
    body = (await relay.call("GET", "/v1/overview", client="boss")).json
    assert body["totals"] == {
        "accepted": 3, "sent": 1, "in_progress": 0, "deferred": 1, "held": 0, "failed": 1, "cancelled": 0,
    }  # fmt: skip
    assert body["points"][-1]["accepted"] == 3
    assert body["dead_letters"] == {"count": 1, "is_more": False}
    assert body["routes"] == (await relay.call("GET", "/v1/routes", client="boss")).json["value"]
    assert body["share"] == 1


async def test_overview_reports_queue_depth(relay: Harness) -> None:
    await relay.send()
    await relay.memory.queues.put("relay-transactional-poison", b"?")
    relay.clock.move(90)
    await relay.send(lane="bulk")
    lanes = (await relay.call("GET", "/v1/overview?span=day", client="boss")).json["lanes"]
    assert lanes == [
        {"name": "transactional", "entries": 1, "oldest_seconds": 90.0, "poisoned": 1},
        {"name": "bulk", "entries": 1, "oldest_seconds": 0.0, "poisoned": 0},
    ]


async def test_lane_of_several_queues_is_one_row() -> None:
    relay = await Harness({"RELAY_LANES": '{"transactional": {"shards": 3}}'}).start()
    for number, queue in enumerate(("relay-transactional", "relay-transactional-2", "relay-transactional-3")):
        await relay.memory.queues.put(queue, b"?")
        relay.clock.move(10 * number)
    [lane] = (await relay.call("GET", "/v1/overview", client="boss")).json["lanes"]
    assert lane == {"name": "transactional", "entries": 3, "oldest_seconds": 30.0, "poisoned": 0}


async def test_overview_costs_few_operations(relay: Harness) -> None:
    await relay.call("GET", "/v1/routes", client="boss")
    relay.tables.calls.clear()
    relay.queues.calls.clear()
    await relay.call("GET", "/v1/overview", client="boss")
    assert dict(relay.tables.calls) == {"query": 16 + 3}
    assert dict(relay.queues.calls) == {"count": 4}


@pytest.mark.parametrize("span", ["year", "HOUR"])
async def test_unknown_span_is_refused(relay: Harness, span: str) -> None:
    response = await relay.call("GET", f"/v1/overview?span={span}", client="boss")
    assert (response.status, response.error["target"]) == (400, "span")


async def test_overview_is_for_operators_only(relay: Harness) -> None:
    assert (await relay.call("GET", "/v1/overview")).error["code"] == "operators_only"
