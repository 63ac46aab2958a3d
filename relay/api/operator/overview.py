"""Operators: how the relay is, at one look."""

from collections.abc import Sequence
from typing import Any

from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.api.operator import routes
from relay.core.errors import Refusal
from relay.journal.overview import Figures, Point, Span
from relay.platform.telemetry import QueueMetrics

_COUNTED = tuple(name for name in Point.__struct_fields__ if name != "at")


async def show(call: Call) -> Response:
    """GET /v1/overview: what became of the messages of a span (`hour`, `day`, `week`), what waits, and what is held.

    Costs what `relay.journal.overview` says, two queue operations a queue, and a table query each for routes and dead letters.
    """
    span = _span(call)
    services = call.services
    figures = await services.overview.figures(span)
    letters, is_more = await services.dead_letters.first_counts()
    body = {
        "at": services.clock(),
        **_told(figures),
        "lanes": _lanes(await services.health_log.queues()),
        "routes": await routes.told(call),
        "dead_letters": {"count": sum(letters.values()), "is_more": is_more},
    }
    return json_response(body)


def _span(call: Call) -> Span:
    text = call.request.query.get("span", Span.HOUR)
    if text not in list(Span):
        raise Refusal(400, "invalid_request", f"span is one of {', '.join(Span)}.", target="span")
    return Span(text)


def _told(figures: Figures) -> dict[str, Any]:
    return {
        "span": str(figures.span),
        "since": figures.since,
        "until": figures.until,
        "counted_until": figures.counted_until,
        "step_seconds": figures.step_seconds,
        "share": figures.share,
        "totals": {name: sum(getattr(point, name) for point in figures.points) for name in _COUNTED},
        "points": figures.points,
        "median_seconds": figures.median_seconds,
        "p95_seconds": figures.p95_seconds,
    }


def _lanes(queues: Sequence[QueueMetrics]) -> list[dict[str, Any]]:
    """Depth and age of each lane over all its queues; `poisoned` are the entries on its poison queues."""
    lanes: dict[str, dict[str, Any]] = {}
    for queue in queues:
        lane = lanes.setdefault(queue.lane, {"name": queue.lane, "entries": 0, "oldest_seconds": 0.0, "poisoned": 0})
        if queue.is_poison:
            lane["poisoned"] += queue.entries
        else:
            lane["entries"] += queue.entries
            lane["oldest_seconds"] = max(lane["oldest_seconds"], queue.oldest_seconds)
    return list(lanes.values())
