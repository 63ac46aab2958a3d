"""Re-encode the parts of a finished message that SMTP cannot carry: long lines, and 8-bit text for servers without 8BITMIME.

Only the transfer encoding changes (RFC 6152 section 3). Media types and charset labels stay as they are, also wrong ones: the
recipient's mail program reads the same bytes under the same label as before.
"""

import base64
import binascii
from collections.abc import Callable, Iterator

from relay.mime import parts
from relay.mime.fields import MAX_LINE_HARD
from relay.mime.parts import Part

_WIDE = frozenset(("8bit", "binary"))
_NARROW = b"7bit"
_IDENTITY = frozenset(("7bit", *_WIDE))
_ENCODINGS = frozenset(("base64", "quoted-printable"))
_UNLABELED = b"Content-Type: text/plain; charset=%b\r\n"
_UNKNOWN = b"unknown-8bit"
"""The charset of 8-bit text whose charset is unknown (RFC 1428 section 3)."""


def has_long_line(content: bytes) -> bool:
    """Return whether a line is longer than SMTP allows (RFC 5321 section 4.5.3.1.6). Looks at one byte in 500."""
    at, end = 0, len(content)
    while end - at > MAX_LINE_HARD:
        found = content.rfind(b"\n", at, at + MAX_LINE_HARD + 2)
        if found < 0:
            return True
        at = found + 1
    return False


def shortened(content: bytes) -> bytes:
    """Re-encode the parts with long lines. Raises `ValueError` if one of them is signed or is not in a part."""
    written = _rewritten(content, has_long_line)
    if has_long_line(written):
        raise ValueError(f"a line outside of every part is longer than {MAX_LINE_HARD} bytes")
    return written


def seven_bit(content: bytes) -> bytes:
    """Re-encode the 8-bit parts. Raises `ValueError` if one of them is signed, or 8-bit text is not in a part."""
    written = _rewritten(content, lambda body: not body.isascii())
    if not written.isascii():
        raise ValueError("8-bit text is outside of every part")
    return written


def _rewritten(content: bytes, cannot_travel: Callable[[bytes], bool]) -> bytes:
    """Re-encode the leaves that `cannot_travel`, and label 8-bit multiparts as 7-bit. Raises `ValueError` for a signed leaf."""
    pieces, done = list[bytes](), 0
    for part, is_signed in _parts(parts.parse(content).root, is_signed=False):
        is_leaf = not _is_around(part)
        if is_leaf and cannot_travel(part.body):
            if is_signed:
                raise ValueError("a signed part cannot travel, and re-encoding it would break its signature")
            pieces += content[done : part.start], _encoded(part, content)
            done = part.at + len(part.body)
        elif not is_leaf and not is_signed and _label(part) in _WIDE:
            pieces += content[done : part.start], _header(part, content, _NARROW)
            done = part.at
    return b"".join((*pieces, content[done:]))


def _parts(part: Part, *, is_signed: bool) -> Iterator[tuple[Part, bool]]:
    """Yield the parts whose bytes are in the content itself, in order, and whether a signature covers them."""
    yield part, is_signed
    if _is_around(part):
        is_within = is_signed or part.type == "multipart/signed"
        for inner in part.parts:
            yield from _parts(inner, is_signed=is_within)


def _is_around(part: Part) -> bool:
    """Return whether a part consists of others and is not encoded itself (an attached message may be)."""
    return bool(part.parts) and _label(part) not in _ENCODINGS


def _label(part: Part) -> str:
    return part.text("content-transfer-encoding").partition("(")[0].strip().lower()


def _encoded(part: Part, content: bytes) -> bytes:
    """Return a part in an encoding that fits its content. A file in base64 with long lines gets short ones."""
    label = _label(part)
    if label and label not in _IDENTITY | _ENCODINGS:
        raise ValueError(f"a part has an unknown Content-Transfer-Encoding of {len(label)} characters")
    # Of all message types, only those of RFC 6532 may be encoded (RFC 2046 section 5.2, RFC 6533).
    if part.type.startswith("message/") and not part.type.startswith("message/global"):
        raise ValueError("an attached message cannot be split into its parts, and must not be re-encoded")
    plain = part.content
    if label == "base64" or (label != "quoted-printable" and not _is_text(part, plain)):
        body = base64.encodebytes(plain).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
        is_last = part.body.endswith(b"\r\n")
        return _header(part, content, b"base64") + body + (b"\r\n" if is_last else b"")
    body = binascii.b2a_qp(plain, istext=True).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return _header(part, content, b"quoted-printable") + body


def _is_text(part: Part, plain: bytes) -> bool:
    return part.type.startswith("text/") and b"\0" not in plain


def _header(part: Part, content: bytes, encoding: bytes) -> bytes:
    """Return a part's header with another transfer encoding, and with the fields that make it a MIME part."""
    lines = b"".join(field.line for field in part.fields)
    if content[part.start : part.at].rstrip(b"\r\n") != lines.rstrip(b"\r\n"):
        raise ValueError("the header of a part that must be re-encoded is malformed")
    kept = b"".join(field.line for field in part.fields if field.name != "content-transfer-encoding")
    if kept and not kept.endswith(b"\n"):
        kept += b"\r\n"
    names = {field.name for field in part.fields}
    added = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    if part.number == 1 and "mime-version" not in names:
        added = b"MIME-Version: 1.0\r\n" + added
    if "content-type" not in names and encoding != _NARROW and part.type == "text/plain":
        added += _UNLABELED % (b"utf-8" if _is_utf8(part.content) else _UNKNOWN)
    return kept + added + b"\r\n"


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
