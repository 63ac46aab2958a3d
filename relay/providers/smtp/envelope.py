"""Build what one SMTP transaction transfers: return path, recipients and content."""

import msgspec

from relay.core.send_request import SendRequest
from relay.mime import build
from relay.mime.fields import addr_spec
from relay.mime.writing import transfer
from relay.platform.concurrency import run_sized


class SmtpEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a transaction: return path (may be empty), recipients (number, address), and whether it needs SMTPUTF8."""

    return_path: str
    recipients: tuple[tuple[int, str], ...]
    is_utf8: bool


def envelope_of(request: SendRequest) -> SmtpEnvelope:
    """Return the envelope of an attempt. Raises `ValueError` for an invalid address."""
    message = request.message
    sender = message.envelope_sender
    return SmtpEnvelope(
        return_path=addr_spec(sender) if sender else "",
        recipients=tuple((number, addr_spec(message.recipients[number].email)) for number in request.recipients),
        is_utf8=build.needs_smtputf8(request),
    )


async def content_of(request: SendRequest) -> bytes:
    """Build the message, with CRLF at the end of every line. Raises `ValueError` if a field cannot be written."""
    return await run_sized(lambda: _ended(_built(request)), request.message.building_size)


async def seven_bit(content: bytes) -> bytes:
    """Convert the content for a server without 8BITMIME. Raises `ValueError` if it is signed or too malformed."""
    return await run_sized(lambda: _ended(transfer.seven_bit(content)), len(content))


def _built(request: SendRequest) -> bytes:
    content = build.build(request)
    return transfer.shortened(content) if transfer.has_long_line(content) else content


def _ended(content: bytes) -> bytes:
    return content if content.endswith(b"\r\n") else content + b"\r\n"
