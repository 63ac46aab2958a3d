"""Offer a signed URL at which a caller polls until its message is sent or delivered (the pattern Logic Apps follows).

A caller asks for it by `Prefer: wait=sent` (RFC 7240) or `?wait=sent`. The `Location` is signed, because a caller that follows it
may send no key. The signature is made with the client's secret, for one message and one goal, and is valid as long as the
response can change. `relay.api.messages.status` serves the URL.
"""

import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

import msgspec

from relay.api.http import Request
from relay.api.services import Call
from relay.clients.registry import Client
from relay.core.errors import Refusal

_PURPOSE = "wait"


class WaitGoal(StrEnum):
    """The state that a caller waits for."""

    SENT = "sent"
    """The provider took responsibility for every recipient."""
    DELIVERED = "delivered"
    """Every recipient's server accepted the mail, as far as the provider reports."""


_GOALS = frozenset(WaitGoal)
LASTS: Mapping[WaitGoal, timedelta] = {WaitGoal.SENT: timedelta(hours=1), WaitGoal.DELIVERED: timedelta(days=3)}
"""How long a URL outlives the message's expiry. Providers try to deliver for three days at most
(docs.sendgrid.com: 72 hours; Exchange Online: one day)."""


class WaitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A goal to wait for, and whether a `Prefer` header named it."""

    goal: WaitGoal
    is_preference: bool


def wish_of(request: Request) -> WaitRequest | None:
    """Read the goal that a request asks to wait for; None if there is none. Raises `Refusal` for an unknown goal in the query.

    An unknown preference is ignored (RFC 7240 section 2): `wait=10` is a different one, in seconds.
    """
    goal = request.query.get("wait")
    if goal is not None:
        if goal not in _GOALS:
            raise Refusal(400, "invalid_request", "`wait` must be `sent` or `delivered`.", target="wait")
        return WaitRequest(goal=WaitGoal(goal), is_preference=False)
    header = request.headers.get("prefer")
    preferred = _preference(header) if header else ""
    return WaitRequest(goal=WaitGoal(preferred), is_preference=True) if preferred in _GOALS else None


def offered(call: Call, name: str, expires_at: datetime) -> Mapping[str, str]:
    """Return the headers that let the caller wait, if it asked for that. `expires_at` is the expiry of the message."""
    wish = wish_of(call.request)
    if wish is None:
        return {}
    until = int((expires_at + LASTS[wish.goal]).timestamp())
    headers = {"Location": link(call, call.client, name, wish.goal, until)}
    return headers | ({"Preference-Applied": f"wait={wish.goal}"} if wish.is_preference else {})


def link(call: Call, client: Client, name: str, goal: WaitGoal, until: int) -> str:
    """Return the signed URL to poll."""
    query = {"until": goal, "expires": str(until), "sig": signature(client, name, goal, until)}
    return f"{call.base_url}/v1/messages/{name}/wait?{urlencode(query)}"


def signature(client: Client, name: str, goal: str, until: int) -> str:
    """Sign a message's name, a goal and an expiry (Unix time) for a client."""
    signed = msgspec.json.encode([_PURPOSE, name, goal, until])
    return base64.urlsafe_b64encode(hmac.digest(client.mac_key, signed, "sha256")).decode().rstrip("=")


def _preference(header: str) -> str:
    """Return the value of the first preference `wait`, or an empty text. Names are compared without case."""
    for each in header.split(","):
        name, _, value = each.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return value.strip().strip('"')
    return ""
