"""Split any mail into its parts (RFC 2046). Never raises, and takes time in proportion to the mail's size.

Python's `email` library is not used to read mail from outside: it raises for some mails, and takes minutes for others
(decision 0033). Bounds on depth, parts and fields keep the result small; `Mail.exceeded` has the bounds beyond which a mail was
not read.
"""

import binascii
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import partial

import msgspec

from relay.mime import charsets, parameters
from relay.mime.encoded_words import base64_decoded
from relay.mime.raw import BYTE_ORDER_MARK, Field

MAX_DEPTH = 50
"""Maximum nesting of multiparts and messages. Mail servers allow about as much (Postfix: mime_nesting_limit = 100)."""
MAX_PARTS = 1_000
MAX_HEADER_LINES = 20_000
"""Lines of all headers together."""
MAX_FIELD_BYTES = 65_536
"""A longer field is cut."""
_MAX_SEARCHED = 12, 50_000_000
"""Maximum of bytes searched for boundaries, as a multiple of the mail's size, and as a number that any mail may take. Each level
of nesting searches its content."""
_MAX_CANDIDATES = 100_000
"""Maximum of occurrences of boundaries, wherever they are."""
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_FIELD = re.compile(
    rb"([!-9;-~]{1,199}+)([ \t]{0,199}+):[^\r\n]*+(?:\r\n|\r|\n|\Z)((?:[ \t][^\r\n]*+(?:\r\n|\r|\n|\Z))*+)"
)
"""A field with the lines that continue it."""
_MAX_NAME = 200
"""Bytes of a field's name with its colon."""
_HEADER_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_CONTENT_FIELD = re.compile(rb"(?im)^[ \t]*content-(?:type|disposition|transfer-encoding)[ \t]*:")
_FORWARDED = ("message/rfc822", "message/global", "message/news")
_IDENTITY = frozenset(("", "7bit", "8bit", "binary"))
_OF_MESSAGES = _IDENTITY | {"base64", "quoted-printable"}
_UUENCODE = frozenset(("x-uuencode", "uuencode", "uue", "x-uue"))


class Overflow(StrEnum):
    """A bound that a mail exceeds."""

    DEPTH = "depth"
    PARTS = "parts"
    FIELDS = "fields"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for which programs may read a part differently: `text` is the rest of a sentence, `field` the field at fault."""

    text: str
    field: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part, or a whole message. `body` is its content as transferred, empty if it has `parts`.

    `number` counts the parts of a mail from 1. `start` and `at` are the offsets where its header and its body begin, in the mail
    or in the content of the encoded message around it.
    """

    number: int
    start: int
    at: int
    fields: tuple[Field, ...]
    type: str
    content_type: parameters.Parameterized
    body: bytes = b""
    parts: tuple["Part", ...] = ()
    problems: tuple[Problem, ...] = ()

    def text(self, name: str) -> str:
        """Return the first field of that lower-case name, unfolded; empty if there is none."""
        return next((field_text(field) for field in self.fields if field.name == name), "")

    @property
    def disposition(self) -> parameters.Parameterized:
        """The Content-Disposition."""
        return parameters.read(self.text("content-disposition"))

    @property
    def content(self) -> bytes:
        """The body without its transfer encoding, as far as it can be decoded."""
        return decoded(self.body, self.text("content-transfer-encoding"))

    def walk(self) -> Iterator["Part"]:
        """Yield this part and all parts within it, in order."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting += reversed(part.parts)


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail: its outermost part, and the bounds that it exceeds.

    `similar` are the fields after lines that only begin with a boundary. Some programs begin a part there: RFC 2046 section
    5.1.1 compares the boundary with the beginning of a line.
    """

    root: Part
    exceeded: frozenset[Overflow]
    similar: tuple[Field, ...] = ()


def parse(raw: bytes) -> Mail:
    """Split a mail into its parts."""
    parser = _Parser(raw)
    start = len(BYTE_ORDER_MARK) if raw.startswith(BYTE_ORDER_MARK) else 0
    root = parser.part(start, len(raw), depth=0, default="text/plain")
    return Mail(root=root, exceeded=frozenset(parser.exceeded), similar=tuple(parser.similar))


def read_fields(raw: bytes) -> tuple[Field, ...]:
    """Read the fields at the beginning of a text."""
    return _Parser(raw).head(0, len(raw))[0]


def field_text(field: Field) -> str:
    """Return a field's value on one line: UTF-8 (RFC 6532), or else Windows-1252."""
    value = field.line.partition(b":")[2]
    # Most fields are ASCII, and the fields of a message are read some thirty times.
    text = value.decode("ascii") if value.isascii() else charsets.decode(value, "")
    return text.replace("\r", "").replace("\n", "").strip()


def decoded(body: bytes, encoding: str) -> bytes:
    """Decode a transfer encoding. With an unknown one, the body is returned as it is."""
    name = encoding.partition(";")[0].partition("(")[0].strip().lower()
    if name == "base64":
        return base64_decoded(body)
    if name == "quoted-printable":
        return binascii.a2b_qp(body)
    return _uudecoded(body) if name in _UUENCODE else body


def _uudecoded(body: bytes) -> bytes:
    pieces = []
    for line in body.splitlines():
        if not line or line.startswith((b"begin ", b"end")):
            continue
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(pieces)


class _Parser:
    """Parses one mail, and counts its parts, header lines and boundaries."""

    def __init__(self, raw: bytes, counts: "_Parser | None" = None) -> None:
        self._raw = raw
        self._counts = counts or self
        self.exceeded: set[Overflow] = set() if counts is None else counts.exceeded
        self.similar: list[Field] = []
        self.size = len(raw)
        self.parts = self.lines = self.candidates = self.searched = 0

    def part(self, start: int, end: int, *, depth: int, default: str) -> Part:
        self._counts.parts += 1
        number = self._counts.parts
        fields, at, is_odd = self.head(start, end)
        found = next((field for field in fields if field.name == "content-type"), None)
        reading = parameters.read("" if found is None else field_text(found))
        media_type = reading.value if "/" in reading.value else default if found is None else "text/plain"
        make = partial(Part, number=number, start=start, at=at, fields=fields, type=media_type, content_type=reading)
        problems = _problems(fields, reading, media_type, is_odd=is_odd)
        if media_type.startswith("multipart/"):
            return self._multipart(make, at, end, depth, problems)
        body = self._raw[at:end]
        if media_type in _FORWARDED and body and self._has_room(depth):
            encoding = next((field_text(field) for field in fields if field.name == "content-transfer-encoding"), "")
            content = decoded(body, encoding)
            inner = self if content == body else _Parser(content, self._counts)
            place = (at, end) if inner is self else (0, len(content))
            message = inner.part(*place, depth=depth + 1, default="text/plain")
            return make(body=body, parts=(message,), problems=problems)
        return make(body=body, problems=problems)

    def _multipart(self, make: "partial[Part]", at: int, end: int, depth: int, problems: tuple[Problem, ...]) -> Part:
        media_type, reading = make.keywords["type"], make.keywords["content_type"]
        boundary = reading.parameters.get("boundary", "").rstrip()
        places, is_closed_once = self._between(boundary.encode("utf-8", "replace"), at, end) if boundary else ([], True)
        if not is_closed_once:
            problems += (Problem(text="has parts after its closing boundary"),)
        if not places or not self._has_room(depth):
            # Readers show what they cannot split as text.
            if not boundary:
                problems += (Problem(text="is a multipart without a boundary", field="Content-Type"),)
            return make(body=self._raw[at:end], problems=problems)
        default = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
        parts = []
        for place in places:
            if self._counts.parts >= MAX_PARTS:
                self.exceeded.add(Overflow.PARTS)
                break
            parts.append(self.part(*place, depth=depth + 1, default=default))
        return make(parts=tuple(parts), problems=problems)

    def _has_room(self, depth: int) -> bool:
        if depth >= MAX_DEPTH:
            self.exceeded.add(Overflow.DEPTH)
        if self._counts.parts >= MAX_PARTS:
            self.exceeded.add(Overflow.PARTS)
        return depth < MAX_DEPTH and self._counts.parts < MAX_PARTS

    def _between(self, boundary: bytes, start: int, end: int) -> tuple[list[tuple[int, int]], bool]:
        """Return the start and end of each part between boundary lines, and whether none follows the closing one."""
        places: list[tuple[int, int]] = []
        begin = None
        for line_start, line_end, is_last in self._delimiters(b"--" + boundary, start, end):
            if begin is None and places:
                return places, False
            if begin is not None:
                places.append((begin, max(begin, self._before_line_end(line_start, start))))
            begin = None if is_last else line_end
            if is_last and not places:
                return [], True
        if begin is not None:
            places.append((begin, end))
        return places, True

    def _delimiters(self, delimiter: bytes, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Yield each line that consists of a delimiter: its start, the next line's start, and whether it is the closing one."""
        raw, at, read_to = self._raw, start, start
        self._counts.searched += end - start
        if self._counts.searched > max(_MAX_SEARCHED[0] * self._counts.size, _MAX_SEARCHED[1]):
            self.exceeded.add(Overflow.DEPTH)
            return
        while (found := raw.find(delimiter, at, end)) >= 0:
            self._counts.candidates += 1
            if self._counts.candidates > _MAX_CANDIDATES:
                self.exceeded.add(Overflow.PARTS)
                return
            line = _LINE.match(raw, found, end)
            line_end = end if line is None else line.end()
            rest = raw[found + len(delimiter) : line_end].rstrip(b" \t\r\n")
            if found == start or raw[found - 1] in b"\r\n":
                if rest in (b"", b"--"):
                    yield found, line_end, rest == b"--"
                elif line_end >= read_to:
                    # Lines that an earlier one has read are not read again: each of many could be followed by all others.
                    fields, read_to, *_ = self._fields(line_end, end)
                    self._counts.similar += fields
            at = max(line_end, found + 1)

    def _before_line_end(self, at: int, start: int) -> int:
        """Return the place before the line end that precedes a line: it belongs to the delimiter (RFC 2046 section 5.1.1)."""
        if at - 2 >= start and self._raw[at - 2 : at] == b"\r\n":
            return at - 2
        return at - 1

    def head(self, start: int, end: int) -> tuple[tuple[Field, ...], int, bool]:
        """Return the fields, the place where the body begins, and whether programs may see other fields."""
        fields, at, is_odd, is_ended = self._fields(start, end)
        # The first line that is not a field begins the body, but some programs go on to the next empty line.
        return fields, at, is_odd or (not is_ended and self._has_content_field(at, end))

    def _fields(self, start: int, end: int) -> tuple[tuple[Field, ...], int, bool, bool]:
        """Return the fields, the place after them, whether one is odd, and whether an empty line or the end follows."""
        raw, fields, at, is_odd = self._raw, list[Field](), start, False
        while at < end:
            found = _FIELD.match(raw, at, end)
            self._counts.lines += 1 + _lines(found[3]) if found else 1
            if self._counts.lines > MAX_HEADER_LINES:
                self.exceeded.add(Overflow.FIELDS)
                rest = _HEADER_END.search(raw, at, end)
                at = end if rest is None else rest.end()
                break
            if found is not None and found.end(2) - at < _MAX_NAME:
                is_odd |= bool(found[2])
                fields.append(self._field(found))
                at = found.end()
                continue
            is_empty = raw[at] in b"\r\n"
            if not is_empty and (at > start or not raw.startswith((b"From ", b">From "), at, end)):
                return tuple(fields), at, is_odd, False
            line = _LINE.match(raw, at, end)
            at = end if line is None else line.end()
            if is_empty:
                break
        return tuple(fields), at, is_odd, True

    def _has_content_field(self, at: int, end: int) -> bool:
        blank = _HEADER_END.search(self._raw, at, end)
        return _CONTENT_FIELD.search(self._raw, at, end if blank is None else blank.end()) is not None

    def _field(self, found: re.Match[bytes]) -> Field:
        line = found[0]
        if len(line) > MAX_FIELD_BYTES:
            self.exceeded.add(Overflow.FIELDS)
            line = line[:MAX_FIELD_BYTES]
        return Field(name=found[1].decode("ascii").lower(), line=line)


def _lines(text: bytes) -> int:
    """Count the lines of a text, which may be very long."""
    if not text:
        return 0
    ends = text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")
    return ends if text.endswith((b"\r", b"\n")) else ends + 1


def _problems(
    fields: tuple[Field, ...], reading: parameters.Parameterized, media_type: str, *, is_odd: bool
) -> tuple[Problem, ...]:
    problems = [Problem(text="has a line in its header that is not a field")] if is_odd else []
    named = {field.name: field_text(field) for field in fields if field.name.startswith("content-")}
    if "content-type" in named and not (reading.is_exact and "/" in reading.value):
        problems.append(Problem(text="has a Content-Type that mail programs read differently", field="Content-Type"))
    if not parameters.read(named.get("content-disposition", "attachment")).is_exact:
        text = "has a Content-Disposition that mail programs read differently"
        problems.append(Problem(text=text, field="Content-Disposition"))
    encodings = {
        field_text(field).lower().partition(";")[0].strip()
        for field in fields
        if field.name == "content-transfer-encoding"
    }
    problems += [Problem(text=text, field="Content-Transfer-Encoding") for text in _encoding(media_type, encodings)]
    return tuple(problems)


def _encoding(media_type: str, encodings: set[str]) -> Iterator[str]:
    """Yield why programs may decode a part differently. Only parts that contain others are judged by their encoding."""
    if media_type.startswith("multipart/") and not encodings <= _IDENTITY:
        yield "is a multipart with a transfer encoding (RFC 2045 section 6.4)"
    if media_type in _FORWARDED and not encodings <= _OF_MESSAGES:
        yield "is an attached message with a transfer encoding that mail programs read differently"
