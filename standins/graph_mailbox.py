"""A mailbox's folders: drafts, sent items, inbox; the documented filters, delta rounds and NDRs."""

import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import msgspec

from standins.graph_errors import GraphError
from standins.graph_mail import to_json
from standins.inbox import Attachment, Mail
from standins.mime import read_mime

FOLDERS = {"drafts": "drafts", "sentitems": "sentitems", "inbox": "inbox"}
INTERNET_HEADERS = "{00020386-0000-0000-c000-000000000046}"
"""PS_INTERNET_HEADERS: extended properties of this set are the message's header fields."""

_BY_MESSAGE_ID = re.compile(r"internetMessageId eq '((?:[^']|'')*)'", re.IGNORECASE)
_BY_EXTENDED = re.compile(
    r"singleValueExtendedProperties/any\(\s*(\w+)\s*:\s*\1/id eq '([^']+)' and "
    r"\1/value eq '((?:[^']|'')*)'\s*\)",
    re.IGNORECASE,
)


def new_id() -> str:
    return "AAMk" + secrets.token_urlsafe(24)


class Mailbox:
    """The stored mails of one mailbox, by folder in order of arrival."""

    def __init__(self) -> None:
        self.folders: dict[str, list[Mail]] = {name: [] for name in FOLDERS.values()}
        self.in_flight = 0
        self.peak = 0

    def folder(self, name: str) -> list[Mail]:
        key = FOLDERS.get(name.lower())
        if key is None:
            raise GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")
        return self.folders[key]

    def find(self, mail_id: str) -> tuple[str, Mail]:
        for name, mails in self.folders.items():
            for mail in mails:
                if mail.id == mail_id:
                    return name, mail
        raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")

    def draft(self, mail_id: str) -> Mail:
        name, mail = self.find(mail_id)
        if name != "drafts":
            raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return mail

    def replace_draft(self, mail: Mail) -> None:
        drafts = self.folders["drafts"]
        drafts[:] = [mail if kept.id == mail.id else kept for kept in drafts]

    def attach(self, mail_id: str, item: Attachment) -> None:
        draft = self.draft(mail_id)
        self.replace_draft(msgspec.structs.replace(draft, attachments=(*draft.attachments, item)))

    def remove(self, mail_id: str) -> None:
        name, mail = self.find(mail_id)
        self.folders[name].remove(mail)


def select(mails: list[Mail], expression: str | None) -> list[Mail]:
    """The mails a `$filter` means. Raises GraphError for a filter this stand-in does not know."""
    if not expression:
        return list(mails)
    by_id = _BY_MESSAGE_ID.fullmatch(expression.strip())
    if by_id:
        wanted = by_id[1].replace("''", "'")
        return [mail for mail in mails if mail.fields.get("internetMessageId") == wanted]
    extended = _BY_EXTENDED.fullmatch(expression.strip())
    if extended:
        value = extended[3].replace("''", "'")
        return [mail for mail in mails if _property(mail, extended[2]) == value]
    raise GraphError(400, "ErrorInvalidUrlQueryFilter", "The query filter contains one or more invalid nodes.")


def _property(mail: Mail, property_id: str) -> str | None:
    kind, _, rest = property_id.partition(" ")
    namespace, _, name = rest.partition(" Name ")
    if kind.lower() == "string" and namespace.lower() == INTERNET_HEADERS:
        return next((v for k, v in mail.headers.items() if k.lower() == name.lower()), None)
    known: Mapping[str, str] = mail.fields.get("extended", {})
    return next((v for k, v in known.items() if k.lower() == property_id.lower()), None)


def resource(mail: Mail, folder: str, chosen: str | None) -> dict[str, Any]:
    """A message resource as `$select` shapes it; headers and extended properties only when asked."""
    full = to_json(mail, folder, is_draft=folder == "drafts")
    if chosen:
        names = {"id", "@odata.etag", *(name.strip() for name in chosen.split(","))}
        return {name: value for name, value in full.items() if name in names}
    return {k: v for k, v in full.items() if k not in ("internetMessageHeaders", "singleValueExtendedProperties")}


def non_delivery_report(mail: Mail, *, mailbox: str, address: str, status: str, diagnostic: str, now: datetime) -> Mail:
    """The report Exchange Online puts into the sender's Inbox (RFC 3464, multipart/report)."""
    report_id = new_id()
    report = MIMEMultipart("report")
    report.set_param("report-type", "delivery-status")
    report["From"] = "Microsoft Outlook <postmaster@standin.example>"
    report["To"] = mailbox
    report["Subject"] = f"Undeliverable: {mail.subject}"
    report["Message-ID"] = f"<{report_id}@standin.prod.outlook.com>"
    message_id = str(mail.fields.get("internetMessageId"))
    report["In-Reply-To"] = message_id
    report["References"] = message_id
    report["Auto-Submitted"] = "auto-replied"
    report.attach(MIMEText(f"Your message to {address} couldn't be delivered.\n"))
    delivery = MIMEBase("message", "delivery-status")
    delivery.set_payload(
        [_fields("Reporting-MTA: dns;standin.prod.outlook.com"), _recipient(address, status, diagnostic)]
    )
    report.attach(delivery)
    original = EmailMessage()
    original["Message-ID"] = message_id
    original["Subject"] = mail.subject
    for name, value in mail.headers.items():
        if name.lower().startswith("x-"):
            original[name] = value
    headers = MIMEBase("text", "rfc822-headers")
    headers.set_payload(original.as_string())
    report.attach(headers)
    parsed = read_mime(report.as_bytes(), mail_id=report_id, accepted_at=now)
    fields = {**parsed.fields, "internetMessageId": parsed.headers["Message-ID"], "extended": {}}
    return msgspec.structs.replace(parsed, fields=fields)


def _fields(*lines: str) -> EmailMessage:
    block = EmailMessage()
    for line in lines:
        name, _, value = line.partition(": ")
        block[name] = value
    return block


def _recipient(address: str, status: str, diagnostic: str) -> EmailMessage:
    return _fields(
        f"Final-Recipient: rfc822;{address}",
        "Action: failed",
        f"Status: {status}",
        f"Diagnostic-Code: smtp;{diagnostic}",
    )
