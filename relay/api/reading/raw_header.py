"""Check the header of a finished message: keep, remove, rewrite or refuse each field.

A foreign message may be written to deceive: duplicate fields, commands to servers, verdicts that only a server may give.
Unambiguous fields stay unchanged, so that signatures stay valid.
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
"""What the standard library raises for headers that it cannot parse."""
MAX_HOPS = 100
"""More Received headers than this indicate a mail loop (RFC 5321 section 6.3)."""

REMOVED = frozenset(("bcc", "resent-bcc", "return-path", "delivered-to", "authentication-results", "received-spf"))
"""Hidden recipients, and fields that only the receiving server may write (RFC 5321 section 4.4, RFC 8601 section 5)."""
REMOVED_PREFIXES = ("x-relay-", "x-ms-exchange-", "x-sg-")
"""Fields that Relay and the providers write and trust."""
REFUSED: Mapping[str, str] = {
    "x-smtpapi": "it controls SendGrid's SMTP server and can add recipients",
    "apparently-to": "it would name recipients; use the envelope",
}
ONCE = frozenset((
    "from", "sender", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "content-disposition", "content-id",
))  # fmt: skip
"""Fields that may occur once; mail programs differ in which of two they use (RFC 5322 section 3.6, RFC 2045 section 3)."""
PEOPLE = frozenset(("from", "sender", "reply-to", "to", "cc", "bcc"))
_JOINED = ("to", "cc")
_DECODED = 4_000
"""Decode at most this many bytes of a subject for Relay's own records."""
_STRUCTURED = re.compile(
    r"(content-.*|mime-version|message-id|in-reply-to|references|date|received|dkim-.*|arc-.*|resent-.*)"
)
_BAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PLAIN = re.compile(
    r'(?:(?:"[^"\\<>@]*"|[^"<>()@,;:\\]*)\s*<[^\s<>"(),;:@]+@[A-Za-z0-9.-]+>|[^\s<>"(),;:@]+@[A-Za-z0-9.-]+)'
)
"""One mailbox in a form that every program reads the same way."""


class CheckedHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A checked header: the fields to send, each ending in CRLF, and the addresses by field name in lower case."""

    fields: tuple[Field, ...]
    people: Mapping[str, tuple[Address, ...]]

    @property
    def subject(self) -> str:
        """The decoded subject on one line; empty if there is none."""
        return next((_decoded(field) for field in self.fields if field.name == "subject"), "")

    def joined(self) -> bytes:
        """Join the fields to bytes."""
        return b"".join(field.line for field in self.fields)


def read_head(head: bytes, problems: Problems, limits: Limits, *, names_recipients: bool) -> CheckedHeader:
    """Check a header whose lines end in CRLF. Use the result only if `problems` stayed empty.

    With `names_recipients`, To, Cc and Bcc are the envelope, so each address in them must be valid.
    """
    _check_lines(head, problems, limits)
    fields = fields_of(head)
    _check_names(fields, problems, names_recipients=names_recipients)
    people: dict[str, tuple[Address, ...]] = {}
    for name in sorted(PEOPLE):
        is_strict = name in ("from", "sender", "reply-to") or names_recipients
        own = [field for field in fields if field.name == name]
        people[name] = tuple(
            address for field in own for address in _people(field, problems, limits, is_strict=is_strict)
        )
    _check_authors(fields, people, problems)
    kept = [field for field in fields if field.name not in REMOVED and not field.name.startswith(REMOVED_PREFIXES)]
    return CheckedHeader(fields=tuple(_written(kept, people, problems)), people=people)


def _check_lines(head: bytes, problems: Problems, limits: Limits) -> None:
    if len(head) > limits.max_headers_bytes:
        text = f"The header is too large: {len(head)} bytes (limit {limits.max_headers_bytes})."
        problems.add("too_large", "headers", text)
    for number, line in enumerate(head.splitlines(), 1):
        name = line.partition(b":")[0].decode("latin-1")
        if len(line) > MAX_LINE_HARD:
            text = f"Line {number} is too long: {len(line)} bytes (limit {MAX_LINE_HARD}, RFC 5322 section 2.1.1). Fold it."
            problems.add("too_long", "headers", text)
        if _BAD.search(line):
            problems.add(
                "invalid_text",
                "headers",
                f"Line {number} has a control character. Remove it: a header cannot contain it.",
            )
        elif line[:1] in (b" ", b"\t"):
            if number == 1:
                problems.add(
                    "invalid_header_name",
                    "headers",
                    "The first line begins with white space, but there is no field to continue.",
                )
        elif b":" not in line or not is_field_name(name):
            text = f"Line {number} is not a field: expected an ASCII name and a colon. An empty line must precede the body."
            problems.add("invalid_header_name", "headers", text)


def _check_names(fields: Sequence[Field], problems: Problems, *, names_recipients: bool) -> None:
    seen: set[str] = set()
    for field in fields:
        target = member("headers", field.spelling)
        if field.name in REFUSED:
            problems.add("forbidden_header", target, f"This header cannot be set: {REFUSED[field.name]}.")
        if field.name in ("resent-to", "resent-cc", "resent-bcc") and names_recipients:
            text = "A resent message needs envelope recipients, because To and Resent-To differ."
            problems.add("not_applicable", target, text)
        if field.name in ONCE and field.name in seen:
            problems.add(
                "duplicate_header", target, "Duplicate field: mail programs differ in which one they use. Keep one."
            )
        seen.add(field.name)
    if "from" not in seen:
        problems.add("required", "headers.From", "The message has no From field. Add one with the author's address.")
    if sum(field.name == "received" for field in fields) >= MAX_HOPS:
        problems.add("too_many", "headers.Received", f"Mail loop: {MAX_HOPS} Received headers.")


def _check_authors(fields: Sequence[Field], people: Mapping[str, Sequence[Address]], problems: Problems) -> None:
    """Require exactly one author, which the policy checks, and no other sender."""
    is_broken = any(problem.target in ("headers.From", "headers.Sender") for problem in problems.found)
    has_from = any(field.name == "from" for field in fields)
    if has_from and not is_broken and len(people["from"]) != 1:
        text = f"From must have exactly one address, not {len(people['from'])}."
        problems.add("invalid_address", "headers.From", text)
    authors = {address.email.casefold() for address in people["from"]}
    if any(address.email.casefold() not in authors for address in people["sender"]):
        text = "Sender differs from From, and the policy does not check it. Leave it out, or use the address in From."
        problems.add("forbidden_header", "headers.Sender", text)


def _people(field: Field, problems: Problems, limits: Limits, *, is_strict: bool) -> list[Address]:
    """Read the addresses of a field. An invalid one is a problem if `is_strict`, and left out otherwise."""
    target = f"headers.{field.name.title()}"
    try:
        texts = split_list(field.value.decode(), limits.max_recipients + 1)
        if len(texts) > limits.max_recipients:
            text = f"Too many addresses (limit {limits.max_recipients}). Send several messages."
            problems.add("too_many_recipients", target, text)
            return []
        # Parse each one separately: the standard library takes seconds for a long malformed list.
        if any(len(text) > limits.max_address for text in texts):
            problems.add(
                "too_long",
                target,
                f"An address with its display name is too long (limit {limits.max_address} characters).",
            )
            return []
        found = [each for text in texts for each in _addresses(policy.default.header_factory(field.name, text))]
    except READING_ERRORS:
        problems.add("invalid_address", target, "Not a list of addresses in UTF-8.")
        return []
    people: list[Address] = []
    for number, (email, name) in enumerate(found, 1):
        read = mailbox(email, limits)
        if isinstance(read, Unreadable) and is_strict:
            problems.add(
                read.code, target, f"The {ordinal(number)} address of {field.name.title()} is not valid. {read.reason}"
            )
        elif not isinstance(read, Unreadable):
            people.append(Address(email=read.email, name=clean(name)[: limits.max_display_name]))
    return people


def _addresses(header: object) -> list[tuple[str, str]]:
    """Return the address and display name of each mailbox in a header."""
    people = header.addresses if isinstance(header, AddressHeader) else ()
    return [(str(each.addr_spec), str(each.display_name)) for each in people]


def _written(fields: Sequence[Field], people: Mapping[str, Sequence[Address]], problems: Problems) -> list[Field]:
    """Write the fields to send: several To or Cc merged, From in an unambiguous form, and everything in ASCII."""
    written: list[Field] = []
    joined: set[str] = set()
    for field in fields:
        is_several = field.name in _JOINED and sum(other.name == field.name for other in fields) > 1
        # Many commas with nothing between them make some parsers fail.
        is_odd = field.name in _JOINED and field.value.count(b",") > 2 * len(people[field.name]) + 8
        is_odd |= field.name in ("from", "sender") and not _PLAIN.fullmatch(field.value.decode("latin-1"))
        if is_several and field.name in joined:
            continue
        joined.add(field.name)
        if field.name in PEOPLE and (is_several or is_odd or not field.line.isascii()):
            written += _made(field, problems, lambda name: address_field(name, people[name.lower()]))
        elif not field.line.isascii():
            written += _made(field, problems, lambda name, field=field: text_field(name, field.value.decode()))  # type: ignore[misc]
        else:
            written.append(field)
    return written


def _made(field: Field, problems: Problems, write: Callable[[str], bytes]) -> list[Field]:
    """Rewrite a field and keep the spelling of its name; note a problem and return nothing if it cannot be written."""
    spelling = field.spelling
    if field.name in _JOINED and write(spelling).strip() == f"{spelling}:".encode():
        return []
    if _STRUCTURED.fullmatch(field.name):
        problems.add(
            "invalid_text", member("headers", spelling), "This field must be ASCII. Encode other characters (RFC 2231)."
        )
        return []
    try:
        return [Field(name=field.name, line=write(spelling))]
    except UnicodeDecodeError:
        text = "This field is not UTF-8. Send UTF-8, or encode it (RFC 2047)."
    except ValueError:
        text = "This field has an address that cannot be encoded."
    problems.add("invalid_text", member("headers", spelling), text)
    return []


def _decoded(field: Field) -> str:
    try:
        return clean(str(policy.default.header_factory("subject", field.value[:_DECODED].decode("ascii", "replace"))))
    except READING_ERRORS:
        return ""
