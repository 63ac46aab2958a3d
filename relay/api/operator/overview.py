"""Summarize recent messages, queues, routes and dead letters."""

from collections.abc import Sequence

import msgspec

from relay.api.http import Response, json_response
from relay.api.operator.arrivals import counts_view
from relay.api.operator.clients import held_views
from relay.api.operator.routes import route_views
from relay.api.services import Call
from relay.api.shapes.system import (
    CountsView,
    DeadLetterTotalView,
    ExpiringSecretView,
    LaneView,
    OverviewView,
    PointView,
)
from relay.core.errors import Refusal
from relay.journal.overview import Point, Span
from relay.operations.timers.arrival_rates import last_day
from relay.platform.telemetry import QueueMetrics


async def show(call: Call) -> Response:
    """Handle GET /v1/overview.

    Costs the operations that `relay.journal.overview` states, two queue operations for each queue, and a table query each for
    arrivals, routes, dead letters and, if the settings name any, secrets that expire.
    """
    services = call.services
    figures = await services.overview.figures(_span(call))
    letters, is_more = await services.dead_letters.first_counts()
    view = OverviewView(
        at=services.clock(),
        span=figures.span,
        since=figures.since,
        until=figures.until,
        counted_until=figures.counted_until,
        step_seconds=figures.step_seconds,
        share=figures.share,
        totals=_totals(figures.points),
        points=msgspec.convert(figures.points, list[PointView], from_attributes=True),
        unreadable=figures.unreadable,
        median_seconds=figures.median_seconds,
        p95_seconds=figures.p95_seconds,
        arrivals=counts_view((await last_day(services.arrival_hours, services.clock(), ())).total),
        lanes=_lanes(await services.health_log.queues()),
        routes=await route_views(call),
        held_clients=held_views(services.brakes.known().values()),
        dead_letters=DeadLetterTotalView(count=sum(letters.values()), is_more=is_more),
        secrets=msgspec.convert(
            await services.secret_expiry.expiring(), list[ExpiringSecretView], from_attributes=True
        ),
    )
    return json_response(view)


def _span(call: Call) -> Span:
    text = call.request.query.get("span", Span.HOUR)
    if text not in list(Span):
        raise Refusal(400, "invalid_request", f"span is one of {', '.join(Span)}.", target="span")
    return Span(text)


def _totals(points: Sequence[Point]) -> CountsView:
    return CountsView(**{name: sum(getattr(point, name) for point in points) for name in CountsView.__struct_fields__})


def _lanes(queues: Sequence[QueueMetrics]) -> list[LaneView]:
    """Add up the queues of each lane."""
    lanes: dict[str, list[QueueMetrics]] = {}
    for queue in queues:
        lanes.setdefault(queue.lane, []).append(queue)
    return [
        LaneView(
            name=name,
            entries=sum(queue.entries for queue in own if not queue.is_poison),
            oldest_seconds=max((queue.oldest_seconds for queue in own if not queue.is_poison), default=0.0),
            poisoned=sum(queue.entries for queue in own if queue.is_poison),
        )
        for name, own in lanes.items()
    ]
