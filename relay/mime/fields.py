"""Write header fields: RFC 5322 folding, RFC 2047 encoded words, addresses. No input can start another field.

The standard library is used only for bodies. It encodes a long value without spaces, which breaks List-Unsubscribe and
References. It decodes encoded words in plain text (in a file name they could end the line). It also encodes addresses, which
RFC 2047 section 5 forbids.
"""

import base64
import re
from collections.abc import Iterable, Mapping

from relay.core.model import Address

MAX_LINE = 78
"""Recommended maximum of characters in a line (RFC 5322 section 2.1.1)."""
MAX_LINE_HARD = 998
"""Maximum of characters in a line (same section)."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,70}")
ATEXT = r'[^\x00-\x20\x7f"(),.:;<>@\[\\\]]'
"""A character of an atom (RFC 5322 section 3.2.3, RFC 6532 section 3.2): all but these. Ranges up to U+10FFFF would take Python
2 ms each to compile, before the first message."""
_DOT_ATOM = re.compile(rf"{ATEXT}+(\.{ATEXT}+)*")
_QUOTED_LOCAL = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"')
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[A-Za-z0-9.:]+\]")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ADDRESS = re.compile(r"[^\s@]@[^\s@]")
_WORDS = re.compile(r"[ ]*[^ ]+")
_CHUNK_BYTES = 42
_ESCAPED = frozenset(range(256)) - frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")


def is_field_name(name: str) -> bool:
    """Return whether this can be a header field's name (RFC 5322 section 2.2: printable ASCII without the colon)."""
    return _FIELD_NAME.fullmatch(name) is not None


def clean(text: str) -> str:
    """Replace control characters and line separators with spaces and lone surrogates with U+FFFD, and strip spaces."""
    return _SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text)).strip(" ")


def holds_address(name: str) -> bool:
    """Return whether a display name is or holds an address."""
    return _ADDRESS.search(name) is not None


def text_field(name: str, text: str) -> bytes:
    """Write an unstructured field (Subject, custom headers). A reader decodes it to `clean(text)`."""
    return folded(name, text_words(name, clean(text)))


def text_words(name: str, value: str) -> list[str]:
    """Return the words of an unstructured field's clean value, in encoded words if it is not plain ASCII."""
    words = plain_words(value)
    is_plain = value.isascii() and "=?" not in value
    is_plain = is_plain and max(map(len, words), default=0) < MAX_LINE_HARD - len(name)
    return words if is_plain else encoded_words(value)


def plain_words(value: str) -> list[str]:
    """Split an ASCII value where lines may end. Each word keeps the blanks before it."""
    return _WORDS.findall(value)


def plain_field(name: str, value: str) -> bytes:
    """Write a field with an ASCII value made by Relay, folded only at spaces."""
    return folded(name, plain_words(value))


def address_field(name: str, addresses: Iterable[Address]) -> bytes:
    """Write From, To, Cc, Bcc or Reply-To. Raises `ValueError` for an invalid address."""
    words: list[str] = []
    for address in addresses:
        if words:
            words[-1] += ","
        words += mailbox_words(address.name, address.email)
    return folded(name, words)


def author_field(name: str, addresses: Iterable[Address]) -> bytes:
    """Write From or Sender. Raises `ValueError` for an invalid address.

    Some programs decode encoded words before they split a list of addresses, against RFC 2047 section 6.2. So that they do not
    take an address in a display name for another author, its @ becomes a full-width one if the name needs encoded words.
    """
    return address_field(name, [_without_hidden_address(address) for address in addresses])


def _without_hidden_address(address: Address) -> Address:
    name = clean(address.name)
    is_hidden = holds_address(name) and any(word.startswith("=?") for word in phrase_words(name))
    return Address(email=address.email, name=name.replace("@", "\uff20")) if is_hidden else address


def parameter_field(name: str, value: str, parameters: Mapping[str, str], file_name: str = "") -> bytes:
    """Write a field of RFC 2045: `value` (`token` or `token/token`) and parameters with any text (RFC 2231).

    `file_name` becomes a parameter `name` with encoded words in quotes. RFC 2047 section 5 forbids that, but the large mail
    programs write and read it, and older ones read nothing else.
    """
    words = [value]
    for key, text in parameters.items():
        for word in _parameter(key, clean(text)):
            words[-1] += ";"
            words.append(word)
    if file_name:
        words[-1] += ";"
        words += _legacy_name(clean(file_name))
    return folded(name, words)


def addr_spec(email: str) -> str:
    """Return the address for a header or envelope: the domain as A-labels, the local part quoted where needed.

    The result is ASCII unless the local part is not (RFC 6532). Raises `ValueError` for an invalid address.
    """
    local, at, domain = email.rpartition("@")
    if not at or not local or _CONTROL.search(local) or _SURROGATE.search(local) or len(local) > 256:
        raise ValueError("not an address")
    if not _DOT_ATOM.fullmatch(local) and not _QUOTED_LOCAL.fullmatch(local):
        local = _quoted(local)
    return f"{local}@{_ascii_domain(domain)}"


def encoded_words(text: str) -> list[str]:
    """Encode a text as RFC 2047 words of at most 75 characters. No word splits a character. A reader joins them unspaced."""
    words: list[str] = []
    chunk = b""
    for character in text:
        octets = character.encode()
        if len(chunk) + len(octets) > _CHUNK_BYTES:
            words.append(_encoded_word(chunk))
            chunk = b""
        chunk += octets
    return [*words, _encoded_word(chunk)] if chunk else words


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="


def _parameter(key: str, text: str) -> list[str]:
    """Write a parameter in quotes, or percent-encoded in pieces (RFC 2231 section 4) where quotes would be ambiguous."""
    if _is_plain_parameter(text):
        return [f'{key}="{text}"']
    pieces: list[str] = [""]
    for character in text:
        octets = ("%" + format(octet, "02X") if octet in _ESCAPED else chr(octet) for octet in character.encode())
        written = "".join(octets)
        if len(pieces[-1]) + len(written) > MAX_LINE - 30:
            pieces.append("")
        pieces[-1] += written
    if len(pieces) == 1:
        return [f"{key}*=utf-8''{pieces[0]}"]
    return [f"{key}*{number}*=" + ("" if number else "utf-8''") + piece for number, piece in enumerate(pieces)]


def _legacy_name(text: str) -> list[str]:
    if _is_plain_parameter(text):
        return [f'name="{text}"']
    words = encoded_words(text)
    words[0] = f'name="{words[0]}'
    words[-1] += '"'
    return words


def _is_plain_parameter(text: str) -> bool:
    return text.isascii() and len(text) < MAX_LINE - 20 and not re.search(r'["\\%]|=\?', text)


def mailbox_words(name: str, email: str) -> list[str]:
    """Return the words of a mailbox, with its display name if it has one (RFC 5322 section 3.4). Raises `ValueError`."""
    address = addr_spec(email)
    name = clean(name)
    if not name:
        return [address] if '"' not in address else [f"<{address}>"]
    return [*phrase_words(name), f"<{address}>"]


def phrase_words(name: str) -> list[str]:
    """Return the words of a display name."""
    is_plain = name.isascii() and "=?" not in name and "  " not in name
    if is_plain and _PHRASE.fullmatch(name) and len(name) < MAX_LINE:
        return name.split(" ")
    if is_plain and len(name) < MAX_LINE - 10:
        return [_quoted(name)]
    return encoded_words(name)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _ascii_domain(domain: str) -> str:
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode()
        except idna.IDNAError as error:
            raise ValueError("not a domain") from error
    if len(domain) > 255 or not _DOMAIN.fullmatch(domain):
        raise ValueError("not a domain")
    return domain


def folded(name: str, words: Iterable[str]) -> bytes:
    """Write `name: words`, with a line break before each word that would make the line too long."""
    lines = [f"{name}:"]
    for word in words:
        piece = word if word.startswith(" ") else f" {word}"
        if len(lines[-1]) + len(piece) > MAX_LINE and lines[-1] != f"{name}:":
            lines.append(piece)
        else:
            lines[-1] += piece
    return "\r\n".join(lines).encode() + b"\r\n"
