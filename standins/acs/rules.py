"""Check a message as ACS Email does, and parse it into a mail.

Sources: the service's OpenAPI file (Email, stable/2025-09-01), learn.microsoft.com/azure/
communication-services/concepts/service-limits. Codes seen in practice: Denied, DomainNotLinked,
InvalidSenderUserName, InvalidEmailAddress, TooManyRequests, EmailDroppedAllRecipientsSuppressed. The
codes for too many recipients and for size are not documented: BadRequest and RequestEntityTooLarge are guesses.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from standins.inbox import Address, Attachment, Mail, relay_id_of

MAX_RECIPIENTS = 50
MAX_BODY_BYTES = 10 * 1024 * 1024
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")


class AcsError(Exception):
    """A refusal: HTTP status, the service's error code, message."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


class _Person(msgspec.Struct, frozen=True):
    address: str
    displayName: str | None = None  # noqa: N815 (the service's own names)

    def known(self) -> Address:
        return Address(address=self.address, name=self.displayName or "")


class _Content(msgspec.Struct, frozen=True):
    subject: str
    plainText: str | None = None  # noqa: N815 (the service's own names)
    html: str | None = None


class _Recipients(msgspec.Struct, frozen=True):
    to: tuple[_Person, ...]
    cc: tuple[_Person, ...] = ()
    bcc: tuple[_Person, ...] = ()


class _File(msgspec.Struct, frozen=True):
    name: str
    contentType: str  # noqa: N815 (the service's own names)
    contentInBase64: str  # noqa: N815 (the service's own names)
    contentId: str | None = None  # noqa: N815 (the service's own names)

    def known(self) -> Attachment:
        try:
            content = base64.b64decode(self.contentInBase64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise AcsError(400, "BadRequest", "contentInBase64 is not valid base64.") from error
        return Attachment(
            name=self.name,
            content=content,
            content_type=self.contentType,
            disposition="attachment" if self.contentId is None else "inline",
            content_id=self.contentId,
        )


class _Message(msgspec.Struct, frozen=True):
    senderAddress: str  # noqa: N815 (the service's own names)
    content: _Content
    recipients: _Recipients
    attachments: tuple[_File, ...] = ()
    replyTo: tuple[_Person, ...] = ()  # noqa: N815 (the service's own names)
    headers: dict[str, str] = {}
    userEngagementTrackingDisabled: bool = False  # noqa: N815 (the service's own names)


def read_message(body: bytes, mail_id: str, now: datetime) -> Mail:
    """Parse a request body into a mail. Raises AcsError."""
    if len(body) > MAX_BODY_BYTES:
        raise AcsError(413, "RequestEntityTooLarge", "The request is larger than 10 MB.")
    try:
        message = msgspec.json.decode(body, type=_Message)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise AcsError(400, "BadRequest", f"The request is malformed: {error}") from error
    _check(message)
    mail = _mail(message, mail_id, now)
    if len(mail.envelope) > MAX_RECIPIENTS:
        raise AcsError(400, "BadRequest", "The number of recipients exceeds the limit of 50.")
    for address in mail.envelope:
        if not _ADDRESS.fullmatch(address):
            raise AcsError(400, "InvalidEmailAddress", "A recipient address is not a valid email address.")
    return mail


def _check(message: _Message) -> None:
    if not message.content.plainText and not message.content.html:
        raise AcsError(400, "BadRequest", "Either plainText or html is required.")
    if not message.content.subject:
        raise AcsError(400, "BadRequest", "The subject is required.")
    if not _ADDRESS.fullmatch(message.senderAddress):
        raise AcsError(400, "InvalidEmailAddress", "The sender address is not a valid email address.")
    if not message.recipients.to:
        raise AcsError(400, "BadRequest", "At least one to recipient is required.")


def _mail(message: _Message, mail_id: str, now: datetime) -> Mail:
    to, cc, bcc, replies = (
        _people(listed)
        for listed in (message.recipients.to, message.recipients.cc, message.recipients.bcc, message.replyTo)
    )
    return Mail(
        id=mail_id,
        accepted_at=now,
        sender=Address(address=message.senderAddress),
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=replies,
        envelope=tuple(person.address for person in (*to, *cc, *bcc)),
        envelope_sender=message.senderAddress,
        subject=message.content.subject,
        text=message.content.plainText,
        html=message.content.html,
        headers=message.headers,
        attachments=tuple(file.known() for file in message.attachments),
        relay_id=relay_id_of(message.headers),
        fields={
            # The service keeps the caller's Message-ID (concepts/email/email-headers).
            "internetMessageId": message.headers.get("Message-ID") or f"<{mail_id}@standin.azurecomm.net>",
            "tracking_disabled": message.userEngagementTrackingDisabled,
        },
    )


def _people(listed: Sequence[_Person]) -> tuple[Address, ...]:
    return tuple(person.known() for person in listed)


def recipients_in(body: bytes) -> list[str]:
    """Return the addresses in a body, for faults by recipient; none for an invalid body."""
    try:
        recipients: Any = msgspec.json.decode(body, type=_Message).recipients
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    return [person.address for person in (*recipients.to, *recipients.cc, *recipients.bcc)]
