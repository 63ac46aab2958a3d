"""Parse RFC 5322 bytes into a mail, for the stand-ins that accept MIME, and write them."""

from collections.abc import Sequence
from datetime import datetime
from email import policy
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage

from relay.mime import parts, reader
from relay.mime.addresses import mailboxes
from relay.mime.raw import Field
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
    """Parse any message. Without an envelope, the headers To, Cc and Bcc define it (Graph)."""
    reading = reader.read(raw)
    fields = parts.parse(raw).root.fields
    people = {name: _addresses(fields, name) for name in (*_ENVELOPE_HEADERS, "from", "reply-to")}
    by_header = tuple(a.address for name in _ENVELOPE_HEADERS for a in people[name])
    headers = dict(reading.headers)
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
        subject=next((value for name, value in reading.headers if name.lower() == "subject"), ""),
        text=reading.text,
        html=reading.html,
        headers=headers,
        attachments=tuple(map(_attachment, reading.files)),
        relay_id=relay_id_of(headers),
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


def _addresses(fields: Sequence[Field], name: str) -> tuple[Address, ...]:
    found = (each for field in fields if field.name == name for each in mailboxes(parts.field_text(field)))
    return tuple(Address(address=each.email, name=each.name) for each in found)


def _attachment(file: reader.File) -> Attachment:
    return Attachment(
        name=file.name or "",
        content=file.content,
        content_type=file.type,
        disposition=file.disposition or "inline",
        content_id=None if file.content_id is None else file.content_id.strip().strip("<>"),
    )
