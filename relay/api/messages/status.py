"""Report a message's status, once, or at a signed URL until the message is sent or delivered.

The URL answers 202 until the goal is reached, then 200. A goal that can no longer be reached gives 422 (410 once the message
was erased): 408, 429 and 5xx would make Logic Apps repeat the request
(learn.microsoft.com/azure/logic-apps/logic-apps-exception-handling).
"""

import hmac
from collections.abc import Sequence
from datetime import datetime

from msgspec import UNSET

from relay.api.http import Response, json_response
from relay.api.messages.access.states_only import message_states
from relay.api.messages.view import history_view
from relay.api.messages.waiting import WaitGoal, link, signature
from relay.api.services import Call
from relay.api.shapes.messages import MessageView, RecipientStatus, RecipientView, RecordState
from relay.api.text_checks import whole_number
from relay.clients.keys import Role
from relay.clients.registry import UNKNOWN_KEY_SECONDS, Client
from relay.clients.roles import SENDERS
from relay.core import ids
from relay.core.errors import Problem, Refusal
from relay.core.model import FINAL, State
from relay.journal.message_status import MessageHistory
from relay.routes.reports import reports_of

MOVING_RETRY_SECONDS = 2
_POLL_SECONDS = 5
_DELIVERY_POLL_SECONDS = 20
_MAX_POLL_SECONDS = 300
"""The longest pause: a scheduled message may be cancelled or rescheduled, and its caller notices that this late at worst."""
_DELIVERED = frozenset((RecipientStatus.DELIVERED, RecipientStatus.COMPLAINED, RecipientStatus.SUPPRESSED))
"""States of a recipient who has the mail, or must not get it. A complaint implies delivery."""
_FINAL = frozenset(RecordState(state) for state in FINAL)
_UNSENT = frozenset(RecipientStatus(state) for state in FINAL - {State.SENT})


async def show(call: Call) -> Response:
    """Handle GET /v1/messages/{id}: always 200, with `Retry-After` while the message is in progress."""
    history = await call.services.status_reader.history(call.client, call.values["id"])
    view = await _view(call, history)
    if call.client.role is Role.VIEWER:
        view = message_states(view)
    return json_response(view, headers={} if view.state in _FINAL else {"Retry-After": str(MOVING_RETRY_SECONDS)})


async def wait(call: Call) -> Response:
    """Handle GET /v1/messages/{id}/wait.

    Raises `Refusal`: 403 for a URL that has expired or that Relay did not sign, 410 and 422 if the goal cannot be reached.
    """
    client, goal, until = await _signed(call)
    call.services.quotas.requests.take(client, 1)
    history = await call.services.status_reader.history(client, call.values["id"])
    view = await _view(call, history)
    if _is_reached(goal, view):
        return json_response(view)
    _raise_missed(goal, view)
    headers = {
        "Location": link(call, client, str(history.name), goal, until),
        "Retry-After": str(_pause(view, call.services.clock())),
    }
    return json_response(view, 202, headers)


async def _view(call: Call, history: MessageHistory) -> MessageView:
    services = call.services
    return await history_view(history, services.content, services.clock(), reports_of(services.settings))


async def _signed(call: Call) -> tuple[Client, WaitGoal, int]:
    """Return the message's client, and the goal and expiry that the URL's signature covers. Raises `Refusal` (403)."""
    query = call.request.query
    goal, until = query.get("until", ""), whole_number(query.get("expires", ""))
    client = await _owner(call)
    if client is None or goal not in set(WaitGoal) or until is None:
        raise _invalid()
    name = str(ids.parse(call.values["id"]))
    expected = signature(client, name, goal, until)
    is_signed = hmac.compare_digest(expected.encode(), query.get("sig", "").encode())
    if not is_signed or until < call.services.clock().timestamp():
        raise _invalid()
    return client, WaitGoal(goal), until


async def _owner(call: Call) -> Client | None:
    """Return the enabled client of the message, if it may still send.

    A client that this process does not know is looked up, but not each time.
    """
    try:
        name = ids.parse(call.values["id"])
    except ValueError:
        return None
    for age in ({}, {"older_than_seconds": UNKNOWN_KEY_SECONDS}):
        for client in (await call.services.clients.all(**age)).values():
            if ids.belongs_to(name, client.mac_key):
                return None if client.is_disabled or not client.roles & SENDERS else client
    return None


def _recipients(view: MessageView) -> Sequence[RecipientView]:
    return () if view.recipients is UNSET else view.recipients


def _is_reached(goal: WaitGoal, view: MessageView) -> bool:
    if view.state is not RecordState.SENT:
        return False
    recipients = _recipients(view)
    return goal is WaitGoal.SENT or (bool(recipients) and all(row.state in _DELIVERED for row in recipients))


def _raise_missed(goal: WaitGoal, view: MessageView) -> None:
    """Raise `Refusal` (422, 410 once erased) if the goal cannot be reached any more. Each recipient's reason is a detail."""
    recipients = _recipients(view)
    if view.state in _FINAL and view.state is not RecordState.SENT:
        text = (
            f"The message was not sent to every recipient: its state is `{view.state}`. "
            "GET its `Operation-Location` for details."
        )
        raise _missed("not_sent", text, recipients, _UNSENT)
    if goal is WaitGoal.DELIVERED and view.erased_at is not UNSET:
        text = "The message was sent and then erased, so Relay no longer knows whether it was delivered."
        raise Refusal(410, "message_erased", text)
    if goal is WaitGoal.DELIVERED and any(row.state is RecipientStatus.BOUNCED for row in recipients):
        text = "The message was sent, but bounced. GET its `Operation-Location` for details."
        raise _missed("not_delivered", text, recipients, frozenset((RecipientStatus.BOUNCED,)))


def _missed(code: str, text: str, recipients: Sequence[RecipientView], states: frozenset[RecipientStatus]) -> Refusal:
    problems = [
        Problem(code=code, target=f"recipients[{number}]", message=_reason(row))
        for number, row in enumerate(recipients)
        if row.state in states
    ]
    return Refusal(422, code, text, problems=problems)


def _reason(row: RecipientView) -> str:
    return f"The state of this recipient is `{row.state}`" + ("." if row.code is UNSET else f": `{row.code}`.")


def _pause(view: MessageView, now: datetime) -> int:
    """Return the seconds until the caller should poll again."""
    if view.state is RecordState.SENT:
        return _DELIVERY_POLL_SECONDS
    due_at = view.next_attempt_at
    seconds = 0 if due_at is UNSET else int((due_at - now).total_seconds()) + 1
    return min(max(seconds, _POLL_SECONDS), _MAX_POLL_SECONDS)


def _invalid() -> Refusal:
    text = "This link has expired or its signature is invalid. GET the message itself, with a key."
    return Refusal(403, "link_not_valid", text)
