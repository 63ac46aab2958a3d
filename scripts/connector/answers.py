"""What the API answers and posts, in the words of OpenAPI 2.0, with what each property means to a maker."""

from collections.abc import Mapping
from typing import Any

from relay.api.openapi.responses import SCHEMAS
from relay.core.events import EventKind
from scripts.connector.shapes import title

ANSWERS = ("Error", "Accepted", "BatchResult", "Message", "MessagePage", "MessageState", "TemplatePage", "Webhook")

_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_MAIL_EVENT = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": [f"message.{kind}" for kind in EventKind]},
        "timestamp": _TIME,
        "data": {
            "type": "object",
            "properties": {
                **dict.fromkeys(("message", "recipient"), _TEXT),
                "at": _TIME,
                **dict.fromkeys(("code", "bounce_class", "reply", "provider"), _TEXT),
                "attempt": {"type": "integer"},
                "tags": {"type": "array", "items": _TEXT},
                "metadata": {"type": "object", "additionalProperties": _TEXT},
            },
        },
    },
}
"""What the trigger is given: `relay.events.webhooks.payload`, in the format `standard`."""

_MEANINGS: Mapping[str, str] = {
    "accepted": "How many were accepted.",
    "at": "When it happened.",
    "attempt": "The number of the attempt to send.",
    "attempts": "The attempts to send, oldest first.",
    "bounce_class": "What a bounce is about, such as address or mailbox.",
    "client": "The client that sent the email.",
    "code": "A word or number for programs to decide by.",
    "created_at": "When it was accepted or made.",
    "data": "To which copy of which email it happened.",
    "delivery": "What is done when nobody can say whether an attempt arrived.",
    "details": "Every fault that was found.",
    "disabled_at": "When posting was ended.",
    "disabled_why": "Why posting was ended.",
    "email": "The address.",
    "erased_at": "When an operator erased it, if one did.",
    "error": "Why it was refused.",
    "events": "What happened, or the kinds of events that are told; none means all.",
    "expires_at": "When Relay gives the email up.",
    "failing_since": "Since when nothing was taken.",
    "format": "How the body of an event looks.",
    "from": "Who the email is from.",
    "help": "Where the error is explained.",
    "id": "The ID, to ask for it or to end it.",
    "index": "Which email of the batch, counted from 0.",
    "is_enabled": "Whether events are posted.",
    "kind": "What it is: a kind of recipient, or a kind of event.",
    "lane": "The lane that the email travels on.",
    "message": "What is wrong and what would be right.",
    "data.message": "The ID of the email.",
    "metadata": "The caller's own keys and values.",
    "name": "The name.",
    "next_attempt_at": "When the email is tried next, while it waits.",
    "next_link": "There is more; ask for an earlier time to get it.",
    "note": "For people.",
    "number": "Which attempt, counted from 1.",
    "provider": "The provider that sent or reported.",
    "reason": "Why this address is not sent to.",
    "recipient": "Whose copy it is about.",
    "recipient_count": "How many recipients the email has.",
    "recipients": "What became of each recipient's copy.",
    "refused": "How many were refused.",
    "reply": "What the recipient's server said.",
    "request_id": "What to name when asking the operators of Relay.",
    "route": "The route that was taken.",
    "secret": "What events are signed with.",
    "send_at": "When the email is to be sent, where a time was asked for.",
    "size": "The size in bytes.",
    "state": "Where the email or the copy stands.",
    "status": "The HTTP status that this email alone would have got; 202 when it was accepted.",
    "subject": "The subject of the email.",
    "suppressed": "Recipients that are not sent to, if there are any.",
    "tags": "The tags of the email.",
    "target": "The field or setting that it is about.",
    "timestamp": "When it happened.",
    "type": "What happened.",
    "url": "Where events are posted.",
    "value": "One entry for each.",
    "version": "The newest version.",
}
"""By the property's name, or by its parent's and its own where the name alone would mislead."""


def definitions() -> dict[str, Any]:
    """By name what an answer's body is, or what the trigger is given. Raises `KeyError` for a property without a meaning."""
    return {**{name: _plain(SCHEMAS[name], name) for name in ANSWERS}, "MailEvent": _plain(_MAIL_EVENT, "MailEvent")}


def _plain(schema: Mapping[str, Any], parent: str) -> dict[str, Any]:
    """A schema without references, and without what tells null from absent: workflows read both as nothing."""
    if reference := schema.get("$ref"):
        return _plain(SCHEMAS[reference.rpartition("/")[2]], parent)
    kind = schema["type"]
    plain: dict[str, Any] = {"type": kind[0] if isinstance(kind, list) else kind}
    plain |= {key: schema[key] for key in ("format", "enum") if key in schema}
    if "items" in schema:
        plain["items"] = _plain(schema["items"], parent)
    if isinstance(others := schema.get("additionalProperties"), Mapping):
        plain["additionalProperties"] = dict(others)
    if "properties" in schema:
        plain["properties"] = {
            name: {
                "x-ms-summary": title(name),
                "description": _MEANINGS.get(f"{parent}.{name}") or _MEANINGS[name],
                **_plain(each, name),
            }
            for name, each in schema["properties"].items()
        }
    return plain
