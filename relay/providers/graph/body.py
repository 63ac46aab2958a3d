"""Build Graph's request bodies: a message resource in JSON, or MIME in base64 where JSON would lose something.

Graph has no envelope for MIME: its To, Cc and Bcc are the recipients, so they must name exactly this attempt's
(learn.microsoft.com/graph/api/user-sendmail).
"""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from relay.core.model import Address, Attachment, Message
from relay.core.send_request import SendRequest
from relay.mime import build, fields
from relay.mime.writing import structured
from relay.providers.graph.mailbox import JSON

MAX_REQUEST_BYTES = 4_000_000
""""The maximum request length supported is 4MB" (413): the smaller of the two readings."""
MAX_MIME_BYTES = MAX_REQUEST_BYTES // 4 * 3
"""Maximum of MIME bytes whose base64 fits in one request. A message within it can always be sent, as JSON or else as MIME."""
MAX_HEADERS = 5
"""Maximum of custom headers in JSON (InvalidInternetMessageHeaderCollection beyond)."""
RELAY_ID = "X-Relay-Id"
RELAY_ATTEMPT = "X-Relay-Attempt"
"""Relay's header with the attempt id, by which a copy in the mailbox is found."""
MIME = "text/plain"
"""The content type of MIME in Graph."""

_encoder = msgspec.json.Encoder()


class RequestBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request's body and its content type."""

    body: bytes
    content_type: str


def needs_mime(message: Message, *, saves: bool) -> bool:
    """Return whether JSON would lose something.

    JSON allows one body, no invitation, no empty file, and five X- headers with ASCII values.

    Without a copy in Sent Items (not `saves`), a text beside the HTML does not need MIME: MIME would always save a copy, and
    Exchange makes a text from the HTML.
    """
    names_fit = all(name.lower().startswith("x-") and value.isascii() for name, value in message.headers.items())
    has_both = message.text is not None and message.html is not None
    too_many = len(message.headers) > MAX_HEADERS - 2
    has_empty_file = any(not item.content for item in message.attachments)
    is_special = message.raw is not None or message.calendar is not None or has_empty_file
    return is_special or not names_fit or too_many or (has_both and saves)


def is_large(message: Message, *, as_mime: bool) -> bool:
    """Return whether the attachments alone exceed a request."""
    growth = 16 / 9 if as_mime else 4 / 3
    return sum(len(item.content) for item in message.attachments) * growth > MAX_REQUEST_BYTES


def mail(request: SendRequest, *, saves: bool) -> RequestBody | None:
    """Build the body of sendMail. None if it exceeds the request limit. Raises `ValueError` (see `mime.build`)."""
    as_mime = needs_mime(request.message, saves=saves)
    if is_large(request.message, as_mime=as_mime):
        return None
    if as_mime:
        return _fitting(_mime(request), MIME)
    return _json(request, saves=saves) or _fitting(_mime(request), MIME)


def _json(request: SendRequest, *, saves: bool) -> RequestBody | None:
    order: dict[str, Any] = {"message": _resource(request)}
    if not saves:
        # The documentation says to include it only if false.
        order["saveToSentItems"] = False
    return _fitting(_encoder.encode(order), JSON)


def draft(request: SendRequest, *, saves: bool) -> RequestBody | None:
    """Build the body that creates a draft without attachments. None if even that exceeds the request limit."""
    message = request.message
    if message.raw is not None:
        return None
    bare = msgspec.structs.replace(request, message=msgspec.structs.replace(message, attachments=()))
    if needs_mime(message, saves=saves):
        return _fitting(_mime(bare), MIME)
    return _fitting(_encoder.encode(_resource(bare)), JSON) or _fitting(_mime(bare), MIME)


def attachment(item: Attachment) -> bytes:
    """Build the body that adds a small attachment to a draft."""
    return _encoder.encode(_file(item))


def upload_session(item: Attachment) -> bytes:
    """Build the body that starts the upload of a large attachment to a draft."""
    order = {
        "attachmentType": "file",
        "name": item.name or "attachment",
        "size": len(item.content),
        "contentType": item.type,
        "isInline": item.disposition == "inline",
    }
    if item.content_id:
        order["contentId"] = item.content_id
    return _encoder.encode({"AttachmentItem": order})


def _fitting(body: bytes, content_type: str) -> RequestBody | None:
    return RequestBody(body=body, content_type=content_type) if len(body) <= MAX_REQUEST_BYTES else None


def _mime(request: SendRequest) -> bytes:
    message = msgspec.structs.replace(request.message, sender=_sender(request.message.sender))
    request = msgspec.structs.replace(request, message=message)
    named = fields.plain_field(RELAY_ATTEMPT, request.attempt_id)
    return base64.b64encode(named + build.build(request, with_bcc=True))


def _resource(request: SendRequest) -> dict[str, Any]:
    message = request.message
    own = {RELAY_ID: request.id, RELAY_ATTEMPT: request.attempt_id}
    is_html = message.html is not None
    resource: dict[str, Any] = {
        "subject": message.subject,
        "body": {
            "contentType": "html" if is_html else "text",
            "content": message.html if is_html else message.text or "",
        },
        "from": _person(_sender(message.sender)),
        "toRecipients": _people(request.to),
        "ccRecipients": _people(request.cc),
        "bccRecipients": _people(request.bcc),
        "replyTo": _people(message.reply_to),
        "internetMessageId": f"<{fields.clean(request.message_id_header)}>",
        "internetMessageHeaders": [
            {"name": name, "value": structured.header_value(name, value)}
            for name, value in {**own, **message.headers}.items()
        ],
        "attachments": [_file(item) for item in message.attachments],
    }
    return {name: value for name, value in resource.items() if value != []}


def _sender(address: Address) -> Address:
    """Leave out a display name with an address in it: Exchange may take it for another sender (`ErrorSendAsDenied`)."""
    return msgspec.structs.replace(address, name="") if fields.holds_address(address.name) else address


def _people(addresses: Sequence[Address]) -> list[dict[str, Any]]:
    return [_person(address) for address in addresses]


def _person(address: Address) -> dict[str, Any]:
    person = {"address": address.email if address.email.isascii() else fields.addr_spec(address.email)}
    if address.name:
        person["name"] = address.name
    return {"emailAddress": person}


def _file(item: Attachment) -> dict[str, Any]:
    file: dict[str, Any] = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": item.name or "attachment",
        "contentType": item.type,
        "contentBytes": item.content,
        "isInline": item.disposition == "inline",
    }
    if item.content_id:
        file["contentId"] = item.content_id
    return file
