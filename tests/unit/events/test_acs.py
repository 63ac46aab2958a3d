"""Event Grid's events of ACS Email in both schemas, as the stand-in emits them, and malformed ones."""

from datetime import UTC, datetime
from typing import Any

import pytest

from relay.events.acs import DELIVERY, ENGAGEMENT, translate, validation_code
from standins.acs.events import STATUSES, as_cloud_event

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(kind: str = DELIVERY, **report: Any) -> dict[str, Any]:
    return {
        "id": "00000000-0000-0000-0000-000000000001",
        "topic": "/subscriptions/x",
        "subject": "sender/a/message/b",
        "eventType": kind,
        "eventTime": "2026-03-01T12:00:05Z",
        "data": {
            "recipient": "ada@example.org",
            "internetMessageId": f"<{NAME}@example.com>",
            "messageId": "00000000-0000-4000-8000-000000000001",
            **report,
        },
    }


@pytest.mark.parametrize(
    ("status", "detail", "said"),
    [
        ("Delivered", "", ("delivered", "", "")),
        ("Expanded", "", ("processed", "", "")),
        ("Bounced", "", ("bounced", "", "address")),
        ("Bounced", "550 5.7.509 access denied, DMARC", ("bounced", "5.7.509", "policy")),
        ("Suppressed", "", ("bounced", "", "suppressed")),
        ("FilteredSpam", "", ("bounced", "", "content")),
        ("Quarantined", "", ("bounced", "", "content")),
        ("Failed", "", ("bounced", "", "unknown")),
        ("Failed", "connection timed out", ("bounced", "", "network")),
    ],
)
@pytest.mark.parametrize("is_cloud_event", [False, True])
def test_each_status_maps_to_an_event_kind(
    status: str, detail: str, said: tuple[str, str, str], is_cloud_event: bool
) -> None:
    given = event(
        status=status,
        deliveryStatusDetails={"statusMessage": detail},
        deliveryAttemptTimeStamp="2026-03-01T12:00:01.1234567+00:00",
    )
    [found] = translate([as_cloud_event(given) if is_cloud_event else given], NOW)
    assert (found.kind, found.code, found.bounce_class) == said
    assert (found.message, found.recipient, found.reply) == (NAME, "ada@example.org", detail)
    assert found.at == datetime(2026, 3, 1, 12, 0, 1, 123_456, tzinfo=UTC)


def test_every_documented_status_is_mapped() -> None:
    assert [len(list(translate([event(status=status)], NOW))) for status in STATUSES] == [1] * len(STATUSES)


def test_engagement_reports_become_opens_and_clicks() -> None:
    given = [event(ENGAGEMENT, engagementType=kind, userActionTimeStamp="nonsense") for kind in ("view", "click", "?")]
    assert [(each.kind, each.at) for each in translate(given, NOW)] == [("opened", NOW), ("clicked", NOW)]
    [by_proxy] = translate([event(ENGAGEMENT, engagementType="view", userAgent="Mozilla/5.0")], NOW)
    assert by_proxy.likely == "machine"


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        {"data": "x", "eventType": DELIVERY},
        event(status="Invented"),
        event("Microsoft.Storage.BlobCreated", status="Delivered"),
        event(status="Delivered", internetMessageId="<other@example.com>"),
        event(status="Delivered", internetMessageId=None),
        event(status="Delivered", internetMessageId=f"<x{NAME}@example.com>"),
    ],
)
def test_foreign_event_is_skipped(item: Any) -> None:
    assert list(translate([item], NOW)) == []


def test_validation_handshake_returns_its_code() -> None:
    shake = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c-1"}}
    assert validation_code([shake]) == "c-1"
    assert validation_code([event(status="Delivered")]) is None
    assert validation_code([{**shake, "data": {"validationCode": 7}}]) is None
    assert validation_code([None, {"eventType": shake["eventType"]}]) is None
