"""Check the header of a finished message: keep, remove, rewrite or refuse each field.

A message from elsewhere may be written to deceive: duplicate fields, commands to servers, verdicts that only a server may give.
Unambiguous fields stay unchanged, so that signatures stay valid.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems, member
from relay.api.reading.addresses import Unreadable, mailbox
from relay.api.reading.headers import VENDOR_COMMANDS
from relay.api.reading.raw.fields import can_fold, write_fields
from relay.api.text_checks import ordinal
from relay.core.model import Address
from relay.mime.addresses import mailboxes
from relay.mime.fields import MAX_LINE_HARD, clean, is_field_name
from relay.mime.raw import Field, fields_of
from relay.mime.reader import field_shown

MAX_HOPS = 100
"""More Received headers than this indicate a mail loop (RFC 5321 section 6.3)."""

REMOVED = frozenset((
    "bcc", "resent-bcc", "x-bcc", "x-sender", "x-receiver", "x-envelope-to", "x-rcpt-to", "return-path", "delivered-to",
    "authentication-results", "received-spf",
))  # fmt: skip
"""Hidden recipients, also in the fields of pickup folders and of some servers, and fields that only the receiving server may
write (RFC 5321 section 4.4, RFC 8601 section 5)."""
REMOVED_PREFIXES = ("x-relay-", "x-ms-exchange-", "x-ms-acsemail-", "x-sg-")
"""Prefixes of fields that Relay and the providers write and trust, or obey as commands (`relay.api.reading.headers`)."""
REFUSED: Mapping[str, str] = {
    **VENDOR_COMMANDS,
    "apparently-to": "it would name recipients; use the envelope",
}
ONCE = frozenset((
    "from", "sender", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "content-disposition", "content-id",
))  # fmt: skip
"""Fields that may occur only once: mail programs differ in which of two they use (RFC 5322 section 3.6, RFC 2045 section 3)."""
PEOPLE = frozenset(("from", "reply-to", "to", "cc", "bcc", "sender", "resent-from", "resent-sender"))
OTHER_SENDERS = ("sender", "resent-from", "resent-sender")
"""Fields besides From that name a sender (RFC 5322 section 3.6.2, 3.6.6)."""
_BAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ODD = "Its quotes or brackets do not match, or text follows the address."


class CheckedHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A checked header: the fields to send, each ending in CRLF, and the addresses by field name in lower case."""

    fields: tuple[Field, ...]
    people: Mapping[str, tuple[Address, ...]]

    @property
    def other_senders(self) -> Mapping[str, tuple[Address, ...]]:
        """The senders besides From, by the target of their field."""
        named = {member("headers", name.title()): self.people[name] for name in OTHER_SENDERS}
        return {target: people for target, people in named.items() if people}

    @property
    def subject(self) -> str:
        """The decoded subject on one line; empty if there is none."""
        return next((clean(field_shown(field)) for field in self.fields if field.name == "subject"), "")

    def joined(self) -> bytes:
        """Join the fields to bytes."""
        return b"".join(field.line for field in self.fields)


def read_head(head: bytes, problems: Problems, limits: Limits, *, names_recipients: bool) -> CheckedHeader:
    """Check a header whose lines end in CRLF. Use the result only if `problems` stayed empty.

    With `names_recipients`, To, Cc and Bcc are the envelope, so each address in them must be valid.
    """
    _check_lines(head, problems, limits)
    fields = _without_copies(fields_of(head))
    _check_names(fields, problems, names_recipients=names_recipients)
    people: dict[str, tuple[Address, ...]] = {}
    for name in sorted(PEOPLE):
        is_strict = name in ("from", *OTHER_SENDERS) or (names_recipients and name != "reply-to")
        own = [field for field in fields if field.name == name]
        people[name] = tuple(
            address for field in own for address in _people(field, problems, limits, is_strict=is_strict)
        )
    _check_authors(fields, people, problems)
    kept = [field for field in fields if field.name not in REMOVED and not field.name.startswith(REMOVED_PREFIXES)]
    return CheckedHeader(fields=tuple(write_fields(kept, people, problems)), people=people)


def _without_copies(fields: Sequence[Field]) -> list[Field]:
    """Leave out identical copies of a field that may occur only once: some programs write MIME-Version twice."""
    seen: set[tuple[str, bytes]] = set()
    kept = []
    for field in fields:
        if field.name not in ONCE or (field.name, field.value) not in seen:
            kept.append(field)
        seen.add((field.name, field.value))
    return kept


def _check_lines(head: bytes, problems: Problems, limits: Limits) -> None:
    if len(head) > limits.max_headers_bytes:
        text = f"The header is too large: {len(head)} bytes (limit {limits.max_headers_bytes})."
        problems.add("too_large", "headers", text)
    for number, line in enumerate(head.splitlines(), 1):
        name = line.partition(b":")[0].decode("latin-1")
        if len(line) > MAX_LINE_HARD and not can_fold(line):
            text = f"Line {number} is too long: {len(line)} bytes without a blank (limit {MAX_LINE_HARD}). Fold it."
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
    """Require exactly one author and at most one sender. The policy checks both."""
    is_broken = any(problem.target == "headers.From" for problem in problems.found)
    has_from = any(field.name == "from" for field in fields)
    if has_from and not is_broken and len(people["from"]) != 1:
        text = f"From must have exactly one address, not {len(people['from'])}."
        problems.add("invalid_address", "headers.From", text)
    if len(people["sender"]) > 1:
        problems.add("invalid_address", "headers.Sender", f"Sender must have one address, not {len(people['sender'])}.")


def _people(field: Field, problems: Problems, limits: Limits, *, is_strict: bool) -> list[Address]:
    """Read the addresses of a field. An invalid one is a problem if `is_strict`, and left out otherwise."""
    target = member("headers", field.name.title())
    try:
        text = field.value.decode()
    except UnicodeDecodeError:
        if field.name != "reply-to":
            problems.add("invalid_address", target, "Not a list of addresses in UTF-8.")
        return []
    found = mailboxes(text, limit=limits.max_recipients + 1)
    if len(found) > limits.max_recipients:
        text = f"Too many addresses (limit {limits.max_recipients}). Send several messages."
        problems.add("too_many_recipients", target, text)
        return []
    if any(len(each.name) + len(each.email) > limits.max_address for each in found):
        text = f"An address with its display name is too long (limit {limits.max_address} characters)."
        problems.add("too_long", target, text)
        return []
    people: list[Address] = []
    for number, each in enumerate(found, 1):
        reason = _ODD if each.is_odd else ""
        read = Unreadable("invalid_address", reason) if reason else mailbox(each.email, limits)
        if isinstance(read, Unreadable) and is_strict:
            text = f"The {ordinal(number)} address of {field.name.title()} is not valid. {read.reason}"
            problems.add(read.code, target, text)
        elif not isinstance(read, Unreadable):
            people.append(Address(email=read.email, name=clean(each.name)[: limits.max_display_name]))
    return people
