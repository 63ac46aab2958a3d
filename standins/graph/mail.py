"""Check Graph message resources and parse them into mails.

Sources: learn.microsoft.com/graph/api/user-sendmail, /graph/api/resources/message, /graph/errors; the
texts of refusals from Graph issue threads. The codes for the two header rules and for the number of
recipients have no source; the behavior is documented.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from standins.graph.errors import GraphError
from standins.inbox import Address, Attachment, Mail, relay_id_of
from standins.mime import read_mime

MAX_RECIPIENTS = 500
MAX_CUSTOM_HEADERS = 5
_PROPERTIES = {"in-reply-to": "0x1042", "references": "0x1039"}
_ADDRESS = re.compile(r"[^\s@<>,;]+@[^\s@<>,;]+")


def check_recipients(mail: Mail) -> None:
    """Check the recipients of a mail before submission. Raises GraphError."""
    if not mail.envelope:
        raise GraphError(
            400,
            "ErrorInvalidRecipients",
            "At least one recipient is not valid., A message can't be sent because it contains no recipients.",
        )
    for address in mail.envelope:
        if not _ADDRESS.fullmatch(address):
            raise GraphError(
                400,
                "ErrorInvalidRecipients",
                f"At least one recipient is not valid., Recipient '{address}' is not resolved. All "
                "recipients must be resolved before a message can be submitted.",
            )
    if len(mail.envelope) > MAX_RECIPIENTS:
        raise GraphError(400, "ErrorTooManyRecipients", "The message has more recipients than are allowed.")


def decode_json(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.") from error


def mail_from_mime(body: bytes, mail_id: str, now: datetime) -> Mail:
    """Parse base64 MIME into a mail. Its headers define the envelope."""
    try:
        raw = base64.b64decode(body.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise GraphError(
            400, "ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content."
        ) from error
    return received_mail(raw, mail_id, now)


def received_mail(raw: bytes, mail_id: str, now: datetime, message_class: str = "IPM.Note") -> Mail:
    """Parse MIME into a mail; a missing Message-ID is added, as Exchange does.

    Some of its header fields are properties, whose ids Graph writes without leading zeros (MS-OXPROPS).
    """
    mail = read_mime(raw, mail_id=mail_id, accepted_at=now)
    given = next((value for name, value in mail.headers.items() if name.lower() == "message-id"), None)
    message_id = given or f"<{mail_id}@standin.prod.outlook.com>"
    named = {name.lower(): value for name, value in mail.headers.items()}
    extended = {f"String {number}": named[name] for name, number in _PROPERTIES.items() if name in named}
    extended["String 0x1a"] = message_class
    return msgspec.structs.replace(mail, fields={**mail.fields, "internetMessageId": message_id, "extended": extended})


def mail_from_json(message: Mapping[str, Any], mailbox: str, mail_id: str, now: datetime) -> Mail:
    """Parse a message resource into a mail. Raises GraphError for a message that Graph refuses at creation."""
    try:
        return _mail_from_json(message, mailbox, mail_id, now)
    except (KeyError, TypeError, AttributeError) as error:
        raise GraphError(400, "ErrorInvalidRequest", "The request is malformed or incorrect.") from error


def _mail_from_json(message: Mapping[str, Any], mailbox: str, mail_id: str, now: datetime) -> Mail:
    people = {kind: _people(message.get(f"{kind}Recipients")) for kind in ("to", "cc", "bcc")}
    body = message.get("body") or {"contentType": "text", "content": ""}
    is_html = str(body.get("contentType", "text")).lower() == "html"
    headers = _headers(message.get("internetMessageHeaders") or ())
    senders = _people([message["from"]] if message.get("from") else None)
    extended = {e["id"]: e["value"] for e in message.get("singleValueExtendedProperties") or ()}
    return Mail(
        id=mail_id,
        accepted_at=now,
        sender=senders[0] if senders else Address(address=mailbox),
        to=people["to"],
        cc=people["cc"],
        bcc=people["bcc"],
        reply_to=_people(message.get("replyTo")),
        envelope=tuple(person.address for listed in people.values() for person in listed),
        subject=message.get("subject") or "",
        text=None if is_html else body.get("content"),
        html=body.get("content") if is_html else None,
        headers=headers,
        attachments=tuple(attachment_from_json(item) for item in message.get("attachments") or ()),
        relay_id=relay_id_of(headers),
        fields={
            "internetMessageId": message.get("internetMessageId") or f"<{mail_id}@standin.prod.outlook.com>",
            "extended": extended,
        },
    )


def _people(listed: Sequence[Mapping[str, Any]] | None) -> tuple[Address, ...]:
    return tuple(
        Address(address=entry["emailAddress"]["address"], name=entry["emailAddress"].get("name") or "")
        for entry in listed or ()
    )


def _headers(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    if len(listed) > MAX_CUSTOM_HEADERS:
        raise GraphError(
            400,
            "InvalidInternetMessageHeaderCollection",
            "Maximum number of headers in one message should be less than or equal to 5.",
        )
    for header in listed:
        if not header["name"].lower().startswith("x-"):
            raise GraphError(
                400,
                "InvalidInternetMessageHeader",
                f"The internet message header name '{header['name']}' should start with 'x-' or 'X-'.",
            )
    return {header["name"]: header["value"] for header in listed}


def attachment_from_json(item: Mapping[str, Any]) -> Attachment:
    """Parse a fileAttachment resource with `contentBytes`."""
    if item.get("@odata.type", "#microsoft.graph.fileAttachment") != "#microsoft.graph.fileAttachment":
        raise GraphError(400, "ErrorInvalidRequest", "This stand-in takes file attachments only.")
    try:
        content = base64.b64decode(item["contentBytes"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise GraphError(400, "BadRequest", "Cannot convert the literal to type 'Edm.Binary'.") from error
    return Attachment(
        name=item["name"],
        content=content,
        content_type=item.get("contentType") or "application/octet-stream",
        disposition="inline" if item.get("isInline") else "attachment",
        content_id=item.get("contentId"),
    )


def attachment_to_json(item: Attachment) -> dict[str, Any]:
    """Return the fileAttachment resource of an attachment, without its content."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "id": f"AAMk{binascii.crc32(item.content):08x}{len(item.content):x}",
        "name": item.name,
        "contentType": item.content_type,
        "size": len(item.content),
        "isInline": item.disposition == "inline",
        "contentId": item.content_id,
    }


def to_json(mail: Mail, folder: str, *, is_draft: bool) -> dict[str, Any]:
    """Return the message resource of a mail, with the properties this stand-in supports."""
    moment = mail.accepted_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    body = mail.html if mail.html is not None else (mail.text or "")
    headers = [{"name": name, "value": value} for name, value in mail.headers.items()]
    return {
        "@odata.etag": f'W/"{mail.id}"',
        "id": mail.id,
        "createdDateTime": moment,
        "receivedDateTime": moment,
        "sentDateTime": moment,
        "hasAttachments": bool(mail.attachments),
        "internetMessageId": mail.fields.get("internetMessageId"),
        "subject": mail.subject,
        "bodyPreview": body[:255],
        "body": {"contentType": "text" if mail.html is None else "html", "content": body},
        "parentFolderId": folder,
        "isDraft": is_draft,
        "sender": _recipient(mail.sender),
        "from": _recipient(mail.sender),
        "toRecipients": [_recipient(a) for a in mail.to],
        "ccRecipients": [_recipient(a) for a in mail.cc],
        "bccRecipients": [_recipient(a) for a in mail.bcc],
        "replyTo": [_recipient(a) for a in mail.reply_to],
        "internetMessageHeaders": headers,
        "singleValueExtendedProperties": [
            {"id": key, "value": value} for key, value in mail.fields.get("extended", {}).items()
        ],
    }


def _recipient(address: Address) -> dict[str, Any]:
    return {"emailAddress": {"name": address.name or address.address, "address": address.address}}
