"""Parse RFC 5322 bytes into a mail, for the stand-ins that accept MIME, and write them."""

from datetime import datetime
from email import policy
from email.headerregistry import Address as HeaderAddress
from email.headerregistry import AddressHeader
from email.message import EmailMessage, Message
from email.parser import BytesParser, HeaderParser

from standins.inbox import Address, Attachment, Mail, relay_id_of

_ENVELOPE_HEADERS = ("to", "cc", "bcc")


def read_mime(
    raw: bytes,
    *,
    mail_id: str,
    accepted_at: datetime,
    envelope: tuple[str, ...] | None = None,
    envelope_sender: str | None = None,
) -> Mail:
    """Parse a message. Without an envelope, the headers To, Cc and Bcc define it (Graph)."""
    message = BytesParser(policy=policy.default).parsebytes(raw)
    headers = _headers(raw)
    people = {name: _addresses(headers, name) for name in (*_ENVELOPE_HEADERS, "from", "reply-to")}
    text, html, attachments = _bodies(message)
    by_header = tuple(a.address for name in _ENVELOPE_HEADERS for a in people[name])
    kept = {name: str(value) for name, value in headers.items()}
    return Mail(
        id=mail_id,
        accepted_at=accepted_at,
        sender=people["from"][0] if people["from"] else Address(address=""),
        to=people["to"],
        cc=people["cc"],
        bcc=people["bcc"],
        reply_to=people["reply-to"],
        envelope=by_header if envelope is None else envelope,
        envelope_sender=envelope_sender,
        subject=str(headers.get("subject", "")),
        text=text,
        html=html,
        headers=kept,
        attachments=tuple(attachments),
        relay_id=relay_id_of(kept),
        fields={"defects": [type(d).__name__ for part in message.walk() for d in part.defects]},
        raw=raw,
    )


def write_mime(mail: Mail) -> bytes:
    """Write a mail as MIME, for a vendor that accepts JSON and returns MIME."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = _listed((mail.sender,))
    for name, people in (("To", mail.to), ("Cc", mail.cc), ("Reply-To", mail.reply_to)):
        if people:
            message[name] = _listed(people)
    message["Subject"] = mail.subject
    for name, value in mail.headers.items():
        if name not in message:
            message[name] = value
    if "Message-ID" not in message and "internetMessageId" in mail.fields:
        message["Message-ID"] = mail.fields["internetMessageId"]
    message.set_content(mail.text or "")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    for item in mail.attachments:
        maintype, _, subtype = item.content_type.partition("/")
        message.add_attachment(
            item.content,
            maintype=maintype,
            subtype=subtype or "octet-stream",
            filename=item.name,
            disposition=item.disposition,
            cid=item.content_id and f"<{item.content_id}>",
        )
    return message.as_bytes()


def _listed(people: tuple[Address, ...]) -> tuple[HeaderAddress, ...]:
    return tuple(HeaderAddress(display_name=person.name, addr_spec=person.address) for person in people)


def _headers(raw: bytes) -> Message:
    """Return the top-level headers. With SMTPUTF8 they are UTF-8, which the bytes parser does not decode."""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return HeaderParser(policy=policy.default).parsestr(head.decode("utf-8", "surrogateescape") + "\n\n")


def _addresses(headers: Message, name: str) -> tuple[Address, ...]:
    return tuple(
        Address(address=address.addr_spec, name=address.display_name)
        for header in headers.get_all(name, [])
        if isinstance(header, AddressHeader)
        for address in header.addresses
    )


def _bodies(message: Message) -> tuple[str | None, str | None, list[Attachment]]:
    found: dict[str, str] = {}
    attachments = []
    for part in message.walk():
        if not isinstance(part, EmailMessage) or part.is_multipart():
            continue
        kind = part.get_content_type()
        is_body = not part.is_attachment() and part.get_filename() is None and part["content-id"] is None
        if is_body and kind in ("text/plain", "text/html") and kind not in found:
            found[kind] = str(part.get_content())
        else:
            attachments.append(_attachment(part))
    return found.get("text/plain"), found.get("text/html"), attachments


def _attachment(part: EmailMessage) -> Attachment:
    content = part.get_payload(decode=True)
    content_id = part["content-id"]
    return Attachment(
        name=part.get_filename() or "",
        content=content if isinstance(content, bytes) else b"",
        content_type=part.get_content_type(),
        disposition=part.get_content_disposition() or "inline",
        content_id=None if content_id is None else str(content_id).strip().strip("<>"),
    )
