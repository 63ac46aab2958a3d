"""Operators: erase what is kept of one recipient's messages."""

from relay.api.app import Call
from relay.api.cursors import step_of, step_response
from relay.api.http import Response
from relay.api.problems import Problems
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.body import read_object


async def recipient(call: Call) -> Response:
    """POST /v1/erase: look at some records and erase what was for this address; repeat with `cursor` until there is none."""
    from relay.api.shapes.admin_requests import EraseRequest

    value = read_object(call.request, EraseRequest)
    faults = Problems(20)
    address = ""
    try:
        address = same_mailbox(email_address(value["recipient"]))
    except ValueError as error:
        faults.add("invalid_address", "recipient", str(error))
    faults.raise_any()
    is_dry = bool(value.get("dry_run"))
    step = await step_of(call.services.erasure.step(address, value.get("cursor"), is_dry=is_dry))
    counts = {
        "erased": step.erased,
        "cancelled": step.cancelled,
        "moving": step.moving,
        "shared_files": step.shared_files,
    }
    return step_response(counts, step.cursor, is_dry=is_dry)
