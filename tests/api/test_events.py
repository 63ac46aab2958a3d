"""Event endpoints of providers: authentication, responses, and the resulting message status."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.events.provider_events import QUEUE
from standins.acs.events import EventGrid, as_cloud_event
from standins.inbox import Address, Mail
from standins.sendgrid.events import EventWebhook
from tests.api.harness import NOON, ApiResponse, Harness
from tests.doubles import Clock

SAMPLES = Path(__file__).parents[1] / "samples" / "bounces"
SECRET = {"RELAY_EVENT_GRID_SECRET": "setting:GRID", "GRID": "s3cret"}
KEY = {"x-relay-events-key": "s3cret"}


class Vendors(Harness):
    """A relay that takes events, and the vendors that post them."""

    def __init__(self) -> None:
        clock = Clock(NOON)
        self.sendgrid = EventWebhook(clock)
        self.grid = EventGrid(clock)
        super().__init__({**SECRET, "RELAY_SENDGRID_EVENT_KEYS": self.sendgrid.public_key})

    async def post_sendgrid(self, events: Any, **headers: str) -> ApiResponse:
        body = msgspec.json.encode(events)
        return await self.call(
            "POST", "/v1/events/sendgrid", body=body, headers={**self.sendgrid.sign(body), **headers}, client=None
        )

    async def post_grid(self, events: Any, **headers: str) -> ApiResponse:
        return await self.call("POST", "/v1/events/acs", json=events, headers={**KEY, **headers}, client=None)

    async def apply(self) -> None:
        """Apply what lies on the queue of events."""
        while received := await self.memory.queues.receive(QUEUE, limit=32):
            for entry in received:
                await self.relay.events.apply(entry.body, is_redelivery=entry.dequeue_count > 1)
                await self.memory.queues.delete(QUEUE, entry)

    async def sent(self, **fields: Any) -> Mail:
        """A message that was sent, as a vendor has it."""
        name = await self.send(**fields)
        await self.deliver()
        history = await self.status(name)
        return Mail(
            id="14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            accepted_at=self.clock(),
            sender=Address(address="orders@example.com"),
            to=(),
            envelope=tuple(recipient["email"] for recipient in history["recipients"]),
            subject="x",
            relay_id=name,
            fields={
                "custom_args": {"relay_id": name, "relay_attempt": "1"},
                "internetMessageId": f"<{name}@example.com>",
            },
        )


@pytest.fixture
async def vendors() -> Vendors:
    harness = Vendors()
    await harness.start()
    return harness


async def ends(vendors: Vendors, mail: Mail) -> list[tuple[str, str | None, str | None]]:
    await vendors.apply()
    history = await vendors.status(str(mail.relay_id))
    return [(each["state"], each.get("code"), each.get("bounce_class")) for each in history["recipients"]]


async def test_sendgrid_events_are_recorded_for_each_recipient(vendors: Vendors) -> None:
    mail = await vendors.sent(to=["ada@example.org", "bob@example.org"])
    ada, bob = vendors.sendgrid.events([mail], "delivered"), vendors.sendgrid.events([mail], "bounce")
    response = await vendors.post_sendgrid([ada[0], bob[1], {"event": "delivered", "email": "x@y.example"}])
    assert (response.status, response.json) == (200, {"accepted": 2, "skipped": 1})
    assert await ends(vendors, mail) == [("delivered", None, None), ("bounced", "5.1.1", "address")]
    history = await vendors.status(str(mail.relay_id))
    assert {(each["kind"], each["attempt"]) for each in history["events"]} == {("delivered", 1), ("bounced", 1)}


async def test_thousands_of_events_in_one_post_are_accepted(vendors: Vendors) -> None:
    mail = await vendors.sent(to=[f"n{number}@example.org" for number in range(500)])
    posted = [event for kind in ("processed", "delivered", "open") for event in vendors.sendgrid.events([mail], kind)]
    vendors.queues.calls.clear()
    assert (await vendors.post_sendgrid([*posted, *posted])).json == {"accepted": 3000, "skipped": 0}
    assert vendors.queues.calls["put"] < 60
    assert set(await ends(vendors, mail)) == {("delivered", None, None)}
    assert len((await vendors.status(str(mail.relay_id)))["events"]) == 1500


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Twilio-Email-Event-Webhook-Signature": ""},
        {"X-Twilio-Email-Event-Webhook-Timestamp": "1"},
        {"X-Twilio-Email-Event-Webhook-Signature": "MEUCIQ=="},
    ],
)
async def test_unsigned_post_is_refused(vendors: Vendors, headers: dict[str, str]) -> None:
    response = await vendors.post_sendgrid([{"event": "delivered"}], **headers)
    assert (response.status, response.error["code"]) == (403, "bad_signature")
    assert vendors.queues.calls["put"] == 0


async def test_old_post_is_refused(vendors: Vendors) -> None:
    body = b"[]"
    headers = vendors.sendgrid.sign(body)
    vendors.clock.move(26 * 3600)
    response = await vendors.call("POST", "/v1/events/sendgrid", body=body, headers=headers, client=None)
    assert response.error["code"] == "bad_signature"


@pytest.mark.parametrize(
    ("body", "code"), [(b"[", "malformed_json"), (b"7", "invalid_request"), (b"", "malformed_json")]
)
async def test_signed_body_that_is_not_events_is_refused(vendors: Vendors, body: bytes, code: str) -> None:
    headers = vendors.sendgrid.sign(body)
    response = await vendors.call("POST", "/v1/events/sendgrid", body=body, headers=headers, client=None)
    assert (response.status, response.error["code"]) == (400, code)


async def test_unavailable_queue_returns_503(vendors: Vendors) -> None:
    mail = await vendors.sent()
    vendors.queues.is_away = True
    response = await vendors.post_sendgrid(vendors.sendgrid.events([mail], "delivered"))
    assert (response.status, response.headers["retry-after"]) == (503, "7")


async def test_oversized_event_post_is_refused(vendors: Vendors) -> None:
    body = b"[" + b" " * 16_777_216 + b"]"
    response = await vendors.call(
        "POST", "/v1/events/sendgrid", body=body, headers=vendors.sendgrid.sign(body), client=None
    )
    assert response.status == 413


@pytest.mark.parametrize("is_cloud_event", [False, True])
async def test_event_grid_reports_are_recorded_for_the_recipient(vendors: Vendors, is_cloud_event: bool) -> None:
    mail = await vendors.sent()
    reports = vendors.grid.delivery_reports([mail], "Bounced", "550 5.1.10 RecipientNotFound")
    posted = [as_cloud_event(event) for event in reports] if is_cloud_event else reports
    assert (await vendors.post_grid(posted)).json == {"accepted": 1, "skipped": 0}
    assert await ends(vendors, mail) == [("bounced", "5.1.10", "address")]


async def test_handshake_of_each_event_schema_succeeds(vendors: Vendors) -> None:
    shake = [{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c-1"}}]
    assert (await vendors.post_grid(shake)).json == {"validationResponse": "c-1"}
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    response = await vendors.call("OPTIONS", "/v1/events/acs?key=s3cret", headers=headers, client=None)
    assert (response.status, response.headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")
    refused = await vendors.call("OPTIONS", "/v1/events/acs?key=s3cret", client=None)
    assert refused.status == 400


@pytest.mark.parametrize("key", ["", "S3cret", "ключ"])
async def test_event_grid_post_with_a_wrong_secret_is_refused(vendors: Vendors, key: str) -> None:
    assert (await vendors.post_grid([], **{"x-relay-events-key": key})).status == 403
    assert (
        await vendors.call("OPTIONS", "/v1/events/acs", headers={"x-relay-events-key": key}, client=None)
    ).status == 403


async def test_event_endpoints_without_settings_refuse_posts(relay: Harness) -> None:
    for path in ("/v1/events/sendgrid", "/v1/events/acs"):
        response = await relay.call("POST", path, json=[], client=None)
        assert (response.status, response.error["code"]) == (404, "not_configured")


async def test_unreadable_secret_returns_503() -> None:
    relay = await Harness({"RELAY_EVENT_GRID_SECRET": "setting:MISSING"}).start()
    response = await relay.call("POST", "/v1/events/acs", json=[], headers=KEY, client=None)
    assert (response.status, response.headers["retry-after"]) == (503, "30")


async def report(vendors: Vendors, mail: Mail, client: str | None) -> ApiResponse:
    raw = (SAMPLES / "exchange.eml").read_bytes()
    raw = raw.replace(b"msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735", str(mail.relay_id).encode())
    headers = {"Content-Type": "message/rfc822"}
    return await vendors.call("POST", "/v1/events/bounce", body=raw, headers=headers, client=client)


async def test_posted_delivery_report_is_recorded(vendors: Vendors) -> None:
    mail = await vendors.sent()
    response = await report(vendors, mail, "app")
    assert (response.status, response.json) == (202, {"accepted": 1})
    assert await ends(vendors, mail) == [("bounced", "5.1.10", "address")]


async def test_forged_report_about_a_scheduled_message_suppresses_no_address(vendors: Vendors) -> None:
    name = await vendors.send(to="ceo@victim.example", send_at="2026-03-31T12:00:00Z")
    await vendors.deliver()
    raw = (SAMPLES / "exchange.eml").read_bytes()
    raw = raw.replace(b"msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735", name.encode())
    raw = re.sub(rb"(?i)rfc822;\s*\S+", b"rfc822;ceo@victim.example", raw)
    headers = {"Content-Type": "message/rfc822"}
    await vendors.call("POST", "/v1/events/bounce", body=raw, headers=headers)
    await vendors.apply()
    for client in ("app", "boss"):
        assert (await vendors.call("GET", "/v1/suppressions/ceo@victim.example", client=client)).status == 404
    assert "events" not in (await vendors.status(name)) or (await vendors.status(name))["events"] == []


async def test_report_of_a_client_suppresses_for_that_client_only(vendors: Vendors) -> None:
    mail = await vendors.sent(to="ceo@victim.example")
    raw = (SAMPLES / "exchange.eml").read_bytes()
    raw = raw.replace(b"msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735", str(mail.relay_id).encode())
    raw = re.sub(rb"(?i)rfc822;\s*\S+", b"rfc822;ceo@victim.example", raw)
    headers = {"Content-Type": "message/rfc822"}
    await vendors.call("POST", "/v1/events/bounce", body=raw, headers=headers)
    await vendors.apply()
    [own] = (await vendors.call("GET", "/v1/suppressions/ceo@victim.example")).json["value"]
    assert (own["reason"], own["for_all"]) == ("bounced", False)
    assert (await vendors.call("GET", "/v1/suppressions/ceo@victim.example", client="boss")).status == 404


async def test_delivery_report_applies_only_to_the_callers_messages(vendors: Vendors) -> None:
    await vendors.add_client("other")
    mail = await vendors.sent()
    await report(vendors, mail, "other")
    assert await ends(vendors, mail) == [("sent", None, None)]
    await report(vendors, mail, "boss")
    assert (await ends(vendors, mail))[0][0] == "bounced"
    assert (await report(vendors, mail, None)).status == 401
    assert (await vendors.call("POST", "/v1/events/bounce")).status == 400


async def arrivals(vendors: Vendors, query: str) -> list[tuple[str, str | None, str]]:
    vendors.clock.move(1)
    response = await vendors.call("GET", f"/v1/messages?{query}")
    return [(each["arrival"], each.get("bounce_type"), each["recipient"]) for each in response.json["value"]]


async def test_list_shows_the_worst_arrival_and_is_filtered_by_any(vendors: Vendors) -> None:
    mail = await vendors.sent(to=["ada@example.org", "bob@example.org", "cleo@example.org"])
    assert await arrivals(vendors, "") == [("not_reported", None, "ada@example.org")]
    ada, bob = vendors.sendgrid.events([mail], "delivered"), vendors.sendgrid.events([mail], "bounce")
    await vendors.post_sendgrid([ada[0], bob[1]])
    await vendors.apply()
    bounced = [("bounced", "hard", "ada@example.org")]
    assert await arrivals(vendors, "") == bounced
    for arrival in ("bounced", "delivered", "not_reported"):
        assert await arrivals(vendors, f"arrival={arrival}") == bounced
    assert await arrivals(vendors, "arrival=complained") == []
    assert await arrivals(vendors, "arrival=awaited") == []
    history = await vendors.status(str(mail.relay_id))
    assert (history["arrival"], history["bounce_type"]) == ("bounced", "hard")
    assert [each["arrival"] for each in history["recipients"]] == ["delivered", "bounced", "not_reported"]


async def test_unknown_arrival_filter_is_refused(vendors: Vendors) -> None:
    response = await vendors.call("GET", "/v1/messages?arrival=lost")
    assert (response.status, response.json["error"]["details"][0]["target"]) == (400, "arrival")


async def test_erased_message_keeps_its_arrival(vendors: Vendors) -> None:
    mail = await vendors.sent()
    await vendors.post_sendgrid(vendors.sendgrid.events([mail], "spamreport"))
    await vendors.apply()
    await vendors.call("POST", "/v1/erase", json={"recipient": "ada@example.org"}, client="boss")
    vendors.clock.move(1)
    response = await vendors.call("GET", "/v1/messages?arrival=complained")
    assert [(each["arrival"], "recipient" in each) for each in response.json["value"]] == [("complained", False)]
