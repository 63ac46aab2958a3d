"""SendGrid's Event Webhook: signature verification and the mapping of events."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.events.sendgrid import is_signed, key_fault, translate

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

# The test vector of SendGrid's own libraries (sendgrid-python, test/unit/test_eventwebhook.py).
VENDORS_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62g"
    "w+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
VENDORS_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
VENDORS_TIMESTAMP = "1600112502"
VENDORS_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
THEN = datetime.fromtimestamp(1_600_112_510, UTC)


def vendors(**changes: Any) -> bool:
    given: dict[str, Any] = {
        "body": VENDORS_BODY,
        "signature": VENDORS_SIGNATURE,
        "timestamp": VENDORS_TIMESTAMP,
        "now": THEN,
    }
    return is_signed(changes.pop("keys", [VENDORS_KEY]), **{**given, **changes})


def test_sendgrids_own_test_vector_is_accepted() -> None:
    assert vendors()


@pytest.mark.parametrize(
    "changes",
    [
        {"body": VENDORS_BODY.rstrip()},
        {"body": VENDORS_BODY.replace(b"hello", b"hallo")},
        {"timestamp": "1600112503"},
        {"timestamp": "16001125020"},
        {"timestamp": "999999999999"},
        {"timestamp": ""},
        {"timestamp": None},
        {"timestamp": "١٦٠٠١١٢٥٠٢"},
        {"timestamp": "-1600112502"},
        {"signature": None},
        {"signature": ""},
        {"signature": "not base64"},
        {"signature": base64.b64encode(b"no signature").decode()},
        {"signature": VENDORS_SIGNATURE[:-4] + "AAAA"},
        {"keys": []},
        {"keys": ["AAAA"]},
        {"now": THEN + timedelta(hours=26)},
        {"now": THEN - timedelta(minutes=6)},
    ],
)
def test_changed_request_is_refused(changes: dict[str, Any]) -> None:
    assert not vendors(**changes)


def test_retry_within_a_day_is_accepted() -> None:
    assert vendors(now=THEN + timedelta(hours=24))


def test_signature_of_any_configured_key_is_accepted() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    mine = base64.b64encode(der).decode()
    stamp = str(int(NOW.timestamp()))
    signature = base64.b64encode(private.sign(stamp.encode() + b"[]", ec.ECDSA(hashes.SHA256()))).decode()
    assert is_signed([VENDORS_KEY, mine], body=b"[]", signature=signature, timestamp=stamp, now=NOW)
    assert not is_signed([VENDORS_KEY], body=b"[]", signature=signature, timestamp=stamp, now=NOW)
    assert key_fault(mine) == ""
    assert "verification key" in key_fault("SG.secret")


def one(**fields: Any) -> Any:
    [found] = translate([{"relay_id": NAME, "email": "ada@example.org", "timestamp": 1_772_366_400, **fields}], NOW)
    return found


@pytest.mark.parametrize(
    ("fields", "kind", "code", "bounce_class"),
    [
        ({"event": "processed"}, "processed", "", ""),
        ({"event": "deferred", "response": "451 4.7.1 slow down"}, "deferred", "4.7.1", ""),
        ({"event": "delivered", "response": "250 2.0.0 OK"}, "delivered", "2.0.0", ""),
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, "bounced", "5.1.1", "address"),
        ({"event": "bounce", "type": "bounce", "reason": "550 go away"}, "bounced", "", "address"),
        ({"event": "bounce", "type": "bounce", "status": "5.2.2"}, "bounced", "5.2.2", "mailbox"),
        ({"event": "bounce", "type": "blocked", "status": "5.1.1"}, "bounced", "5.1.1", "policy"),
        (
            {"event": "bounce", "type": "blocked", "status": "5.4.4", "bounce_classification": "Technical"},
            "bounced",
            "5.4.4",
            "network",
        ),
        ({"event": "dropped", "reason": "Bounced Address"}, "bounced", "", "suppressed"),
        ({"event": "dropped", "reason": "Invalid"}, "bounced", "", "address"),
        ({"event": "dropped", "reason": "Invalid SMTPAPI header"}, "bounced", "", "content"),
        ({"event": "dropped", "reason": "Something new"}, "bounced", "", "unknown"),
        ({"event": "spamreport"}, "complained", "", ""),
        ({"event": "open"}, "opened", "", ""),
        ({"event": "click", "url": "https://example.com/"}, "clicked", "", ""),
        ({"event": "unsubscribe"}, "unsubscribed", "", ""),
        ({"event": "group_unsubscribe"}, "unsubscribed", "", ""),
        ({"event": "group_resubscribe"}, "resubscribed", "", ""),
    ],
)
def test_each_event_maps_to_an_event_kind(fields: dict[str, Any], kind: str, code: str, bounce_class: str) -> None:
    found = one(**fields)
    assert (found.kind, found.code, found.bounce_class) == (kind, code, bounce_class)
    assert (found.message, found.recipient, found.provider) == (NAME, "ada@example.org", "sendgrid")
    assert found.at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert f'"event":"{fields["event"]}"' in found.raw


@pytest.mark.parametrize(
    ("event", "group", "read"),
    [
        ("group_unsubscribe", 12, 12),
        ("group_resubscribe", 12, 12),
        # Every event of a mail with a group names the group; only these two are about it.
        ("unsubscribe", 12, 0),
        ("delivered", 12, 0),
        ("group_unsubscribe", "12", 0),
        ("group_unsubscribe", True, 0),
        ("group_unsubscribe", -1, 0),
        ("group_unsubscribe", None, 0),
    ],
)
def test_event_about_a_group_names_it(event: str, group: Any, read: int) -> None:
    assert one(event=event, asm_group_id=group).group == read


def test_repeated_event_has_the_same_key() -> None:
    first, again = one(event="open", sg_event_id="e1", relay_attempt="2"), one(event="open", sg_event_id="e1")
    assert first.key == again.key != one(event="open", sg_event_id="e2").key
    assert (first.attempt, again.attempt) == (2, 0)
    assert one(event="open", sg_machine_open=True).likely == "machine"
    assert one(event="open").key == one(event="open").key != one(event="click").key


@pytest.mark.parametrize(
    "item",
    [
        {"event": "delivered", "email": "ada@example.org"},
        {"event": "account_status_change", "relay_id": NAME},
        {"relay_id": NAME},
        {"event": ["delivered"], "relay_id": NAME},
        {"event": "delivered", "relay_id": 7},
        "delivered",
        None,
        7,
    ],
)
def test_foreign_event_is_skipped(item: Any) -> None:
    assert list(translate([item], NOW)) == []


@pytest.mark.parametrize("timestamp", [None, "soon", True, -1, 1e300, float("1e12")])
def test_invalid_timestamp_falls_back_to_now(timestamp: Any) -> None:
    assert one(event="open", timestamp=timestamp).at == NOW


def test_malformed_values_are_ignored() -> None:
    found = one(event="bounce", email={"a": 1}, reason=["x"], status=None, type=None, relay_attempt="two")
    assert (found.recipient, found.reply, found.code, found.attempt) == ("", "", "", 0)
    assert len(one(event="bounce", reason="x" * 9_000).raw) == 8_000
