"""Read the parts of a SendGrid mail: people, content, headers, arguments, files, times.

Targets of Relay's own readers are converted to SendGrid's fields.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member
from relay.api.reading.addresses import read_mailbox, same_mailbox
from relay.api.reading.attachments import read_attachments
from relay.api.reading.fields import read_subject
from relay.api.reading.headers import read_headers
from relay.api.sendgrid.shape import inner
from relay.core.model import Address, Attachment
from relay.mime.writing.calendar import calendar_problem, method_of

MAX_CATEGORIES = 10
MAX_CATEGORY = 255
MAX_ARGUMENT_BYTES = 9_900
"""SendGrid's limit is 10,000 bytes of JSON, to which Relay adds its id and the attempt."""
MAX_SUBSTITUTION_BYTES = 10_000
_INVITATION = re.compile(
    r"text/calendar(?:\s*;\s*(?:method=\"?([A-Za-z]+)\"?|charset=\"?utf-8\"?|component=\"?[A-Za-z]+\"?))*",
    re.IGNORECASE,
)
_NOT_RESERVED = frozenset(("message-id", "date", "sender", "return-path"))
"""Not in the vendor's list of reserved headers (twilio.com/docs/sendgrid/api-reference/mail-send/mail-send, `headers`; the same
list in the vendor's own description, github.com/sendgrid/sendgrid-oai)."""
_MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,200}@[!-;=?A-~]{1,200}>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ATTACHMENT_FIELD = re.compile(r"attachments\[(\d+)\]")
_NEWEST = datetime(9999, 1, 1, tzinfo=UTC)


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The bodies of a mail; `others` are parts of further types, for SendGrid."""

    text: str | None = None
    html: str | None = None
    calendar: str | None = None
    others: tuple[Mapping[str, str], ...] = ()


def read_person(value: Mapping[str, Any], field: str, problems: Problems, limits: Limits) -> Address | None:
    """Read a mailbox, and remove quotes around its name: libraries add them, because SendGrid splits names at commas."""
    name = value.get("name", "")
    quoted = _QUOTED.fullmatch(name.strip())
    return read_mailbox({**value, "name": _ESCAPED.sub(r"\1", quoted[1]) if quoted else name}, field, problems, limits)


def read_people(
    values: Sequence[Mapping[str, Any]], field: str, problems: Problems, limits: Limits
) -> tuple[Address, ...]:
    """Read several mailboxes. Problems are noted, and the mailbox is left out."""
    found = (read_person(value, inner(field, number), problems, limits) for number, value in enumerate(values))
    return tuple(person for person in found if person is not None)


def check_unique(people: Sequence[Address], field: str, problems: Problems) -> None:
    """Note an address that occurs twice in a personalization, which SendGrid refuses too."""
    seen: set[str] = set()
    for person in people:
        key = same_mailbox(person.email)
        if key in seen:
            text = "Each email address in the personalization block should be unique between to, cc, and bcc."
            problems.add("duplicate_recipient", field, text)
            return
        seen.add(key)


def read_title(value: str | None, field: str, problems: Problems, limits: Limits, *, is_required: bool) -> str:
    """Read the subject."""
    with _converted(problems, lambda _: field) as own:
        return read_subject(value, own, limits, is_required=is_required)


def read_content(values: Sequence[Mapping[str, str]], problems: Problems) -> Content:
    """Read the bodies: text/plain and text/html at most once each."""
    found: dict[str, str] = {}
    others: list[Mapping[str, str]] = []
    for number, part in enumerate(values):
        kind, value = part.get("type", ""), part.get("value", "")
        if not value:
            text = "The content value must be a string at least one character in length."
            problems.add("no_content", f"content.{number}.value", text)
        is_invitation = _INVITATION.fullmatch(kind)
        if is_invitation and (is_invitation[1] or method_of(value)):
            _check_invitation(is_invitation[1], value, f"content.{number}", problems)
            found["text/calendar"] = value
        elif "/" not in kind or any(mark in kind for mark in ";\r\n"):
            text = "The content type must be a MIME type without parameters, such as text/plain."
            problems.add("invalid_media_type", f"content.{number}.type", text)
        elif kind.lower() not in ("text/plain", "text/html"):
            others.append({"type": kind, "value": value})
        elif kind.lower() in found:
            problems.add("not_applicable", f"content.{number}.type", f"There can be only one part of type {kind}.")
        else:
            found[kind.lower()] = value
    return Content(
        text=found.get("text/plain"),
        html=found.get("text/html"),
        calendar=found.get("text/calendar"),
        others=tuple(others),
    )


def _check_invitation(method: str | None, value: str, field: str, problems: Problems) -> None:
    problem = calendar_problem(value)
    if problem:
        problems.add("invalid_value", f"{field}.value", problem)
    elif method and method.upper() != method_of(value):
        text = f"The type says method={method}, but the value METHOD:{method_of(value)}. Both must be equal."
        problems.add("invalid_media_type", f"{field}.type", text)


def read_own_headers(values: Mapping[str, str], field: str, problems: Problems, limits: Limits) -> Mapping[str, str]:
    """Read headers. Those that Relay or a provider writes are refused, except some that SendGrid does not reserve.

    Libraries set these routinely: a Message-ID is kept, and the others, which SendGrid writes itself, are left out.
    """
    named = {name.lower(): (name, value) for name, value in values.items() if name.lower() in _NOT_RESERVED}
    rest = {name: value for name, value in values.items() if name.lower() not in _NOT_RESERVED}
    with _converted(problems, lambda target: inner(field, target[len("headers") :].strip(".[]'")).rstrip(".")) as own:
        headers = read_headers(rest, own, limits)
        if "message-id" not in named:
            return headers
        name, value = named["message-id"]
        if not _MESSAGE_ID.fullmatch(value):
            own.add(
                "invalid_value", member("headers", name), "Write a Message-ID as <left@right> (RFC 5322 section 3.6.4)."
            )
        return {**headers, "Message-ID": value}


def read_files(values: Sequence[Mapping[str, str]], problems: Problems, limits: Limits) -> tuple[Attachment, ...]:
    """Read attachments. An inline one without a content id becomes an attachment, because no HTML could show it."""
    with _converted(problems, _attachment_field) as own:
        return read_attachments([_file(number, value, own) for number, value in enumerate(values)], own, limits)


def _file(number: int, value: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    disposition = value.get("disposition", "attachment")
    if disposition not in ("attachment", "inline"):
        text = "The disposition of your attachment can be either inline or attachment."
        problems.add("invalid_choice", f"attachments[{number}].disposition", text)
    content_id = value.get("content_id") or value.get("contentId")
    return {
        # The shape check noted missing members.
        "name": value.get("filename", "file"),
        "content": value.get("content", "AA=="),
        "type": value.get("type"),
        "disposition": disposition if content_id else "attachment",
        "content_id": content_id,
    }


def _attachment_field(target: str) -> str:
    field = _ATTACHMENT_FIELD.sub(r"attachments.\1", target)
    return f"{field.removesuffix('.name')}.filename" if field.endswith(".name") else field


def read_categories(values: Sequence[str], problems: Problems) -> tuple[str, ...]:
    """Read categories, which Relay calls tags."""
    if len(values) > MAX_CATEGORIES:
        problems.add("too_many", "categories", f"There can be up to {MAX_CATEGORIES} categories.")
    if len(set(values)) != len(values):
        problems.add("invalid_tag", "categories", "The categories must be unique.")
    for number, category in enumerate(values):
        if not 0 < len(category) <= MAX_CATEGORY:
            text = f"A category must have 1 to {MAX_CATEGORY} characters."
            problems.add("invalid_tag", f"categories.{number}", text)
    return tuple(values)


def check_arguments(values: Mapping[str, str], field: str, problems: Problems) -> None:
    """Check custom arguments, which Relay calls metadata: SendGrid's size limit, and Relay's reserved names."""
    for name in values:
        if name.startswith("relay_"):
            text = "Names that begin with relay_ are reserved. Choose another."
            problems.add("invalid_value", inner(field, name), text)
    _check_bytes(values, MAX_ARGUMENT_BYTES, field, problems)


def check_substitutions(values: Mapping[str, str], field: str, problems: Problems) -> None:
    """Check SendGrid's size limit on the substitutions of a personalization."""
    _check_bytes(values, MAX_SUBSTITUTION_BYTES, field, problems)


def read_time(value: int | None, field: str, now: datetime, problems: Problems, limits: Limits) -> datetime | None:
    """Read `send_at` as aware UTC; None for a past time, which means now."""
    if value is None:
        return None
    last = now + timedelta(seconds=limits.max_send_ahead_seconds)
    if not 0 <= value <= _NEWEST.timestamp():
        problems.add("invalid_time", field, "The send_at parameter must be a unix timestamp, in seconds.")
    elif datetime.fromtimestamp(value, UTC) > last:
        days = limits.max_send_ahead_seconds // 86_400
        problems.add("out_of_range", field, f"Too far ahead: a message can be scheduled at most {days} days ahead.")
    elif value > now.timestamp():
        return datetime.fromtimestamp(value, UTC)
    return None


def _check_bytes(values: Mapping[str, str], limit: int, field: str, problems: Problems) -> None:
    size = len(msgspec.json.encode(values)) if values else 0
    if size > limit:
        problems.add("too_large", field, f"Too large: {size} bytes as JSON (limit {limit}).")


@contextmanager
def _converted(problems: Problems, field: Callable[[str], str]) -> Iterator[Problems]:
    """Collect the problems of one of Relay's readers, and convert their targets to SendGrid's fields."""
    own = Problems(place=field)
    yield own
    for problem in own.found:
        problems.add(problem.code, problem.target, problem.message)
