"""GET /v1/arrivals: rates of bounces and complaints, counted from the journal."""

from typing import Any

import pytest

from relay.core.model import MessageStatus, Reported
from relay.platform.concurrency import NEVER
from tests.api.harness import Harness


@pytest.fixture
async def counted(relay: Harness) -> Harness:
    """Three messages of two clients, in two hours, of which one bounced for one of its recipients."""
    await relay.add_client("other")
    names = [
        await relay.send("app", to=["ada@one.example", "bob@two.example"], tags=["invoice"]),
        await relay.send("other", to="cleo@one.example"),
    ]
    await relay.deliver()
    await report(relay, names[0], Reported(word="bounced", attempt=1, recipients=(1,)))
    await report(relay, names[1], Reported(word="complained", attempt=1, recipients=(0,)))
    relay.clock.move(3600)
    await relay.send("app", to="dan@one.example")
    await relay.deliver()
    relay.clock.move(60)
    await relay.relay.arrival_rates.run(NEVER)
    return relay


async def report(relay: Harness, name: str, reported: Reported) -> None:
    """Record what was reported of a message."""
    found = await relay.relay.status_reader.name_of(await relay.relay.clients.get("boss"), name)
    record = await relay.relay.journal.read(found.batch)
    status = record.statuses[found.index]
    await relay.relay.journal.mark(record, {found.index: MessageStatus(parts=status.parts, reported=(reported,))})


async def arrivals(relay: Harness, query: str) -> Any:
    response = await relay.call("GET", f"/v1/arrivals?{query}", client="boss")
    assert response.status == 200, response.body
    return response.json


def brief(found: Any, *fields: str) -> list[tuple[Any, ...]]:
    return [tuple(row[field] for field in fields) for row in found["value"]]


async def test_rates_are_listed_by_each_dimension(counted: Harness) -> None:
    found = await arrivals(counted, "")
    assert brief(found, "name", "sent", "hard_bounced", "complained", "bounce_rate", "complaint_rate") == [
        ("app", 3, 1, 0, 0.333333, 0.0),
        ("other", 1, 0, 1, 0.0, 1.0),
    ]
    assert (found["by"], found["share"], found["total"]["sent"]) == ("client", 1.0, 4)
    assert brief(await arrivals(counted, "by=tag"), "name", "sent") == [("invoice", 2)]
    assert brief(await arrivals(counted, "by=domain"), "name", "sent") == [("one.example", 3), ("two.example", 1)]
    assert [row["sent"] for row in (await arrivals(counted, "by=route"))["value"]] == [4]


async def test_rates_are_listed_by_time(counted: Harness) -> None:
    by_hour = brief(await arrivals(counted, "by=hour"), "at", "sent")
    assert [sent for _, sent in by_hour][-2:] == [3, 1]
    assert by_hour[-1][0].endswith(":00:00Z")
    assert brief(await arrivals(counted, "by=day&client=app"), "sent", "hard_bounced")[-1] == (3, 1)
    assert brief(await arrivals(counted, "by=hour&domain=two.example"), "sent")[-2:] == [(1,), (0,)]


async def test_question_about_a_day_costs_one_query(counted: Harness) -> None:
    counted.tables.calls.clear()
    await arrivals(counted, "by=domain")
    assert counted.tables.calls["query"] <= 2


async def test_rates_are_exported_as_csv(counted: Harness) -> None:
    response = await counted.call("GET", "/v1/arrivals/export?by=client", client="boss")
    assert response.headers["content-type"].startswith("text/csv")
    first, app, *_ = response.body.decode().splitlines()
    assert first.split(",")[:3] == ["name", "at", "sent"]
    assert app.split(",")[:3] == ["app", "", "3"]


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("by=mood", "by"),
        ("client=app", "client"),
        ("by=hour&client=app&tag=x", "tag"),
        ("since=2026-01-01T00:00:00Z&before=2026-03-01T00:00:00Z", "since"),
        ("until=now", "until"),
    ],
)
async def test_invalid_query_is_refused(relay: Harness, query: str, target: str) -> None:
    response = await relay.call("GET", f"/v1/arrivals?{query}", client="boss")
    assert (response.status, response.json["error"]["details"][0]["target"]) == (400, target)


async def test_only_operators_see_rates(relay: Harness) -> None:
    assert (await relay.call("GET", "/v1/arrivals")).status == 403


async def test_overview_has_the_arrivals_of_the_last_day(counted: Harness) -> None:
    found = (await counted.call("GET", "/v1/overview", client="boss")).json["arrivals"]
    assert (found["sent"], found["hard_bounced"], found["complained"]) == (4, 1, 1)
