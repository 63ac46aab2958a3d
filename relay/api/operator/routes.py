"""Operators: the routes, their states, hold and release."""

from typing import Any

from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.core.errors import Refusal
from relay.core.outcomes import Sent
from relay.routes.holds import Hold, RouteState


async def index(call: Call) -> Response:
    """GET /v1/routes: every configured route with what is held of it."""
    return json_response({"value": await told(call)})


async def told(call: Call) -> list[dict[str, Any]]:
    """What is told of every configured route; costs one table query."""
    holds = list((await call.services.holds.all(fresh=True)).values())
    return [
        {
            "name": route.name,
            "provider": route.provider,
            "state": str(next((h.state for h in holds if h.route == route.name and not h.sender), RouteState.ACTIVE)),
            "holds": [_hold(h) for h in holds if h.route == route.name and h.state is not RouteState.ACTIVE],
        }
        for route in call.services.settings.routes.values()
    ]


async def hold(call: Call) -> Response:
    """POST /v1/routes/{name}/hold: nothing leaves by this route until it is released."""
    held = await call.services.holds.hold(_route(call), "operator", is_for_operator=True)
    return json_response(_hold(held))


async def release(call: Call) -> Response:
    """POST /v1/routes/{name}/release: open the route and every sender held on it, and wake what waits."""
    name = _route(call)
    released = [
        scope
        for scope, known in (await call.services.holds.all(fresh=True)).items()
        if known.route == name and await call.services.holds.release(scope, "operator") is not None
    ]
    await call.services.recovery.wake()
    return json_response({"name": name, "state": str(RouteState.ACTIVE), "released": len(released)})


async def probe(call: Call) -> Response:
    """POST /v1/routes/{name}/probe: whether it could send now; a held route that could lets one batch through."""
    name = _route(call)
    answer = await call.services.recovery.probe_now(name)
    is_healthy = isinstance(answer, Sent)
    if is_healthy:
        await call.services.recovery.recover()
    return json_response({"name": name, "is_healthy": is_healthy, "code": answer.code, "reply": answer.reply})


def _route(call: Call) -> str:
    name = call.values["name"]
    if name not in call.services.settings.routes:
        raise Refusal(
            404, "unknown_route", f"There is no such route; there are: {', '.join(call.services.settings.routes)}."
        )
    return name


def _hold(held: Hold) -> dict[str, Any]:
    return {
        "route": held.route,
        "sender": held.sender or None,
        "state": str(held.state),
        "code": held.code,
        "reply": held.reply,
        "since": held.since,
        "next_probe_at": held.next_probe_at,
        "probes": held.probes,
    }
