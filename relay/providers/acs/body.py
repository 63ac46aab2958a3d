"""Build the JSON bodies of POST /emails:send (the service's OpenAPI file, Email, stable/2025-09-01)."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from relay.core.model import Address, Attachment, Message
from relay.core.send_request import SendRequest
from relay.mime import fields
from relay.mime.writing import structured
from relay.mime.writing.plain_text import text_of

BLANK = " "
"""Sent for an empty subject or body, which the service refuses."""

_encoder = msgspec.json.Encoder()


class RecipientGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The recipients of one request, and their numbers in the message. `is_alone`: a single recipient, sent as `to`."""

    numbers: tuple[int, ...]
    is_alone: bool = False
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()


def recipient_groups(request: SendRequest) -> tuple[RecipientGroup, ...]:
    """Split the recipients into requests: usually one. The service requires a `to` in each.

    Without `to`, the cc recipients take its place, because they see each other anyway. Without both, each bcc recipient gets a
    request of its own, because in one `to` they would see each other. So does an address with a quoted local part: the service
    refuses a request as a whole for one address (`InvalidEmailAddress`), and does not document which addresses it takes.
    """
    to, cc, bcc = (
        tuple(each for each in kind if not _is_quoted(each)) for kind in (request.to, request.cc, request.bcc)
    )
    people = tuple(zip(sorted(request.recipients), (*request.to, *request.cc, *request.bcc), strict=True))
    numbers = tuple(number for number, address in people if not _is_quoted(address))
    if not to and not cc:
        return tuple(_alone(number, address) for number, address in people)
    together = RecipientGroup(numbers=numbers, to=to or cc, cc=cc if to else (), bcc=bcc)
    return (together, *(_alone(number, address) for number, address in people if _is_quoted(address)))


def _alone(number: int, address: Address) -> RecipientGroup:
    return RecipientGroup(numbers=(number,), is_alone=True, to=(address,))


def _is_quoted(address: Address) -> bool:
    return address.email.startswith('"')


def build(request: SendRequest, group: RecipientGroup, *, tracks: bool) -> bytes:
    """Build the body for one group. Raises `ValueError` for text or an address that cannot be encoded.

    The service adds the sender's display name itself, from the resource's configuration.
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
    if text := text_of(message):
        content["plainText"] = text
    if message.html:
        content["html"] = message.html
    if not message.text and not message.html:
        content["plainText"] = BLANK
    return content


def _headers(request: SendRequest) -> Mapping[str, str]:
    """Return Relay's and the caller's headers.

    The service keeps a well-formed Message-ID (concepts/email/email-headers). It is always Relay's own, because the service's
    events identify a message by nothing else.
    """
    headers = {
        "Message-ID": f"<{fields.clean(request.id)}@{request.message.sender.domain}>",
        "X-Relay-Id": request.id,
        "X-Relay-Attempt": request.attempt_id,
    }
    for name, value in request.message.headers.items():
        headers[name] = structured.header_value(name, value)
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
