"""A parcel as the JSON bodies of POST /emails:send (the service's OpenAPI file, Email, stable/2025-09-01)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from relay.core.model import Address, Attachment, Message
from relay.core.send_request import SendRequest
from relay.mime import fields

BLANK = " "
"""The service refuses an empty subject and an empty body; a space reads the same."""

_encoder = msgspec.json.Encoder()


class RecipientGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The recipients of one request, and their numbers in the message. `is_blind`: alone, so as to be shown to nobody."""

    numbers: tuple[int, ...]
    is_blind: bool = False
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()


def recipient_groups(request: SendRequest) -> tuple[RecipientGroup, ...]:
    """Usually one with everybody. The service wants a `to` in each.

    Without one the cc recipients, who see one another anyway, take its place; blind recipients alone get a request each,
    for in one `to` they would see one another.
    """
    everybody = request.recipients
    if request.to:
        return (RecipientGroup(numbers=everybody, to=request.to, cc=request.cc, bcc=request.bcc),)
    if request.cc:
        return (RecipientGroup(numbers=everybody, to=request.cc, bcc=request.bcc),)
    return tuple(
        RecipientGroup(numbers=(number,), is_blind=True, to=(address,))
        for number, address in zip(sorted(everybody), request.bcc, strict=True)
    )


def build(request: SendRequest, group: RecipientGroup, *, tracks: bool) -> bytes:
    """The body for one envelope. Raises `ValueError` for text or an address that cannot be written.

    The service writes the display name of the sender itself: it belongs to the sender's name in the resource.
    """
    message = request.message
    body: dict[str, Any] = {
        "senderAddress": _address(message.sender),
        "content": _content(message),
        "recipients": {
            kind: _people(people) for kind, people in (("to", group.to), ("cc", group.cc), ("bcc", group.bcc)) if people
        },
        "headers": _headers(request),
    }
    if message.reply_to:
        body["replyTo"] = _people(message.reply_to)
    if message.attachments:
        body["attachments"] = [_file(item) for item in message.attachments]
    if not tracks:
        body["userEngagementTrackingDisabled"] = True
    return _encoder.encode(body)


def _content(message: Message) -> dict[str, str]:
    content = {"subject": message.subject or BLANK}
    if message.text:
        content["plainText"] = message.text
    if message.html:
        content["html"] = message.html
    if not message.text and not message.html:
        content["plainText"] = BLANK
    return content


def _headers(request: SendRequest) -> Mapping[str, str]:
    """Ours and the caller's. The service keeps a Message-ID that is well formed (concepts/email/email-headers)."""
    headers = {
        "Message-ID": f"<{fields.clean(request.message_id_header)}>",
        "X-Relay-Id": request.id,
        "X-Relay-Attempt": request.attempt_id,
    }
    for name, value in request.message.headers.items():
        clean = fields.clean(value)
        headers[name] = clean if clean.isascii() else " ".join(fields.encoded_words(clean))
    return headers


def _people(addresses: Sequence[Address]) -> list[dict[str, str]]:
    return [
        {"address": _address(address), "displayName": address.name} if address.name else {"address": _address(address)}
        for address in addresses
    ]


def _address(address: Address) -> str:
    return address.email if address.email.isascii() else fields.addr_spec(address.email)


def _file(item: Attachment) -> dict[str, Any]:
    file: dict[str, Any] = {
        "name": item.name or "attachment",
        "contentType": item.type,
        "contentInBase64": item.content,
    }
    if item.content_id and item.disposition == "inline":
        file["contentId"] = item.content_id
    return file
