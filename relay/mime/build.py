"""Build a message as RFC 5322 bytes: 7-bit, except for addresses whose local part is not ASCII (RFC 6532).

The standard library builds the bodies, with its modern policy. `relay.mime.fields` builds the header fields.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import quote

from relay.core.model import Address, Attachment, Message
from relay.core.send_request import SendRequest
from relay.mime import raw
from relay.mime.fields import (
    address_field,
    author_field,
    clean,
    is_field_name,
    parameter_field,
    plain_field,
    text_field,
)
from relay.mime.writing import structured, transfer
from relay.mime.writing.calendar import method_of
from relay.mime.writing.plain_text import text_of

# fmt: off
RESERVED = frozenset((
    "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "x-relay-id",
    "x-relay-attempt", "mime-version",
    "content-type", "return-path", "received", "content-transfer-encoding", "content-disposition", "content-id",
    "content-description", "dkim-signature", "resent-to", "resent-cc", "resent-bcc", "resent-from", "resent-sender",
    "resent-date", "resent-message-id", "delivered-to", "authentication-results",
))
# fmt: on
"""Fields, in lower case, that a caller's own headers may not set: Relay or a mail server writes them."""

_POLICY = SMTP.clone(cte_type="7bit", max_line_length=76)
_TOKEN = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,70}")
_CONTENT_ID = "!#$%&'*+/=?^_`{|}~.@-"
"""Other characters are percent-encoded, as in the URL that refers to the part (RFC 2392 section 2)."""


def build(request: SendRequest, *, with_bcc: bool = False) -> bytes:
    """Build the message of a request as bytes with CRLF line ends.

    Without `with_bcc`, To and Cc name all recipients that the caller gave and there is no Bcc, because the envelope is separate
    (SMTP). With it, the fields are the envelope (Graph): they name exactly this attempt's recipients. A `raw` message is
    otherwise unchanged (`relay.mime.raw`). Raises `ValueError` if a field cannot be written.
    """
    if request.message.raw is not None:
        return raw.prepare(request, with_bcc=with_bcc)
    return b"".join([*_fields(request, with_bcc=with_bcc), b"MIME-Version: 1.0\r\n"]) + _body(request.message).as_bytes(
        policy=_POLICY
    )


def needs_smtputf8(request: SendRequest) -> bool:
    """Return whether the header or the envelope has addresses that need SMTPUTF8 (RFC 6531)."""
    message = request.message
    people = (message.sender, *message.recipients, *message.reply_to)
    if message.raw is not None:
        people = (message.sender, *message.recipients)
        if not raw.head_of(message.raw).isascii():
            return True
    emails = [address.email for address in people] + [message.return_path or ""]
    return not all(email.rpartition("@")[0].isascii() for email in emails)


def header_problem(name: str) -> str:
    """Explain why a caller may not set this header. Empty if it may."""
    if not is_field_name(name):
        return "a header's name is printable ASCII without spaces and colons, 70 characters at most"
    if name.lower() in RESERVED:
        return f"the header {name} is written by Relay or by mail servers, not by a caller"
    return ""


def _fields(request: SendRequest, *, with_bcc: bool) -> Iterable[bytes]:
    message = request.message
    to, cc = (request.to, request.cc) if with_bcc else (message.to, message.cc)
    yield author_field("From", [message.sender])
    if message.reply_to:
        yield address_field("Reply-To", message.reply_to)
    yield from _recipient_fields(to, cc, request.bcc if with_bcc else ())
    yield text_field("Subject", message.subject)
    yield plain_field("Date", format_datetime(request.date))
    yield plain_field("Message-ID", f"<{clean(request.message_id_header)}>")
    yield plain_field("X-Relay-Id", clean(request.id))
    for name, value in message.headers.items():
        if problem := header_problem(name):
            raise ValueError(problem)
        yield structured.header_field(name, value)


def _recipient_fields(to: tuple[Address, ...], cc: tuple[Address, ...], bcc: tuple[Address, ...]) -> Iterable[bytes]:
    for name, people in (("To", to), ("Cc", cc), ("Bcc", bcc)):
        if people:
            yield address_field(name, people)
    if not (to or cc or bcc):
        # Some servers refuse a message without a recipient field; RFC 5322 section 3.4 allows an empty group.
        yield plain_field("To", "undisclosed-recipients:;")


def _body(message: Message) -> MIMEPart:
    """Build mixed(alternative(text, related(html, inline…), calendar), attachment…), without levels that are not needed."""
    shown = [item for item in message.attachments if item.disposition == "inline" and item.content_id]
    shown = shown if message.html is not None else []
    bodies = []
    text = text_of(message)
    if text is not None or (message.html is None and message.calendar is None):
        bodies.append(_text_part(text or "", "plain"))
    if message.html is not None:
        bodies.append(_multipart('related; type="text/html"', [_text_part(message.html, "html"), *map(_file, shown)]))
    if message.calendar is not None:
        bodies.append(_calendar_part(message.calendar))
    files = [_file(item) for item in message.attachments if item not in shown]
    return _multipart("mixed", [_multipart("alternative", bodies), *files])


def _multipart(subtype: str, parts: list[MIMEPart]) -> MIMEPart:
    """Combine parts in a multipart. A single part is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    whole = MIMEPart(policy=_POLICY)
    whole["Content-Type"] = f"multipart/{subtype}"
    for part in parts:
        whole.attach(part)
    return whole


def _text_part(text: str, subtype: str) -> MIMEPart:
    part = MIMEPart(policy=_POLICY)
    part.set_content(text.encode("utf-8", "replace").decode(), subtype=subtype, cte=_encoding(text))
    return part


def _calendar_part(text: str) -> MIMEPart:
    part = _text_part(text, "calendar")
    # RFC 6047 section 2.4: the parameter repeats the property.
    part.set_param("method", method_of(text))
    return part


def _encoding(text: str) -> str | None:
    """Choose the transfer encoding: the library's own choice, except that it would leave control characters unencoded."""
    is_clean = all(character >= " " or character in "\t\r\n" for character in text) and "\x7f" not in text
    return None if is_clean else "quoted-printable"


def _file(item: Attachment) -> MIMEPart:
    part = MIMEPart(policy=_POLICY)
    message = _attached_message(item)
    media_type, parameters = ("message/rfc822", {}) if message else _type(item.type)
    _add(part, "Content-Type", media_type, parameters, item.name)
    part["Content-Transfer-Encoding"] = "7bit" if message else "base64"
    disposition = "inline" if item.disposition == "inline" else "attachment"
    _add(part, "Content-Disposition", disposition, {"filename": item.name} if clean(item.name) else {})
    if item.content_id:
        _add(part, "Content-ID", f"<{quote(item.content_id, safe=_CONTENT_ID)}>", {})
    part.set_payload(message.decode("ascii") if message else base64.encodebytes(item.content).decode())
    return part


def _attached_message(item: Attachment) -> bytes:
    """Return an attached message in 7 bits, since RFC 2046 section 5.2.1 forbids base64 around it; empty for other files.

    A message that cannot be written in 7 bits without changing more than transfer encodings is attached like any other file.
    """
    if item.type.partition(";")[0].strip().lower() != "message/rfc822" or b"\0" in item.content:
        return b""
    head, body = raw.split(item.content)
    try:
        return transfer.seven_bit(transfer.shortened(head + b"\r\n" + body))
    except ValueError:
        return b""


class _FoldedValue(str):
    """A header value that is folded already. The library's policy calls `fold` on a value with a `name` and does not parse it."""

    __slots__ = ("line", "name")
    name: str
    line: bytes

    def fold(self, **_: object) -> str:
        return self.line.decode()


def _add(part: MIMEPart, name: str, value: str, parameters: Mapping[str, str], file_name: str = "") -> None:
    folded = _FoldedValue(value)
    folded.name, folded.line = name, parameter_field(name, value, parameters, clean(file_name))
    part[name] = folded


def _type(text: str) -> tuple[str, dict[str, str]]:
    """Return a media type and its parameters. Types that must not be in base64 (RFC 2046 section 5) become octet-stream."""
    header = _POLICY.header_factory("Content-Type", clean(text))
    maintype, subtype = header.maintype, header.subtype
    is_composite = maintype in ("multipart", "message")
    if is_composite or header.defects or not (_TOKEN.fullmatch(maintype) and _TOKEN.fullmatch(subtype)):
        return "application/octet-stream", {}
    kept = {key: str(value) for key, value in header.params.items() if key not in ("name", "boundary")}
    return f"{maintype}/{subtype}", {key: value for key, value in kept.items() if _TOKEN.fullmatch(key)}
