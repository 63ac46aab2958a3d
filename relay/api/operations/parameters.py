"""Parameters of requests, as the document describes them. The handlers check all but the patterns of paths."""

from collections.abc import Mapping
from typing import Any

from relay.api.messages.waiting import WaitGoal
from relay.api.operation import Parameter
from relay.clients.idempotency import MAX_KEY
from relay.core.arrival.arrivals import Arrival
from relay.core.model import DeliveryGuarantee, State
from relay.journal.search.terms import MAX_METADATA, MAX_SUBJECT
from relay.operations.audit.record import AuditOutcome

type _Schema = Mapping[str, Any]

_TEXT: _Schema = {"type": "string"}
_TIME: _Schema = {"type": "string", "format": "date-time"}
_YES_NO: _Schema = {"type": "boolean"}
_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
_HEX = "[0-9a-f]{32}"


def _path(name: str, description: str, pattern: str, *, not_found: str = "") -> Parameter:
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return Parameter(
        name=name, description=description, schema=schema, place="path", is_required=True, not_found=not_found
    )


def _query(name: str, description: str, schema: _Schema = _TEXT, *, is_required: bool = False) -> Parameter:
    return Parameter(name=name, description=description, schema=schema, is_required=is_required)


def _header(name: str, description: str, schema: _Schema = _TEXT) -> Parameter:
    return Parameter(name=name, description=description, schema=schema, place="header")


def _whole(minimum: int, maximum: int) -> _Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def _one_of(*choices: str) -> _Schema:
    return {"type": "string", "enum": [str(choice) for choice in choices]}


# ── paths: no pattern matches a fixed segment that may stand in its place ──

MESSAGE_ID = _path("id", "The message's id.", "msg_[0-9a-v]{40}", not_found="message_not_found")
UPLOAD_ID = _path("id", "The upload's id.", f"att_{_HEX}", not_found="attachment_not_found")
WEBHOOK_ID = _path("id", "The webhook's id.", f"wh_{_HEX}", not_found="not_found")
MAIL_NAME = _path(
    "name", "The mail's name, as the list has it.", "[0-9]{13}-msg_[0-9a-v]{40}-[0-9]{1,4}", not_found="not_found"
)
TEMPLATE = _path(
    "name",
    "The template's name; `name@3` is its version 3.",
    f"{_NAME}(@[1-9][0-9]{{0,6}})?",
    not_found="template_not_found",
)
TEMPLATE_NAME = _path("name", "The template's name.", _NAME)
CLIENT_NAME = _path("name", "The client's name.", "[a-z0-9][a-z0-9-]{0,62}", not_found="not_found")
KEY_ID = _path("id", "The key's id.", "[0-9a-f]{8}", not_found="not_found")
ROUTE_NAME = _path("name", "The route's name.", _NAME)
STEP_NAME = _path("name", "The step's name, as `GET /v1/timers` lists it.", "[a-z_]{1,32}", not_found="not_found")
TOPIC_NAME = _path("name", "The topic's name.", "[a-z0-9][a-z0-9_.-]{0,63}", not_found="not_found")
EMAIL = _path("email", "The address.", "[^@]+@[^@]+")
BATCH_ID = _path("batch_id", "The batch id.", "[A-Za-z0-9_-]{32}")
ATTACHMENT_NUMBER = _path("number", "The attachment's number, counted from 0.", "[0-9]{1,4}")
PART_NUMBER = _path("number", "The part's number, from 1 to 1000.", "[0-9]{1,4}")

# ── sending and waiting ──

IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    "Makes retries safe: the same request with the same key gets the first response again. Use a UUID, for example.",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
)
WAIT = (
    _query("wait", "Return a `Location` to poll until the message is sent or delivered.", _one_of(*WaitGoal)),
    _header("Prefer", "`wait=sent` or `wait=delivered`: the same as `wait` in the query."),
)
WAITING = (
    _query("until", "The goal to wait for, taken from `Location`."),
    _query("expires", "Expiry of the signed URL (Unix time), taken from `Location`."),
    _query("sig", "The signature, taken from `Location`."),
)
RAW_MESSAGE = (
    _query("from", "With message/rfc822: the envelope's sender, if not the message's From."),
    _query("to", "With message/rfc822: the envelope's recipients, separated by commas, if not the message's own."),
    _query("dry_run", "With message/rfc822: check and explain, and send nothing.", _one_of("true", "false", "1", "0")),
    _query("lane", "With message/rfc822: the lane."),
    _query("route", "With message/rfc822: the only route to use."),
    _query(
        "delivery", "With message/rfc822: what to do when an attempt's outcome is unknown.", _one_of(*DeliveryGuarantee)
    ),
    _query("send_at", "With message/rfc822: when to send it."),
    _query(
        "expires_in_seconds", "With message/rfc822: how long to try, in seconds.", {"type": "integer", "minimum": 1}
    ),
    _query("tags", "With message/rfc822: tags, separated by commas."),
    _query("unsubscribe", "With message/rfc822: the topic that the recipient can unsubscribe from with one click."),
    _header("X-Relay-Mail-From", "With message/rfc822: the same as `from` in the query."),
    _header("X-Relay-Rcpt-To", "With message/rfc822: the same as `to` in the query."),
    _header("X-Relay-Unsubscribe", "With message/rfc822: the same as `unsubscribe` in the query."),
)

# ── lists ──

CURSOR = _query("cursor", "Where the page begins, taken from `next_link`.")
LIMIT = _query("limit", "The number of entries at most, by default 50.", _whole(1, 100))
CLIENT = _query("client", "For operators: another client's name.")
_FILTERS = (
    _query("since", "Accepted at or after this time, by default a day before `before`.", _TIME),
    _query("before", "Accepted before this time, by default now.", _TIME),
    _query("state", "In this state.", _one_of(*State)),
    _query("arrival", "With this arrival of at least one recipient.", _one_of(*Arrival)),
    _query("recipient", "To this address; `@example.org`: to any address of this domain."),
    _query("from", "From this address; `@example.org`: from any address of this domain."),
    _query("subject", "With all these words in the subject.", {"type": "string", "maxLength": MAX_SUBJECT}),
    _query("tag", "With this tag."),
    _query("metadata", "With this metadata, as `name=value`.", {"type": "string", "maxLength": MAX_METADATA}),
    CLIENT,
)
LISTING = (*_FILTERS, LIMIT, CURSOR)
MESSAGES_EXPORT = (
    *_FILTERS,
    _query("limit", "The number of messages at most, by default 1000.", _whole(1, 1000)),
    CURSOR,
)
AUDIT = (
    _query("since", "Called at or after this time.", _TIME),
    _query("before", "Called before this time.", _TIME),
    _query("client", "By this client."),
    _query("operation", "Calls of this operation, such as `HoldRoute`."),
    _query("target", "About this target, such as a route or a client. An address is looked up by its digest."),
    _query("outcome", "With this outcome.", _one_of(*AuditOutcome)),
    _query("limit", "The number of records at most, by default 50.", _whole(1, 1000)),
    CURSOR,
)
INBOX = (
    _query("to", "A part of a recipient's address."),
    _query("from", "A part of the sender's address."),
    _query("subject", "A part of the subject."),
)
TIMEOUT = _query("timeout", "The number of seconds to wait, by default 10.", _whole(0, 60))
CODE = _query("code", "List the dead letters of this cause, instead of counting all.")
SPAN = _query("span", "The span, by default an hour.", _one_of("hour", "day", "week"))

ARRIVALS = (
    _query(
        "by",
        "The dimension of the rows, by default clients.",
        _one_of("client", "tag", "route", "domain", "hour", "day"),
    ),
    _query("since", "Accepted at or after this time, by default a day before `before`; at most 31 days.", _TIME),
    _query("before", "Accepted before this time, by default now.", _TIME),
    _query("client", "With `by=hour` or `by=day`: only mail of this client."),
    _query("tag", "With `by=hour` or `by=day`: only mail with this tag."),
    _query("route", "With `by=hour` or `by=day`: only mail by this route."),
    _query("domain", "With `by=hour` or `by=day`: only recipients in this domain."),
)

# ── signed URLs, uploads, webhooks, events ──

SIGNED = (
    _query("reader", "The client, taken from `html_url`."),
    _query("role", "The role with which it got the URL, taken from `html_url`."),
    _query("until", "Expiry of the signed URL (Unix time), taken from `html_url`."),
    _query("signature", "The signature, taken from `html_url`."),
)
VARIABLES = (
    _query("variables", "The variables as JSON, taken from `html_url`."),
    _query("locale", "The locale, taken from `html_url`."),
)
UPLOAD = (
    _query("name", "The file's name.", {"type": "string", "minLength": 1}, is_required=True),
    _query("type", "The media type, by default guessed from the name."),
    _query("parts", "True, without a body: start an upload in parts.", _YES_NO),
)
SIZE = _query("size", "The size of all parts together in bytes, to be checked.", {"type": "integer", "minimum": 0})
CALLBACK = _query("callbackUrl", "The webhook's URL, if it is not in the body.")
SENDGRID_SIGNATURE = (
    _header("X-Twilio-Email-Event-Webhook-Signature", "SendGrid's signature of the timestamp and the body."),
    _header("X-Twilio-Email-Event-Webhook-Timestamp", "When SendGrid signed (Unix time)."),
)
ACS_SECRET = (
    _query("key", "The subscription's secret, if it is not in a header."),
    _header("X-Relay-Events-Key", "The subscription's secret."),
)
ORIGIN = _header("WebHook-Request-Origin", "The origin that asks for permission to post.")
