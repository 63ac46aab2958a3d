"""Erase a recipient's messages."""

from relay.api.cursors import step_of
from relay.api.http import Response, json_response
from relay.api.problems import Problems
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.body import read_request
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.recovery import ErasedView, EraseRequest


async def recipient(call: Call) -> Response:
    """Handle POST /v1/erase: scan some records; the caller repeats the request with `cursor` until the response has none."""
    value = read_request(call.request, EraseRequest)
    problems = Problems()
    address = ""
    try:
        address = same_mailbox(email_address(value.recipient))
    except ValueError as error:
        problems.add("invalid_address", "recipient", str(error))
    problems.raise_any()
    is_dry = bool(value.dry_run)
    step = await step_of(call.services.erasure.step(address, value.cursor, is_dry=is_dry))
    view = ErasedView(
        erased=step.erased,
        cancelled=step.cancelled,
        in_progress=step.in_progress,
        shared_files=step.shared_files,
        unreadable=step.unreadable,
        dry_run=is_dry,
        is_more=step.cursor is not None,
        cursor=given(step.cursor),
    )
    return json_response(view)
