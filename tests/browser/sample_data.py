"""Sample data for the browser tests: clients, and messages in every state."""

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.e2e.running import RunningRelay

POLL_SECONDS = 0.1
TENANT = "0f4c9a3e-7b1d-4f57-8f0e-3f6d2c1b9a77"
GRACE = "7d2c1a1e-3f51-4c7a-9a51-0c8b8e1f2a33"
"""The Entra object id of an operator."""

ORDER = """\
<!doctype html>
<html lang="en">
<body style="margin:0;background:#eef2f1;font-family:Arial,sans-serif;color:#22302d">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:24px">
<table role="presentation" width="520" cellpadding="0" cellspacing="0" style="background:#fff;border-radius:12px;max-width:100%">
<tr><td style="padding:28px 32px;background:#0f5f6b;border-radius:12px 12px 0 0;color:#fff">
<img src="cid:logo@shop" alt="" width="28" height="28" style="vertical-align:middle">
<span style="font-size:20px;font-weight:bold;vertical-align:middle;padding-left:10px">Harbor Coffee</span></td></tr>
<tr><td style="padding:28px 32px"><h1 style="font-size:22px;margin:0 0 12px">Thank you, Ada.</h1>
<p style="line-height:1.5;margin:0 0 20px">Your order <b>4711</b> is being packed and leaves the roastery today.</p>
<table width="100%" cellpadding="8" style="border-collapse:collapse;font-size:15px">
<tr style="border-bottom:1px solid #dde4e2"><td>Harbor blend, 1 kg</td><td align="right">24.00</td></tr>
<tr style="border-bottom:1px solid #dde4e2"><td>Paper filters, 100</td><td align="right">6.50</td></tr>
<tr><td><b>Total</b></td><td align="right"><b>30.50</b></td></tr></table>
<p style="margin:24px 0 0"><a href="https://shop.example/orders/4711" style="background:#0f5f6b;color:#fff;padding:12px 22px;
border-radius:8px;text-decoration:none">Track your order</a></p></td></tr></table></td></tr></table></body></html>
"""
WELCOME = """\
<div style="font-family:Arial,sans-serif;padding:28px;color:#22302d"><h1 style="font-size:22px;color:#0f5f6b">Welcome,
{{ name }}.</h1><p>Your first cup is on us{% if city %}, in {{ city }}{% endif %}.</p></div>
"""
LOGO = base64.b64encode(
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 28"><circle cx="14" cy="14" r="14" fill="#8fd6cf"/>'
    b'<path d="M8 10h10v5a5 5 0 0 1-10 0zM18 11h2a2 2 0 0 1 0 5h-2" fill="#0f5f6b"/></svg>'
).decode()
PDF = base64.b64encode(b"%PDF-1.4\n" + b"1 0 obj<<>>endobj\n" * 900).decode()


def settings(sendgrid: SendGridStandIn) -> Mapping[str, str]:
    """Return the settings of three routes: the inbox, a SendGrid account with a revoked key for `news.example`, and a working
    SendGrid account without delivery reports for `vendor.example`.

    Entra sign-in is on; the tests set the header that the platform would set.
    """
    vendor = {"provider": "sendgrid", "base_url": sendgrid.url}
    routes = {
        "inbox": {"provider": "capture"},
        "sendgrid": vendor,
        "vendor": {**vendor, "api_key": "setting:VENDOR_KEY"},
    }
    rules = [
        {"when": {"recipient_domains": ["news.example"]}, "routes": ["sendgrid"]},
        {"when": {"recipient_domains": ["vendor.example"]}, "routes": ["vendor"]},
        {"routes": ["inbox"]},
    ]
    return {
        "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
        "RELAY_ROUTING": msgspec.json.encode(rules).decode(),
        "SENDGRID_API_KEY": "SG.this-key-was-removed.x",
        "VENDOR_KEY": DEFAULT_KEY,
        "WEBSITE_AUTH_ENABLED": "true",
        "RELAY_ENTRA_TENANTS": TENANT,
        "RELAY_WEBHOOKS_ALLOW_LOOPBACK": "true",
        # By default an idle listener polls every second. More often would cost more than the waiting.
        "AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.2",
    }


def messages() -> list[dict[str, Any]]:
    """Return the messages to send. Each is delivered before the next is sent, so that the inbox has this order."""
    shop, team = "Harbor Coffee <orders@shop.example>", "Relay team <team@shop.example>"
    invoice = {"name": "Invoice 4711.pdf", "type": "application/pdf", "content": PDF}
    logo = {
        "name": "logo.svg",
        "type": "image/svg+xml",
        "content": LOGO,
        "disposition": "inline",
        "content_id": "logo@shop",
    }
    later = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    return [
        {"from": team, "to": "ops@example.org", "subject": "Nightly report", "text": "All 1,204 jobs succeeded."},
        {"from": shop, "to": "rejected@relay.test", "subject": "Your voucher", "text": "Here it is.", "tags": ["voucher"]},
        {"from": shop, "to": ["rejected+1@relay.test", "mia@example.org"], "subject": "Two friends", "text": "Hello both."},
        {"from": shop, "to": "unknown@relay.test", "subject": "Payment reminder", "text": "…", "delivery": "at_most_once"},
        {"from": shop, "to": "deferred@relay.test", "subject": "We are moving", "text": "From May on we are next door."},
        {"from": shop, "to": "reader@news.example", "subject": "News in spring", "text": "New beans.", "lane": "bulk"},
        {"from": team, "to": "grace@example.org", "subject": "Set a new password", "text": "Your code is 204 816."},
        {"from": shop, "to": "later@example.org", "subject": "Happy birthday", "text": "Ada!", "send_at": later},
        {
            "from": shop, "to": "Ada Lovelace <ada@example.org>", "cc": "books@shop.example", "subject": "Your order 4711",
            "text": "Thank you, Ada. Your order 4711 is being packed.", "html": ORDER, "attachments": [logo, invoice],
            "tags": ["order"], "metadata": {"order": "4711"}, "headers": {"X-Order": "4711"},
        },
    ]  # fmt: skip


async def fill(relay: RunningRelay) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Create clients and send the messages as `shop`. Returns keys by client name and message IDs by subject."""
    clients: list[dict[str, Any]] = [
        {"name": "shop", "policy": {"senders": ["*"]}},
        {"name": "grace", "role": "operator", "principals": [GRACE]},
        {"name": "newsletter", "policy": {"senders": ["*@shop.example"], "lanes": ["bulk"], "rate_per_minute": 600}},
        {
            "name": "staging",
            "policy": {"senders": ["*"], "recipients": ["*@example.org"], "redirect_to": "team@example.org"},
        },
    ]
    keys = {}
    for client in clients:
        status, created, _ = await relay.call("POST", "/v1/clients", json=client)
        assert status == 201, created
        keys[client["name"]] = created["key"]
    template = {"subject": "Welcome, {{ name }}", "text": "Hello {{ name }}.", "html": WELCOME}
    status, created, _ = await relay.call("PUT", "/v1/templates/welcome", json=template)
    assert status == 201, created
    topic = {
        "titles": {"en": "News from the shop", "ja": "お店からのお知らせ"},
        "descriptions": {"en": "Twice a month."},
    }
    for name, fields in (("news", topic), ("offers", {"titles": {"en": "Offers"}, "sendgrid_group_id": 12})):
        status, created, _ = await relay.call("PUT", f"/v1/topics/{name}?client=shop", json=fields)
        assert status == 201, created
    for email, reason in (("gone@example.org", "bounced"), ("quiet@example.org", "unsubscribed")):
        body = {"email": email, "reason": reason, "for_all": True}
        status, created, _ = await relay.call("POST", "/v1/suppressions", json=body)
        assert status == 201, created
    return keys, {each["subject"]: await send(relay, each, keys["shop"]) for each in messages()}


async def send(relay: RunningRelay, message: Mapping[str, Any], key: str | None = None) -> str:
    """Send a message and wait until its first attempt has ended or it waits. Returns its ID."""
    headers = {"Authorization": f"Bearer {key or relay.key}"}
    status, accepted, _ = await relay.call("POST", "/v1/messages", json=message, headers=headers)
    assert status == 202, accepted
    async with asyncio.timeout(30):
        while True:
            _, message_status, _ = await relay.call("GET", f"/v1/messages/{accepted['id']}")
            if message_status["state"] not in ("queued", "sending"):
                return str(accepted["id"])
            await asyncio.sleep(POLL_SECONDS)
