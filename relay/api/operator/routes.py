"""List, hold, release and probe routes."""

import msgspec

from relay.api.http import Response, json_response
from relay.api.reading.body import read_request
from relay.api.reading.hold_terms import read_terms
from relay.api.reading.routes import known_route
from relay.api.services import Call
from relay.api.shapes.routes import (
    BudgetView,
    HoldRequest,
    HoldView,
    ProbeView,
    RouteListView,
    RouteReleasedView,
    RouteView,
)
from relay.clients.keys import Role
from relay.core.outcomes import Sent
from relay.routes.hold_rows import Hold, RouteState
from relay.routes.recipient_budget.usage import BudgetUse, Scope


async def index(call: Call) -> Response:
    """Handle GET /v1/routes."""
    return json_response(RouteListView(value=await route_views(call)))


async def route_views(call: Call) -> list[RouteView]:
    """Show every configured route with its holds and budgets; a viewer sees no senders, mailboxes and replies.

    Costs one table query, and one for each tenant with a budget.
    """
    budgets = await call.services.recipient_usage.read()
    holds = list((await call.services.holds.all(fresh=True)).values())
    is_viewer = call.client.role is Role.VIEWER
    if is_viewer:
        holds = [msgspec.structs.replace(held, reply="") for held in holds if not held.sender]
    return [
        RouteView(
            name=route.name,
            provider=route.provider,
            state=next((h.state for h in holds if h.route == route.name and not h.sender), RouteState.ACTIVE),
            holds=[_view(h) for h in holds if h.route == route.name and h.state is not RouteState.ACTIVE],
            budgets=[
                _budget(use) for use in budgets.get(route.name, ()) if not (is_viewer and use.scope is Scope.MAILBOX)
            ],
        )
        for route in call.services.settings.routes.values()
    ]


async def hold(call: Call) -> Response:
    """Handle POST /v1/routes/{name}/hold."""
    name = _route(call)
    terms = read_terms(read_request(call.request, HoldRequest, is_optional=True), call.services.clock())
    held = await call.services.holds.hold_for_operator(
        name, owner=call.client.name, reason=terms.reason, until=terms.until
    )
    return json_response(_view(held))


async def release(call: Call) -> Response:
    """Handle POST /v1/routes/{name}/release: end every hold on the route, and re-enqueue its waiting messages."""
    name = _route(call)
    released = [
        scope
        for scope, known in (await call.services.holds.all(fresh=True)).items()
        if known.route == name and await call.services.holds.release(scope, "operator") is not None
    ]
    await call.services.recovery.wake()
    return json_response(RouteReleasedView(name=name, state=RouteState.ACTIVE, released=len(released)))


async def probe(call: Call) -> Response:
    """Handle POST /v1/routes/{name}/probe: a held route that is healthy releases one canary batch."""
    name = _route(call)
    answer = await call.services.probes.probe_now(name)
    is_healthy = isinstance(answer, Sent)
    if is_healthy:
        await call.services.recovery.recover()
    return json_response(ProbeView(name=name, is_healthy=is_healthy, code=answer.code, reply=answer.reply))


def _route(call: Call) -> str:
    return known_route(call.values["name"], call.services.settings.routes)


def _budget(use: BudgetUse) -> BudgetView:
    return BudgetView(
        scope=use.scope, name=use.name, limit=use.limit, used=use.used, left=use.left, opens_at=use.opens_at
    )


def _view(held: Hold) -> HoldView:
    return HoldView(
        route=held.route,
        sender=held.sender or None,
        state=held.state,
        code=held.code,
        reply=held.reply,
        since=held.since,
        next_probe_at=held.next_probe_at,
        probes=held.probes,
        is_paused=held.is_paused,
        owner=held.owner,
        reason=held.reason,
        until=held.ends_at,
    )
