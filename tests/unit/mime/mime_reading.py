"""Helpers for the tests of MIME: a request to build, and a reader of the result."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address as ReadAddress
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from typing import Any

from relay.core.model import Address, Message
from relay.core.send_request import SendRequest

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RELAY_ID = "msg_" + "0" * 40
STANDARD = ["From", "To", "Subject", "Date", "Message-ID", "X-Relay-Id"]
PIXEL = bytes(range(256)) * 3


def send_request(recipients: tuple[int, ...] | None = None, **fields: Any) -> SendRequest:
    """Return a request to all recipients, or to those numbers, of a short message changed by `fields`."""
    given_fields: dict[str, Any] = {
        "sender": Address(email="app@example.com", name="App"),
        "to": (Address(email="ann@example.com", name="Ann"),),
        "subject": "Hello",
        "text": "Hi Ann",
    }
    message = Message(**(given_fields | fields))
    return SendRequest(
        id=RELAY_ID,
        message=message,
        recipients=tuple(range(len(message.recipients))) if recipients is None else recipients,
        message_id_header="0123.1@relay.example.com",
        attempt=1,
        attempt_id="00000000-0000-0000-0000-000000000001",
        date=DATE,
    )


def read(content: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(message, EmailMessage)
    return message


def fields(content: bytes) -> list[str]:
    """Return the names of the header fields, without those of the body, from the raw lines."""
    head = content.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    return [name for name in names if name != "MIME-Version" and not name.startswith("Content-")]


def people(message: EmailMessage, name: str) -> list[tuple[str, str]]:
    """Display names and addresses. The names by the library's older reader: the newer one, unlike mail programs and
    RFC 2047 section 6.2, keeps the space between two encoded words of a name."""
    header = message[name]
    assert isinstance(header, AddressHeader)
    found: tuple[ReadAddress, ...] = header.addresses
    raw = str(dict(message.raw_items())[name]).replace("\r\n", "")
    names = [str(make_header(decode_header(name))) for name, _ in getaddresses([raw])]
    return [(name, person.addr_spec) for name, person in zip(names, found, strict=True)]


def types(message: EmailMessage) -> Any:
    """Return the nesting: a type, or a pair of a type and its parts."""
    if not message.is_multipart():
        return message.get_content_type()
    return message.get_content_subtype(), [types(part) for part in parts(message)]


def parts(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        yield part


def leaf(message: EmailMessage, kind: str) -> EmailMessage:
    found = next(part for part in message.walk() if part.get_content_type() == kind)
    assert isinstance(found, EmailMessage)
    return found
