"""Resend mail that a provider accepted and lost."""

from datetime import UTC, datetime

from relay.api.cursors import step_of
from relay.api.http import Response, json_response
from relay.api.problems import Problems
from relay.api.reading.body import read_request
from relay.api.reading.routes import check_route
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.recovery import LostResentView, ResendLostRequest
from relay.api.text_checks import moment_of
from relay.operations.resend_lost import LostMailQuery
from relay.providers.registry import provider_module


async def resend_lost(call: Call) -> Response:
    """Handle POST /v1/redrive: scan some records; the caller repeats the request with `cursor` until the response has none."""
    value = read_request(call.request, ResendLostRequest)
    problems = Problems()
    wanted = _wanted(call, value, problems)
    problems.raise_any()
    if wanted.is_traced:
        await _check_trace(call, wanted, problems)
        problems.raise_any()
    step = await step_of(call.services.resend_lost.step(wanted, value.cursor))
    view = LostResentView(
        found=step.found,
        redriven=step.redriven,
        skipped=step.skipped,
        unreadable=step.unreadable,
        dry_run=wanted.is_dry,
        is_more=step.cursor is not None,
        cursor=given(step.cursor),
    )
    return json_response(view)


def _wanted(call: Call, value: ResendLostRequest, problems: Problems) -> LostMailQuery:
    routes = call.services.settings.routes
    check_route(value.route, "route", routes, problems)
    check_route(value.to_route, "to_route", routes, problems)
    route = routes.get(value.route)
    is_traced = any(value.route in trace.routes for trace in call.services.settings.message_traces)
    reports = is_traced or (
        route is not None and "delivery_events" in provider_module(route.provider).CAPABILITIES.features
    )
    if route is not None and not reports:
        text = "The provider of this route reports no deliveries, so all mail it sent would count as lost."
        if route.provider == "graph":
            text += " Configure RELAY_MESSAGE_TRACE for this route."
        problems.add("not_applicable", "route", text)
    if not value.without_delivered:
        text = "`without_delivered` must be true; otherwise delivered mail would be sent again."
        problems.add("invalid_choice", "without_delivered", text)
    since, before = _time(value.sent_since, "sent_since", problems), _time(value.sent_before, "sent_before", problems)
    if before > call.services.clock():
        problems.add(
            "out_of_range",
            "sent_before",
            "The time must be in the past: deliveries of newer mail may still be reported.",
        )
    elif since >= before:
        problems.add("out_of_range", "sent_since", "It must be earlier than `sent_before`.")
    return LostMailQuery(
        route=value.route,
        since=since,
        before=before,
        to_route=value.to_route,
        is_dry=bool(value.dry_run),
        is_traced=is_traced,
    )


async def _check_trace(call: Call, wanted: LostMailQuery, problems: Problems) -> None:
    """Check that the message trace was read for the whole period; otherwise mail that arrived would count as lost."""
    reader = call.services.message_traces.of(wanted.route)
    progress = await reader.progress() if reader is not None else None
    if progress is None:
        problems.add("not_applicable", "route", "The message trace of this route has not been read yet.")
    elif wanted.since < progress.began_at:
        text = f"The message trace is known from {progress.began_at:%Y-%m-%dT%H:%M:%SZ} on."
        problems.add("out_of_range", "sent_since", text)
    elif wanted.before > progress.sure_until:
        text = f"The message trace was read until {progress.sure_until:%Y-%m-%dT%H:%M:%SZ}."
        problems.add("out_of_range", "sent_before", text)
    elif not progress.knows(wanted.since, wanted.before):
        text = "The message trace has no mail of Relay since then, so it cannot say which mail was lost."
        problems.add("not_applicable", "route", text)


def _time(text: str, field: str, problems: Problems) -> datetime:
    at = moment_of(text)
    if at is None:
        problems.add("invalid_time", field, "A time is ISO 8601 with an offset, such as 2026-03-01T00:00:00Z.")
    return at or datetime(1970, 1, 1, tzinfo=UTC)
