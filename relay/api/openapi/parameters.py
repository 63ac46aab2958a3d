"""What the documents say of the queries and headers of requests. The operations check them; this only describes."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from relay.api.messages.waiting import WaitGoal
from relay.clients.idempotency import MAX_KEY
from relay.core.model import Delivery, State

type _Schema = Mapping[str, Any]

_TEXT: _Schema = {"type": "string"}
_TIME: _Schema = {"type": "string", "format": "date-time"}
_YES_NO: _Schema = {"type": "boolean"}


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A value in the query or a header of a request; `schema` is JSON Schema."""

    name: str
    says: str
    schema: Mapping[str, Any]
    place: Literal["query", "header"] = "query"
    is_required: bool = False


def _query(name: str, says: str, schema: _Schema = _TEXT, *, is_required: bool = False) -> Parameter:
    return Parameter(name=name, says=says, schema=schema, is_required=is_required)


def _header(name: str, says: str, schema: _Schema = _TEXT) -> Parameter:
    return Parameter(name=name, says=says, schema=schema, place="header")


def _whole(minimum: int, maximum: int) -> _Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def _one_of(*choices: str) -> _Schema:
    return {"type": "string", "enum": [str(choice) for choice in choices]}


IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    "Makes repeating safe: the same key with the same request gets the first answer again. A UUID serves well.",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
)
WAIT = (
    _query("wait", "Answer with a `Location` to wait at until the message is sent or delivered.", _one_of(*WaitGoal)),
    _header("Prefer", "`wait=sent` or `wait=delivered`: as `wait` in the query."),
)
WAITING = (
    _query("until", "As `Location` has it: what is waited for."),
    _query("expires", "As `Location` has it: the end, in seconds since 1970."),
    _query("sig", "As `Location` has it: the signature."),
)
RAW_MESSAGE = (
    _query("from", "With message/rfc822: the envelope's sender, if not the message's From."),
    _query("to", "With message/rfc822: the envelope's recipients, parted by commas, if not the message's own."),
    _query("dry_run", "With message/rfc822: check and explain, and send nothing.", _one_of("true", "false", "1", "0")),
    _query("lane", "With message/rfc822: the lane."),
    _query("route", "With message/rfc822: the route, which it then stays on."),
    _query("delivery", "With message/rfc822: what happens when nobody knows whether it was sent.", _one_of(*Delivery)),
    _query("send_at", "With message/rfc822: when to send it."),
    _query("expires_in_seconds", "With message/rfc822: how long to try.", {"type": "integer", "minimum": 1}),
    _query("tags", "With message/rfc822: tags, parted by commas."),
    _header("X-Relay-Mail-From", "With message/rfc822: as `from` in the query."),
    _header("X-Relay-Rcpt-To", "With message/rfc822: as `to` in the query."),
)
CURSOR = _query("cursor", "Where the next page begins, as `next_link` has it.")
LIMIT = _query("limit", "How many at most, by default 50.", _whole(1, 100))
CLIENT = _query("client", "Whose: for operators.")
LISTING = (
    _query("since", "Accepted at or after this, by default a day before `before`.", _TIME),
    _query("before", "Accepted before this, by default now.", _TIME),
    _query("state", "In this state.", _one_of(*State)),
    _query("tag", "With this tag."),
    _query("recipient", "To this address."),
    CLIENT,
    LIMIT,
    CURSOR,
)
SIGNED = (
    _query("reader", "As `html_url` has it: the client."),
    _query("until", "As `html_url` has it: the end, in seconds since 1970."),
    _query("signature", "As `html_url` has it."),
)
VARIABLES = _query("variables", "As `html_url` has it: the variables as JSON.")
UPLOAD = (
    _query("name", "The file's name.", {"type": "string", "minLength": 1}, is_required=True),
    _query("type", "Its media type, by default by its name."),
    _query("parts", "True, with no body: begin an upload in parts.", _YES_NO),
)
SIZE = _query("size", "The bytes of all parts together, to be checked.", {"type": "integer", "minimum": 0})
INBOX = (
    _query("to", "A part of a recipient's address."),
    _query("from", "A part of the sender's address."),
    _query("subject", "A part of the subject."),
)
TIMEOUT = _query("timeout", "How many seconds to wait, by default 10.", _whole(0, 60))
CODE = _query("code", "The letters of this cause, instead of the counts of all.")
SPAN = _query("span", "How far back, by default an hour.", _one_of("hour", "day", "week"))
CALLBACK = _query("callbackUrl", "The subscription's URL, if it is not in the body.")
SENDGRID_SIGNATURE = (
    _header("X-Twilio-Email-Event-Webhook-Signature", "SendGrid's signature of the timestamp and the body."),
    _header("X-Twilio-Email-Event-Webhook-Timestamp", "When SendGrid signed, in seconds since 1970."),
)
ACS_SECRET = (
    _query("key", "The subscription's secret, if it is not in a header."),
    _header("X-Relay-Events-Key", "The subscription's secret."),
)
ORIGIN = _header("WebHook-Request-Origin", "Who asks whether it may post.")
