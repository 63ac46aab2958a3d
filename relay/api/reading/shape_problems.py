"""Describe the problems of the names and types of a request's fields."""

from collections.abc import Mapping

from relay.api.problems import Problems, path, printable
from relay.api.shapes import requests
from relay.api.shapes.base import Shape
from relay.core.shape.mismatches import Kind, Mismatch, examine, json_kind, near_name

_MAX_SUGGESTIONS = 20
"""Suggest similar names for only this many unknown fields, because the comparison is slow."""
CODES: Mapping[Kind, str] = {
    "missing": "required",
    "unknown": "unknown_field",
    "type": "wrong_type",
    "choice": "invalid_choice",
    "range": "out_of_range",
    "size": "too_many",
    "unchecked": "too_many_problems",
}
_IN_MESSAGES = {
    "sender": "from",
    "recipient": "to",
    "recipients": "to",
    "replyto": "reply_to",
    "body": "text` or `html",
    "content": "text` or `html",
    "message": "text` or `html",
    "plaintext": "text",
    "textbody": "text",
    "htmlbody": "html",
    "categories": "tags",
    "tag": "tags",
    "customargs": "metadata",
    "files": "attachments",
    "scheduledat": "send_at",
    "sendat": "send_at",
    "ttl": "expires_in_seconds",
    "queue": "lane",
    "provider": "route",
    "bounceaddress": "return_path",
    "templateid": "template",
    "dynamictemplatedata": "variables",
    "substitutions": "variables",
}
"""Relay's names of message fields, by their names in other mail APIs (in lower case, without `_`)."""
_IN_FILES = {
    "filename": "name",
    "contentbytes": "content",
    "contentinbase64": "content",
    "data": "content",
    "contenttype": "type",
    "mimetype": "type",
    "contentid": "content_id",
    "cid": "content_id",
}
_IN_ADDRESSES = {"address": "email", "emailaddress": "email", "displayname": "name"}
_ELSEWHERE: Mapping[type, Mapping[str, str]] = {
    requests.MessageFields: _IN_MESSAGES,
    requests.AttachmentObject: _IN_FILES,
    requests.AddressObject: _IN_ADDRESSES,
}


def note_problems(value: object, shape: type[Shape], problems: Problems) -> None:
    """Note every mismatch, with its place and the expected name or type."""
    _, found = examine(value, shape)
    unknown = 0
    for mismatch in found:
        unknown += mismatch.kind == "unknown"
        text = sentence(mismatch, can_suggest=unknown <= _MAX_SUGGESTIONS)
        problems.add(CODES[mismatch.kind], path(mismatch.steps), text)


def sentence(mismatch: Mismatch, *, can_suggest: bool = True) -> str:
    """Describe a mismatch and the expected name or type."""
    match mismatch.kind:
        case "missing":
            return f"This field is required. {mismatch.expected}".rstrip()
        case "unknown":
            return _unknown(mismatch, can_suggest=can_suggest)
        case "type":
            return f"Expected {mismatch.expected}, got {json_kind(mismatch.value)}.{_hint(mismatch)}"
        case "choice":
            return f"Must be one of: {mismatch.expected}."
        case "range":
            return f"Must be {mismatch.expected}."
        case "size":
            return f"Must have {mismatch.expected}."
        case "unchecked":
            return f"Something does not fit, and only the first values were checked ({mismatch.expected})."


def _hint(mismatch: Mismatch) -> str:
    is_number = isinstance(mismatch.value, int | float) and not isinstance(mismatch.value, bool)
    return " Put it in quotes." if is_number and mismatch.expected == "a string" else ""


def _unknown(mismatch: Mismatch, *, can_suggest: bool) -> str:
    name = str(mismatch.steps[-1])
    shown = printable(name[:80])
    if not can_suggest:
        return f"Unknown field `{shown}`."
    known = next((names for shape, names in _ELSEWHERE.items() if issubclass(mismatch.owner or object, shape)), {})
    near = known.get(name.replace("_", "").replace("-", "").lower()) or near_name(name, mismatch.names)
    if near:
        return f"Unknown field `{shown}`. Did you mean `{near}`?"
    return f"Unknown field `{shown}`. Known fields: {', '.join(mismatch.names)}."
