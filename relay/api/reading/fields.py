"""Read the simpler fields of a message, and check their values beyond the JSON type."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member
from relay.api.reading.json_text import is_deeper
from relay.api.text_checks import control_problem, moment_of

LINK_FIELDS = frozenset(("list-unsubscribe", "list-unsubscribe-post"))
"""Fields that Relay writes into a message about a topic."""
ONE_RECIPIENT = (
    "A message with `unsubscribe` has exactly one recipient, in `to`: the link is this recipient's own. Send a message for each "
    "recipient, for example as a batch."
)
OWN_LINK = "Relay writes this header for a message with `unsubscribe`. Leave out one of them."
_TAG = re.compile(r"[A-Za-z0-9_.:/+-](?:[A-Za-z0-9_.:/+ -]*[A-Za-z0-9_.:/+-])?")
_METADATA_KEY = re.compile(r"[A-Za-z0-9_.-]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*")
_VERSION = re.compile(r"[1-9][0-9]{0,6}")


def read_topic(value: Any) -> str | None:
    """Read the topic of `unsubscribe`. A later step checks that the client has the topic."""
    topic = value.get("topic") if isinstance(value, dict) else None
    return topic if isinstance(topic, str) else None


def read_subject(value: Any, problems: Problems, limits: Limits, *, is_required: bool) -> str:
    """Read the subject: one line, not empty (SendGrid refuses a message without one)."""
    if value is None or value == "":
        if is_required:
            problems.add("required", "subject", "This field is required: a subject of at least one character.")
        return ""
    if not isinstance(value, str):
        return ""
    problem = control_problem(value)
    if problem:
        problems.add("invalid_text", "subject", f"The subject {problem}. A subject must be one line.")
    elif len(value) > limits.max_subject:
        text = f"The subject is too long: {len(value)} characters (limit {limits.max_subject})."
        problems.add("too_long", "subject", text)
    return value


def read_tags(value: Any, problems: Problems, limits: Limits) -> tuple[str, ...]:
    """Read the tags, by which messages can be found."""
    if not isinstance(value, list):
        return ()
    if len(value) > limits.max_tags:
        problems.add("too_many", "tags", f"Too many tags: {len(value)} (limit {limits.max_tags}).")
        return ()
    seen: dict[str, int] = {}
    for number, tag in enumerate(value):
        if not isinstance(tag, str):
            continue
        target = f"tags[{number}]"
        if not _TAG.fullmatch(tag) or len(tag) > limits.max_tag:
            text = f"Not a valid tag. Use 1 to {limits.max_tag} ASCII letters, digits, inner spaces, and _-.:/+."
            problems.add("invalid_tag", target, text)
        elif seen.setdefault(tag, number) != number:
            problems.add("invalid_tag", target, f"Duplicate tag: tags[{seen[tag]}] is the same.")
    return tuple(seen)


def read_metadata(value: Any, problems: Problems, limits: Limits) -> Mapping[str, str]:
    """Read the caller's own keys and values."""
    if not isinstance(value, dict):
        return {}
    if len(value) > limits.max_metadata:
        text = f"Too many keys: {len(value)} (limit {limits.max_metadata})."
        problems.add("too_many", "metadata", text)
        return {}
    found: dict[str, str] = {}
    for key, text in value.items():
        if not isinstance(text, str):
            continue
        target = member("metadata", key)
        if not _METADATA_KEY.fullmatch(key) or len(key) > limits.max_metadata_key:
            reason = f"Not a valid key. Use 1 to {limits.max_metadata_key} ASCII letters, digits and _-. characters."
            problems.add("invalid_value", target, reason)
        elif key.startswith("relay_"):
            problems.add("invalid_value", target, "Names that begin with relay_ are reserved. Choose another.")
        if len(text) > limits.max_metadata_value:
            reason = f"The value is too long: {len(text)} characters (limit {limits.max_metadata_value})."
            problems.add("too_long", target, reason)
        found[key] = text
    size = sum(len(key.encode()) + len(text.encode()) for key, text in found.items())
    if size > limits.max_metadata_bytes:
        text = f"The metadata is too large: {size} bytes (limit {limits.max_metadata_bytes})."
        problems.add("too_large", "metadata", text)
    return found


def read_expiry(value: Any, problems: Problems, limits: Limits) -> int | None:
    """Read the number of seconds for which Relay tries to send."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    minimum, maximum = limits.min_expires_in_seconds, limits.max_expires_in_seconds
    if not minimum <= value <= maximum:
        problems.add("out_of_range", "expires_in_seconds", f"Must be from {minimum} to {maximum} seconds.")
    return value


def read_moment(value: Any, now: datetime, problems: Problems, limits: Limits) -> datetime | None:
    """Read `send_at` as aware UTC; None if it is absent or means now."""
    if value is None or isinstance(value, bool) or not isinstance(value, str | int):
        return None
    moment = _moment(value)
    if moment is None:
        text = "Not a valid time. Use ISO 8601 with an offset (2030-01-31T08:00:00Z) or a Unix timestamp in seconds."
        problems.add("invalid_time", "send_at", text)
        return None
    if moment > now + timedelta(seconds=limits.max_send_ahead_seconds):
        days = limits.max_send_ahead_seconds // 86_400
        problems.add("out_of_range", "send_at", f"Too far ahead: a message can be scheduled at most {days} days ahead.")
    elif moment < now - timedelta(seconds=limits.max_send_behind_seconds):
        problems.add("out_of_range", "send_at", "This time is more than an hour ago. Leave send_at out to send now.")
    return moment if moment > now else None


def read_choice_name(
    value: Any, target: str, problems: Problems, limits: Limits, *, may_have_version: bool = False
) -> str | None:
    """Read the name of a lane, route or template (`name` or `name@3`), and check its form."""
    if not isinstance(value, str):
        return None
    name, mark, version = value.partition("@") if may_have_version else (value, "", "")
    if mark and not _VERSION.fullmatch(version):
        problems.add("invalid_value", target, "Not a valid version. Use a whole number from 1: welcome@3.")
    if not _NAME.fullmatch(name) or len(value) > limits.max_template_name:
        text = f"Not a valid name. Use 1 to {limits.max_template_name} ASCII letters, digits and _-. characters."
        problems.add("invalid_value", target, text)
    return value


def read_locale(value: Any, target: str, problems: Problems, limits: Limits) -> str:
    """Read a language tag such as `ja-JP` (RFC 5646); `ja_JP` is accepted too. Returns an empty text if there is none."""
    if not isinstance(value, str):
        return ""
    if not _LOCALE.fullmatch(value) or len(value) > limits.max_locale:
        problems.add("invalid_value", target, "Not a valid locale. Use a language tag such as en, ja-JP or zh-Hant-TW.")
        return ""
    return value.replace("_", "-")


def read_open_object(value: Any, target: str, max_bytes: int, problems: Problems, limits: Limits) -> Mapping[str, Any]:
    """Read an object with arbitrary members, limited in depth and size."""
    if not isinstance(value, dict):
        return {}
    if is_deeper(value, limits.max_depth):
        problems.add("too_deep", target, f"Objects and arrays are nested too deeply (limit {limits.max_depth}).")
        return {}
    size = len(msgspec.json.encode(value))
    if size > max_bytes:
        problems.add("too_large", target, f"Too large: {size} bytes as JSON (limit {max_bytes}).")
    return value


def _moment(value: str | int) -> datetime | None:
    if isinstance(value, str):
        return moment_of(value)
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
