"""Waiting until a message is sent, or delivered, by asking one address again and again: what the HTTP action of Logic Apps does.

Who asks for it (`Prefer: wait=sent`, RFC 7240, or `?wait=sent`) gets a `Location` with a signature of its own, because a
caller that follows it may send no key: made with the client's secret, for one message and one goal, for as long as the
answer can change. It answers 202 until the goal is reached, then 200. A goal that cannot be reached any more is a 422 (410 once
the message was erased): 408, 429 and 5xx would make Logic Apps repeat the request
(learn.microsoft.com/azure/logic-apps/logic-apps-exception-handling).
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import msgspec

from relay.api.app import Call
from relay.api.http import Request, Response, json_response
from relay.api.message_view import story_body
from relay.clients.registry import UNKNOWN_KEY_SECONDS, Client
from relay.core import ids
from relay.core.errors import Problem, Refusal
from relay.core.events import EventKind
from relay.core.model import FINAL, State

_PURPOSE = "wait"
_POLL_SECONDS = 5
_DELIVERY_POLL_SECONDS = 20
_MAX_POLL_SECONDS = 300
"""What waits for its time may be cancelled or moved meanwhile; so late it may be noticed."""
_DELIVERED = frozenset((EventKind.DELIVERED, EventKind.COMPLAINED, "suppressed"))
"""What is said of a recipient who has the mail, or was not to have it. Nobody complains about mail that did not come."""


class WaitGoal(StrEnum):
    """What is waited for."""

    SENT = "sent"
    """The provider took responsibility for every recipient."""
    DELIVERED = "delivered"
    """Every recipient's server has it, as far as the provider tells."""


LASTS: Mapping[WaitGoal, timedelta] = {WaitGoal.SENT: timedelta(hours=1), WaitGoal.DELIVERED: timedelta(days=3)}
"""How long a link outlives the message's expiry. Providers try to deliver for three days at most
(docs.sendgrid.com: 72 hours; Exchange Online: one day)."""


class WaitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A goal to wait for; whether a `Prefer` header named it."""

    goal: WaitGoal
    is_preference: bool


def wish_of(request: Request) -> WaitRequest | None:
    """What the request asks to wait for. Raises `Refusal` for a query that says nothing known.

    A preference that is not known is passed over (RFC 7240 section 2): `wait=10` is another one, in seconds.
    """
    asked = request.query.get("wait")
    if asked is not None:
        if asked not in set(WaitGoal):
            raise Refusal(400, "invalid_request", "`wait` is `sent` or `delivered`.", target="wait")
        return WaitRequest(goal=WaitGoal(asked), is_preference=False)
    preferred = _preference(request.headers.get("prefer", ""))
    return WaitRequest(goal=WaitGoal(preferred), is_preference=True) if preferred in set(WaitGoal) else None


def offered(call: Call, name: str, expires_at: datetime) -> Mapping[str, str]:
    """The headers of an acceptance that let its caller wait, if it asked to. `expires_at` is the message's own."""
    wish = wish_of(call.request)
    if wish is None:
        return {}
    until = int((expires_at + LASTS[wish.goal]).timestamp())
    headers = {"Location": _link(call, call.client, name, wish.goal, until)}
    return headers | ({"Preference-Applied": f"wait={wish.goal}"} if wish.is_preference else {})


async def wait(call: Call) -> Response:
    """GET /v1/messages/{id}/wait: 202 until the message is sent or delivered, as the link asks; then 200 with its status.

    Raises `Refusal`: 403 for a link that is too old or not ours, 410 and 422 when the goal cannot be reached any more.
    """
    client, goal, until = await _signed(call)
    story = await call.services.status_reader.story(client, call.values["id"])
    body = await story_body(story, call.services.content)
    if _is_reached(goal, body):
        return json_response(body)
    _raise_lost(goal, body)
    headers = {
        "Location": _link(call, client, str(story.name), goal, until),
        "Retry-After": str(_pause(body, call.services.clock())),
    }
    return json_response(body, 202, headers)


def _preference(header: str) -> str:
    """The value of the first preference `wait`, or an empty text. Names are compared without case."""
    for each in header.split(","):
        name, _, value = each.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return value.strip().strip('"')
    return ""


def _link(call: Call, client: Client, name: str, goal: WaitGoal, until: int) -> str:
    query = {"until": goal, "expires": str(until), "sig": _signature(client, name, goal, until)}
    return f"{call.base_url}/v1/messages/{name}/wait?{urlencode(query)}"


def _signature(client: Client, name: str, goal: str, until: int) -> str:
    told = msgspec.json.encode([_PURPOSE, name, goal, until])
    return base64.urlsafe_b64encode(hmac.digest(client.mac_key, told, "sha256")).decode().rstrip("=")


async def _signed(call: Call) -> tuple[Client, WaitGoal, int]:
    """Whose message it is, and what the signature of this request's address grants. Raises `Refusal` (403)."""
    query = call.request.query
    goal, until = query.get("until", ""), query.get("expires", "")
    client = await _owner(call)
    # Twelve digits are enough for 30,000 years.
    if client is None or goal not in set(WaitGoal) or not until.isascii() or not until.isdigit() or len(until) > 12:
        raise _invalid()
    name = str(ids.parse(call.values["id"]))
    expected = _signature(client, name, goal, int(until))
    is_signed = hmac.compare_digest(expected.encode(), query.get("sig", "").encode())
    if not is_signed or int(until) < call.services.clock().timestamp():
        raise _invalid()
    return client, WaitGoal(goal), int(until)


async def _owner(call: Call) -> Client | None:
    """The enabled client of the message; one that this process does not know yet is looked for, but not at every request."""
    try:
        name = ids.parse(call.values["id"])
    except ValueError:
        return None
    for age in ({}, {"older_than_seconds": UNKNOWN_KEY_SECONDS}):
        for client in (await call.services.clients.all(**age)).values():
            if ids.belongs_to(name, client.mac_key):
                return None if client.is_disabled else client
    return None


def _is_reached(goal: WaitGoal, body: Mapping[str, Any]) -> bool:
    if body["state"] != State.SENT:
        return False
    recipients = body.get("recipients", ())
    return goal is WaitGoal.SENT or (bool(recipients) and all(row["state"] in _DELIVERED for row in recipients))


def _raise_lost(goal: WaitGoal, body: Mapping[str, Any]) -> None:
    """Raise a `Refusal` (422, 410 once erased) when the goal cannot be reached any more; each recipient's reason is a detail."""
    state, recipients = body["state"], body.get("recipients", ())
    if state in FINAL and state != State.SENT:
        text = f"The message was not sent to everybody: its state is `{state}`. GET its `Operation-Location` for all of it."
        raise _lost("not_sent", text, recipients, FINAL - {State.SENT})
    if goal is WaitGoal.DELIVERED and "erased_at" in body:
        text = "The message was sent, and erased since: whether it was delivered is not known any more."
        raise Refusal(410, "message_erased", text)
    if goal is WaitGoal.DELIVERED and any(row["state"] == EventKind.BOUNCED for row in recipients):
        text = "The message was sent, but bounced. GET its `Operation-Location` for all of it."
        raise _lost("not_delivered", text, recipients, frozenset((EventKind.BOUNCED,)))


def _lost(code: str, text: str, recipients: Sequence[Mapping[str, Any]], states: frozenset[Any]) -> Refusal:
    problems = [
        Problem(code=code, target=f"recipients[{number}]", message=_reason(row))
        for number, row in enumerate(recipients)
        if row["state"] in states
    ]
    return Refusal(422, code, text, problems=problems)


def _reason(row: Mapping[str, Any]) -> str:
    return f"The state of this recipient is `{row['state']}`" + (f": `{row['code']}`." if "code" in row else ".")


def _pause(body: Mapping[str, Any], now: datetime) -> int:
    """Seconds until it is worth while to ask again."""
    if body["state"] == State.SENT:
        return _DELIVERY_POLL_SECONDS
    due_at = body.get("next_attempt_at")
    seconds = 0 if due_at is None else int((due_at - now).total_seconds()) + 1
    return min(max(seconds, _POLL_SECONDS), _MAX_POLL_SECONDS)


def _invalid() -> Refusal:
    text = "This link to wait is too old or not whole. GET the message itself, with a key."
    return Refusal(403, "link_not_valid", text)
