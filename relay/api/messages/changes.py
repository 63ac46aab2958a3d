"""Cancel, reschedule, redrive and resend accepted messages."""

from datetime import datetime

from relay.acceptance.draft import Limits
from relay.api.http import Response, json_response
from relay.api.messages.access.checks import check_choices
from relay.api.operator.dead_letters import read_redrive
from relay.api.problems import Problems
from relay.api.reading.body import read_request
from relay.api.reading.fields import read_moment
from relay.api.reading.hold_terms import read_reason
from relay.api.reading.query import read_time
from relay.api.reading.routes import check_route
from relay.api.services import Call
from relay.api.shapes.messages import MessageStateView
from relay.api.shapes.requests import RedriveRequest, RescheduleRequest, ResendRequest
from relay.core.errors import NotFound, Refusal
from relay.core.model import Part, State
from relay.core.parts import part_history
from relay.journal.message_status import MessageHistory
from relay.operations.message_changes import Resend

RETRY_AFTER_SECONDS = 2
_LIMITS = Limits()


async def cancel(call: Call) -> Response:
    """Handle DELETE /v1/messages/{id}."""
    history = await call.services.status_reader.history(call.client, call.values["id"])
    if await call.services.message_changes.cancel(history.name.batch, history.name.index):
        return json_response(MessageStateView(id=str(history.name), state=State.CANCELLED))
    state = await _state(call)
    if state is State.CANCELLED:
        return json_response(MessageStateView(id=str(history.name), state=state))
    raise Refusal(409, "not_cancellable", f"It is too late to cancel this message: its state is {state}.")


async def reschedule(call: Call) -> Response:
    """Handle PATCH /v1/messages/{id}."""
    problems = Problems()
    at = _send_at(call, problems)
    problems.raise_any()
    history = await call.services.status_reader.history(call.client, call.values["id"])
    try:
        is_moved = await call.services.message_changes.reschedule(history.name.batch, history.name.index, at)
    except NotFound as error:
        if history.is_cancelled_unrecorded:
            raise _not_scheduled(State.CANCELLED) from error
        raise Refusal(
            409,
            "not_scheduled_yet",
            "The message was accepted a moment ago and is still queued. Repeat the request after Retry-After.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        ) from error
    if not is_moved:
        raise _not_scheduled(await _state(call))
    return json_response(MessageStateView(id=str(history.name), state=State.SCHEDULED, send_at=at))


async def redrive(call: Call) -> Response:
    """Handle POST /v1/messages/{id}/redrive."""
    request = read_request(call.request, RedriveRequest, is_optional=True)
    problems = Problems()
    how = read_redrive(call, request, problems)
    problems.raise_any()
    check_choices(call.client, route=request.route, sender=request.sender)
    name = await call.services.status_reader.name_of(call.client, call.values["id"])
    try:
        is_redriven = await call.services.message_changes.redrive(name.batch, name.index, how)
    except NotFound:
        is_redriven = False
    history = await call.services.status_reader.history(call.client, call.values["id"])
    state = _state_of(history)
    if not is_redriven and history.status is not None and history.status.erased is not None:
        raise Refusal(410, "message_erased", "The message was erased: there is no content left to send.")
    if not is_redriven:
        raise Refusal(
            409, "not_dead", f"Only a message that failed, expired or is unknown can be redriven; its state is {state}."
        )
    return json_response(MessageStateView(id=str(name), state=state), 202)


async def resend(call: Call) -> Response:
    """Handle POST /v1/messages/{id}/resend, for a recipient who reports that a sent message did not arrive."""
    request = read_request(call.request, ResendRequest)
    problems = Problems()
    read_reason(request.reason, problems)
    until = read_time({"sent_until": request.sent_until}, "sent_until", problems)
    check_route(request.route, "route", call.services.settings.routes, problems)
    problems.raise_any()
    check_choices(call.client, route=request.route)
    history = await call.services.status_reader.history(call.client, call.values["id"])
    history.check_readable()
    if history.status is not None and history.status.erased is not None:
        raise Refusal(410, "message_erased", "The message was erased: there is no content left to send.")
    if until is not None and await _put_back(call, history, until, request.route):
        return json_response(MessageStateView(id=str(history.name), state=State.DEFERRED), 202)
    history = await call.services.status_reader.history(call.client, call.values["id"])
    if until is None or not _is_repeated(history, until, request.route):
        text = "No copy of this message was sent until `sent_until`, or it was sent again since, by another route."
        raise Refusal(409, "not_resendable", text)
    return json_response(MessageStateView(id=str(history.name), state=_state_of(history)), 202)


async def _put_back(call: Call, history: MessageHistory, until: datetime, route: str | None) -> bool:
    """Put the sent copies back on the queue, except those of suppressed recipients. Returns False if there are none."""
    if history.submission is None:
        return False
    message = await call.services.content.message(history.submission)
    if message is None:
        raise Refusal(410, "content_not_found", "The content of the message was purged: there is nothing left to send.")

    def was_sent(part: Part) -> bool:
        return part.state is State.SENT and bool(part.attempts) and part.attempts[-1].at <= until

    suppressed = history.submission.suppressed
    recipients = tuple(number for number in range(len(message.recipients)) if number not in suppressed)
    how = Resend(selects=was_sent, lost=frozenset(recipients), recipients=recipients, route=route)
    changes = call.services.message_changes
    return bool(await changes.resend(history.name.batch, {history.name.index: how}))


def _is_repeated(history: MessageHistory, until: datetime, route: str | None) -> bool:
    """Return whether copies sent until then were put back since, for this route: then the same request had its effect before."""
    parts = () if history.status is None else history.status.parts
    return any(part_history.was_put_back(part, until, route) for part in parts)


def _send_at(call: Call, problems: Problems) -> datetime:
    """Return the requested time, or the current time if it is less than an hour ago."""
    request = read_request(call.request, RescheduleRequest)
    now = call.services.clock()
    return read_moment(request.send_at, now, problems, _LIMITS) or now


async def _state(call: Call) -> State:
    return _state_of(await call.services.status_reader.history(call.client, call.values["id"]))


def _state_of(history: MessageHistory) -> State:
    if history.status is None:
        history.check_readable()
        return State.CANCELLED if history.is_cancelled_unrecorded else State.QUEUED
    return history.status.state


def _not_scheduled(state: State) -> Refusal:
    return Refusal(409, "not_scheduled", f"Only a scheduled message can be rescheduled; its state is {state}.")
