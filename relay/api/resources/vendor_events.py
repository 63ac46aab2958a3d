"""Accept the events that providers post. Each provider authenticates in its own way, not with a client's key."""

import asyncio
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from relay.api.http import Response, json_response
from relay.api.services import Call
from relay.api.shapes.system import EventsAcceptedView
from relay.clients.keys import Role
from relay.core.errors import Refusal, SettingsError
from relay.events import acs, dsn, sendgrid
from relay.events.provider_events import REPORT

MAX_BYTES = 16_777_216
_AT_A_TIME = 1_000
"""Events that are translated before the event loop runs other requests."""
_ALLOWED_RATE = "*"


async def from_sendgrid(call: Call) -> Response:
    """Handle POST /v1/events/sendgrid. The signature is checked before the body is parsed."""
    request, settings = call.request, call.services.settings
    if not settings.sendgrid_event_keys:
        raise _not_configured("RELAY_SENDGRID_EVENT_KEYS")
    _check_size(request.body)
    is_signed = sendgrid.is_signed(
        settings.sendgrid_event_keys,
        body=request.body,
        signature=request.headers.get(sendgrid.SIGNATURE),
        timestamp=request.headers.get(sendgrid.TIMESTAMP),
        now=call.services.clock(),
    )
    if not is_signed:
        raise Refusal(403, "bad_signature", "The signature or its timestamp is missing, wrong or too old.")
    items, now = _items(request.body), call.services.clock()
    accepted = 0
    for start in range(0, len(items), _AT_A_TIME):
        found = list(sendgrid.translate(items[start : start + _AT_A_TIME], now))
        await call.services.events.enqueue(found)
        accepted += len(found)
        await asyncio.sleep(0)
    return json_response(EventsAcceptedView(accepted=accepted, skipped=len(items) - accepted))


async def from_event_grid(call: Call) -> Response:
    """Handle POST /v1/events/acs: Event Grid's posts in either schema, and the handshake of its own schema."""
    await _check_event_grid(call)
    _check_size(call.request.body)
    items, now = _items(call.request.body), call.services.clock()
    code = acs.validation_code(items)
    if code is not None:
        return json_response(EventsAcceptedView(validation_response=code))
    found = list(acs.translate(items, now))
    await call.services.events.enqueue(found)
    return json_response(EventsAcceptedView(accepted=len(found), skipped=len(items) - len(found)))


async def allow_event_grid(call: Call) -> Response:
    """Handle OPTIONS /v1/events/acs: the handshake of CloudEvents (its webhook specification, section 4)."""
    await _check_event_grid(call)
    origin = call.request.headers.get("webhook-request-origin", "")
    if not origin or not origin.isascii() or not origin.isprintable():
        raise Refusal(
            400, "invalid_request", "The header WebHook-Request-Origin is missing: a handshake must name its origin."
        )
    return Response(headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": _ALLOWED_RATE})


async def from_mailbox(call: Call) -> Response:
    """Handle POST /v1/events/bounce: a delivery report (message/rfc822) about the caller's own messages."""
    _check_size(call.request.body)
    if not call.request.body:
        raise Refusal(400, "empty_body", "Send the whole report as it was received, including its headers.")
    client_id = "" if call.client.role is Role.OPERATOR else call.client.id
    now = call.services.clock()
    found = await asyncio.to_thread(dsn.read_report, call.request.body, now, provider=REPORT, client_id=client_id)
    await call.services.events.enqueue(found)
    return json_response(EventsAcceptedView(accepted=len(found)), 202)


async def _check_event_grid(call: Call) -> None:
    reference = call.services.settings.event_grid_secret
    if not reference:
        raise _not_configured("RELAY_EVENT_GRID_SECRET")
    try:
        secret = await call.services.secrets.get(reference)
    except SettingsError as error:
        text = "The secret for Event Grid cannot be read now."
        raise Refusal(503, "storage_unavailable", text, headers={"Retry-After": "30"}) from error
    given = call.request.headers.get(acs.KEY_HEADER) or call.request.query.get("key", "")
    if not hmac.compare_digest(given.encode(), secret.encode()):
        raise Refusal(403, "bad_signature", "The subscription's secret is missing or wrong.")


def _not_configured(setting: str) -> Refusal:
    return Refusal(404, "not_configured", f"This relay does not accept these events: {setting} is not set.")


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise Refusal(413, "message_too_large", f"The body is too large (limit {MAX_BYTES} bytes).")


def _items(body: bytes) -> Sequence[Any]:
    """Return the events of a post: an array, or a single object (a structured CloudEvent)."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "malformed_json", "The body is not JSON.") from error
    if isinstance(found, dict):
        return [found]
    if not isinstance(found, list):
        raise Refusal(400, "invalid_request", "The body is not an array of events.")
    return found
