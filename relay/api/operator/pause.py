"""Pause and resume delivery."""

import msgspec

from relay.api.http import Response, json_response
from relay.api.reading.body import read_request
from relay.api.reading.hold_terms import read_terms
from relay.api.services import Call
from relay.api.shapes.routes import PauseRequest, PauseView, ResumedView
from relay.operations.pause import PauseState

WAIT_SECONDS = 20
"""Default time to wait for running attempts. Below the timeouts of common HTTP clients."""


async def show(call: Call) -> Response:
    """Handle GET /v1/pause."""
    return json_response(_view(await call.services.pause.state()))


async def pause(call: Call) -> Response:
    """Handle POST /v1/pause: hold every route, and wait until no attempt runs."""
    wanted = read_request(call.request, PauseRequest, is_optional=True)
    wait_seconds = WAIT_SECONDS if wanted.wait_seconds is None else wanted.wait_seconds
    terms = read_terms(wanted, call.services.clock())
    state = await call.services.pause.pause(
        terms.reason, owner=call.client.name, until=terms.until, wait_seconds=wait_seconds
    )
    return json_response(_view(state))


async def resume(call: Call) -> Response:
    """Handle POST /v1/resume: end the pause, and re-enqueue the waiting messages."""
    resumed = await call.services.pause.resume()
    await call.services.recovery.wake()
    return json_response(ResumedView(resumed=resumed))


def _view(state: PauseState) -> PauseView:
    return msgspec.convert(state, PauseView, from_attributes=True)
