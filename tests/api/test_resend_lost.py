"""POST /v1/redrive: for operators, in steps, with all problems reported."""

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest

from relay.events.message_trace.budget import PARTITION, TABLE
from relay.events.message_trace.progress import PassProgress, TraceProgress
from relay.platform.storage.ports import Entity
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.api.harness import Harness

DAY = {"sent_since": "2026-03-01T00:00:00Z", "sent_before": "2026-03-02T00:00:00Z", "without_delivered": True}


async def test_lost_mail_is_resent_by_another_route() -> None:
    async with SendGridStandIn() as sendgrid:
        routes = {
            "sendgrid": {"provider": "sendgrid", "base_url": sendgrid.url, "api_key": "setting:KEY"},
            "capture": {"provider": "capture"},
        }
        relay = await Harness({"RELAY_ROUTES": json.dumps(routes), "KEY": DEFAULT_KEY}).start()
        names = [await relay.send() for _ in range(3)]
        await relay.deliver()
        relay.clock.move(86_400)

        async def redrive(**fields: Any) -> Any:
            body = {"route": "sendgrid", "to_route": "capture", **DAY, **fields}
            response = await relay.call("POST", "/v1/redrive", json=body, client="boss")
            assert response.status == 200, response.body
            return response.json

        nothing = {"found": 0, "redriven": 0, "skipped": 0, "unreadable": 0, "dry_run": False, "is_more": False}
        assert await redrive(dry_run=True) == {**nothing, "found": 3, "dry_run": True}
        assert await redrive() == {**nothing, "found": 3, "redriven": 3}
        assert await redrive() == nothing
        await relay.deliver()
        assert await redrive() == nothing
        history = await relay.status(names[0])
        assert [attempt["route"] for attempt in history["attempts"]] == ["sendgrid", "capture"]
        assert len(sendgrid.inbox.messages) == len((await relay.call("GET", "/v1/inbox")).json["value"]) == 3
        await relay.relay.close()


@pytest.fixture
async def reporting() -> Harness:
    """A relay with a route whose deliveries are reported, and two whose are not."""
    routes = {
        "sendgrid": {"provider": "sendgrid"},
        "smtp": {"provider": "smtp", "host": "mail.example.com"},
        "capture": {"provider": "capture"},
    }
    relay = await Harness({"RELAY_ROUTES": json.dumps(routes), "SENDGRID_API_KEY": "SG.x"}).start()
    relay.clock.move(86_400)
    return relay


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"route": "pigeon", "to_route": "dove"}, [("unknown_route", "route"), ("unknown_route", "to_route")]),
        ({"route": "smtp"}, [("not_applicable", "route")]),
        ({"route": "capture"}, [("not_applicable", "route")]),
        ({"without_delivered": False}, [("invalid_choice", "without_delivered")]),
        ({"sent_since": "yesterday"}, [("invalid_time", "sent_since")]),
        ({"sent_since": "2026-03-01T00:00:00"}, [("invalid_time", "sent_since")]),
        ({"sent_before": "2026-03-03T00:00:00Z"}, [("out_of_range", "sent_before")]),
        ({"sent_since": "2026-03-02T00:00:00Z"}, [("out_of_range", "sent_since")]),
        ({"cursor": "x"}, [("invalid_value", "cursor")]),
    ],
)
async def test_every_problem_is_reported(
    reporting: Harness, fields: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    response = await reporting.call("POST", "/v1/redrive", json={"route": "sendgrid", **DAY, **fields}, client="boss")
    assert (response.status, response.problems) == (400, problems)


async def test_only_operators_may(reporting: Harness) -> None:
    assert (await reporting.call("POST", "/v1/redrive", json={"route": "sendgrid", **DAY})).status == 403


@pytest.fixture
async def traced() -> Harness:
    """A relay whose Graph route has a message trace, a day after the period."""
    trace = [{"routes": ["exchange"], "managed_identity": True}]
    routes = {"exchange": {"provider": "graph", "managed_identity": True}}
    relay = await Harness({"RELAY_ROUTES": json.dumps(routes), "RELAY_MESSAGE_TRACE": json.dumps(trace)}).start()
    relay.clock.move(86_400)
    return relay


async def read_trace(relay: Harness, *, began: str, until: str, matched: str | None) -> None:
    """Record that the trace was read, and when Exchange received the latest mail of Relay."""
    passes = {"sure": PassProgress(read_until=datetime.fromisoformat(until))}
    matched_at = datetime.fromisoformat(matched) if matched is not None else None
    progress = TraceProgress(began_at=datetime.fromisoformat(began), passes=passes, matched_at=matched_at)
    reader = relay.relay.message_traces.readers[0]
    properties = {"progress": msgspec.json.encode(progress).decode()}
    await relay.relay.storage.tables.upsert(TABLE, Entity(partition=PARTITION, row=reader.name, properties=properties))


@pytest.mark.parametrize(
    ("began", "until", "matched", "problem"),
    [
        ("2026-03-01T06:00:00Z", "2026-03-02T06:00:00Z", "2026-03-01T09:00:00Z", ("out_of_range", "sent_since")),
        ("2026-02-01T00:00:00Z", "2026-03-01T23:00:00Z", "2026-03-01T09:00:00Z", ("out_of_range", "sent_before")),
        ("2026-02-01T00:00:00Z", "2026-03-02T06:00:00Z", "2026-02-28T09:00:00Z", ("not_applicable", "route")),
        ("2026-02-01T00:00:00Z", "2026-03-02T06:00:00Z", None, ("not_applicable", "route")),
    ],
)
async def test_lost_mail_of_a_graph_route_needs_a_trace_of_the_whole_period(
    traced: Harness, began: str, until: str, matched: str | None, problem: tuple[str, str]
) -> None:
    body = {"route": "exchange", **DAY}
    unread = await traced.call("POST", "/v1/redrive", json=body, client="boss")
    assert (unread.status, unread.json["error"]["details"][0]["target"]) == (400, "route")
    await read_trace(traced, began=began, until=until, matched=matched)
    response = await traced.call("POST", "/v1/redrive", json=body, client="boss")
    (detail,) = response.json["error"]["details"]
    assert (detail["code"], detail["target"]) == problem


async def test_lost_mail_of_a_traced_graph_route_is_resent(traced: Harness) -> None:
    await read_trace(traced, began="2026-02-01T00:00:00Z", until="2026-03-02T06:00:00Z", matched="2026-03-02T05:00:00Z")
    response = await traced.call("POST", "/v1/redrive", json={"route": "exchange", **DAY}, client="boss")
    assert (response.status, response.json["found"]) == (200, 0)
