"""Parse reports that mail systems send to the sender: delivery status notifications (RFC 3464, RFC 6533), feedback reports
(RFC 5965). Never raises.

A report is trusted only if it contains the id of one of Relay's messages, which only a recipient of the message can know
(`relay.core.ids`: the id contains a MAC), and only for a recipient of that message.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice

import msgspec

from relay.core import ids
from relay.core.events import BounceClass, EventKind, EventSource, classify, enhanced_status
from relay.events.provider_events import MAX_ATTEMPT_ID, MAX_RAW, ProviderEvent, key_of, recipient_of, text_of
from relay.mime import encoded_words, file_names, parts
from relay.mime.parts import Part, field_text
from relay.mime.raw import Field
from relay.providers.account_refusals import reported_refusal

MAX_REPORT_BYTES = 2_000_000
"""Longer reports are cut: the status comes before the returned message."""
MAX_BLOCKS = 2_000
"""Groups of fields that are read: one for each recipient, of which a message has 1,000."""
_ACTIONS: Mapping[str, EventKind] = {
    # RFC 3464 section 2.3.3
    "failed": EventKind.BOUNCED,
    "delayed": EventKind.DEFERRED,
    "delivered": EventKind.DELIVERED,
    "relayed": EventKind.PROCESSED,
    "expanded": EventKind.PROCESSED,
}
_NAMING = ("x-relay-id", "x-original-message-id", "original-message-id", "message-id", "in-reply-to", "references")
"""Fields that may contain the message's id, the most reliable first."""
_STATUS = ("message/delivery-status", "message/global-delivery-status")
_RETURNED = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
_NUMBER = re.compile(r"[0-9]{1,6}")
_WORD = re.compile(r"[A-Za-z-]+")
_BLANK_LINE = re.compile(rb"(?>\r\n|\r|\n)[ \t]*(?>\r\n|\r|\n)")
"""Atomic groups: a CRLF must not match as two line ends."""
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_Block = Mapping[str, str]
"""A group of fields: values by lower-case name, each on one line. The first of a name counts."""


def read_report(
    raw: bytes, now: datetime, *, provider: str, client_id: str = "", source: EventSource = EventSource.MAIL
) -> Sequence[ProviderEvent]:
    """Parse the events of a report; none if it is not a report, or names no message of Relay's.

    `source` is `PROVIDER` for a report that Exchange Online certainly made.
    """
    report = parts.parse(raw[:MAX_REPORT_BYTES]).root
    found = list(_own_parts(report))
    statuses = [block for part in found if part.type in _STATUS for block in _blocks(part)]
    name, named = _name_in(report, found, [fields for fields, _ in statuses])
    if not name:
        return ()
    base = ProviderEvent(
        kind="",
        at=_time(report.text("date"), now),
        key="",
        provider=provider,
        message=name,
        attempt=int(named) if _NUMBER.fullmatch(named) else 0,
        attempt_id="" if _NUMBER.fullmatch(named) else named,
        client_id=client_id,
        source=EventSource.CLIENT if client_id else source,
    )
    complaints = [block for part in found if part.type == "message/feedback-report" for block in _blocks(part)]
    return [*_statuses(statuses, base), *_complaints(complaints, base)]


def _own_parts(report: Part) -> Iterator[Part]:
    """Yield the parts of a report, also of a report inside a report, but not those of the returned message."""
    waiting = [report]
    while waiting:
        part = waiting.pop()
        yield part
        if part.type.startswith("multipart/"):
            waiting += reversed(part.parts)


def _blocks(part: Part) -> Iterator[tuple[_Block, str]]:
    """Yield the groups of fields in a status part, each also as text."""
    groups = (group for group in _BLANK_LINE.split(part.content) if group.strip())
    for group in islice(groups, MAX_BLOCKS):
        fields = parts.read_fields(group.lstrip(b"\r\n"))
        yield _block(fields), _raw(fields)


def _block(fields: Sequence[Field]) -> _Block:
    found: dict[str, str] = {}
    for field in fields:
        found.setdefault(field.name, " ".join(field_text(field).split()))
    return found


def _raw(fields: Sequence[Field]) -> str:
    text = b"".join(field.line for field in fields)[: 2 * MAX_RAW].decode("utf-8", "replace")
    return text_of(text.replace("\r\n", "\n"), MAX_RAW)


def _statuses(blocks: Sequence[tuple[_Block, str]], base: ProviderEvent) -> Iterator[ProviderEvent]:
    for block, raw in blocks:
        action = _WORD.match(block.get("action", ""))
        kind = _ACTIONS.get(action[0].lower()) if action else None
        if kind is None:
            continue
        diagnostic = encoded_words.decode(_typed(block, "diagnostic-code")[1])
        code = enhanced_status(block.get("status", ""), diagnostic)
        # `x.0.0` only repeats the action; the diagnostic often has a specific code.
        code = enhanced_status(diagnostic) or code if code.endswith(".0.0") else code
        yield _about(
            base,
            kind=str(kind),
            recipient=_recipient(block, "original-recipient") or _recipient(block, "final-recipient"),
            code=code,
            reply=text_of(diagnostic),
            bounce_class=_bounce_class(block, code, diagnostic, base) if kind is EventKind.BOUNCED else "",
            raw=raw,
        )


def _bounce_class(block: _Block, code: str, diagnostic: str, base: ProviderEvent) -> str:
    is_by_account = (
        base.source is EventSource.PROVIDER
        and reported_refusal(code, diagnostic, _typed(block, "remote-mta")[1]) is not None
    )
    return str(BounceClass.ACCOUNT if is_by_account else classify(code, diagnostic))


def _complaints(blocks: Sequence[tuple[_Block, str]], base: ProviderEvent) -> Iterator[ProviderEvent]:
    for block, raw in blocks:
        if block.get("feedback-type", "").lower() not in ("abuse", "fraud"):
            continue
        yield _about(base, kind=str(EventKind.COMPLAINED), recipient=_recipient(block, "original-rcpt-to"), raw=raw)


def _about(base: ProviderEvent, **fields: str) -> ProviderEvent:
    # A forged report must not make the provider's own report count as known.
    source = (base.source,) if base.source is EventSource.PROVIDER else ()
    key = key_of("report", base.message, base.at, fields["kind"], fields["recipient"], fields.get("code", ""), *source)
    return msgspec.structs.replace(base, key=key, **fields)


def _name_in(report: Part, found: Sequence[Part], statuses: Sequence[_Block]) -> tuple[str, str]:
    """Return the id of the reported message, and what the message's own fields say of the attempt, if they are returned."""
    returned = (_block(fields) for part in found for fields in _returned(part))
    for source in (*returned, *statuses, _block(report.fields)):
        for field in _NAMING:
            if named := ids.IN_TEXT.search(source.get(field, "")):
                return named[0], text_of(source.get("x-relay-attempt", ""), MAX_ATTEMPT_ID)
    return "", ""


def _returned(part: Part) -> Iterator[Sequence[Field]]:
    """Yield the header fields of a returned message."""
    if part.type in _RETURNED:
        yield parts.read_fields(part.content)
    elif not part.type.startswith("multipart/"):
        yield from (inner.fields for inner in part.parts)
        # Gateways attach it as any other file.
        if not part.parts and file_names.is_message_file(file_names.names_in(part.fields)):
            yield parts.parse(part.content).root.fields


def _typed(block: _Block, name: str) -> tuple[str, str]:
    """Return a field's type and value, `rfc822; a@example.com` (RFC 3464 section 2.1.2); everything if it has no type."""
    text = block.get(name, "")
    kind, semicolon, value = text.partition(";")
    return (kind.strip().lower(), value.strip()) if semicolon and " " not in kind.strip() else ("", text)


def _recipient(block: _Block, name: str) -> str:
    kind, text = _typed(block, name)
    if kind == "utf-8":
        text = _UNICODE.sub(_character, text)  # RFC 6533 section 3
    text = encoded_words.decode(text).strip().strip("<>")
    return recipient_of(text)


def _character(escaped: re.Match[str]) -> str:
    number = int(escaped[1], 16)
    return chr(number) if number <= 0x10FFFF else "\ufffd"


def _time(text: str, now: datetime) -> datetime:
    try:
        at = parsedate_to_datetime(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError, IndexError):
        return now
