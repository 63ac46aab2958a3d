"""Write a caller's own header fields by their grammar: encoded words are allowed only where RFC 2047 section 5 says so.

A field that is not listed here is unstructured: any text, in encoded words if it is not ASCII.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

from relay.mime import fields
from relay.mime.addresses import mailboxes

MAX_ADDRESSES = 100
_URI = re.compile(r"<([^<>]*)>")
_ID = re.compile(r"[!-;=?-~]{1,255}>")
_URI_CHARACTERS = "!#$%&'()*+,-./:;=?@[]_~"
_MAX_PIECE = 900


def header_words(name: str, text: str) -> list[str]:
    """Return the words of a header's value, in ASCII except for addresses that are not. Lines may end between two words.

    Raises `ValueError` with the end of a sentence if the field's grammar does not allow the text.
    """
    value = fields.clean(text)
    write = _GRAMMARS.get(name.lower())
    return fields.text_words(name, value) if write is None else write(value)


def header_value(name: str, text: str) -> str:
    """Return a header's value in one line of ASCII, for interfaces that fold lines themselves. Raises `ValueError`."""
    value = fields.clean(text)
    if name.lower() not in _GRAMMARS and value.isascii():
        return value
    unfolded = header_field(name, text).decode().partition(":")[2].replace("\r\n", "").strip()
    # Each further piece of a long link begins with a blank, at which a line may end.
    return re.sub(r"(<[^<>]*>)", lambda found: found[0].replace(" ", ""), unfolded)


def header_field(name: str, text: str) -> bytes:
    """Write a caller's header. Raises `ValueError` as `header_words` does."""
    return fields.folded(name, header_words(name, text))


def header_problem(name: str, text: str) -> str:
    """Explain why a header cannot have this value, as the end of a sentence; empty if it can."""
    if name.lower() not in _GRAMMARS:
        return ""
    try:
        header_words(name, text)
    except ValueError as error:
        return str(error)
    return ""


def _addresses(value: str) -> list[str]:
    """Write a list of addresses (RFC 5322 section 3.4). Names may have encoded words, addresses may not."""
    found = mailboxes(value, limit=MAX_ADDRESSES + 1)
    if not found or len(found) > MAX_ADDRESSES or any(each.is_odd for each in found):
        raise ValueError(f"is a list of 1 to {MAX_ADDRESSES} addresses, such as Ada <ada@example.com>")
    words: list[str] = []
    for each in found:
        try:
            own = fields.mailbox_words(each.name, each.email)
        except ValueError:
            raise ValueError("has an address that is not valid") from None
        if not "".join(own).isascii():
            raise ValueError("has an address with a local part outside ASCII")
        if words:
            words[-1] += ","
        words += own
    return words


def _ascii(value: str) -> list[str]:
    """Write message ids, tokens or dates (RFC 5322 section 3.6.4, RFC 2047 section 5), without encoded words."""
    words = fields.plain_words(value)
    if not value.isascii() or max(map(len, words), default=0) > fields.MAX_LINE_HARD - 80:
        raise ValueError("must be ASCII, with words of at most 900 characters")
    return words


def _links(value: str) -> list[str]:
    """Write URIs in angle brackets, in which readers ignore blanks (RFC 2369 section 2)."""
    rest = _URI.sub("", value)
    if not rest.isascii() or not _URI.search(value):
        if value.upper() == "NO":
            return [value]
        raise ValueError("is a list of URIs in angle brackets, such as <https://example.com/list>")
    written = _URI.sub(lambda found: f"<{quote(''.join(found[1].split()), safe=_URI_CHARACTERS)}>", value)
    words: list[str] = []
    for word in fields.plain_words(written):
        pieces = [word[at : at + _MAX_PIECE] for at in range(0, len(word), _MAX_PIECE)]
        words += [pieces[0], *(f" {piece}" for piece in pieces[1:])]
    return words


def _list_id(value: str) -> list[str]:
    """Write a phrase and a list's id (RFC 2919 section 3)."""
    name, _, identifier = value.rpartition("<")
    if not _ID.fullmatch(identifier):
        raise ValueError("is an id in angle brackets after an optional name, such as Offers <offers.example.com>")
    name = name.strip().strip('"')
    return [*(fields.phrase_words(name) if name else ()), f"<{identifier}"]


def can_fold_anywhere(name: str) -> bool:
    """Return whether a field's lines may be broken where there is no blank, within the brackets of a link."""
    return name.lower() in _LINK_FIELDS


_LINK_FIELDS = frozenset(("list-unsubscribe", "list-subscribe", "list-help", "list-post", "list-owner", "list-archive"))
_GRAMMARS: Mapping[str, Callable[[str], list[str]]] = {
    # RFC 8098 section 2.1, and fields that mail programs use in the same way.
    **dict.fromkeys(
        ("disposition-notification-to", "return-receipt-to", "errors-to", "x-confirm-reading-to"), _addresses
    ),
    **dict.fromkeys(("mail-followup-to", "mail-reply-to"), _addresses),
    **dict.fromkeys(("references", "in-reply-to", "supersedes", "original-message-id"), _ascii),
    # RFC 3834, 8058, 2156, 8098, 5703; and other fields that consist of tokens.
    **dict.fromkeys(("auto-submitted", "list-unsubscribe-post", "importance", "priority", "sensitivity"), _ascii),
    **dict.fromkeys(("disposition-notification-options", "precedence", "expires", "reply-by"), _ascii),
    **dict.fromkeys(_LINK_FIELDS, _links),
    "list-id": _list_id,
}
"""The function that writes each structured field, by its name in lower case.

Like Reply-To, the fields that ask for receipts and reports are not checked against the policy's senders. Mail programs ask before
they send a receipt to an address that is not the Return-Path, which is checked (RFC 8098 section 2.1). Errors-To and
Return-Receipt-To are not standard; Sendmail sends errors there only with UseErrorsTo, which is off by default (its Installation
and Operation Guide, section 5.6).
"""
