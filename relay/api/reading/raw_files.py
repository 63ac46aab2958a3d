"""What the files in a finished message are called, for the policy to judge.

Mail programs differ in how they read a name that is written oddly, so each is read in every way that we know of.
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
"""Characters of one field that names a file, and of all: the standard library is slow with long malformed ones."""
_FIELDS = ("content-disposition", "content-type")
_NAMES = frozenset(("filename", "name"))


def read_file_names(raw: bytes, faults: Problems) -> tuple[str, ...]:
    """Every name of every part; a fault where one cannot be read, or is there twice, or where there is too much to read."""
    names: dict[str, None] = {}
    for number, part in enumerate(_parts(raw, faults), 1):
        for field in _FIELDS:
            if number > 1 and len(part.get_all(field, [])) > 1:  # those of the whole were told with its header
                text = (
                    f"Part {number} of the message has {field.title()} twice, and programs differ in which one counts."
                )
                faults.add("duplicate_header", "body", text)
            try:
                names |= dict.fromkeys(_names(part, field))
            except READING_ERRORS:
                text = f"Part {number} of the message has a {field.title()} that cannot be read."
                faults.add("invalid_file_name", "body", text)
    return tuple(names)


def _parts(raw: bytes, faults: Problems) -> "list[Message[str, str]]":
    """Every part of a message, and of messages within it; none, and a fault, when it takes too long to look at them all."""
    try:
        parts = list(message_from_bytes(raw, policy=policy.compat32).walk())
    except RecursionError:
        faults.add("too_deep", "body", "The parts of the message are nested too deeply.")
        return []
    if len(parts) > MAX_PARTS:
        faults.add("too_many", "body", f"The message has {len(parts)} parts; {MAX_PARTS} are possible.")
        return []
    sizes = [len(str(value)) for part in parts for field in _FIELDS for value in part.get_all(field, [])]
    if sum(sizes) > MAX_FIELDS or max(sizes, default=0) > MAX_FIELD:
        text = f"Content-Type and Content-Disposition have more than {MAX_FIELD} characters, or {MAX_FIELDS} together."
        faults.add("too_large", "body", text)
        return []
    return parts


def _names(part: "Message[str, str]", field: str) -> Iterator[str]:
    value = part.get(field)
    if value is None:
        return
    # As it stands, with RFC 2231 pieces put together, and every one of several.
    for name, text in part.get_params([], header=field):
        if name.lower() in _NAMES:
            whole = collapse_rfc2231_value(text)
            yield whole
            yield str(make_header(decode_header(whole)))
    # As a strict reader has it, with comments and what follows a blank left out.
    strict = policy.default.header_factory(field, str(value).replace("\r", "").replace("\n", ""))
    if isinstance(strict, ParameterizedMIMEHeader):
        yield from (text for name, text in strict.params.items() if name.lower() in _NAMES)
