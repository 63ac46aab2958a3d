"""The parts of a SendGrid mail, each read by itself: people, content, headers, arguments, files, times.

Where Relay's own readers are used, their targets are told as SendGrid's fields.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.reading.addresses import read_mailbox, same_mailbox
from relay.api.reading.attachments import read_attachments
from relay.api.reading.fields import read_subject
from relay.api.reading.headers import read_headers
from relay.api.sendgrid.shape import inner
from relay.core.model import Address, Attachment

MAX_CATEGORIES = 10
MAX_CATEGORY = 255
MAX_ARGUMENT_BYTES = 9_900
"""SendGrid's limit is 10,000 bytes of JSON; Relay adds its id and the attempt."""
MAX_SUBSTITUTION_BYTES = 10_000
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ATTACHMENT_FIELD = re.compile(r"attachments\[(\d+)\]")
_NEWEST = datetime(9999, 1, 1, tzinfo=UTC)


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The bodies of a mail; `others` are parts of further types, as SendGrid takes them."""

    text: str | None = None
    html: str | None = None
    others: tuple[Mapping[str, str], ...] = ()


def read_person(value: Mapping[str, Any], field: str, faults: Problems, limits: Limits) -> Address | None:
    """A mailbox. A name in quotes loses them: libraries add them, because SendGrid splits names at commas."""
    name = value.get("name", "")
    quoted = _QUOTED.fullmatch(name.strip())
    return read_mailbox({**value, "name": _ESCAPED.sub(r"\1", quoted[1]) if quoted else name}, field, faults, limits)


def read_people(
    values: Sequence[Mapping[str, Any]], field: str, faults: Problems, limits: Limits
) -> tuple[Address, ...]:
    """Several mailboxes; what is wrong is noted and left out."""
    found = (read_person(value, inner(field, number), faults, limits) for number, value in enumerate(values))
    return tuple(person for person in found if person is not None)


def check_unique(people: Sequence[Address], field: str, faults: Problems) -> None:
    """Each address once in a personalization, as SendGrid wants it."""
    seen: set[str] = set()
    for person in people:
        key = same_mailbox(person.email)
        if key in seen:
            text = "Each email address in the personalization block should be unique between to, cc, and bcc."
            faults.add("duplicate_recipient", field, text)
            return
        seen.add(key)


def read_title(value: str | None, field: str, faults: Problems, limits: Limits, *, is_required: bool) -> str:
    """The subject."""
    with _told(faults, lambda _: field) as own:
        return read_subject(value, own, limits, is_required=is_required)


def read_content(values: Sequence[Mapping[str, str]], faults: Problems) -> Content:
    """The bodies: text/plain and text/html at most once each."""
    found: dict[str, str] = {}
    others: list[Mapping[str, str]] = []
    for number, part in enumerate(values):
        kind, value = part.get("type", ""), part.get("value", "")
        if not value:
            text = "The content value must be a string at least one character in length."
            faults.add("no_content", f"content.{number}.value", text)
        if "/" not in kind or any(mark in kind for mark in ";\r\n"):
            text = "The content type must be a MIME type without parameters, such as text/plain."
            faults.add("invalid_media_type", f"content.{number}.type", text)
        elif kind.lower() not in ("text/plain", "text/html"):
            others.append({"type": kind, "value": value})
        elif kind.lower() in found:
            faults.add("not_applicable", f"content.{number}.type", f"There can be only one part of type {kind}.")
        else:
            found[kind.lower()] = value
    return Content(text=found.get("text/plain"), html=found.get("text/html"), others=tuple(others))


def read_own_headers(values: Mapping[str, str], field: str, faults: Problems, limits: Limits) -> Mapping[str, str]:
    """Headers; those that Relay or a provider writes are refused."""
    with _told(faults, lambda target: inner(field, target[len("headers") :].strip(".[]'")).rstrip(".")) as own:
        return read_headers(values, own, limits)


def read_files(values: Sequence[Mapping[str, str]], faults: Problems, limits: Limits) -> tuple[Attachment, ...]:
    """Attachments. An inline one that the html has no name for goes as an attachment: hidden, it would be lost."""
    with _told(faults, _attachment_field) as own:
        return read_attachments([_file(number, value, own) for number, value in enumerate(values)], own, limits)


def _file(number: int, value: Mapping[str, str], faults: Problems) -> dict[str, Any]:
    disposition = value.get("disposition", "attachment")
    if disposition not in ("attachment", "inline"):
        text = "The disposition of your attachment can be either inline or attachment."
        faults.add("invalid_choice", f"attachments[{number}].disposition", text)
    content_id = value.get("content_id")
    return {
        # What is missing was noted by the shape.
        "name": value.get("filename", "file"),
        "content": value.get("content", "AA=="),
        "type": value.get("type"),
        "disposition": disposition if content_id else "attachment",
        "content_id": content_id,
    }


def _attachment_field(target: str) -> str:
    field = _ATTACHMENT_FIELD.sub(r"attachments.\1", target)
    return f"{field.removesuffix('.name')}.filename" if field.endswith(".name") else field


def read_categories(values: Sequence[str], faults: Problems) -> tuple[str, ...]:
    """Categories, which Relay calls tags."""
    if len(values) > MAX_CATEGORIES:
        faults.add("too_many", "categories", f"There can be up to {MAX_CATEGORIES} categories.")
    if len(set(values)) != len(values):
        faults.add("invalid_tag", "categories", "The categories must be unique.")
    for number, category in enumerate(values):
        if not 0 < len(category) <= MAX_CATEGORY:
            text = f"A category has 1 to {MAX_CATEGORY} characters."
            faults.add("invalid_tag", f"categories.{number}", text)
    return tuple(values)


def check_arguments(values: Mapping[str, str], field: str, faults: Problems) -> None:
    """Custom arguments, which Relay calls metadata: SendGrid's limit, and no names of Relay's own."""
    for name in values:
        if name.startswith("relay_"):
            text = "Names that begin with relay_ are Relay's own; choose another."
            faults.add("invalid_value", inner(field, name), text)
    _check_bytes(values, MAX_ARGUMENT_BYTES, field, faults)


def check_substitutions(values: Mapping[str, str], field: str, faults: Problems) -> None:
    """SendGrid's limit on the substitutions of a personalization."""
    _check_bytes(values, MAX_SUBSTITUTION_BYTES, field, faults)


def read_time(value: int | None, field: str, now: datetime, faults: Problems, limits: Limits) -> datetime | None:
    """`send_at` in aware UTC; None for a time that has come, which means now."""
    if value is None:
        return None
    last = now + timedelta(seconds=limits.max_send_ahead_seconds)
    if not 0 <= value <= _NEWEST.timestamp():
        faults.add("invalid_time", field, "The send_at parameter must be a unix timestamp, in seconds.")
    elif datetime.fromtimestamp(value, UTC) > last:
        days = limits.max_send_ahead_seconds // 86_400
        faults.add("out_of_range", field, f"This is more than {days} days ahead, which is as far as one can schedule.")
    elif value > now.timestamp():
        return datetime.fromtimestamp(value, UTC)
    return None


def _check_bytes(values: Mapping[str, str], limit: int, field: str, faults: Problems) -> None:
    size = len(msgspec.json.encode(values)) if values else 0
    if size > limit:
        faults.add("too_large", field, f"This has {size} bytes as JSON; {limit} are possible.")


@contextmanager
def _told(faults: Problems, field: Callable[[str], str]) -> Iterator[Problems]:
    """Faults of a reader that knows only Relay's names: its targets become SendGrid's fields."""
    own = Problems(1000, field)
    yield own
    for problem in own.problems:
        faults.add(problem.code, problem.target, problem.message)
