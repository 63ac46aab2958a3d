"""Report whether the process answers, and whether it can work."""

from collections.abc import Mapping

from msgspec import UNSET

from relay.api.http import Response, json_response
from relay.api.services import Call
from relay.api.shapes.system import Availability, LivenessView, ReadinessView
from relay.clients.keys import Role
from relay.core.errors import Refusal
from relay.routes.hold_rows import RouteState

_CREDENTIALS = frozenset({"authorization", "x-api-key"})


async def alive(call: Call) -> Response:
    """Handle GET /v1/health."""
    return json_response(LivenessView(status=Availability.OK))


async def ready(call: Call) -> Response:
    """Handle GET /v1/ready: 200 when storage answers, else 503. Operators who send their key also get the routes."""
    failure = await call.services.readiness.failure()
    if failure:
        view = ReadinessView(status=Availability.UNAVAILABLE, storage=failure)
        return json_response(view, 503, {"Retry-After": "5"})
    routes = await _states(call) if await _is_operator(call) else UNSET
    return json_response(ReadinessView(status=Availability.OK, storage="ok", routes=routes))


async def _is_operator(call: Call) -> bool:
    """Return whether an operator calls. A probe must not fail because of its key, so an invalid key only hides the routes."""
    if not _CREDENTIALS & call.request.headers.keys():
        return False
    try:
        client = await call.services.authentication.client_of(call.request)
        call.services.quotas.requests.take(client, 1)
    except Refusal:
        return False
    return client.role is Role.OPERATOR


async def _states(call: Call) -> Mapping[str, RouteState]:
    holds = await call.services.holds.all()
    states = dict.fromkeys(call.services.settings.routes, RouteState.ACTIVE)
    return states | {hold.route: hold.state for hold in holds.values() if not hold.sender and hold.route in states}
