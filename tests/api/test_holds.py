"""Holding a route through the API: why, by which client, and until when."""

import pytest

from relay.core.outcomes import RouteFault
from relay.providers.capture.provider import Capture
from tests.api.harness import Harness

HOLD = "/v1/routes/capture/hold"
UNTIL = "2026-03-01T12:10:00Z"
MAINTENANCE = {"reason": "maintenance", "until": UNTIL}


async def only_hold(relay: Harness) -> dict[str, object]:
    [route] = (await relay.call("GET", "/v1/routes", client="boss")).json["value"]
    [hold] = route["holds"]
    return dict(hold)


async def state(relay: Harness, name: str) -> str:
    return str((await relay.status(name))["state"])


async def test_hold_shows_reason_owner_and_end(relay: Harness) -> None:
    held = await relay.call("POST", HOLD, json=MAINTENANCE, client="boss")
    assert held.status == 200
    assert held.json == await only_hold(relay)
    shown = {name: held.json[name] for name in ("code", "owner", "reason", "since", "until", "next_probe_at", "reply")}
    assert shown == {
        **{"code": "operator", "owner": "boss", "reason": "maintenance", "reply": ""},
        **{"since": "2026-03-01T12:00:00Z", "until": UNTIL, "next_probe_at": UNTIL},
    }


async def test_hold_needs_no_body_and_then_has_no_end(relay: Harness) -> None:
    held = await relay.call("POST", HOLD, client="boss")
    assert (held.json["owner"], held.json["reason"], held.json["until"]) == ("boss", "", None)
    name = await relay.send()
    await relay.deliver()
    await relay.pass_time(86_400)
    assert await state(relay, name) == "held"


async def test_held_route_resumes_by_itself_at_its_end(relay: Harness) -> None:
    await relay.call("POST", HOLD, json=MAINTENANCE, client="boss")
    name = await relay.send()
    await relay.deliver()
    await relay.pass_time(590)
    before = await only_hold(relay)
    await relay.call("POST", "/v1/timers/probes/run", client="boss")
    assert await only_hold(relay) == before
    assert await state(relay, name) == "held"
    for _ in range(3):
        await relay.pass_time(60)
    assert await state(relay, name) == "sent"
    [route] = (await relay.call("GET", "/v1/routes", client="boss")).json["value"]
    assert (route["state"], route["holds"]) == ("active", [])


async def test_route_that_is_at_fault_at_the_end_is_held_for_that(
    relay: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_: Capture) -> RouteFault:
        return RouteFault(code="unreachable", reply="no route to host")

    monkeypatch.setattr(Capture, "probe", unreachable)
    await relay.call("POST", HOLD, json=MAINTENANCE, client="boss")
    await relay.pass_time(600)
    hold = await only_hold(relay)
    assert (hold["code"], hold["reply"]) == ("unreachable", "no route to host")
    assert (hold["owner"], hold["reason"], hold["until"]) == ("", "", None)


async def test_repeated_hold_replaces_reason_and_end(relay: Harness) -> None:
    await relay.call("POST", HOLD, json=MAINTENANCE, client="boss")
    relay.clock.move(60)
    await relay.call("POST", HOLD, json={"reason": "longer"}, client="boss")
    hold = await only_hold(relay)
    assert (hold["reason"], hold["until"], hold["next_probe_at"]) == ("longer", None, None)
    assert hold["since"] == "2026-03-01T12:00:00Z"


async def test_end_of_a_hold_made_in_a_pause_does_not_end_the_pause(relay: Harness) -> None:
    await relay.call("POST", "/v1/pause", json={"wait_seconds": 0}, client="boss")
    await relay.call("POST", HOLD, json=MAINTENANCE, client="boss")
    name = await relay.send()
    await relay.deliver()
    await relay.pass_time(3600)
    assert await state(relay, name) == "held"
    await relay.call("POST", "/v1/resume", client="boss")
    for _ in range(3):
        await relay.pass_time(60)
    assert await state(relay, name) == "sent"


async def test_pause_shows_its_owner_and_ends_by_itself(relay: Harness) -> None:
    body = {"reason": "upgrade", "until": UNTIL, "wait_seconds": 0}
    paused = await relay.call("POST", "/v1/pause", json=body, client="boss")
    assert (paused.json["owner"], paused.json["until"]) == ("boss", UNTIL)
    name = await relay.send()
    await relay.deliver()
    for _ in range(3):
        await relay.pass_time(300)
    assert await state(relay, name) == "sent"
    assert (await relay.call("GET", "/v1/pause", client="boss")).json["is_paused"] is False


@pytest.mark.parametrize("path", [HOLD, "/v1/pause"])
@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({"until": "18:00"}, [("invalid_time", "until")]),
        ({"until": "2026-03-01T18:00:00"}, [("invalid_time", "until")]),
        ({"until": "2026-03-01T12:00:00Z"}, [("out_of_range", "until")]),
        ({"until": "2026-03-08T12:00:01Z"}, [("out_of_range", "until")]),
        ({"until": 5}, [("wrong_type", "until")]),
        ({"reason": "x" * 201, "until": "soon"}, [("too_long", "reason"), ("invalid_time", "until")]),
        ({"because": "x"}, [("unknown_field", "because")]),
    ],
)
async def test_wrong_terms_are_refused(
    relay: Harness, path: str, body: object, problems: list[tuple[str, str]]
) -> None:
    refused = await relay.call("POST", path, json=body, client="boss")
    assert (refused.status, refused.problems) == (400, problems)
    assert (await relay.call("GET", "/v1/pause", client="boss")).json["is_paused"] is False


async def test_audit_record_of_a_hold_has_its_reason_and_end(relay: Harness) -> None:
    await relay.call("POST", HOLD, json=MAINTENANCE, client="boss")
    [record] = (await relay.call("GET", "/v1/audit", client="boss")).json["value"]
    assert (record["target"], record["reason"], record["details"]) == ("capture", "maintenance", {"until": UNTIL})
    assert record["before"] != record["after"]
