"""The simpler fields of a message request: what their values may be, beyond their JSON type."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member
from relay.api.reading.json_text import nodes
from relay.api.text_checks import control_fault

_TAG = re.compile(r"[A-Za-z0-9_.:/+-](?:[A-Za-z0-9_.:/+ -]*[A-Za-z0-9_.:/+-])?")
_METADATA_KEY = re.compile(r"[A-Za-z0-9_.-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_VERSION = re.compile(r"[1-9][0-9]{0,6}")


def read_subject(value: Any, faults: Problems, limits: Limits, *, is_required: bool) -> str:
    """The subject: one line, and not empty (SendGrid refuses a message without one)."""
    if value is None or value == "":
        if is_required:
            faults.add("required", "subject", "This field is required: a subject of at least one character.")
        return ""
    if not isinstance(value, str):
        return ""
    fault = control_fault(value)
    if fault:
        faults.add("invalid_text", "subject", f"The subject {fault}. A subject is one line.")
    elif len(value) > limits.max_subject:
        text = f"The subject has {len(value)} characters; {limits.max_subject} are possible."
        faults.add("too_long", "subject", text)
    return value


def read_tags(value: Any, faults: Problems, limits: Limits) -> tuple[str, ...]:
    """Words to find messages by."""
    if not isinstance(value, list):
        return ()
    if len(value) > limits.max_tags:
        faults.add("too_many", "tags", f"There are {len(value)} tags; {limits.max_tags} are possible.")
        return ()
    seen: dict[str, int] = {}
    for number, tag in enumerate(value):
        if not isinstance(tag, str):
            continue
        target = f"tags[{number}]"
        if not _TAG.fullmatch(tag) or len(tag) > limits.max_tag:
            text = f"A tag is 1 to {limits.max_tag} ASCII letters, digits, spaces within, and _-.:/+."
            faults.add("invalid_tag", target, text)
        elif seen.setdefault(tag, number) != number:
            faults.add("invalid_tag", target, f"tags[{seen[tag]}] is the same tag.")
    return tuple(seen)


def read_metadata(value: Any, faults: Problems, limits: Limits) -> Mapping[str, str]:
    """The caller's own keys and values."""
    if not isinstance(value, dict):
        return {}
    if len(value) > limits.max_metadata:
        text = f"There are {len(value)} entries; {limits.max_metadata} are possible."
        faults.add("too_many", "metadata", text)
        return {}
    found: dict[str, str] = {}
    for key, text in value.items():
        if not isinstance(text, str):
            continue
        target = member("metadata", key)
        if not _METADATA_KEY.fullmatch(key) or len(key) > limits.max_metadata_key:
            reason = f"A key is 1 to {limits.max_metadata_key} ASCII letters, digits and _-. characters."
            faults.add("invalid_value", target, reason)
        elif key.startswith("relay_"):
            faults.add("invalid_value", target, "Names that begin with relay_ are Relay's own; choose another.")
        if len(text) > limits.max_metadata_value:
            reason = f"The value has {len(text)} characters; {limits.max_metadata_value} are possible."
            faults.add("too_long", target, reason)
        found[key] = text
    size = sum(len(key.encode()) + len(text.encode()) for key, text in found.items())
    if size > limits.max_metadata_bytes:
        text = f"The metadata has {size} bytes together; {limits.max_metadata_bytes} are possible."
        faults.add("too_large", "metadata", text)
    return found


def read_expiry(value: Any, faults: Problems, limits: Limits) -> int | None:
    """How many seconds to try."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    minimum, maximum = limits.min_expires_in_seconds, limits.max_expires_in_seconds
    if not minimum <= value <= maximum:
        faults.add("out_of_range", "expires_in_seconds", f"This must be from {minimum} to {maximum} seconds.")
    return value


def read_moment(value: Any, now: datetime, faults: Problems, limits: Limits) -> datetime | None:
    """`send_at` in aware UTC; None when it is not given or means now."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int):
        return None
    moment = _moment(value)
    if moment is None:
        text = "This is no time: write ISO 8601 with an offset (2030-01-31T08:00:00Z) or whole seconds since 1970."
        faults.add("invalid_time", "send_at", text)
        return None
    if moment > now + timedelta(seconds=limits.max_send_ahead_seconds):
        days = limits.max_send_ahead_seconds // 86_400
        faults.add(
            "out_of_range", "send_at", f"This is more than {days} days ahead, which is as far as one can schedule."
        )
    elif moment < now - timedelta(seconds=limits.max_send_behind_seconds):
        faults.add("out_of_range", "send_at", "This is more than an hour past. Leave send_at out to send now.")
    return moment if moment > now else None


def read_choice_name(
    value: Any, target: str, faults: Problems, limits: Limits, *, may_have_version: bool = False
) -> str | None:
    """The name of a lane, a route or a template (`name` or `name@3`), as far as its form goes."""
    if not isinstance(value, str):
        return None
    name, mark, version = value.partition("@") if may_have_version else (value, "", "")
    if mark and not _VERSION.fullmatch(version):
        faults.add("invalid_value", target, "A version is a whole number from 1: welcome@3.")
    if not _NAME.fullmatch(name) or len(value) > limits.max_template_name:
        text = f"A name is 1 to {limits.max_template_name} ASCII letters, digits and _-. characters."
        faults.add("invalid_value", target, text)
    return value


def read_open_object(value: Any, target: str, most_bytes: int, faults: Problems, limits: Limits) -> Mapping[str, Any]:
    """An object whose members are not ours to check: bounded in depth and size."""
    if not isinstance(value, dict):
        return {}
    if any(depth > limits.max_depth for _, _, depth in nodes(value, target)):
        faults.add("too_deep", target, f"Objects and lists are nested more than {limits.max_depth} deep here.")
        return {}
    size = len(msgspec.json.encode(value))
    if size > most_bytes:
        faults.add("too_large", target, f"This has {size} bytes as JSON; {most_bytes} are possible.")
    return value


def _moment(value: str | int) -> datetime | None:
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(value)
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
