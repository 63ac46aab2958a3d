"""Cancel, reschedule and redrive accepted messages."""

import json
from typing import Any

import pytest

from tests.api.harness import Harness

TOMORROW = "2026-03-02T12:00:00Z"
DAY = 86_400


async def inbox(relay: Harness) -> int:
    return len([mail async for mail in relay.relay.inbox.all()])


async def test_scheduled_message_is_sent_when_due(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json={**message(), "send_at": TOMORROW})
    assert response.json["state"] == "scheduled"
    await relay.deliver()
    history = await relay.status(response.json["id"])
    assert (history["state"], history["send_at"], history["next_attempt_at"]) == ("scheduled", TOMORROW, TOMORROW)
    await relay.pass_time(DAY - 60)
    assert await inbox(relay) == 0
    await relay.pass_time(60)
    assert (await relay.status(response.json["id"]))["state"] == "sent"


def message() -> dict[str, Any]:
    return {"from": "shop@example.com", "to": "ada@example.org", "subject": "Hello", "text": "Hi."}


@pytest.mark.parametrize("send_at", [TOMORROW, "2026-03-02T13:00:00+01:00", 1_772_452_800])
async def test_send_at_accepts_each_documented_format(relay: Harness, send_at: object) -> None:
    name = await relay.send(send_at=send_at)
    await relay.deliver()
    assert (await relay.status(name))["send_at"] == TOMORROW


@pytest.mark.parametrize(
    ("send_at", "code"),
    [
        ("2026-03-02T12:00:00", "invalid_time"),
        ("soon", "invalid_time"),
        (10**20, "invalid_time"),
        ("2026-05-31T12:00:00Z", "out_of_range"),
        ("2026-03-01T10:59:00Z", "out_of_range"),
        (True, "wrong_type"),
    ],
)
async def test_invalid_send_at_is_refused(relay: Harness, send_at: object, code: str) -> None:
    sent = await relay.call("POST", "/v1/messages", json={**message(), "send_at": send_at})
    assert sent.problems == [(code, "send_at")]
    name = await relay.send(send_at=TOMORROW)
    moved = await relay.call("PATCH", f"/v1/messages/{name}", json={"send_at": send_at})
    assert moved.problems == [(code, "send_at")]


async def test_send_at_slightly_in_the_past_sends_now(relay: Harness) -> None:
    response = await relay.call("POST", "/v1/messages", json={**message(), "send_at": "2026-03-01T11:30:00Z"})
    assert response.json["state"] == "queued"


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_cancelled_scheduled_message_is_never_sent(relay: Harness, is_recorded: bool) -> None:
    name = await relay.send(send_at=TOMORROW)
    if is_recorded:
        await relay.deliver()
    for _ in range(2):
        response = await relay.call("DELETE", f"/v1/messages/{name}")
        assert (response.status, response.json) == (200, {"id": name, "state": "cancelled"})
    assert (await relay.status(name))["state"] == "cancelled"
    await relay.deliver()
    await relay.pass_time(2 * DAY)
    assert (await relay.status(name))["state"] == "cancelled"
    assert await inbox(relay) == 0


async def test_cancelled_queued_message_is_never_sent(relay: Harness) -> None:
    first, second = await relay.send(), await relay.send()
    assert (await relay.call("DELETE", f"/v1/messages/{first}")).status == 200
    assert "retry-after" not in (await relay.call("GET", f"/v1/messages/{first}")).headers
    await relay.deliver()
    assert (await relay.status(first))["state"] == "cancelled"
    assert (await relay.status(second))["state"] == "sent"
    assert await inbox(relay) == 1


async def test_one_message_of_a_queued_batch_is_cancelled(relay: Harness) -> None:
    body = {"messages": [message() for _ in range(40)]}
    names = [each["id"] for each in (await relay.call("POST", "/v1/messages/batch", json=body)).json["value"]]
    for name in (names[0], names[35], names[36]):
        assert (await relay.call("DELETE", f"/v1/messages/{name}")).status == 200
    await relay.deliver()
    assert await inbox(relay) == 37
    assert (await relay.status(names[35]))["state"] == "cancelled"


@pytest.mark.parametrize("local", ["deferred", "throttled"])
async def test_deferred_message_is_cancelled(relay: Harness, local: str) -> None:
    name = await relay.send(to=f"{local}@relay.test")
    await relay.deliver()
    assert (await relay.call("DELETE", f"/v1/messages/{name}")).status == 200
    await relay.pass_time(DAY / 2)
    assert (await relay.status(name))["state"] == "cancelled"
    assert await inbox(relay) == 0


async def test_cancelling_a_sent_message_returns_conflict(relay: Harness) -> None:
    name = await relay.send()
    await relay.deliver()
    response = await relay.call("DELETE", f"/v1/messages/{name}")
    assert response.error["code"] == "not_cancellable"
    assert "sent" in response.error["message"]


async def test_old_id_without_a_record_is_not_cancelled(relay: Harness) -> None:
    name = await relay.send()
    relay.clock.move(15 * DAY)
    assert (await relay.call("DELETE", f"/v1/messages/{name}")).status == 404


async def test_scheduled_message_is_rescheduled(relay: Harness) -> None:
    name = await relay.send(send_at=TOMORROW, expires_in_seconds=3600)
    await relay.deliver()
    response = await relay.call("PATCH", f"/v1/messages/{name}", json={"send_at": "2026-03-04T12:00:00Z"})
    assert response.json == {"id": name, "state": "scheduled", "send_at": "2026-03-04T12:00:00Z"}
    await relay.pass_time(2 * DAY)
    assert (await relay.status(name))["state"] == "scheduled"
    await relay.pass_time(DAY + 1)
    assert (await relay.status(name))["state"] == "sent"
    again = await relay.call("PATCH", f"/v1/messages/{name}", json={"send_at": "2026-03-06T12:00:00Z"})
    assert again.error["code"] == "not_scheduled"


async def test_scheduled_message_is_sent_now(relay: Harness) -> None:
    name = await relay.send(send_at=TOMORROW)
    await relay.deliver()
    assert (await relay.call("PATCH", f"/v1/messages/{name}", json={"send_at": "2026-03-01T12:00:00Z"})).status == 200
    await relay.pass_time(1)
    assert (await relay.status(name))["state"] == "sent"
    await relay.pass_time(2 * DAY)
    assert await inbox(relay) == 1


async def test_cancelled_message_is_not_rescheduled(relay: Harness) -> None:
    name = await relay.send(send_at=TOMORROW)
    body = {"send_at": "2026-03-04T12:00:00Z"}
    early = await relay.call("PATCH", f"/v1/messages/{name}", json=body)
    assert early.error["code"] == "not_scheduled_yet"
    await relay.call("DELETE", f"/v1/messages/{name}")
    assert (await relay.call("PATCH", f"/v1/messages/{name}", json=body)).error["code"] == "not_scheduled"


@pytest.mark.parametrize(
    ("body", "problem"), [({}, ("required", "send_at")), ({"send_at": TOMORROW, "to": "x"}, ("unknown_field", "to"))]
)
async def test_only_the_time_can_be_changed(relay: Harness, body: Any, problem: tuple[str, str]) -> None:
    name = await relay.send(send_at=TOMORROW)
    assert (await relay.call("PATCH", f"/v1/messages/{name}", json=body)).problems == [problem]


async def test_operator_resends_a_sent_message_by_another_route_once() -> None:
    routes = {"capture": {"provider": "capture"}, "spare": {"provider": "capture"}}
    relay = await Harness({"RELAY_ROUTES": json.dumps(routes)}).start()
    name = await relay.send(to=["ada@example.org", "grace@example.org"])
    await relay.deliver()
    path, [first] = f"/v1/messages/{name}/resend", (await relay.status(name))["attempts"]
    body = {"route": "spare", "sent_until": first["at"]}
    assert (await relay.call("POST", path, json=body)).error["code"] == "operators_only"
    # The response was lost, and the request comes again: before the copy is sent, and after.
    for state in ("deferred", "deferred", "sent", "sent"):
        if state == "sent":
            await relay.pass_time(1)
        response = await relay.call("POST", path, json=body, client="boss")
        assert (response.status, response.json) == (202, {"id": name, "state": state})
    other = await relay.call("POST", path, json=body | {"route": "capture"}, client="boss")
    assert other.error["code"] == "not_resendable"
    assert [attempt["route"] for attempt in (await relay.status(name))["attempts"]] == ["capture", "spare"]
    assert len((await relay.call("GET", "/v1/inbox")).json["value"]) == 2


async def test_resend_leaves_out_suppressed_recipients_and_reports_every_problem(relay: Harness) -> None:
    body = {"email": "grace@example.org", "reason": "bounced", "for_all": True}
    assert (await relay.call("POST", "/v1/suppressions", json=body, client="boss")).status == 201
    name = await relay.send(to=["ada@example.org", "grace@example.org"])
    await relay.deliver()
    path = f"/v1/messages/{name}/resend"
    wrong = await relay.call("POST", path, json={"route": "pigeon", "sent_until": "today"}, client="boss")
    assert wrong.problems == [("invalid_time", "sent_until"), ("unknown_route", "route")]
    [first] = (await relay.status(name))["attempts"]
    response = await relay.call("POST", path, json={"sent_until": first["at"]}, client="boss")
    assert response.status == 202
    await relay.pass_time(1)
    assert [each["state"] for each in (await relay.status(name))["recipients"]] == ["sent", "suppressed"]


async def test_reason_of_a_resend_is_audited(relay: Harness) -> None:
    name = await relay.send(to="ada@example.org")
    await relay.deliver()
    path, [first] = f"/v1/messages/{name}/resend", (await relay.status(name))["attempts"]
    body = {"sent_until": first["at"], "reason": "x" * 201}
    assert (await relay.call("POST", path, json=body, client="boss")).problems == [("too_long", "reason")]
    body["reason"] = "ticket 4711: 届いていない"
    relay.clock.move(1)
    assert (await relay.call("POST", path, json=body, client="boss")).status == 202
    log = await relay.call("GET", "/v1/audit?operation=ResendMessage", client="boss")
    assert log.json["value"][0]["reason"] == body["reason"]


async def test_erased_message_is_not_resent(relay: Harness) -> None:
    name = await relay.send(to="ada@example.org")
    await relay.deliver()
    await relay.call("POST", "/v1/erase", json={"recipient": "ada@example.org"}, client="boss")
    path, body = f"/v1/messages/{name}/resend", {"sent_until": "2026-03-02T12:00:00Z"}
    response = await relay.call("POST", path, json=body, client="boss")
    assert (response.status, response.error["code"]) == (410, "message_erased")


async def test_operator_redrives_one_message(relay: Harness) -> None:
    name = await relay.send(to="rejected@relay.test")
    await relay.deliver()
    path = f"/v1/messages/{name}/redrive"
    assert (await relay.call("POST", path)).error["code"] == "operators_only"
    body = {"sender": "other@example.com"}
    response = await relay.call("POST", path, json=body, client="boss")
    assert (response.status, response.json["id"]) == (202, name)
    assert (await relay.call("POST", path, client="boss")).error["code"] == "not_dead"
    await relay.pass_time(1)
    history = await relay.status(name)
    assert len(history["attempts"]) == 2
    assert history["from"]["email"] == "other@example.com"
    wrong = await relay.call("POST", path, json={"route": "pigeon", "sender": "x"}, client="boss")
    assert wrong.problems == [("unknown_route", "route"), ("invalid_address", "sender")]
