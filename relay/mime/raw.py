"""Prepare a raw RFC 5322 message for sending: CRLF, Relay's id, missing fields, no Bcc. Nothing else changes."""

import re
from collections.abc import Iterable
from email.utils import format_datetime

import msgspec

from relay.core.model import Address
from relay.core.send_request import SendRequest
from relay.mime.addresses import mailboxes, spelling
from relay.mime.fields import address_field, author_field, clean, plain_field

_LINE_END = re.compile(rb"\r{1,2}\n|\r|\n")
"""A line end, including the CR CR LF that some programs write."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""The mark that editors and .NET write at the beginning of a text file. It is not part of the message."""
_ENVELOPE = frozenset(("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc"))
_HIDDEN = frozenset(("bcc", "resent-bcc"))
_NEVER = frozenset(("x-relay-id", "x-relay-attempt", "return-path"))


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A header field: `name` in lower case, `line` with all its lines and line ends."""

    name: str
    line: bytes

    @property
    def spelling(self) -> str:
        """The name as written."""
        return self.line.partition(b":")[0].strip().decode("ascii", "replace")

    @property
    def value(self) -> bytes:
        """The unfolded value."""
        return self.line.partition(b":")[2].replace(b"\r\n", b"").strip()


def prepare(request: SendRequest, *, with_bcc: bool) -> bytes:
    """Return the raw message of a request, ready to send. With `with_bcc`, its To, Cc and Bcc are the attempt's envelope.

    From is then replaced too if the request's sender has no display name: the provider must not get the one in the message.
    """
    head, body = split(request.message.raw or b"")
    fields = [field for field in fields_of(head) if field.name not in _NEVER]
    dropped = _ENVELOPE if with_bcc else _HIDDEN
    is_bare = with_bcc and not request.message.sender.name
    dropped |= {"from"} if is_bare else set()
    kept = [field.line for field in fields if field.name not in dropped]
    names = {field.name for field in fields}
    added = [] if "date" in names else [plain_field("Date", format_datetime(request.date))]
    if "message-id" not in names:
        added.append(plain_field("Message-ID", f"<{clean(request.message_id_header)}>"))
    added.append(plain_field("X-Relay-Id", clean(request.id)))
    if with_bcc:
        added += _envelope_fields(request, fields)
    if is_bare:
        added.append(author_field("From", [request.message.sender]))
    return b"".join([*added, *kept, b"\r\n", body])


def message_id(raw: bytes) -> str | None:
    """Return the Message-ID of a raw message without brackets, if it has one."""
    values = [field.value for field in fields_of(head_of(raw)) if field.name == "message-id"]
    return values[0].decode("ascii", "replace").strip("<> ") if values else None


def split(raw: bytes) -> tuple[bytes, bytes]:
    """Split a message into header and body, both with CRLF. The empty line between them is in neither."""
    head, body = _parted(raw)
    return head, _with_crlf(body)


def head_of(raw: bytes) -> bytes:
    """Return the header of a message with CRLF. If it has CRLF already, the body is not read."""
    return _parted(raw)[0]


def _parted(raw: bytes) -> tuple[bytes, bytes]:
    """Return the header with CRLF, and the body."""
    text = raw.removeprefix(BYTE_ORDER_MARK)
    end = text.find(b"\r\n\r\n") + 2
    if end > 2 and not text.startswith(b"\r\n") and _with_crlf(text[:end]) == text[:end]:
        return text[:end], text[end + 2 :]
    text = _with_crlf(text)
    if text.startswith(b"\r\n"):
        return b"", text[2:]
    head, _, body = text.partition(b"\r\n\r\n")
    return (head + b"\r\n" if not head.endswith(b"\r\n") else head), body


def _with_crlf(raw: bytes) -> bytes:
    """Return the text with CRLF at every line end. The pattern takes 30 times as long as the replacement of regular line ends."""
    returns = raw.count(b"\r")
    if not returns:
        return raw.replace(b"\n", b"\r\n")
    if returns == raw.count(b"\r\n") == raw.count(b"\n"):
        return raw
    return _LINE_END.sub(b"\r\n", raw)


def fields_of(head: bytes) -> list[Field]:
    """Return the fields of a header in order. Lines that neither are nor continue a field are dropped."""
    fields: list[Field] = []
    for line in head.splitlines(keepends=True):
        if line[:1] in (b" ", b"\t") and fields and line.strip():
            fields[-1] = Field(name=fields[-1].name, line=fields[-1].line + line)
        elif line[:1] not in (b" ", b"\t") and b":" in line:
            name = line.partition(b":")[0].strip().decode("ascii", "replace").lower()
            fields.append(Field(name=name, line=line))
    return fields


def _envelope_fields(request: SendRequest, fields: Iterable[Field]) -> list[bytes]:
    """Write To, Cc and Bcc that name exactly the envelope: each recipient in the field that names it, else in Bcc."""
    chosen = [request.message.recipients[number] for number in request.recipients]
    shown = {name: _addresses(fields, name) for name in ("to", "cc")}
    rows: dict[str, list[Address]] = {"To": [], "Cc": [], "Bcc": []}
    for recipient in chosen:
        key = recipient.email.lower()
        place = "to" if key in shown["to"] else "cc" if key in shown["cc"] else "bcc"
        name = recipient.name or shown.get(place, {}).get(key, "")
        rows[place.title()].append(Address(email=recipient.email, name=name))
    return [address_field(name, people) for name, people in rows.items() if people]


def _addresses(fields: Iterable[Field], name: str) -> dict[str, str]:
    """Return the display names in the fields of that name, by lower-case address."""
    found: dict[str, str] = {}
    for field in fields:
        if field.name == name:
            people = mailboxes(field.value.decode("utf-8", "replace"))
            found |= {spelling(each.email).lower(): each.name for each in people}
    return found
