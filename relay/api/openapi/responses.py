"""The shapes of answers, and of SendGrid's bodies, as JSON Schema: what handlers write, said for readers of the documents.

The fuzzer holds answers to these. Members that are not named as optional are always there.
"""

from collections.abc import Mapping
from typing import Any

from relay.api.sendgrid.shape import SendGridMail, SendGridStatus, SendGridStop
from relay.api.shapes.json_schema import REFERENCE, schemas_of
from relay.core.model import State

type _Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_TEXT_OR_NULL: _Schema = {"type": ["string", "null"]}
_WHOLE: _Schema = {"type": "integer"}
_NUMBER: _Schema = {"type": "number"}
_NUMBER_OR_NULL: _Schema = {"type": ["number", "null"]}
_YES_NO: _Schema = {"type": "boolean"}
_TIME: _Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: _Schema = {"type": ["string", "null"], "format": "date-time"}
_OBJECT: _Schema = {"type": "object"}
_STATE: _Schema = {"type": "string", "enum": [str(state) for state in State]}


def _list(of: _Schema) -> _Schema:
    return {"type": "array", "items": of}


def _the(name: str) -> _Schema:
    return {"$ref": f"{REFERENCE}{name}"}


def _shape(always: Mapping[str, _Schema], optional: Mapping[str, _Schema] | None = None) -> _Schema:
    return {"type": "object", "required": list(always), "properties": {**always, **(optional or {})}}


def _page(of: str) -> _Schema:
    return _shape({"value": _list(_the(of))}, {"next_link": {"type": "string", "format": "uri"}})


_PROBLEM = _shape({"code": _TEXT, "message": _TEXT}, {"target": _TEXT})
_ERROR = _shape(
    {"code": _TEXT, "message": _TEXT, "details": _list(_PROBLEM), "request_id": _TEXT, "help": _TEXT},
    {"target": _TEXT},
)
_MAILBOX = _shape({"email": _TEXT}, {"name": _TEXT})
_SUPPRESSED = _list(_shape({"email": _TEXT, "reason": _TEXT}))
_HEADERS = _list(_shape({"name": _TEXT, "value": _TEXT}))
_SUMMARY = {
    "name": _TEXT,
    "message": _TEXT_OR_NULL,
    "caught_at": _TIME,
    "from": _TEXT,
    "to": _list(_TEXT),
    "subject": _TEXT,
    "size": _WHOLE,
}
_READING = {
    "headers": _HEADERS,
    "text": _TEXT_OR_NULL,
    "html": _TEXT_OR_NULL,
    "html_url": _TEXT_OR_NULL,
    "links": _list(_OBJECT),
    "attachments": _list(_OBJECT),
}
_EXPLANATION = {
    "dry_run": _YES_NO,
    "lane": _TEXT,
    "size": _WHOLE,
    "delivery": _TEXT,
    "expires_at": _TIME_OR_NULL,
    "routing": _list(_shape({"recipients": _list(_TEXT), "routes": _list(_TEXT)})),
    "suppressed": _SUPPRESSED,
}
_VERSION = {"version": _WHOLE, "created_at": _TIME}
_MOVING = {"client": _TEXT, "lane": _TEXT, "size": _WHOLE, "send_at": _TIME, "next_attempt_at": _TIME}
_CLIENT = {
    "name": _TEXT,
    "role": _TEXT,
    "is_disabled": _YES_NO,
    "principals": _list(_TEXT),
    "policy": _OBJECT,
    "keys": _list(_shape({"id": _TEXT, "created_at": _TIME_OR_NULL, "expires_at": _TIME_OR_NULL})),
}
_HOLD = {"route": _TEXT, "state": _TEXT, "code": _TEXT, "reply": _TEXT, "since": _TIME_OR_NULL, "probes": _WHOLE}
_WEBHOOK = {
    "id": _TEXT,
    "url": _TEXT,
    "events": _list(_TEXT),
    "format": _TEXT,
    "created_at": _TIME,
    "is_enabled": _YES_NO,
}
_STOP = {"batch_id": _TEXT, "status": _TEXT}

SCHEMAS: Mapping[str, _Schema] = {
    "Error": _shape({"error": _ERROR}),
    "SendGridErrors": _shape(
        {"errors": _list(_shape({"message": _TEXT, "field": _TEXT_OR_NULL, "help": _TEXT})), "id": _TEXT}
    ),
    "Anything": _OBJECT,
    "Accepted": _shape({"id": _TEXT, "state": _STATE}, {"suppressed": _SUPPRESSED}),
    "Explanation": _shape(_EXPLANATION),
    "BatchResult": _shape(
        {
            "accepted": _WHOLE,
            "refused": _WHOLE,
            "value": _list(
                _shape({"index": _WHOLE, "status": _WHOLE}, {"id": _TEXT, "state": _STATE, "error": _ERROR})
            ),
        }
    ),
    "MessageState": _shape({"id": _TEXT, "state": _STATE}, {"send_at": _TIME}),
    "Message": _shape(
        {"id": _TEXT, "state": _STATE, "created_at": _TIME},
        {
            **_MOVING,
            "delivery": _TEXT,
            "expires_at": _TIME,
            "from": _MAILBOX,
            "subject": _TEXT,
            "tags": _list(_TEXT),
            "metadata": {"type": "object", "additionalProperties": _TEXT},
            "recipients": _list(
                _shape({"email": _TEXT, "kind": _TEXT}, {"state": _TEXT, "route": _TEXT, "code": _TEXT})
            ),
            "attempts": _list(_shape({"number": _WHOLE, "route": _TEXT, "provider": _TEXT, "at": _TIME})),
            "events": _list(_shape({"kind": _TEXT, "at": _TIME})),
            "erased_at": _TIME,
            "recipient_count": _WHOLE,
        },
    ),
    "MessageSummary": _shape(
        {"id": _TEXT, "state": _STATE, "created_at": _TIME},
        {
            **_MOVING,
            "from": _MAILBOX,
            "subject": _TEXT,
            "recipient_count": _WHOLE,
            "tags": _list(_TEXT),
            "erased_at": _TIME,
        },
    ),
    "MessagePage": _page("MessageSummary"),
    "Content": _shape({"id": _TEXT, **_READING}),
    "Upload": _shape(
        {"id": _TEXT, "name": _TEXT, "type": _TEXT, "is_complete": _YES_NO, "created_at": _TIME, "expires_at": _TIME},
        {"size": _WHOLE, "max_part_bytes": _WHOLE},
    ),
    "TemplatePage": _shape({"value": _list(_shape({"name": _TEXT, **_VERSION}))}),
    "TemplateVersions": _shape({"value": _list(_shape(_VERSION))}),
    "Template": _shape(
        {"name": _TEXT, **_VERSION, "variables": _OBJECT},
        {"description": _TEXT, "subject": _TEXT, "text": _TEXT, "html": _TEXT},
    ),
    "Preview": _shape(
        {"name": _TEXT, "version": _WHOLE},
        {"subject": _TEXT, "text": _TEXT, "html": _TEXT, "html_url": _TEXT_OR_NULL},
    ),
    "CaughtSummary": _shape(_SUMMARY),
    "CaughtPage": _page("CaughtSummary"),
    "Caught": _shape({**_SUMMARY, **_READING}),
    "Deleted": _shape({"deleted": _WHOLE}),
    "DeadLetter": _shape(
        {"code": _TEXT},
        {"meaning": _TEXT, "count": _WHOLE, "id": _TEXT, "at": _TIME, "client": _TEXT, "state": _STATE},
    ),
    "DeadLetters": _page("DeadLetter"),
    "Redriven": _shape({"redriven": _WHOLE, "is_more": _YES_NO}),
    "Discarded": _shape({"discarded": _WHOLE, "is_more": _YES_NO}),
    "ResendLost": _shape(
        {"found": _WHOLE, "redriven": _WHOLE, "skipped": {}, "dry_run": _YES_NO, "is_more": _YES_NO},
        {"cursor": _TEXT},
    ),
    "Erasing": _shape(
        {
            "erased": _WHOLE,
            "cancelled": _WHOLE,
            "moving": _WHOLE,
            "shared_files": _WHOLE,
            "dry_run": _YES_NO,
            "is_more": _YES_NO,
        },
        {"cursor": _TEXT},
    ),
    "Hold": _shape(_HOLD, {"sender": _TEXT_OR_NULL, "next_probe_at": _TIME_OR_NULL}),
    "Routes": _shape(
        {"value": _list(_shape({"name": _TEXT, "provider": _TEXT, "state": _TEXT, "holds": _list(_the("Hold"))}))}
    ),
    "Released": _shape({"name": _TEXT, "state": _TEXT, "released": _WHOLE}),
    "Probe": _shape({"name": _TEXT, "is_healthy": _YES_NO, "code": _TEXT, "reply": _TEXT}),
    "Causes": _shape({"value": _list(_shape({"code": _TEXT, "meaning": _TEXT}))}),
    "Caller": _shape({"name": _TEXT, "role": _TEXT}),
    "Client": _shape(_CLIENT),
    "NewClient": _shape({**_CLIENT, "key": _TEXT}),
    "Clients": _shape({"value": _list(_the("Client"))}),
    "NewKey": _shape({"id": _TEXT, "key": _TEXT, "expires_at": _TIME_OR_NULL}),
    "Overview": _shape(
        {
            "at": _TIME,
            "span": _TEXT,
            "since": _TIME,
            "until": _TIME,
            "step_seconds": _NUMBER,
            "share": _NUMBER,
            "totals": _OBJECT,
            "points": _list(_OBJECT),
            "median_seconds": _NUMBER_OR_NULL,
            "p95_seconds": _NUMBER_OR_NULL,
            "lanes": _list(_OBJECT),
            "routes": _list(_OBJECT),
            "dead_letters": _shape({"count": _WHOLE, "is_more": _YES_NO}),
        }
    ),
    "Examination": _shape({"health": _TEXT, "value": _list(_shape({"about": _TEXT, "health": _TEXT, "what": _TEXT}))}),
    "Suppression": _shape(
        {"email": _TEXT, "reason": _TEXT, "for_all": _YES_NO, "at": _TIME},
        {"expires_at": _TIME, "source": _TEXT, "note": _TEXT},
    ),
    "SuppressionPage": _page("Suppression"),
    "SuppressionList": _shape({"value": _list(_the("Suppression"))}),
    "Imported": _shape({"imported": _WHOLE}),
    "Synchronised": _shape({"taken": _WHOLE, "dropped": _WHOLE, "is_whole": _YES_NO}),
    "Webhook": _shape(
        _WEBHOOK,
        {"secret": _TEXT, "note": _TEXT, "disabled_why": _TEXT, "disabled_at": _TIME, "failing_since": _TIME},
    ),
    "Webhooks": _shape({"value": _list(_the("Webhook"))}),
    "WebhookDelivery": _shape({"id": _TEXT, "at": _TIME, "attempt": _WHOLE, "outcome": _TEXT}, {"status": _WHOLE}),
    "WebhookDeliveries": _page("WebhookDelivery"),
    "Events": {"oneOf": [_list(_OBJECT), _OBJECT]},
    "Taken": _shape({}, {"taken": _WHOLE, "passed_over": _WHOLE, "validationResponse": _TEXT}),
    "Health": _shape({"status": _TEXT}),
    "Readiness": _shape({"status": _TEXT, "storage": _TEXT}, {"routes": _OBJECT}),
    "SendGridBatch": _shape({"batch_id": _TEXT}),
    "SendGridStops": _list(_shape(_STOP)),
    "SendGridStopped": _shape(_STOP, {"already_sent": {}}),
    "SendGridScopes": _shape({"scopes": _list(_TEXT)}),
    **schemas_of(SendGridMail, SendGridStop, SendGridStatus),
}
"""By the name that the documents have."""
