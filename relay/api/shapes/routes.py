"""Routes, their holds, and the pause of delivery: requests and responses."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from relay.api.shapes.base import Shape, Time, says
from relay.routes.hold_rows import RouteState
from relay.routes.recipient_budget.usage import Scope

_Wait = Annotated[int, Meta(ge=0, le=120)]
_Reason = Annotated[
    str | None, says("The reason, shown with the routes.", "maintenance of the mail server", maxLength=200)
]
_Until = Annotated[
    str | None,
    says(
        "The end, at most 7 days ahead. Without an end, it lasts until an operator ends it.",
        "2026-03-01T18:00:00Z",
    ),
]


class HoldRequest(Shape, frozen=True, kw_only=True):
    """The reason and the end of a hold."""

    reason: _Reason = None
    until: _Until = None


class PauseRequest(Shape, frozen=True, kw_only=True):
    """The reason and the end of a pause, and how long to wait."""

    reason: _Reason = None
    until: _Until = None
    wait_seconds: Annotated[_Wait | None, says("How long to wait until no attempt runs. The default is 20.", 20)] = None


class HoldView(Struct, frozen=True, kw_only=True):
    """A held route, or a sender held on a route."""

    route: Annotated[str, says("The route.")]
    sender: Annotated[str | None, says("The held sender; null when the whole route is held.")]
    state: Annotated[RouteState, says("Whether mail may leave.")]
    code: Annotated[str, says("Why it is held, as GET /v1/causes lists it.")]
    reply: Annotated[str, says("The provider's reply; empty when an operator holds it.")]
    owner: Annotated[str, says("The client that holds it or paused delivery; empty when Relay holds it.")]
    reason: Annotated[str, says("The reason that the owner gave; else empty.")]
    until: Annotated[
        Time | None, says("When the owner's hold or pause ends; null when it lasts until an operator ends it.")
    ]
    since: Annotated[Time | None, says("Since when it is held.")]
    next_probe_at: Annotated[Time | None, says("When Relay probes it next; null when only an operator releases it.")]
    probes: Annotated[int, says("The number of failed probes.")]
    is_paused: Annotated[bool, says("Whether the hold ends when delivery is resumed.")]


class BudgetView(Struct, frozen=True, kw_only=True):
    """A limit of external recipients in 24 hours."""

    scope: Annotated[Scope, says("What the limit counts.")]
    name: Annotated[str, says("The mailbox, or the domain of the From addresses; empty for the tenant.")]
    limit: Annotated[int, says("The limit.")]
    used: Annotated[int, says("The external recipients that count at the moment.")]
    left: Annotated[int, says("The external recipients that are left.")]
    opens_at: Annotated[Time | None, says("When there is room again; null when there is room now.")]


class RouteView(Struct, frozen=True, kw_only=True):
    """A route with its holds."""

    name: Annotated[str, says("The route's name.")]
    provider: Annotated[str, says("The route's provider.")]
    state: Annotated[RouteState, says("Whether mail may leave by this route.")]
    holds: Annotated[Sequence[HoldView], says("The holds of the route and of senders on it.")]
    budgets: Annotated[Sequence[BudgetView], says("The limits of external recipients; empty without a budget.")]


class RouteListView(Struct, frozen=True, kw_only=True):
    """All routes."""

    value: Annotated[Sequence[RouteView], says("The routes.")]


class RouteReleasedView(Struct, frozen=True, kw_only=True):
    """The result of releasing a route."""

    name: Annotated[str, says("The route's name.")]
    state: Annotated[RouteState, says("Whether mail may leave by this route.")]
    released: Annotated[int, says("The number of holds that ended.")]


class PauseView(Struct, frozen=True, kw_only=True):
    """The state of a pause of delivery."""

    is_paused: Annotated[bool, says("Whether a pause holds any route.")]
    is_quiet: Annotated[bool, says("Whether no attempt runs, and none will start before delivery is resumed.")]
    sending: Annotated[int, says("The attempts that run.")]
    routes: Annotated[Sequence[str], says("The routes that the pause holds.")]
    since: Annotated[Time | None, says("When the pause began; null when delivery is not paused.")]
    reason: Annotated[str, says("The reason that the operator gave; else empty.")]
    owner: Annotated[str, says("The client that paused delivery; else empty.")]
    until: Annotated[Time | None, says("When the pause ends; null when it lasts until an operator resumes delivery.")]


class ResumedView(Struct, frozen=True, kw_only=True):
    """The result of resuming delivery."""

    resumed: Annotated[int, says("The number of routes that the pause had held.")]


class ProbeView(Struct, frozen=True, kw_only=True):
    """The result of a probe."""

    name: Annotated[str, says("The route's name.")]
    is_healthy: Annotated[bool, says("Whether the route could send now.")]
    code: Annotated[str, says("Why it could not, as GET /v1/causes lists it; else empty.")]
    reply: Annotated[str, says("The provider's reply.")]
