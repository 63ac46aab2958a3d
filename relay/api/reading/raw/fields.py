"""Write the fields of a finished message's header: in ASCII, folded, and in forms that every program reads the same way.

Unambiguous fields stay unchanged, so that signatures stay valid.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from relay.api.problems import Problems, member
from relay.core.model import Address
from relay.mime.addresses import mailboxes
from relay.mime.fields import MAX_LINE_HARD, address_field, author_field, holds_address, plain_field
from relay.mime.parts import field_text
from relay.mime.raw import Field
from relay.mime.writing import structured

REMOVED_FIELD = "X-Relay-Removed"
"""A field that names the malformed fields that were left out of the message."""
_JOINED = ("to", "cc")
_AUTHORS = ("from", "sender")
_LISTS = frozenset(("from", "sender", "reply-to", "to", "cc"))
_STRUCTURED = re.compile(r"(content-.*|mime-version|message-id|in-reply-to|references|date|dkim-.*|arc-.*|resent-.*)")
_PLAIN = re.compile(
    r'(?:(?:"[^"\\<>@]*"\s*+|[^"<>()@,;:\\]*+)<[^\s<>"(),;:@]+@[A-Za-z0-9.-]+>|[^\s<>"(),;:@]+@[A-Za-z0-9.-]+)'
)
"""One mailbox in a form that every program reads the same way."""
_LONG_WORD = re.compile(rb"[^ \t]{%d,}" % (MAX_LINE_HARD - 80))
_FOR = re.compile(r"(?<!\s)\s+for\s+<?[^\s;<>]*[^\x00-\x7f][^\s;<>]*>?", re.IGNORECASE)
"""The clause of a Received field that names a recipient outside ASCII (RFC 5321 section 4.4: it is optional)."""


def can_fold(line: bytes) -> bool:
    """Return whether a header line that is too long can be folded: it has blanks, or is a list of addresses."""
    name = line.partition(b":")[0].decode("latin-1").lower()
    return name in _LISTS or structured.can_fold_anywhere(name) or _LONG_WORD.search(line) is None


def write_fields(fields: Sequence[Field], people: Mapping[str, Sequence[Address]], problems: Problems) -> list[Field]:
    """Write the fields to send: several To or Cc merged, From in an unambiguous form, and everything in ASCII."""
    written: list[Field] = []
    joined: set[str] = set()
    for field in fields:
        is_several = field.name in _JOINED and sum(other.name == field.name for other in fields) > 1
        if is_several and field.name in joined:
            continue
        joined.add(field.name)
        if field.name == "reply-to" and not _is_whole(field, people["reply-to"]):
            written += _reply_to(field, people["reply-to"])
        elif field.name in _LISTS and (is_several or _is_odd(field, people[field.name])):
            written += _made(field, problems, lambda name: _list(name, people[name.lower()]))
        else:
            written += _plain(field, problems)
    return written


def _list(name: str, people: Sequence[Address]) -> bytes:
    return (author_field if name.lower() in _AUTHORS else address_field)(name, people)


def _is_whole(field: Field, people: Sequence[Address]) -> bool:
    """Return whether every address of a field is valid."""
    return len(mailboxes(field_text(field), limit=len(people) + 1)) == len(people) > 0


def _reply_to(field: Field, people: Sequence[Address]) -> list[Field]:
    """Write the valid addresses, and record that others were left out: such a mail is more useful than none."""
    record = Field(name=REMOVED_FIELD.lower(), line=plain_field(REMOVED_FIELD, field.spelling))
    return [Field(name=field.name, line=address_field(field.spelling, people)), record] if people else [record]


def _is_odd(field: Field, people: Sequence[Address]) -> bool:
    """Return whether programs may read a list of addresses differently, or it is too long or not ASCII."""
    return (
        not field.line.isascii()
        or _has_long_line(field)
        # Many commas without text between them make some parsers fail.
        or (field.name in _JOINED and field.value.count(b",") > 2 * len(people) + 8)
        or (field.name in _AUTHORS and not _PLAIN.fullmatch(field.value.decode("latin-1")))
        # Programs that decode before they split would read a different author.
        or (field.name in _AUTHORS and any(holds_address(each.name) for each in people))
        # A local part that needs quotes and has none, as in the addresses of some mobile carriers.
        or any(each.email.startswith('"') and each.email.encode() not in field.value for each in people)
    )


def _has_long_line(field: Field) -> bool:
    return any(len(line) > MAX_LINE_HARD for line in field.line.splitlines())


def _plain(field: Field, problems: Problems) -> list[Field]:
    """Write a field that is not a list of addresses."""
    if field.name == "received" and not field.line.isascii():
        value = _FOR.sub("", field_text(field)).encode("ascii", "replace").decode()
        return [Field(name=field.name, line=plain_field(field.spelling, value))]
    if not field.line.isascii():
        return _made(field, problems, lambda name: structured.header_field(name, field.value.decode()))
    if _has_long_line(field) and structured.can_fold_anywhere(field.name):
        return _made(field, problems, lambda name: structured.header_field(name, field.value.decode()))
    if _has_long_line(field):
        return [Field(name=field.name, line=plain_field(field.spelling, field.value.decode()))]
    return [field]


def _made(field: Field, problems: Problems, write: Callable[[str], bytes]) -> list[Field]:
    """Rewrite a field and keep the spelling of its name; note a problem and return nothing if it cannot be written."""
    if field.name in _JOINED and write(field.spelling).strip() == f"{field.spelling}:".encode():
        return []
    if _STRUCTURED.fullmatch(field.name):
        text = "This field must be ASCII. Encode other characters (RFC 2231)."
        problems.add("invalid_text", member("headers", field.spelling), text)
        return []
    try:
        return [Field(name=field.name, line=write(field.spelling))]
    except UnicodeDecodeError:
        text = "This field is not UTF-8. Send UTF-8, or encode it (RFC 2047)."
    except ValueError as error:
        reason = "has an address that cannot be encoded" if field.name in _LISTS else str(error)
        text = f"This field {reason}."
    problems.add("invalid_text", member("headers", field.spelling), text)
    return []
