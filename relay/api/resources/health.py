"""Whether the process lives, and whether it can work."""

from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.core.errors import StorageError
from relay.routes.holds import RouteState


async def alive(call: Call) -> Response:
    """GET /v1/health: the process answers."""
    return json_response({"status": "ok"})


async def ready(call: Call) -> Response:
    """GET /v1/ready: storage is reachable (200, else 503), and what state the routes are in."""
    try:
        holds = await call.services.holds.all(fresh=True)
    except StorageError as error:
        body = {"status": "unavailable", "storage": type(error).__name__}
        return json_response(body, 503, {"Retry-After": "5"})
    states = {name: str(RouteState.ACTIVE) for name in call.services.settings.routes}
    states |= {hold.route: str(hold.state) for hold in holds.values() if not hold.sender and hold.route in states}
    return json_response({"status": "ok", "storage": "ok", "routes": states})
