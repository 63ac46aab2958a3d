"""Read a finished RFC 5322 message. Its envelope is in the query, in headers of the request, or in its own fields.

The Functions host drops empty query values, and joins repeated query values and headers with commas. So a comma separates
recipients everywhere.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.api.http import Request
from relay.api.problems import WHOLE, Problems, member
from relay.api.reading import fields
from relay.api.reading.addresses import EMPTY_SENDER, read_mailbox, read_mailboxes
from relay.api.reading.raw.files import read_files
from relay.api.reading.raw.header import CheckedHeader, read_head
from relay.clients import idempotency
from relay.core.errors import Refusal
from relay.core.model import Address, DeliveryGuarantee, Message
from relay.mime import raw as mime_raw
from relay.mime.size import estimate_size
from relay.routes import capabilities

MAIL_FROM = "x-relay-mail-from"
RCPT_TO = "x-relay-rcpt-to"
UNSUBSCRIBE = "x-relay-unsubscribe"
QUERY = (
    "from", "to", "dry_run", "lane", "route", "delivery", "send_at", "expires_in_seconds", "tags", "unsubscribe",
)  # fmt: skip
_NOT_OURS = frozenset(("code", "clientid", "wait"))
"""Query parameters of the Functions host (its key and the key's name), and of `relay.api.messages.waiting`."""
_YES, _NO = ("true", "1"), ("false", "0")
_SHOWN_AS = {MAIL_FROM: "X-Relay-Mail-From", RCPT_TO: "X-Relay-Rcpt-To", UNSUBSCRIBE: "X-Relay-Unsubscribe"}
_OF_RECIPIENTS = frozenset(("query.to", "X-Relay-Rcpt-To", "headers.To", "headers.Cc", "headers.Bcc"))
_NO_ADDRESS = Address(email="")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope in the request. Without `recipients`, those in the message's own fields apply.

    `sender` is the address for bounces: empty for the empty sender, None for the message's From.
    """

    sender: str | None = None
    recipients: tuple[Address, ...] = ()
    is_given: bool = False


def parse_raw(request: Request, *, now: datetime, limits: Limits, rebuilds: bool = True) -> Draft:
    """Read the draft of a finished message. Raises `Refusal` with every problem.

    `rebuilds`: a route sends the content of finished messages instead, so it is read too. That is a third of the work.
    """
    _check_whole(request.body, limits)
    problems = Problems()
    _check_query(request.query, problems)
    envelope = _envelope(request, problems, limits)
    head_bytes, body = mime_raw.split(request.body)
    head = read_head(head_bytes, problems, limits, names_recipients=not envelope.is_given)
    raw = b"".join((head.joined(), b"\r\n", body))
    # Free the body: reading the parts needs memory for another copy.
    del body
    message = _message(head, raw, envelope, problems, limits)
    draft = _with_options(message, request.query, now, problems, limits)
    topic = _topic(request, message, head, problems)
    problems.raise_any()
    rebuilt = capabilities.rebuilt(message) if rebuilds else None
    return msgspec.structs.replace(draft, other_senders=head.other_senders, rebuilt=rebuilt, topic=topic)


def fingerprint(request: Request) -> str:
    """Hash the parts that are equal in a repeated request: message, envelope and options, but not the keys."""
    chosen = sorted((name, value) for name, value in request.query.items() if name not in _NOT_OURS)
    envelope = [request.headers.get(name, "") for name in (MAIL_FROM, RCPT_TO)]
    envelope += [request.headers[UNSUBSCRIBE]] if request.headers.get(UNSUBSCRIBE) else []
    said = msgspec.json.encode([chosen, envelope])
    return idempotency.fingerprint(request.path, request.content_type, said, request.body)


def _check_whole(body: bytes, limits: Limits) -> None:
    if not body.strip():
        text = "The request has no body. Send the message, header included, with a Content-Length."
        raise Refusal(400, "empty_body", text, target=WHOLE)
    if len(body) > limits.max_message_bytes:
        text = f"The message is too large: {len(body)} bytes (limit {limits.max_message_bytes})."
        raise Refusal(413, "message_too_large", text, target=WHOLE)


def _check_query(query: Mapping[str, str], problems: Problems) -> None:
    for name in query:
        if name not in QUERY and name not in _NOT_OURS:
            text = f"Unknown query parameter. Known parameters: {', '.join(QUERY)}."
            problems.add("unknown_field", member("query", name), text)


def _envelope(request: Request, problems: Problems, limits: Limits) -> Envelope:
    sender_text, sender_at = _one_of(request, "from", MAIL_FROM, problems)
    people_text, people_at = _one_of(request, "to", RCPT_TO, problems)
    sender = "" if sender_text.strip() == EMPTY_SENDER else None
    if sender_text and sender is None:
        mailbox = read_mailbox(sender_text, sender_at, problems, limits)
        sender = mailbox.email if mailbox is not None else None
    located = read_mailboxes(
        people_text, people_at, problems, limits, limit=limits.max_recipients, code="too_many_recipients"
    )
    return Envelope(
        sender=sender, recipients=tuple(each.address for each in located), is_given=bool(people_text.strip(" ,;"))
    )


def _one_of(request: Request, name: str, header: str, problems: Problems) -> tuple[str, str]:
    """Return the value and its target, from the query or the header, not both."""
    in_query, in_header = request.query.get(name, ""), request.headers.get(header, "")
    if in_query and in_header:
        text = f"Also set in {_SHOWN_AS[header]}. Use the query or the header, not both."
        problems.add("not_applicable", member("query", name), text)
    return (in_query, member("query", name)) if in_query else (in_header, _SHOWN_AS[header])


def _message(head: CheckedHeader, raw: bytes, envelope: Envelope, problems: Problems, limits: Limits) -> Message:
    """Make the message with its envelope: recipients in the header's To or Cc stay there, all others become Bcc."""
    people = head.people
    sender = next(iter(people["from"]), _NO_ADDRESS)
    shown = {name: {address.email.casefold(): address for address in people[name]} for name in ("to", "cc")}
    chosen = envelope.recipients if envelope.is_given else (*people["to"], *people["cc"], *people["bcc"])
    found: dict[str, dict[str, Address]] = {"to": {}, "cc": {}, "bcc": {}}
    for address in chosen:
        key = address.email.casefold()
        place = next((name for name in ("to", "cc") if key in shown[name]), "bcc")
        named = address if address.name else shown.get(place, {}).get(key, address)
        found[place].setdefault(key, named)
    _check_number(sum(map(len, found.values())), problems, limits)
    differs = envelope.sender is not None and envelope.sender.casefold() != sender.email.casefold()
    message = Message(
        sender=sender,
        to=tuple(found["to"].values()),
        cc=tuple(found["cc"].values()),
        bcc=tuple(found["bcc"].values()),
        subject=head.subject[: limits.max_subject],
        return_path=envelope.sender if differs else None,
        raw=raw,
    )
    size = estimate_size(message)
    if size > limits.max_message_bytes:
        text = f"The message is too large: {size} bytes on the wire (limit {limits.max_message_bytes})."
        problems.add("message_too_large", WHOLE, text)
    return message


def _check_number(count: int, problems: Problems, limits: Limits) -> None:
    if count > limits.max_recipients:
        text = f"Too many recipients: {count} (limit {limits.max_recipients}). Send several messages."
        problems.add("too_many_recipients", WHOLE, text)
    elif not count and not any(problem.target in _OF_RECIPIENTS for problem in problems.found):
        text = "At least one recipient is required: in the query (to), in X-Relay-Rcpt-To, or in the message's To, Cc or Bcc."
        problems.add("no_recipients", "to", text)


def _topic(request: Request, message: Message, head: CheckedHeader, problems: Problems) -> str | None:
    topic, at = _one_of(request, "unsubscribe", UNSUBSCRIBE, problems)
    if not topic:
        return None
    if len(message.recipients) > 1:
        problems.add("not_applicable", at, fields.ONE_RECIPIENT)
    for field in head.fields:
        if field.name in fields.LINK_FIELDS:
            problems.add("not_applicable", member("headers", field.spelling), fields.OWN_LINK)
    return topic


def _with_options(
    message: Message, query: Mapping[str, str], now: datetime, problems: Problems, limits: Limits
) -> Draft:
    tags = [tag for tag in query.get("tags", "").split(",") if tag]
    files = read_files(message.raw or b"", problems)
    delivery = _choice(query, "delivery", tuple(map(str, DeliveryGuarantee)), problems)
    return Draft(
        message=msgspec.structs.replace(message, tags=fields.read_tags(tags, problems, limits)),
        lane=fields.read_choice_name(query.get("lane"), "lane", problems, limits),
        route=fields.read_choice_name(query.get("route"), "route", problems, limits),
        delivery=DeliveryGuarantee(delivery) if delivery else None,
        send_at=fields.read_moment(_number(query.get("send_at")), now, problems, limits),
        expires_in_seconds=_expiry(query, problems, limits),
        dry_run=_choice(query, "dry_run", (*_YES, *_NO), problems) in _YES,
        file_names=files.names,
        opaque_parts=files.opaque,
    )


def _expiry(query: Mapping[str, str], problems: Problems, limits: Limits) -> int | None:
    value = _number(query.get("expires_in_seconds"))
    if isinstance(value, str):
        problems.add("wrong_type", "query.expires_in_seconds", "Must be a whole number of seconds.")
    return fields.read_expiry(value, problems, limits)


def _choice(query: Mapping[str, str], name: str, choices: tuple[str, ...], problems: Problems) -> str | None:
    value = query.get(name)
    if value is None or value in choices:
        return value
    problems.add("invalid_choice", member("query", name), f"Must be one of: {', '.join(choices)}.")
    return None


def _number(value: str | None) -> Any:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 16 else value
