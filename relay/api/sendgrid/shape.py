"""The shape of SendGrid's requests: names and JSON types, as its contract has them (the vendor's OpenAPI file tsg_mail_v3).

A field is written as SendGrid writes it: `personalizations.0.to.1.email`. A null is an absent value, as its service has it.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from relay.api.problems import Problems, printable
from relay.providers.sendgrid.options import OPTIONS


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """An object: the shape of each member (`*` stands for any name), and which must be there.

    A shape is a type, `object` (anything), a list with the shape of its elements, `Fields`, or a mapping of members.
    """

    members: Mapping[str, Any]
    required: tuple[str, ...] = ()


ANY: Mapping[str, Any] = {"*": object}
TEXTS: Mapping[str, Any] = {"*": str}
PERSON = Fields(members={"email": str, "name": str}, required=("email",))
PERSONALIZATION = Fields(
    members={
        "from": PERSON,
        "to": [PERSON],
        "cc": [PERSON],
        "bcc": [PERSON],
        "subject": str,
        "headers": TEXTS,
        "substitutions": TEXTS,
        "dynamic_template_data": ANY,
        "custom_args": TEXTS,
        "send_at": int,
    },
    required=("to",),
)
PASSED_ON = ("template_id", "ip_pool_name", "asm", "mail_settings", "tracking_settings")
"""What a message hands to SendGrid as it came, where SendGrid carries it."""
MAIL = Fields(
    members={
        "personalizations": [PERSONALIZATION],
        "from": PERSON,
        "reply_to": PERSON,
        "reply_to_list": [PERSON],
        "subject": str,
        "content": [Fields(members={"type": str, "value": str}, required=("type", "value"))],
        "attachments": [
            Fields(
                members={"content": str, "type": str, "filename": str, "disposition": str, "content_id": str},
                required=("content", "filename"),
            )
        ],
        "headers": TEXTS,
        "categories": [str],
        "custom_args": TEXTS,
        "sections": TEXTS,
        "send_at": int,
        "batch_id": str,
        **{name: OPTIONS[name] for name in PASSED_ON},
    },
    required=("personalizations", "from"),
)
SCHEDULED_SEND = Fields(members={"batch_id": str, "status": str}, required=("batch_id", "status"))
STATUS = Fields(members={"status": str}, required=("status",))

_WORDS = {str: "a string", int: "a whole number", bool: "true or false"}


def read(value: Any, shape: Any, field: str, faults: Problems) -> Any:
    """The value without its nulls and without what has the wrong name or type, which is noted."""
    if isinstance(shape, Mapping):
        return _object(value, Fields(members=shape), field, faults)
    if isinstance(shape, Fields):
        return _object(value, shape, field, faults)
    if isinstance(shape, list):
        return _array(value, shape[0], field, faults)
    if shape is object or (isinstance(value, shape) and not (shape is int and isinstance(value, bool))):
        return value
    faults.add("wrong_type", field, f"This must be {_WORDS[shape]}.")
    return None


def inner(field: str, name: str | int) -> str:
    """The field of a member or an element."""
    step = name if isinstance(name, int) else printable(name[:80])
    return f"{field}.{step}" if field else str(step)


def _object(value: Any, shape: Fields, field: str, faults: Problems) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.add("wrong_type", field, "This must be an object.")
        return {}
    found: dict[str, Any] = {}
    for name, member in value.items():
        kind = shape.members.get(name, shape.members.get("*"))
        if kind is None:
            faults.add("unknown_field", inner(field, name), _unknown(name, shape.members))
        elif kind is object:
            found[name] = member
        elif member is not None:
            checked = read(member, kind, inner(field, name), faults)
            if checked is not None:
                found[name] = checked
    for name in shape.required:
        if value.get(name) is None:
            faults.add("required", inner(field, name), "This field is required.")
    return found


def _array(value: Any, shape: Any, field: str, faults: Problems) -> list[Any]:
    if not isinstance(value, list):
        faults.add("wrong_type", field, "This must be an array.")
        return []
    found = [read(element, shape, inner(field, number), faults) for number, element in enumerate(value)]
    return [element for element in found if element is not None]


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name[:64].lower(), known, n=1, cutoff=0.6)
    if close:
        return f"There is no such field. Did you mean `{close[0]}`?"
    return f"There is no such field. There are: {', '.join(known)}."
