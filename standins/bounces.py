"""Write non-delivery reports (RFC 3464) as different systems do.

Three flavors: `exchange` (Exchange Online, into the sender's Inbox), `postfix` and `gmail`. The fields
and their order follow real reports; the texts are invented.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email import message_from_bytes, policy
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime
from uuid import uuid4

import msgspec

from standins.inbox import Mail
from standins.mime import write_mime


class Bounce(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one recipient: an enhanced status code and the remote server's text.

    `action` is `failed`, `delayed` or `delivered`; `original` is the address as sent, if it differs.
    """

    address: str
    status: str = "5.1.1"
    diagnostic: str = ""
    action: str = "failed"
    original: str = ""

    @property
    def words(self) -> str:
        code = {"5": "550", "4": "451"}.get(self.status[:1], "250")
        return self.diagnostic or f"{code} {self.status} The recipient could not be reached"


class _Flavour(msgspec.Struct, frozen=True, kw_only=True):
    """The report format of one system."""

    sender: str
    subject: Callable[[Mail, str], str]
    mta: str
    host: str
    space: str
    """The separator between a field's type and its value: `rfc822;x` or `rfc822; x`."""
    returns_headers_only: bool


FLAVORS: Mapping[str, _Flavour] = {
    "exchange": _Flavour(
        sender="Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@standin.onmicrosoft.com>",
        subject=lambda mail, action: f"{'Undeliverable' if action == 'failed' else 'Delivery delayed'}: {mail.subject}",
        mta="dns;STANDIN01MB0001.prod.exchangelabs.com",
        host="standin01mb0001.namprd01.prod.outlook.com",
        space="",
        returns_headers_only=False,
    ),
    "postfix": _Flavour(
        sender="MAILER-DAEMON@mx.standin.test (Mail Delivery System)",
        subject=lambda _, action: (
            "Undelivered Mail Returned to Sender" if action == "failed" else "Delayed Mail (still being retried)"
        ),
        mta="dns; mx.standin.test",
        host="mx.standin.test",
        space=" ",
        returns_headers_only=False,
    ),
    "gmail": _Flavour(
        sender="Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        subject=lambda _, action: f"Delivery Status Notification ({'Failure' if action == 'failed' else 'Delay'})",
        mta="dns; googlemail.com",
        host="mx.google.com",
        space=" ",
        returns_headers_only=True,
    ),
}


def bounce_message(mail: Mail, recipients: Sequence[Bounce], now: datetime, flavor: str = "postfix") -> bytes:
    """Write the report about these recipients that goes to the return path of a sent mail.

    Raises ValueError without a recipient, KeyError for an unknown flavor.
    """
    if not recipients:
        raise ValueError("a report needs at least one recipient")
    style = FLAVORS[flavor]
    original = mail.raw or write_mime(mail)
    report = MIMEMultipart("report")
    report.set_param("report-type", "delivery-status")
    for name, value in _top_fields(mail, recipients, now, style).items():
        report[name] = value
    report.attach(MIMEText(_explanation(recipients)))
    report.attach(_delivery_status(mail, recipients, now, style))
    report.attach(_returned(original, headers_only=style.returns_headers_only))
    return report.as_bytes(policy=policy.compat32)


def _top_fields(mail: Mail, recipients: Sequence[Bounce], now: datetime, style: _Flavour) -> dict[str, str]:
    fields = {
        "Return-Path": "<>",
        "From": style.sender,
        "To": mail.envelope_sender or mail.sender.address,
        "Subject": style.subject(mail, recipients[0].action),
        "Date": format_datetime(now),
        "Message-ID": f"<{uuid4()}@{style.host}>",
        "Auto-Submitted": "auto-replied",
    }
    if message_id := _message_id(mail):
        fields |= {"In-Reply-To": message_id, "References": message_id}
    if style is FLAVORS["gmail"]:
        fields["X-Failed-Recipients"] = ", ".join(bounce.address for bounce in recipients)
    return fields


def _message_id(mail: Mail) -> str:
    by_header = next((value for name, value in mail.headers.items() if name.lower() == "message-id"), "")
    return by_header or str(mail.fields.get("internetMessageId", ""))


def _explanation(recipients: Sequence[Bounce]) -> str:
    lines = (f"<{bounce.address}>: {bounce.words}" for bounce in recipients)
    return "Your message could not be delivered to one or more recipients.\n\n" + "\n".join(lines) + "\n"


def _delivery_status(mail: Mail, recipients: Sequence[Bounce], now: datetime, style: _Flavour) -> Message:
    part = MIMEBase("message", "delivery-status")
    about_message = {"Reporting-MTA": style.mta, "Arrival-Date": format_datetime(mail.accepted_at)}
    if style is FLAVORS["postfix"]:
        about_message |= {
            "X-Postfix-Queue-ID": "4XyZ9k1Qz9z1",
            "X-Postfix-Sender": f"rfc822; {mail.envelope_sender or mail.sender.address}",
        }
    if style is FLAVORS["gmail"] and _message_id(mail):
        about_message["X-Original-Message-ID"] = _message_id(mail)
    part.set_payload([_block(about_message), *(_block(_about(bounce, now, style)) for bounce in recipients)])
    return part


def _about(bounce: Bounce, now: datetime, style: _Flavour) -> dict[str, str]:
    fields = {"Final-Recipient": f"rfc822;{style.space}{bounce.address}"}
    if bounce.original:
        fields["Original-Recipient"] = f"rfc822;{style.space}{bounce.original}"
    fields |= {"Action": bounce.action, "Status": bounce.status}
    if style is not FLAVORS["exchange"]:
        fields["Remote-MTA"] = f"dns; mx.{bounce.address.rpartition('@')[2]}"
    fields["Diagnostic-Code"] = f"smtp;{style.space}{bounce.words}"
    if style is FLAVORS["gmail"]:
        fields["Last-Attempt-Date"] = format_datetime(now)
    return fields


def _block(fields: Mapping[str, str]) -> Message:
    block = Message()
    for name, value in fields.items():
        block[name] = value
    return block


def _returned(original: bytes, *, headers_only: bool) -> Message:
    """Return the last part of the report: the original's header fields, or the whole original."""
    if headers_only:
        head = original.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n\n"
        part = MIMEBase("text", "rfc822-headers")
        part.set_payload(head.decode("utf-8", "surrogateescape"))
        return part
    part = MIMEBase("message", "rfc822")
    part.set_payload([message_from_bytes(original)])
    return part
