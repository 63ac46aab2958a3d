"""Read a file of a pickup folder, in which applications leave mail for a server to send.

.NET's SmtpClient and other clients of IIS write the envelope into the header (`X-Sender`, one `X-Receiver` for each recipient),
which the SMTP service of IIS reads in its pickup folder (learn.microsoft.com/previous-versions/office/developer/
exchange-server-2003/ms875938(v=exchg.65), `recipientlist`), and double the dot at the beginning of lines, as in SMTP (RFC 5321
section 4.5.2).

Exchange has two folders (learn.microsoft.com/exchange/pickup-directory-and-replay-directory-exchange-2013-help): Pickup takes the
recipients from To, Cc and Bcc; `X-Sender` and `X-Receiver`, with parameters for delivery reports, belong to Replay, as do the
fields of `_OF_REPLAY`. This module reads both.
"""

import re

import msgspec

from relay.mime import raw
from relay.mime.addresses import spelling
from relay.mime.parts import field_text

_PATH = re.compile(r'<((?:"(?:[^"\\]|\\.)*+"|[^<>"])*+)>|((?:"(?:[^"\\]|\\.)*+"|[^\s"])++)', re.DOTALL)
_DOTS = re.compile(rb"(?m)^\.\.")
_LONE = re.compile(rb"(?m)^\.(?![.])")
_ENVELOPE = ("x-sender", "x-receiver")
_OF_REPLAY = frozenset((
    "x-createdby", "x-endofinjectedxheaders", "x-extendedmessageprops", "x-extendedprops", "x-helodomain", "x-source",
    "x-sourceipaddress",
))  # fmt: skip
"""Fields that a gateway or an export from Exchange writes for the Replay directory. They are not part of the mail.

The page of the two folders lists all but one. None names `X-ExtendedProps`, which Exchange 2016 and 2019 write instead of
`X-ExtendedMessageProps`: it is in exported mail that was sent to public lists again (linux-wireless of 31 March 2024 on
lore.kernel.org).
"""


class PickupMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail and its envelope. `sender` is None if the file has none, and empty for the empty sender.

    Without `recipients` those of the header apply.
    """

    mail: bytes
    sender: str | None = None
    recipients: tuple[str, ...] = ()


def read_pickup(content: bytes) -> PickupMail:
    """Read a pickup file. Never raises. The returned mail has no envelope fields."""
    head, body = raw.split(content)
    fields = raw.fields_of(head)
    senders = [_address(field) for field in fields if field.name == "x-sender"]
    recipients = [_address(field) for field in fields if field.name == "x-receiver"]
    is_envelope = bool(senders or recipients)
    dropped = {*_ENVELOPE, *_OF_REPLAY} if is_envelope else set(_ENVELOPE)
    kept = b"".join(field.line for field in fields if field.name not in dropped)
    return PickupMail(
        mail=b"".join([kept, b"\r\n", _without_dots(body) if is_envelope else body]),
        sender=senders[0] if senders else None,
        recipients=tuple(dict.fromkeys(filter(None, recipients))),
    )


def _address(field: raw.Field) -> str:
    """Return the address in front of parameters such as NOTIFY."""
    path = _PATH.match(field_text(field))
    return spelling(path[1] if path[1] is not None else path[2]) if path else ""


def _without_dots(body: bytes) -> bytes:
    """Remove the doubled dots, and the dot that ends a message in SMTP; unless a line shows that dots were not doubled."""
    ended = body[:-3] if body.endswith(b"\r\n.\r\n") else body
    return ended if _LONE.search(ended) else _DOTS.sub(b".", ended)
