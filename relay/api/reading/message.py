"""A request body to a `Draft`: every reader notes what is wrong, and the caller is told all of it at once."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from relay.acceptance.draft import Draft, Limits
from relay.api.problems import WHOLE, Problems
from relay.api.reading import fields, json_text
from relay.api.reading.addresses import NOBODY, Located, read_mailbox, read_mailboxes, same_mailbox
from relay.api.reading.attachments import read_attachments
from relay.api.reading.headers import read_headers
from relay.api.reading.shape import check_shape
from relay.api.shapes.requests import MessageRequest
from relay.core.model import Address, Delivery, Message
from relay.core.shape_check import json_kind
from relay.mime.size import estimate_size
from relay.providers.registry import MODULES, provider_module

_NOBODY = Address(email="")


def parse_message(body: bytes, *, content_type: str, now: datetime, limits: Limits) -> Draft:
    """The draft of one message. Raises `Refusal` with every fault."""
    json_text.check_content_type(content_type)
    faults = Problems(limits.max_problems)
    value = json_text.read_json(body, limits.max_body_bytes, faults)
    if not isinstance(value, dict):
        faults.add("wrong_type", WHOLE, f"Expected an object, got {json_kind(value)}.")
        raise faults.refusal()
    draft = read_message(value, now, faults, limits)
    faults.raise_any()
    return draft


def read_message(value: Mapping[str, Any], now: datetime, faults: Problems, limits: Limits) -> Draft:
    """The draft of one message's JSON object. It may be used only if `faults` stayed empty."""
    check_shape(value, MessageRequest, faults)
    template = fields.read_choice_name(value.get("template"), "template", faults, limits, may_have_version=True)
    _check_content(value, faults, has_template=template is not None)
    to, cc, bcc = _recipients(value, faults, limits)
    message = Message(
        sender=read_mailbox(value.get("from"), "from", faults, limits) or _NOBODY,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=_addresses(
            read_mailboxes(value.get("reply_to"), "reply_to", faults, limits, limit=limits.max_reply_to)
        ),
        subject=fields.read_subject(value.get("subject"), faults, limits, is_required=template is None),
        text=_text(value.get("text")),
        html=_text(value.get("html")),
        headers=read_headers(value.get("headers"), faults, limits),
        attachments=read_attachments(value.get("attachments"), faults, limits),
        tags=fields.read_tags(value.get("tags"), faults, limits),
        metadata=fields.read_metadata(value.get("metadata"), faults, limits),
        return_path=_return_path(value.get("return_path"), faults, limits),
        options=_options(value.get("options"), faults, limits),
    )
    size = _checked_size(message, faults, limits)
    delivery = value.get("delivery")
    return Draft(
        message=message,
        size=size,
        lane=fields.read_choice_name(value.get("lane"), "lane", faults, limits),
        expires_in_seconds=fields.read_expiry(value.get("expires_in_seconds"), faults, limits),
        delivery=Delivery(delivery) if delivery in list(Delivery) else None,
        send_at=fields.read_moment(value.get("send_at"), now, faults, limits),
        route=fields.read_choice_name(value.get("route"), "route", faults, limits),
        dry_run=value.get("dry_run") is True,
        template=template,
        variables=fields.read_open_object(
            value.get("variables"), "variables", limits.max_variables_bytes, faults, limits
        ),
    )


def _recipients(value: Mapping[str, Any], faults: Problems, limits: Limits) -> Iterator[tuple[Address, ...]]:
    """to, cc and bcc: somebody, not too many, and nobody twice."""
    found = {
        name: read_mailboxes(
            value.get(name), name, faults, limits, limit=limits.max_recipients, code="too_many_recipients"
        )
        for name in ("to", "cc", "bcc")
    }
    everybody = [located for people in found.values() for located in people]
    if not everybody and not any(_names_somebody(value.get(name)) for name in found):
        faults.add("no_recipients", "to", "Name at least one recipient in to, cc or bcc.")
    if len(everybody) > limits.max_recipients and not faults.has("too_many_recipients"):
        text = (
            f"There are {len(everybody)} recipients; a message may have {limits.max_recipients}. Send several messages."
        )
        faults.add("too_many_recipients", WHOLE, text)
    _check_twice(everybody, faults)
    return map(_addresses, found.values())


def _check_twice(everybody: Sequence[Located], faults: Problems) -> None:
    seen: dict[str, Located] = {}
    for located in everybody:
        first = seen.setdefault(same_mailbox(located.address.email), located)
        if first is not located:
            text = f"This recipient is there already, as {first.words}; each one is named once."
            faults.add("duplicate_recipient", located.target, text)


def _names_somebody(value: Any) -> bool:
    """Whether a field says anything at all: then its own fault is told, not that nobody is named."""
    return bool(value.strip(" \t\r\n,;")) if isinstance(value, str) else value is not None and value != []


def _addresses(people: Sequence[Located]) -> tuple[Address, ...]:
    return tuple(located.address for located in people)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _check_content(value: Mapping[str, Any], faults: Problems, *, has_template: bool) -> None:
    if has_template:
        for name in ("text", "html"):
            if value.get(name) is not None:
                faults.add("not_applicable", name, "The template makes the text and html; leave this out.")
    elif value.get("variables") is not None:
        faults.add("not_applicable", "variables", "Variables are for a template, and none is named.")
    elif not any(value.get(name) for name in ("text", "html")):
        faults.add("no_content", "text", "Give text, html or both, or name a template.")


def _return_path(value: Any, faults: Problems, limits: Limits) -> str | None:
    """Where bounces go; empty when to nobody, None when to From."""
    if not isinstance(value, str):
        return None
    if value.strip() == NOBODY:
        return ""
    address = read_mailbox(value, "return_path", faults, limits)
    return address.email if address is not None else None


def _options(value: Any, faults: Problems, limits: Limits) -> Mapping[str, Any]:
    options = fields.read_open_object(value, "options", limits.max_options_bytes, faults, limits)
    for provider, own in options.items():
        if provider not in MODULES:
            text = f"There is no provider of this name; there are {', '.join(MODULES)}."
            faults.add("unknown_field", f"options.{provider[:80]}", text)
        elif isinstance(own, dict):
            for fault in provider_module(provider).check_options(own):
                target, _, text = fault.partition(": ")
                faults.add("invalid_value", target, f"{text[:1].upper()}{text[1:]}.")
    return options


def _checked_size(message: Message, faults: Problems, limits: Limits) -> int | None:
    if faults.has("message_too_large"):
        return None
    size = estimate_size(message)
    if size > limits.max_message_bytes:
        text = f"The message has {size} bytes on the wire; {limits.max_message_bytes} are possible."
        faults.add("message_too_large", WHOLE, text)
    return size
