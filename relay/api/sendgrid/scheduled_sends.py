"""Handle SendGrid's batch ids and scheduled sends, which are Relay's groups and their stops, and the scopes of a key.

Sources: the vendor's OpenAPI files tsg_mail_v3 and tsg_scheduled_sends.
"""

from typing import Any

from relay.api.http import Response, json_response
from relay.api.problems import Problems
from relay.api.reading.body import MAX_SMALL_BYTES
from relay.api.sendgrid.body import read_body
from relay.api.sendgrid.shape import SendGridStatus, SendGridStop, read
from relay.api.sendgrid.views import (
    SendGridBatchView,
    SendGridScheduledSendView,
    SendGridScopesView,
    SendGridStoppedView,
)
from relay.api.services import Call
from relay.core.errors import Refusal
from relay.delivery.send_groups import Stop, is_group, new_group
from relay.providers.sendgrid.options import VendorShape

SCOPES = (
    "mail.batch.create",
    "mail.batch.read",
    "mail.send",
    "user.scheduled_sends.create",
    "user.scheduled_sends.delete",
    "user.scheduled_sends.read",
    "user.scheduled_sends.update",
)
"""The scopes of every key. The client's policy limits the mail that it may send."""


async def scopes(call: Call) -> Response:
    """Handle GET /v3/scopes."""
    return json_response(SendGridScopesView(scopes=SCOPES))


async def create(call: Call) -> Response:
    """Handle POST /v3/mail/batch."""
    batch = new_group(call.client.mac_key, call.services.new_batch())
    return json_response(SendGridBatchView(batch_id=batch), 201)


async def show(call: Call) -> Response:
    """Handle GET /v3/mail/batch/{batch_id}."""
    return json_response(SendGridBatchView(batch_id=_batch_of(call, call.values["batch_id"])))


async def stop(call: Call) -> Response:
    """Handle POST /v3/user/scheduled_sends."""
    order = _read(call, SendGridStop)
    batch, how = _batch_of(call, order["batch_id"]), Stop(order["status"])
    groups = call.services.send_groups
    if not await groups.stop(call.client.id, batch, how) and await groups.stop_of(call.client.id, batch) != how:
        text = "This batch already has another status. Change it with PATCH, or remove it with DELETE."
        raise Refusal(400, "not_applicable", text, target="batch_id")
    return json_response(SendGridStoppedView(batch_id=batch, status=how, already_sent=await groups.left(batch)), 201)


async def index(call: Call) -> Response:
    """Handle GET /v3/user/scheduled_sends."""
    stopped = await call.services.send_groups.stopped(call.client.id)
    return json_response([SendGridScheduledSendView(batch_id=batch, status=how) for batch, how in stopped.items()])


async def show_stop(call: Call) -> Response:
    """Handle GET /v3/user/scheduled_sends/{batch_id}: a list of one, or an empty list."""
    batch = _batch_of(call, call.values["batch_id"])
    how = await call.services.send_groups.stop_of(call.client.id, batch)
    return json_response([] if how is None else [SendGridScheduledSendView(batch_id=batch, status=how)])


async def change(call: Call) -> Response:
    """Handle PATCH /v3/user/scheduled_sends/{batch_id}."""
    order = _read(call, SendGridStatus)
    batch = await _stopped_batch(call)
    await call.services.send_groups.change(call.client.id, batch, Stop(order["status"]))
    return Response(status=204)


async def release(call: Call) -> Response:
    """Handle DELETE /v3/user/scheduled_sends/{batch_id}: messages that still wait continue."""
    await call.services.send_groups.release(call.client.id, await _stopped_batch(call))
    return Response(status=204)


async def _stopped_batch(call: Call) -> str:
    batch = _batch_of(call, call.values["batch_id"])
    if await call.services.send_groups.stop_of(call.client.id, batch) is None:
        raise Refusal(404, "not_found", "This batch is neither cancelled nor paused.", target="batch_id")
    return batch


def _batch_of(call: Call, text: str) -> str:
    if not is_group(text, call.client.mac_key):
        raise Refusal(400, "invalid_value", "invalid batch id", target="batch_id")
    return text


def _read(call: Call, shape: type[VendorShape]) -> dict[str, Any]:
    problems = Problems()
    order = read(read_body(call.request, MAX_SMALL_BYTES, problems), shape, problems)
    if "status" in order and order["status"] not in list(Stop):
        problems.add("invalid_choice", "status", "The status must be cancel or pause.")
    problems.raise_any()
    return order
