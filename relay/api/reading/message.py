"""Read one message. Every reader notes the problems it finds, and the caller gets all of them in one response."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.api.problems import WHOLE, Problems, member
from relay.api.reading import fields, json_text
from relay.api.reading.addresses import EMPTY_SENDER, Located, read_mailbox, read_mailboxes, same_mailbox
from relay.api.reading.attachments import read_attachments
from relay.api.reading.body import check_shape
from relay.api.reading.defaults import NO_DEFAULTS, Defaults, MessageFields, Reader
from relay.api.reading.headers import read_headers
from relay.api.shapes.requests import MessageRequest
from relay.core.model import Address, Attachment, DeliveryGuarantee, Message
from relay.mime.file_names import Files, files_in_attachments
from relay.mime.size import estimate_size
from relay.mime.writing.calendar import calendar_problem
from relay.providers.registry import MODULES, option_problems

_NO_ADDRESS = Address(email="")
_GUARANTEES: Mapping[str, DeliveryGuarantee] = {each.value: each for each in DeliveryGuarantee}


def parse_message(body: bytes, *, content_type: str, now: datetime, limits: Limits) -> Draft:
    """Read the draft of one message. Raises `Refusal` with every problem."""
    json_text.check_content_type(content_type)
    problems = Problems()
    value = json_text.read_json(body, limits.max_body_bytes, problems)
    if not isinstance(value, dict):
        check_shape(value, MessageRequest, problems)
        raise problems.refusal()
    draft = read_message(value, now, problems, limits)
    problems.raise_any()
    return draft


def read_message(
    value: Mapping[str, Any],
    now: datetime,
    problems: Problems,
    limits: Limits,
    *,
    defaults: Defaults = NO_DEFAULTS,
) -> Draft:
    """Read the draft of one message's JSON object. Use it only if `problems` stayed empty.

    `defaults` are the shared fields of a batch, whose names and types have been checked.
    """
    check_shape(defaults.without_shared(value), MessageRequest, problems)
    template = fields.read_choice_name(value.get("template"), "template", problems, limits, may_have_version=True)
    _check_content(value, problems, has_template=template is not None)

    given = MessageFields(value, defaults, problems, limits)
    files = given.read("attachments", _read_files)
    recipients = given.read_present(_RECIPIENTS)
    _check_recipients(value, [each for found in recipients.values() for each in found], problems, limits)
    text = _text(value.get("text"))
    message = Message(
        sender=read_mailbox(value.get("from"), "from", problems, limits) or _NO_ADDRESS,
        to=_addresses(recipients.get("to", ())),
        cc=_addresses(recipients.get("cc", ())),
        bcc=_addresses(recipients.get("bcc", ())),
        subject=fields.read_subject(value.get("subject"), problems, limits, is_required=template is None),
        text=text,
        html=_text(value.get("html")),
        text_from_html=not text and value.get("text_from_html") is not False,
        attachments=files.attachments,
        **given.read_present(_OF_MESSAGE),
    )
    topic = fields.read_topic(value.get("unsubscribe"))
    if topic is not None:
        _check_topic(message, problems)
    size = _checked_size(message, problems, limits)
    delivery = value.get("delivery")
    return Draft(
        message=message,
        size=size,
        delivery=_GUARANTEES.get(delivery) if isinstance(delivery, str) else None,
        send_at=fields.read_moment(value.get("send_at"), now, problems, limits),
        dry_run=value.get("dry_run") is True,
        template=template,
        file_names=files.within.names,
        opaque_parts=files.within.opaque,
        topic=topic,
        **given.read_present(_OF_DRAFT),
    )


def _check_topic(message: Message, problems: Problems) -> None:
    """Check that a message about a topic has one recipient, in To, and no unsubscribe link of its own."""
    if len(message.recipients) > 1 or (message.recipients and not message.to):
        problems.add("not_applicable", "unsubscribe", fields.ONE_RECIPIENT)
    for name in message.headers:
        if name.lower() in fields.LINK_FIELDS:
            problems.add("not_applicable", member("headers", name), fields.OWN_LINK)


def _read_recipients(name: str, value: Any, problems: Problems, limits: Limits) -> list[Located]:
    return read_mailboxes(value, name, problems, limits, limit=limits.max_recipients, code="too_many_recipients")


_RECIPIENTS: Mapping[str, Reader[list[Located]]] = {
    name: partial(_read_recipients, name) for name in ("to", "cc", "bcc")
}


class _Files(msgspec.Struct, frozen=True, kw_only=True):
    """A request's attachments, and the names of the files within them."""

    attachments: tuple[Attachment, ...] = ()
    within: Files = Files()


_NO_FILES = _Files()


def _read_files(value: Any, problems: Problems, limits: Limits) -> _Files:
    if value is None:
        return _NO_FILES
    attachments = read_attachments(value, problems, limits)
    return _Files(attachments=attachments, within=files_in_attachments(attachments))


def _read_reply_to(value: Any, problems: Problems, limits: Limits) -> tuple[Address, ...]:
    return _addresses(read_mailboxes(value, "reply_to", problems, limits, limit=limits.max_reply_to))


def _read_variables(value: Any, problems: Problems, limits: Limits) -> Mapping[str, Any]:
    return fields.read_open_object(value, "variables", limits.max_variables_bytes, problems, limits)


def _check_recipients(
    value: Mapping[str, Any], recipients: Sequence[Located], problems: Problems, limits: Limits
) -> None:
    """Check to, cc and bcc together: at least one recipient, not too many, and no duplicates."""
    if not recipients and not any(_has_text(value.get(name)) for name in _RECIPIENTS):
        problems.add("no_recipients", "to", "At least one recipient is required, in to, cc or bcc.")
    if len(recipients) > limits.max_recipients and not problems.has("too_many_recipients"):
        text = f"Too many recipients: {len(recipients)} (limit {limits.max_recipients}). Send several messages."
        problems.add("too_many_recipients", WHOLE, text)
    _check_unique(recipients, problems)


def _check_unique(recipients: Sequence[Located], problems: Problems) -> None:
    seen: dict[str, Located] = {}
    for located in recipients:
        first = seen.setdefault(same_mailbox(located.address.email), located)
        if first is not located:
            text = f"Duplicate recipient: already listed as {first.words}."
            problems.add("duplicate_recipient", located.target, text)


def _has_text(value: Any) -> bool:
    """Return whether a field has any value: then its own problem is reported instead of missing recipients."""
    return bool(value.strip(" \t\r\n,;")) if isinstance(value, str) else value is not None and value != []


def _addresses(people: Sequence[Located]) -> tuple[Address, ...]:
    return tuple([located.address for located in people])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _read_calendar(value: Any, problems: Problems, limits: Limits) -> str | None:
    calendar = _text(value)
    problem = calendar_problem(calendar) if calendar else ""
    if problem:
        problems.add("invalid_value", "calendar", problem)
    return calendar


def _check_content(value: Mapping[str, Any], problems: Problems, *, has_template: bool) -> None:
    if has_template:
        for name in ("text", "html"):
            if value.get(name) is not None:
                problems.add("not_applicable", name, "The template provides the text and HTML. Leave this out.")
        return
    needs_template = [name for name in ("variables", "locale") if value.get(name) is not None]
    for name in needs_template:
        text = f"{name.capitalize()} can only be used with a template. Add `template`, or leave this out."
        problems.add("not_applicable", name, text)
    if not needs_template and not any(value.get(name) for name in ("text", "html")):
        problems.add("no_content", "text", "The message has no content. Add text, html or both, or name a template.")


def _read_return_path(value: Any, problems: Problems, limits: Limits) -> str | None:
    """Read the envelope sender: empty for no bounces, None for the message's From."""
    if not isinstance(value, str):
        return None
    if value.strip() == EMPTY_SENDER:
        return ""
    address = read_mailbox(value, "return_path", problems, limits)
    return address.email if address is not None else None


def _read_options(value: Any, problems: Problems, limits: Limits) -> Mapping[str, Any]:
    options = fields.read_open_object(value, "options", limits.max_options_bytes, problems, limits)
    for provider, own in options.items():
        if provider not in MODULES:
            text = f"Unknown provider. Known providers: {', '.join(MODULES)}."
            problems.add("unknown_field", f"options.{provider[:80]}", text)
        elif isinstance(own, dict):
            for problem in option_problems(provider, own):
                target, _, text = problem.partition(": ")
                problems.add("invalid_value", target, f"{text[:1].upper()}{text[1:]}.")
    return options


def _read_name(target: str) -> Reader[str | None]:
    return lambda value, problems, limits: fields.read_choice_name(value, target, problems, limits)


def _read_locale(value: Any, problems: Problems, limits: Limits) -> str:
    return fields.read_locale(value, "locale", problems, limits)


_OF_MESSAGE: Mapping[str, Reader[Any]] = {
    "reply_to": _read_reply_to,
    "calendar": _read_calendar,
    "headers": read_headers,
    "tags": fields.read_tags,
    "metadata": fields.read_metadata,
    "return_path": _read_return_path,
    "options": _read_options,
}
_OF_DRAFT: Mapping[str, Reader[Any]] = {
    "lane": _read_name("lane"),
    "expires_in_seconds": fields.read_expiry,
    "route": _read_name("route"),
    "variables": _read_variables,
    "locale": _read_locale,
}
"""Fields of a message and of a draft that few requests have, and that are read on their own."""


def _checked_size(message: Message, problems: Problems, limits: Limits) -> int | None:
    if problems.has("message_too_large"):
        return None
    size = estimate_size(message)
    if size > limits.max_message_bytes:
        text = f"The message is too large: {size} bytes on the wire (limit {limits.max_message_bytes})."
        problems.add("message_too_large", WHOLE, text)
    return size
