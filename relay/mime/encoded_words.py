"""Decode the encoded words of a header field (RFC 2047, with the languages of RFC 2231). Never raises.

The standard library keeps the blank between two adjacent words in an address, and decodes each word alone, though many programs
cut a character in two.
"""

import binascii
import re
from collections.abc import Callable

import msgspec

from relay.mime import charsets

_WORD = re.compile(r"=\?([!-)+->@-~]{1,60})(?:\*[!->@-~]{0,40})?\?([bq])\?([^?\r\n]*)\?=", re.IGNORECASE)
_BLANK = re.compile(r"[ \t\r\n]*")


def decode(text: str, written: Callable[[str], str] = str) -> str:
    """Replace each run of encoded words by its text. Blanks between adjacent words belong to neither (RFC 2047 section 6.2).

    `written` formats a decoded run, for a field whose grammar needs it in quotes.
    """
    if "=?" not in text:
        return text
    pieces: list[str] = []
    run: list[re.Match[str]] = []
    end = 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        if run and not _BLANK.fullmatch(between):
            pieces.append(written(_decoded(run)))
            run = []
        if not run:
            pieces.append(between)
        run.append(word)
        end = word.end()
    if run:
        pieces.append(written(_decoded(run)))
    return "".join([*pieces, text[end:]])


def is_readable(text: str) -> bool:
    """Return whether the charset of every encoded word in a text is known."""
    return "=?" not in text or all(charsets.codec_of(word[1]) for word in _WORD.finditer(text))


def _decoded(run: list[re.Match[str]]) -> str:
    """Decode adjacent words. The bytes of one charset are joined first, because a character may be split over two words."""
    pieces: list[str] = []
    label, content = run[0][1].lower(), bytearray()
    for word in run:
        if word[1].lower() != label:
            pieces.append(charsets.decode(bytes(content), label))
            label, content = word[1].lower(), bytearray()
        content += _octets(word[2], word[3])
    return "".join([*pieces, charsets.decode(bytes(content), label)])


def _octets(encoding: str, text: str) -> bytes:
    encoded = text.encode("latin-1", "replace")
    if encoding in "qQ":
        return binascii.a2b_qp(encoded, header=True)
    return base64_decoded(encoded)


def base64_decoded(encoded: bytes) -> bytes:
    """Decode base64 as far as possible: skip other characters, add padding that is missing, drop a lone character at the end."""
    try:
        # Accepts only base64 that is valid without its line ends, and takes half the time for a large file.
        return msgspec.convert(encoded.translate(None, b"\r\n").decode("ascii"), bytes)
    except (msgspec.ValidationError, UnicodeDecodeError):
        pass
    for changed in (bytes, lambda text: text + b"==", lambda text: text.rstrip(b" \t\r\n=")[:-1]):
        try:
            return binascii.a2b_base64(changed(encoded))
        except binascii.Error:
            continue
    return b""
