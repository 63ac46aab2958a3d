"""Estimate the size of a message on the wire without building it.

Policy, routing and providers' limits all use this number (`Submission.size`). It should be slightly more than the size that
`relay.mime.build` produces and never much less. Building a message just to measure it would double the work of acceptance.
"""

from collections.abc import Iterable

from relay.core.model import Address, Attachment, Message

_FIXED = 600
"""Bytes of Date, Message-ID, MIME-Version, Relay's own fields, and the boundaries of a multipart message."""
_PART = 160
"""Bytes of a part's boundary and fields, without its names."""
_ASCII = bytes(range(128))


def estimate_size(message: Message) -> int:
    """Estimate the bytes of the message in RFC 5322, attachments in base64. A blob counts with the attachment's `size`."""
    if message.raw is not None:
        return _FIXED + len(message.raw)
    size = _FIXED + field_size(message.subject)
    size += _addresses((message.sender, *message.reply_to, *message.to, *message.cc, *message.bcc))
    for name, value in message.headers.items():
        size += len(name) + 4 + field_size(value)
    for body in (message.text, message.html, message.calendar):
        if body is not None:
            size += _PART + _body(body)
    return size + attachments_size(message)


def attachments_size(message: Message) -> int:
    """Estimate the bytes of a message's attachments."""
    return sum(map(_attachment, message.attachments))


def base64_size(size: int) -> int:
    """Return the bytes of base64, in lines of 76 characters (RFC 2045 section 6.8), for `size` bytes of content."""
    return -(-size // 57) * 78


def field_size(text: str) -> int:
    """Estimate the bytes of a header's value: folded, and in encoded words (RFC 2047) unless it is ASCII."""
    if text.isascii():
        return len(text) + 3 * (len(text) // 60 + 1)
    # An encoded word holds at most 42 bytes in 56 characters of base64, plus 12 around them and a fold.
    return (len(text.encode()) // 40 + 1) * 71


def _addresses(addresses: Iterable[Address]) -> int:
    return sum([len(address.email.encode()) + field_size(address.name) + 6 for address in addresses])


def _body(text: str) -> int:
    octets = text.encode()
    lines = text.count("\n")
    foreign = 0 if len(octets) == len(text) else len(octets.translate(None, _ASCII))
    quoted_printable = len(octets) + 2 * (foreign + octets.count(b"="))
    return min(quoted_printable + lines + quoted_printable // 25, base64_size(len(octets) + lines))


def _attachment(attachment: Attachment) -> int:
    names = 3 * field_size(attachment.name) + len(attachment.type) + len(attachment.content_id or "")
    return _PART + names + base64_size(max(len(attachment.content), attachment.size))
