"""Read the fields that have parameters: Content-Type and Content-Disposition (RFC 2045, RFC 2183, RFC 2231). Never raises."""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from relay.mime import charsets, encoded_words

MAX_VALUE = 4_000
"""Characters of a field that are read."""
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+("?)|;|[^;"]+', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMMENT = re.compile(r"\([^()]*\)")
_ATOM = r"[!#$%&'*+.0-9A-Z^_`a-z{|}~-]+"
_VALUE = re.compile(rf"\s*({_ATOM}(?:\s*/\s*{_ATOM})?)\s*")
_PLAIN = re.compile(r'\s*[!#$%&\'*+.0-9A-Z^_`a-z{|}~-]+\s*=\s*(?:"(?:[^"\\]|\\.)*+"|[^\s"][^"]*+)?\s*', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"?', re.DOTALL)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_BOUNDARY = re.compile(
    r"""\s*boundary\s*=\s*(?:"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]"|[0-9A-Za-z'+_,./:=?-]{1,70})\s*""",
    re.IGNORECASE,
)
"""RFC 2046 section 5.1.1, also without the quotes that it needs for some characters."""
_NAMES = ("filename", "name")
_CONTROL = re.compile("[\x00-\x1f\x7f]")


class Parameterized(msgspec.Struct, frozen=True, kw_only=True):
    """A field's value in lower case, and its parameters by lower-case name. `raw` has them as written, in order.

    `is_exact` is false if programs may read the value or a boundary differently.
    """

    value: str
    parameters: Mapping[str, str]
    raw: tuple[tuple[str, str], ...]
    is_exact: bool


def read(text: str) -> Parameterized:
    """Read a field as far as possible."""
    return _read(text[: MAX_VALUE + 1])


# A message's fields are read for its parts, its file names and their charsets: six times each.
@lru_cache(maxsize=32)
def _read(text: str) -> Parameterized:
    pieces = _split(text[:MAX_VALUE])
    raw = tuple(_parameter(piece) for piece in pieces[1:] if piece.strip())
    value = _VALUE.fullmatch(_without_comments(pieces[0]))
    return Parameterized(
        value="" if value is None else re.sub(r"\s", "", value[1]).lower(),
        parameters=_joined(raw),
        raw=raw,
        is_exact=len(text) <= MAX_VALUE and _is_exact(pieces, raw),
    )


def file_names(text: str) -> set[str]:
    """Return every file name that a program may read from a field."""
    if "name" not in text.lower() and "(" not in text:
        return set()
    names: set[str] = set()
    for reading in map(read, {text, _without_comments(text)}):
        names |= {value for name, value in reading.parameters.items() if name in _NAMES}
        names |= {value for name, value in reading.raw if name.partition("*")[0] in _NAMES}
    names |= {name.partition(" ")[0] for name in names} | set(map(encoded_words.decode, names))
    # Some programs end a name at a control character, others drop it.
    names |= {_CONTROL.split(name, maxsplit=1)[0] for name in names} | {_CONTROL.sub("", name) for name in names}
    # Some programs treat single quotes as quotes.
    return (names | {name.strip("'") for name in names}) - {""}


def has_readable_names(text: str) -> bool:
    """Return whether the charset of every file name in a field is known (RFC 2231 section 4)."""
    if "*" not in text:
        return True
    encoded = [value for name, value in read(text).raw if name.partition("*")[0] in _NAMES and name.endswith("*")]
    labels = [value.partition("'")[0] for value in encoded if value.count("'") >= 2]
    return all(not label or charsets.codec_of(label) for label in labels)


def _split(text: str) -> list[str]:
    """Split at semicolons outside of quotes."""
    pieces = [""]
    for found in _PIECE.finditer(text):
        if found[0] == ";":
            pieces.append("")
        else:
            pieces[-1] += found[0]
    return pieces


def _without_comments(text: str) -> str:
    """Remove comments outside of quotes, the innermost first."""
    for _ in range(8):
        if "(" not in text:
            break
        kept = [
            piece if piece[:1] == '"' else _COMMENT.sub("", piece) for piece in re.split(r'("(?:[^"\\]|\\.)*+")', text)
        ]
        text, before = "".join(kept), text
        if text == before:
            break
    return text


def _parameter(piece: str) -> tuple[str, str]:
    """Return the name of a parameter, and its value without quotes."""
    name, _, value = piece.partition("=")
    quoted = _QUOTED.fullmatch(value.strip())
    return name.strip().lower(), _ESCAPED.sub(r"\1", quoted[1]) if quoted else value.strip()


def _joined(raw: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """Join the pieces of RFC 2231 and decode them. Of two equal names the first counts; `name*` replaces `name`."""
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, value in raw:
        section = _SECTION.fullmatch(name)
        if section is None or (section[2] is None and section[3] is None):
            plain.setdefault(name, value)
        else:
            pieces.setdefault(section[1], {}).setdefault(int(section[2] or 0), (value, section[3] is not None))
    return plain | {name: _decoded([found[number] for number in sorted(found)]) for name, found in pieces.items()}


def _decoded(pieces: list[tuple[str, bool]]) -> str:
    """Decode the pieces of a value. The first names the charset if it is percent-encoded (RFC 2231 section 4.1)."""
    first, is_encoded = pieces[0]
    label = ""
    if is_encoded and first.count("'") >= 2:
        label, _, first = first.split("'", 2)
    octets = [unquote_to_bytes(value) if encoded else value.encode("utf-8", "replace") for value, encoded in pieces[1:]]
    start = unquote_to_bytes(first) if is_encoded else first.encode("utf-8", "replace")
    return charsets.decode(b"".join([start, *octets]), label or "utf-8")


def _is_exact(pieces: list[str], raw: tuple[tuple[str, str], ...]) -> bool:
    """Return whether every program finds the same value and boundary: no comment near them, quotes that close, one boundary."""
    boundaries = [piece for piece in pieces[1:] if piece.lstrip()[:8].lower() == "boundary"]
    return (
        _VALUE.fullmatch(pieces[0]) is not None
        and all(_PLAIN.fullmatch(piece) for piece in pieces[1:] if piece.strip())
        and _are_sections_whole([name for name, _ in raw])
        and len(boundaries) <= 1
        and all(map(_BOUNDARY.fullmatch, boundaries))
    )


def _are_sections_whole(names: list[str]) -> bool:
    """Return whether the pieces of each parameter are numbered from 0 (RFC 2231 section 3), or it is in one piece."""
    sections: dict[str, list[str]] = {}
    for name in names:
        base, star, number = name.rstrip("*").partition("*")
        if star or name.endswith("*"):
            sections.setdefault(base, []).append(number)
    return all(
        numbers == [""] or numbers == [str(number) for number in range(len(numbers))] for numbers in sections.values()
    )
