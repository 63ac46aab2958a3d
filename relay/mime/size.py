"""How many bytes a message has on the wire, estimated without building it.

Policy, routing and the limits of providers all speak of this number (`Submission.size`). It is meant to be a little more
than what `relay.mime.build` builds, never much less; building a message only to measure it would double the work of acceptance.
"""

from collections.abc import Iterable

from relay.core.model import Address, Attachment, Message

_FIXED = 600
"""Date, Message-ID, MIME-Version, our own fields, and the boundaries of a message with parts."""
_PART = 160
"""A part's boundary and fields, without its names."""
_ASCII = bytes(range(128))


def estimate_size(message: Message) -> int:
    """Bytes of the message as RFC 5322 text, attachments in base64. A blob counts with the attachment's `size`."""
    if message.raw is not None:
        return _FIXED + len(message.raw)
    size = _FIXED + field_size(message.subject) + _addresses((message.sender, *message.reply_to))
    size += _addresses(message.to) + _addresses(message.cc) + _addresses(message.bcc)
    for name, value in message.headers.items():
        size += len(name) + 4 + field_size(value)
    for body in (message.text, message.html):
        if body is not None:
            size += _PART + _body(body)
    for attachment in message.attachments:
        size += _attachment(attachment)
    return size


def base64_size(size: int) -> int:
    """Bytes of base64 in lines of 76 characters (RFC 2045 section 6.8) for so many bytes of content."""
    return -(-size // 57) * 78


def field_size(text: str) -> int:
    """Bytes of a header's value: folded, and in encoded words (RFC 2047) when it is not plain ASCII."""
    if text.isascii():
        return len(text) + 3 * (len(text) // 60 + 1)
    # An encoded word carries at most 42 bytes in 56 characters of base64, with 12 around them and a fold before.
    return (len(text.encode()) // 40 + 1) * 71


def _addresses(addresses: Iterable[Address]) -> int:
    return sum(len(address.email.encode()) + field_size(address.name) + 6 for address in addresses)


def _body(text: str) -> int:
    octets = text.encode()
    lines = text.count("\n")
    foreign = 0 if len(octets) == len(text) else len(octets.translate(None, _ASCII))
    quoted_printable = len(octets) + 2 * (foreign + octets.count(b"="))
    return min(quoted_printable + lines + quoted_printable // 25, base64_size(len(octets) + lines))


def _attachment(attachment: Attachment) -> int:
    names = 2 * field_size(attachment.name) + len(attachment.type) + len(attachment.content_id or "")
    return _PART + names + base64_size(max(len(attachment.content), attachment.size))
