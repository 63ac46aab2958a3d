"""What only SendGrid understands: `options.sendgrid` of a message, or `options` of a route for all its messages.

Names and types are those of the request body of POST /v3/mail/send (twilio.com/docs/sendgrid/api-reference/mail-send).
What Relay writes itself (recipients, subject, headers, categories, custom_args, attachments) is not among them. Limits of
length are SendGrid's to judge: they are its to change.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

_SWITCH = {"enable": bool}
_ANY = {"*": object}
_TEXTS = {"*": str}

OPTIONS: Mapping[str, Any] = {
    "template_id": str,
    "dynamic_template_data": _ANY,
    "substitutions": _TEXTS,
    "sections": _TEXTS,
    "content": [{"type": str, "value": str}],
    "send_at": int,
    "batch_id": str,
    "ip_pool_name": str,
    "asm": {"group_id": int, "groups_to_display": [int]},
    "mail_settings": {
        "bypass_list_management": _SWITCH,
        "bypass_spam_management": _SWITCH,
        "bypass_bounce_management": _SWITCH,
        "bypass_unsubscribe_management": _SWITCH,
        "footer": {"enable": bool, "text": str, "html": str},
        "sandbox_mode": _SWITCH,
    },
    "tracking_settings": {
        "click_tracking": {"enable": bool, "enable_text": bool},
        "open_tracking": {"enable": bool, "substitution_tag": str},
        "subscription_tracking": {"enable": bool, "text": str, "html": str, "substitution_tag": str},
        "ganalytics": {
            "enable": bool,
            "utm_source": str,
            "utm_medium": str,
            "utm_term": str,
            "utm_content": str,
            "utm_campaign": str,
        },
    },
}
"""Every option: a type, an object's members (`*` stands for any name), or a list of one of these.

`content` holds parts beyond text and html (text/calendar, text/x-amp-html). `substitutions` and `dynamic_template_data`
count for all recipients.
"""
PERSONAL = ("substitutions", "dynamic_template_data")
"""Options that SendGrid takes within a personalization."""

_SETTINGS = ("mail_settings", "tracking_settings")

_TYPE_NAMES = {str: "text", int: "a whole number", bool: "true or false"}


def options_faults(value: Any, where: str) -> list[str]:
    """Everything wrong with options, as sentences that begin with the path; empty when SendGrid knows them all."""
    return list(_faults(value, OPTIONS, where))


def demands(options: Mapping[str, Any]) -> list[str]:
    """The paths of what SendGrid must do for a message: everything but settings that are only switched off.

    A message that switches something off leaves as it should by any route that has no such thing.
    """
    found = [name for name, value in options.items() if name not in _SETTINGS and value not in ({}, [])]
    for name in _SETTINGS:
        found += [f"{name}.{setting}" for setting, own in options.get(name, {}).items() if _is_on(own)]
    return found


def _is_on(setting: Mapping[str, Any]) -> bool:
    return any(value is True for value in setting.values())


def _faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    if isinstance(shape, dict):
        yield from _object_faults(value, shape, path)
    elif isinstance(shape, list):
        if not isinstance(value, list | tuple):
            yield f"{path}: must be an array"
            return
        for number, item in enumerate(value):
            yield from _faults(item, shape[0], f"{path}[{number}]")
    elif not isinstance(value, shape) or (shape is int and isinstance(value, bool)):
        yield f"{path}: must be {_TYPE_NAMES[shape]}"


def _object_faults(value: Any, shape: Mapping[str, Any], path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{path}: must be an object"
        return
    for name, member in value.items():
        if not isinstance(name, str) or (name not in shape and "*" not in shape):
            close = get_close_matches(str(name), shape, n=1)
            yield f"{path}.{name}: is not an option of SendGrid; " + (
                f"did you mean {close[0]}?" if close else f"there are {', '.join(shape)}"
            )
        else:
            yield from _faults(member, shape.get(name, shape.get("*")), f"{path}.{name}")
