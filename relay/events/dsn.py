"""Parse reports that mail systems send to the sender: delivery status notifications (RFC 3464), feedback reports (RFC 5965).

A report is trusted only if it contains the id of one of Relay's messages, which only a recipient of the message can know
(`relay.core.ids`: the id contains a MAC), and only for a recipient of that message.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime

from relay.core.events import EventKind, classify, enhanced_status
from relay.events.provider_events import MAX_RAW, OUR_ID, ProviderEvent, key_of, text_of

MAX_REPORT_BYTES = 2_000_000
"""A longer report is cut: the status comes before the returned message."""
_ACTIONS: Mapping[str, EventKind] = {
    # RFC 3464 section 2.3.3
    "failed": EventKind.BOUNCED,
    "delayed": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "relayed": EventKind.PROCESSED,
    "expanded": EventKind.PROCESSED,
}
_NAMING = ("X-Relay-Id", "X-Original-Message-ID", "Original-Message-Id", "Message-ID", "In-Reply-To", "References")
"""Fields that may contain the message's id, the most reliable first."""


def read_report(raw: bytes, now: datetime, *, provider: str, client: str = "") -> Sequence[ProviderEvent]:
    """Parse the events of a report; none if it is not a report, or names no message of Relay's."""
    try:
        report = message_from_bytes(raw[:MAX_REPORT_BYTES], policy=policy.compat32)
    except RecursionError:
        # Parts nested hundreds deep: not a genuine report.
        return ()
    parts = list(_leaves(report))
    name, attempt = _name_in(report, parts)
    if not name:
        return ()
    base = ProviderEvent(
        kind="",
        at=_time(_field(report, "Date"), now),
        key="",
        provider=provider,
        message=name,
        attempt=attempt,
        client=client,
    )
    found: list[ProviderEvent] = []
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            found += _statuses(_blocks(part), base)
        elif part.get_content_type() == "message/feedback-report":
            found += _complaints(_blocks(part), base)
    return found


def _leaves(message: Message, depth: int = 0) -> Iterator[Message]:
    """Yield the parts of a report, also of a report inside a report, but not those of the returned message."""
    yield message
    if message.get_content_maintype() == "multipart" and message.is_multipart() and depth < 5:
        for part in message.get_payload():
            if isinstance(part, Message):
                yield from _leaves(part, depth + 1)


def _blocks(part: Message) -> list[Message]:
    """Return the groups of fields in a status part. Decodes a transfer encoding first."""
    payload = part.get_payload()
    blocks = [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []
    if (len(blocks) == 1 and not blocks[0].keys()) or not blocks:
        inner = blocks[0] if blocks else part
        text = _decoded(inner, part.get("Content-Transfer-Encoding", ""))
        blocks = [message_from_bytes(group) for group in re.split(rb"\r?\n\r?\n", text) if group.strip()]
    return blocks


def _decoded(part: Message, encoding: str) -> bytes:
    plain = Message()
    plain["Content-Transfer-Encoding"] = encoding or "7bit"
    payload = part.get_payload()
    plain.set_payload(payload if isinstance(payload, str) else "")
    decoded = plain.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def _statuses(blocks: Sequence[Message], base: ProviderEvent) -> Iterator[ProviderEvent]:
    for block in blocks:
        kind = _ACTIONS.get(_field(block, "Action").strip().lower())
        if kind is None:
            continue
        diagnostic = _value(block, "Diagnostic-Code")
        code = enhanced_status(_field(block, "Status"), diagnostic)
        # `x.0.0` only repeats the action; the diagnostic often has a specific code.
        code = enhanced_status(diagnostic) or code if code.endswith(".0.0") else code
        recipient = _value(block, "Original-Recipient") or _value(block, "Final-Recipient")
        yield _about(
            base,
            kind=str(kind),
            recipient=text_of(_bare(recipient), 320),
            code=code,
            reply=text_of(diagnostic),
            bounce_class=str(classify(code, diagnostic)) if kind is EventKind.BOUNCED else "",
            raw=_raw(block),
        )


def _complaints(blocks: Sequence[Message], base: ProviderEvent) -> Iterator[ProviderEvent]:
    for block in blocks:
        if _field(block, "Feedback-Type").strip().lower() not in ("abuse", "fraud"):
            continue
        recipient = text_of(_bare(_field(block, "Original-Rcpt-To")), 320)
        yield _about(base, kind=str(EventKind.COMPLAINED), recipient=recipient, raw=_raw(block))


def _raw(block: Message) -> str:
    return text_of("".join(f"{name}: {value}\n" for name, value in block.items()), MAX_RAW)


def _about(base: ProviderEvent, **fields: str) -> ProviderEvent:
    key = key_of("report", base.message, base.at, fields["kind"], fields["recipient"], fields.get("code", ""))
    return ProviderEvent(
        at=base.at,
        key=key,
        provider=base.provider,
        message=base.message,
        attempt=base.attempt,
        client=base.client,
        **fields,
    )


def _name_in(report: Message, parts: Sequence[Message]) -> tuple[str, int]:
    """Return the id of the reported message, and the attempt's number if the message's own fields are returned."""
    returned = [head for part in parts for head in _returned(part)]
    statuses = [
        block for part in parts if part.get_content_type() == "message/delivery-status" for block in _blocks(part)
    ]
    for source in (*returned, *statuses, report):
        for field in _NAMING:
            if found := OUR_ID.search(_field(source, field)):
                attempt = _field(source, "X-Relay-Attempt").strip()
                return found[0], int(attempt) if attempt.isascii() and attempt.isdigit() and len(attempt) < 7 else 0
    return "", 0


def _returned(part: Message) -> Iterator[Message]:
    """Yield the header fields of a returned message."""
    payload = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(payload, list):
        yield from (inner for inner in payload if isinstance(inner, Message))
    elif part.get_content_type() in ("text/rfc822-headers", "message/rfc822-headers"):
        if isinstance(payload, list):
            yield from (inner for inner in payload if isinstance(inner, Message))
        else:
            decoded = part.get_payload(decode=True)
            yield message_from_bytes(decoded if isinstance(decoded, bytes) else b"")


def _field(message: Message, name: str) -> str:
    value = message.get(name)
    return "" if value is None else " ".join(str(value).split())


def _value(block: Message, name: str) -> str:
    """Return the value of a typed field, `rfc822; a@example.com` (RFC 3464 section 2.1.2); everything if it has no type."""
    text = _field(block, name)
    kind, semicolon, value = text.partition(";")
    return _unencoded((value if semicolon and " " not in kind.strip() else text).strip())


def _unencoded(text: str) -> str:
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError):
        return text


def _bare(address: str) -> str:
    return address.strip().strip("<>").strip()


def _time(text: str, now: datetime) -> datetime:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return now
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
