"""Find the file names in a finished message, for the policy.

Mail programs differ in how they read an oddly written name, so this reads each name in every known way.
"""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import ParameterizedMIMEHeader
from email.message import Message
from email.utils import collapse_rfc2231_value

from relay.api.problems import Problems
from relay.api.reading.raw_header import READING_ERRORS

MAX_PARTS = 1_000
MAX_FIELD, MAX_FIELDS = 4_000, 262_144
"""Characters of one field with a file name, and of all: the standard library is slow with long malformed fields."""
_FIELDS = ("content-disposition", "content-type")
_NAMES = frozenset(("filename", "name"))


def read_file_names(raw: bytes, problems: Problems) -> tuple[str, ...]:
    """Return every file name of every part; note names that cannot be read or are ambiguous, and oversized fields."""
    names: dict[str, None] = {}
    for number, part in enumerate(_parts(raw, problems), 1):
        for field in _FIELDS:
            if number > 1 and len(part.get_all(field, [])) > 1:  # those of the message were noted with its header
                text = f"Part {number} has several {field.title()} fields, which mail programs read differently."
                problems.add("duplicate_header", "body", text)
            try:
                names |= dict.fromkeys(_names(part, field))
            except READING_ERRORS:
                text = f"Part {number} has a {field.title()} field that cannot be read."
                problems.add("invalid_file_name", "body", text)
    return tuple(names)


def _parts(raw: bytes, problems: Problems) -> "list[Message[str, str]]":
    """List every part of a message and of messages within it; note too many or too large ones and return none."""
    try:
        parts = list(message_from_bytes(raw, policy=policy.compat32).walk())
    except RecursionError:
        problems.add("too_deep", "body", "The parts of the message are nested too deeply.")
        return []
    if len(parts) > MAX_PARTS:
        problems.add("too_many", "body", f"Too many parts: {len(parts)} (limit {MAX_PARTS}).")
        return []
    sizes = [len(str(value)) for part in parts for field in _FIELDS for value in part.get_all(field, [])]
    if sum(sizes) > MAX_FIELDS or max(sizes, default=0) > MAX_FIELD:
        text = f"Content-Type and Content-Disposition are too long (limit {MAX_FIELD} characters, {MAX_FIELDS} in all parts)."
        problems.add("too_large", "body", text)
        return []
    return parts


def _names(part: "Message[str, str]", field: str) -> Iterator[str]:
    value = part.get(field)
    if value is None:
        return
    # As written, with RFC 2231 pieces joined, and each of several.
    for name, text in part.get_params([], header=field):
        if name.lower() in _NAMES:
            whole = collapse_rfc2231_value(text)
            yield whole
            yield str(make_header(decode_header(whole)))
    # As a strict reader sees it, without comments and without text after a blank.
    strict = policy.default.header_factory(field, str(value).replace("\r", "").replace("\n", ""))
    if isinstance(strict, ParameterizedMIMEHeader):
        yield from (text for name, text in strict.params.items() if name.lower() in _NAMES)
