"""Find the files in a finished message, for the policy.

Mail programs differ in how they read an oddly written name, so this module reads each name in every known way. A part whose place
or type they read differently is refused.
"""

from collections.abc import Iterable

from relay.api.problems import Problems, member
from relay.mime import encoded_words, file_names, parameters, parts
from relay.mime.file_names import Files
from relay.mime.parts import Mail, Overflow, Part, field_text

MAX_FIELD, MAX_FIELDS = parameters.MAX_VALUE, 262_144
"""Bytes of one Content-Type or Content-Disposition field, and of all such fields."""
_ONCE = (*file_names.FIELDS, "content-transfer-encoding")
_EXCEEDED = {
    Overflow.DEPTH: ("too_deep", f"The parts of the message are nested too deeply (limit {parts.MAX_DEPTH})."),
    Overflow.PARTS: ("too_many", f"Too many parts (limit {parts.MAX_PARTS})."),
    Overflow.FIELDS: ("too_large", f"The headers of the parts are too large (limit {parts.MAX_HEADER_LINES} lines)."),
}


def read_files(raw: bytes, problems: Problems) -> Files:
    """Return the files of every part; note parts and names that are ambiguous, unreadable or too many."""
    found = _read(raw, problems)
    if b"\0" in raw and not problems.found:
        # RFC 5322 does not allow NUL, and some servers drop it. Then other lines may become fields and boundaries.
        found += _read(raw.replace(b"\0", b""), problems)
    return file_names.joined(found)


def _read(raw: bytes, problems: Problems) -> list[Files]:
    mail = parts.parse(raw)
    if _exceeds(mail, problems):
        return []
    files = [Files(names=tuple(file_names.names_in(mail.similar)))]
    for part in mail.root.walk():
        _note_problems(part, problems)
        found = file_names.files_of(part)
        if not _are_readable(part, found.names):
            problems.add("invalid_file_name", "body", f"Part {part.number} has a file name in an unknown charset.")
        files.append(found)
    return files


def _are_readable(part: Part, names: Iterable[str]) -> bool:
    own = (field_text(field) for field in part.fields if field.name in file_names.FIELDS)
    return all(map(encoded_words.is_readable, names)) and all(map(parameters.has_readable_names, own))


def _exceeds(mail: Mail, problems: Problems) -> bool:
    """Note that a message has too many parts, or too large ones, and return whether it has."""
    for overflow in sorted(mail.exceeded):
        code, text = _EXCEEDED[overflow]
        problems.add(code, "body", text)
    sizes = [len(field.line) for part in mail.root.walk() for field in part.fields if field.name in file_names.FIELDS]
    if sum(sizes) > MAX_FIELDS or max(sizes, default=0) > MAX_FIELD:
        text = (
            f"Content-Type and Content-Disposition are too long (limit {MAX_FIELD} bytes, {MAX_FIELDS} in all parts)."
        )
        problems.add("too_large", "body", text)
        return True
    return bool(mail.exceeded)


def _note_problems(part: Part, problems: Problems) -> None:
    for problem in part.problems:
        is_in_header = part.number == 1 and problem.field
        problems.add(
            "ambiguous_part",
            member("headers", problem.field) if is_in_header else "body",
            f"{'The message' if part.number == 1 else f'Part {part.number}'} {problem.text}.",
        )
    names = [field.name for field in part.fields] if part.number > 1 else []  # the message's own: see its header
    for name in _ONCE:
        if names.count(name) > 1:
            text = f"Part {part.number} has several {name.title()} fields, which mail programs read differently."
            problems.add("duplicate_header", "body", text)
