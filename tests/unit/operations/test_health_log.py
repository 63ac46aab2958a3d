"""The health log: the lines that the alert rules read."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.bootstrap import configuration
from relay.operations.health_log import HealthLog
from relay.platform.resources import TABLES, poison_of
from relay.platform.storage.memory.memory_storage import MemoryStorage, memory_storage
from relay.routes.brakes import Brakes
from relay.routes.holds import Holds
from tests.doubles import Clock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROUTES = json.dumps({"first": {"provider": "capture"}, "second": {"provider": "capture"}})


class Relay:
    """What the health log reads."""

    def __init__(self, clock: Clock, storage: MemoryStorage) -> None:
        settings = configuration.load({"RELAY_ROUTES": ROUTES, "RELAY_LANES": '{"transactional": {"shards": 2}}'})
        self.clock = clock
        self.storage = storage
        self.holds = Holds(storage.tables, clock, ())
        self.health_log = HealthLog(
            settings, storage.queues, self.holds, Brakes(storage.tables, self.holds, clock), clock=clock
        )


@pytest.fixture
async def relay() -> Relay:
    clock = Clock(START)
    storage = memory_storage(clock)
    for queue in ("relay-transactional", "relay-transactional-2"):
        await storage.queues.create(queue)
        await storage.queues.create(poison_of(queue))
    for table in TABLES:
        await storage.tables.create(table)
    return Relay(clock, storage)


async def lines(relay: Relay, caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """Return the logged events and their fields, parsed as the alert queries parse them."""
    caplog.clear()
    with caplog.at_level("INFO", logger="relay"):
        await relay.health_log.write()
    parted = [record.getMessage().partition(" ") for record in caplog.records]
    return [(word, json.loads(fields)) for word, _, fields in parted]


async def test_every_queue_is_logged_even_when_empty(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    logged = [fields for word, fields in await lines(relay, caplog) if word == "queue"]
    assert [(queue["lane"], queue["queue"], queue["is_poison"]) for queue in logged] == [
        ("transactional", "relay-transactional", False),
        ("transactional", "relay-transactional-poison", True),
        ("transactional", "relay-transactional-2", False),
        ("transactional", "relay-transactional-2-poison", True),
        ("events", "events", False),
        ("events", "events-poison", True),
        ("webhooks", "webhooks", False),
        ("webhooks", "webhooks-poison", True),
    ]
    assert {(queue["entries"], queue["oldest_seconds"]) for queue in logged} == {(0, 0.0)}


async def test_backlog_is_logged_with_its_age(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    await relay.storage.queues.put("relay-transactional-2", b"first")
    relay.clock.now += timedelta(minutes=11)
    await relay.storage.queues.put("relay-transactional-2", b"second")
    logged = await lines(relay, caplog)
    [backlog] = [fields for word, fields in logged if word == "queue" and fields["entries"]]
    assert (backlog["queue"], backlog["entries"], backlog["oldest_seconds"]) == ("relay-transactional-2", 2, 660.0)
    assert logged[-1] == ("health", {"queues": 8, "entries": 2, "held": 0})


async def test_held_route_is_logged_until_it_is_released(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    held = await relay.holds.hold("second", "bad_credentials", "401")
    relay.clock.now += timedelta(hours=2)
    for _ in range(2):
        logged = {fields["route"]: fields for word, fields in await lines(relay, caplog) if word == "route"}
        assert logged["first"]["state"] == "active"
        assert logged["second"] == {
            "route": "second",
            "state": "held",
            "code": "bad_credentials",
            "one_sender": False,
            "held_seconds": 7200.0,
        }
    await relay.holds.release(held.scope, "operator")
    assert {fields["state"] for word, fields in await lines(relay, caplog) if word == "route"} == {"active"}


async def test_hold_of_one_sender_logs_no_address(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    await relay.holds.hold("first", "sender_not_verified", sender="boss@example.com")
    [route] = [fields for word, fields in await lines(relay, caplog) if word == "route" and fields["route"] == "first"]
    assert route["one_sender"] is True
    assert "example.com" not in caplog.text


async def test_hold_of_a_removed_route_is_not_logged(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    await relay.holds.hold("removed", "bad_credentials")
    logged = await lines(relay, caplog)
    assert "removed" not in [fields.get("route") for _, fields in logged]
    assert logged[-1][1]["held"] == 0
