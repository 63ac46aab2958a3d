"""The header of a finished message: what of it stays, what is taken out, what is written anew, and what is refused.

A message that somebody else wrote may have been written against its readers: twice the same field, orders to servers, verdicts
that only a server may give. What means one thing only is kept as it stands, so that signatures stay valid.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from email import policy
from email.errors import MessageError
from email.headerregistry import AddressHeader

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member
from relay.api.reading.addresses import Unreadable, mailbox, split_list
from relay.api.text_checks import ordinal
from relay.core.model import Address
from relay.mime.fields import MAX_LINE_HARD, address_field, clean, is_field_name, text_field
from relay.mime.raw import Field, fields_of

READING_ERRORS = (MessageError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What the standard library raises for headers that it cannot make sense of."""
MOST_HOPS = 100
"""A message that so many servers have handed on goes in a circle (RFC 5321 section 6.3)."""

REMOVED = frozenset(("bcc", "resent-bcc", "return-path", "delivered-to", "authentication-results", "received-spf"))
"""Who was not to be seen, and what only the receiving server may say (RFC 5321 section 4.4, RFC 8601 section 5)."""
REMOVED_PREFIXES = ("x-relay-", "x-ms-exchange-", "x-sg-")
"""Notes that Relay and the providers write themselves and believe."""
REFUSED: Mapping[str, str] = {
    "x-smtpapi": "it gives orders to SendGrid's SMTP server, other recipients among them",
    "apparently-to": "it would name recipients; name them in the envelope",
}
ONCE = frozenset((
    "from", "sender", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "content-disposition", "content-id",
))  # fmt: skip
"""Fields of which a second one is read by some programs and not by others (RFC 5322 section 3.6, RFC 2045 section 3)."""
PEOPLE = frozenset(("from", "sender", "reply-to", "to", "cc", "bcc"))
_JOINED = ("to", "cc")
_DECODED = 4_000
"""Bytes of a subject that are decoded for our own records."""
_STRUCTURED = re.compile(
    r"(content-.*|mime-version|message-id|in-reply-to|references|date|received|dkim-.*|arc-.*|resent-.*)"
)
_BAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PLAIN = re.compile(
    r'(?:(?:"[^"\\<>@]*"|[^"<>()@,;:\\]*)\s*<[^\s<>"(),;:@]+@[A-Za-z0-9.-]+>|[^\s<>"(),;:@]+@[A-Za-z0-9.-]+)'
)
"""One mailbox that every program reads alike."""


class CheckedHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A header that was checked: the fields to send, each ended by CRLF, and who is named in it (by name in lower case)."""

    fields: tuple[Field, ...]
    people: Mapping[str, tuple[Address, ...]]

    @property
    def subject(self) -> str:
        """The subject, decoded, on one line; empty when there is none."""
        return next((_decoded(field) for field in self.fields if field.name == "subject"), "")

    def joined(self) -> bytes:
        """The fields as bytes."""
        return b"".join(field.line for field in self.fields)


def read_head(head: bytes, faults: Problems, limits: Limits, *, names_recipients: bool) -> CheckedHeader:
    """The checked header, whose lines end in CRLF. It may be used only if `faults` stayed empty.

    With `names_recipients` To, Cc and Bcc are the envelope, so each address in them must be one.
    """
    _check_lines(head, faults, limits)
    fields = fields_of(head)
    _check_names(fields, faults, names_recipients=names_recipients)
    people: dict[str, tuple[Address, ...]] = {}
    for name in sorted(PEOPLE):
        is_strict = name in ("from", "sender", "reply-to") or names_recipients
        own = [field for field in fields if field.name == name]
        people[name] = tuple(
            address for field in own for address in _people(field, faults, limits, is_strict=is_strict)
        )
    _check_authors(fields, people, faults)
    kept = [field for field in fields if field.name not in REMOVED and not field.name.startswith(REMOVED_PREFIXES)]
    return CheckedHeader(fields=tuple(_written(kept, people, faults)), people=people)


def _check_lines(head: bytes, faults: Problems, limits: Limits) -> None:
    if len(head) > limits.max_headers_bytes:
        text = f"The header has {len(head)} bytes; {limits.max_headers_bytes} are possible."
        faults.add("too_large", "headers", text)
    for number, line in enumerate(head.splitlines(), 1):
        name = line.partition(b":")[0].decode("latin-1")
        if len(line) > MAX_LINE_HARD:
            text = (
                f"Line {number} has {len(line)} bytes; {MAX_LINE_HARD} are possible (RFC 5322 section 2.1.1). Fold it."
            )
            faults.add("too_long", "headers", text)
        if _BAD.search(line):
            faults.add("invalid_text", "headers", f"Line {number} has a control character, which a header cannot hold.")
        elif line[:1] in (b" ", b"\t"):
            if number == 1:
                faults.add("invalid_header_name", "headers", "The first line continues a field, and there is none.")
        elif b":" not in line or not is_field_name(name):
            text = f"Line {number} is no field: it needs a name of ASCII and a colon. An empty line is before the body."
            faults.add("invalid_header_name", "headers", text)


def _check_names(fields: Sequence[Field], faults: Problems, *, names_recipients: bool) -> None:
    seen: set[str] = set()
    for field in fields:
        target = member("headers", _spelling(field))
        if field.name in REFUSED:
            faults.add("forbidden_header", target, f"A caller may not set this header: {REFUSED[field.name]}.")
        if field.name in ("resent-to", "resent-cc", "resent-bcc") and names_recipients:
            text = "The message is passed on: say to whom in the envelope, since To and Resent-To differ."
            faults.add("not_applicable", target, text)
        if field.name in ONCE and field.name in seen:
            faults.add(
                "duplicate_header", target, "This field is there twice, and programs differ in which one counts."
            )
        seen.add(field.name)
    if "from" not in seen:
        faults.add("required", "headers.From", "The message has no From field; it says who writes.")
    if sum(field.name == "received" for field in fields) >= MOST_HOPS:
        faults.add(
            "too_many", "headers.Received", f"{MOST_HOPS} servers have handed this message on: it goes in a circle."
        )


def _check_authors(fields: Sequence[Field], people: Mapping[str, Sequence[Address]], faults: Problems) -> None:
    """One author, whom the policy can judge, and nobody beside him."""
    is_broken = any(problem.target in ("headers.From", "headers.Sender") for problem in faults.problems)
    has_from = any(field.name == "from" for field in fields)
    if has_from and not is_broken and len(people["from"]) != 1:
        text = f"From names {len(people['from'])} addresses; it must be exactly one."
        faults.add("invalid_address", "headers.From", text)
    authors = {address.email.casefold() for address in people["from"]}
    if any(address.email.casefold() not in authors for address in people["sender"]):
        text = (
            "Sender would name a second sender, which no policy checked; leave it out, or let it be the same as From."
        )
        faults.add("forbidden_header", "headers.Sender", text)


def _people(field: Field, faults: Problems, limits: Limits, *, is_strict: bool) -> list[Address]:
    """Everybody whom a field names. What is no address is a fault when `is_strict`, else left out."""
    target = f"headers.{field.name.title()}"
    try:
        texts = split_list(field.value.decode(), limits.max_recipients + 1)
        if len(texts) > limits.max_recipients:
            text = f"There are more than {limits.max_recipients} addresses here. Send several messages."
            faults.add("too_many_recipients", target, text)
            return []
        # One by one: the standard library takes seconds for a long list that is malformed.
        if any(len(text) > limits.max_address for text in texts):
            faults.add(
                "too_long", target, f"An address here has more than {limits.max_address} characters with its name."
            )
            return []
        found = [each for text in texts for each in _addresses(policy.default.header_factory(field.name, text))]
    except READING_ERRORS:
        faults.add("invalid_address", target, "This cannot be read as addresses in UTF-8.")
        return []
    people: list[Address] = []
    for number, (email, name) in enumerate(found, 1):
        read = mailbox(email, limits)
        if isinstance(read, Unreadable) and is_strict:
            faults.add(
                read.code, target, f"The {ordinal(number)} address of {field.name.title()} is wrong. {read.reason}"
            )
        elif not isinstance(read, Unreadable):
            people.append(Address(email=read.email, name=clean(name)[: limits.max_display_name]))
    return people


def _addresses(header: object) -> list[tuple[str, str]]:
    """Address and display name of everybody in a header."""
    people = header.addresses if isinstance(header, AddressHeader) else ()
    return [(str(each.addr_spec), str(each.display_name)) for each in people]


def _written(fields: Sequence[Field], people: Mapping[str, Sequence[Address]], faults: Problems) -> list[Field]:
    """The fields as they are sent: several To or Cc as one, From in a form read alike by all, and all of it ASCII."""
    written: list[Field] = []
    joined: set[str] = set()
    for field in fields:
        is_several = field.name in _JOINED and sum(other.name == field.name for other in fields) > 1
        # Commas with nothing between them are for whoever reads the list to stumble over.
        is_odd = field.name in _JOINED and field.value.count(b",") > 2 * len(people[field.name]) + 8
        is_odd |= field.name in ("from", "sender") and not _PLAIN.fullmatch(field.value.decode("latin-1"))
        if is_several and field.name in joined:
            continue
        joined.add(field.name)
        if field.name in PEOPLE and (is_several or is_odd or not field.line.isascii()):
            written += _made(field, faults, lambda name: address_field(name, people[name.lower()]))
        elif not field.line.isascii():
            written += _made(field, faults, lambda name, field=field: text_field(name, field.value.decode()))  # type: ignore[misc]
        else:
            written.append(field)
    return written


def _made(field: Field, faults: Problems, write: Callable[[str], bytes]) -> list[Field]:
    """The field written anew, in the spelling of its name; nothing, and a fault, when it cannot be."""
    spelling = _spelling(field)
    if field.name in _JOINED and write(spelling).strip() == f"{spelling}:".encode():
        return []
    if _STRUCTURED.fullmatch(field.name):
        faults.add(
            "invalid_text", member("headers", spelling), "This field must be ASCII; encode what is not (RFC 2231)."
        )
        return []
    try:
        return [Field(name=field.name, line=write(spelling))]
    except UnicodeDecodeError:
        text = "This field is not UTF-8; send UTF-8, or encode it (RFC 2047)."
    except ValueError:
        text = "This field has an address that cannot be written."
    faults.add("invalid_text", member("headers", spelling), text)
    return []


def _spelling(field: Field) -> str:
    return field.line.partition(b":")[0].strip().decode("ascii", "replace")


def _decoded(field: Field) -> str:
    try:
        return clean(str(policy.default.header_factory("subject", field.value[:_DECODED].decode("ascii", "replace"))))
    except READING_ERRORS:
        return ""
