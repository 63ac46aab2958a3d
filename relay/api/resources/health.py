"""Report whether the process answers, and whether it can work."""

from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.api.shapes.system import Availability, LivenessView, ReadinessView
from relay.core.errors import StorageError
from relay.routes.holds import RouteState


async def alive(call: Call) -> Response:
    """Handle GET /v1/health."""
    return json_response(LivenessView(status=Availability.OK))


async def ready(call: Call) -> Response:
    """Handle GET /v1/ready: 200 when storage answers, else 503."""
    try:
        holds = await call.services.holds.all(fresh=True)
    except StorageError as error:
        view = ReadinessView(status=Availability.UNAVAILABLE, storage=type(error).__name__)
        return json_response(view, 503, {"Retry-After": "5"})
    states = dict.fromkeys(call.services.settings.routes, RouteState.ACTIVE)
    states |= {hold.route: hold.state for hold in holds.values() if not hold.sender and hold.route in states}
    return json_response(ReadinessView(status=Availability.OK, storage="ok", routes=states))
