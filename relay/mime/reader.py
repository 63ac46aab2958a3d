"""Read the headers, text, HTML and files of a mail from its RFC 5322 bytes."""

from collections.abc import Sequence

import msgspec

from relay.mime import charsets, encoded_words, parts
from relay.mime.links import Link, links_in
from relay.mime.parts import Part
from relay.mime.raw import Field

_ADDRESSES = frozenset((
    "from", "sender", "reply-to", "to", "cc", "bcc", "resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc",
))  # fmt: skip
_SPECIAL = frozenset('()<>[]:;@\\,."')


class File(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment or an inline image, with its bytes. `content_id` includes its angle brackets."""

    name: str | None
    type: str
    disposition: str | None
    content_id: str | None
    content: bytes


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a mail. `headers` keep their order. `text` and `html` are None if missing; `links` are those of the HTML."""

    headers: Sequence[tuple[str, str]]
    text: str | None
    html: str | None
    files: Sequence[File]
    links: Sequence[Link] = ()


def read(mime: bytes) -> Reading:
    """Read a mail. Never raises: malformed mails are read as far as possible.

    Takes up to a second for the largest ones, so call it in a thread.
    """
    root = parts.parse(mime).root
    leaves = _leaves(root)
    text, html = _body(leaves, "text/plain"), _body(leaves, "text/html")
    shown_html = None if html is None else _text(html)
    return Reading(
        headers=[(field.spelling, field_shown(field)) for field in root.fields],
        text=None if text is None else _text(text),
        html=shown_html,
        links=links_in(shown_html or ""),
        files=[_file(part) for part in leaves if part is not text and part is not html],
    )


def field_shown(field: Field) -> str:
    """Return a field's value for display: on one line, with its encoded words decoded."""
    written = _phrase if field.name in _ADDRESSES else str
    return encoded_words.decode(parts.field_text(field), written).encode("utf-8", "replace").decode()


def _phrase(text: str) -> str:
    """Put a display name in quotes if it needs them, so that a comma in it does not look like the end of an address."""
    if not _SPECIAL & set(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _leaves(root: Part) -> list[Part]:
    """Return the parts that contain no others, except that an attached message counts as one part."""
    leaves, waiting = [], [root]
    while waiting:
        part = waiting.pop()
        if part.type.startswith("multipart/") and part.parts:
            waiting += reversed(part.parts)
        else:
            leaves.append(part)
    return leaves


def _body(leaves: Sequence[Part], kind: str) -> Part | None:
    """Return the first part of a type that is not an attachment. A multipart that cannot be split counts as text."""
    shown = (part for part in leaves if part.disposition.value != "attachment")
    return next((part for part in shown if _kind(part) == kind), None)


def _kind(part: Part) -> str:
    return "text/plain" if part.type.startswith("multipart/") else part.type


def _text(part: Part) -> str:
    return charsets.decode(part.content, part.content_type.parameters.get("charset", ""))


def _file(part: Part) -> File:
    disposition = part.disposition
    name = disposition.parameters.get("filename") or part.content_type.parameters.get("name")
    content_id = part.text("content-id")
    return File(
        name=None if name is None else encoded_words.decode(name).encode("utf-8", "replace").decode(),
        type=part.type,
        disposition=disposition.value or None,
        content_id=content_id or None,
        content=part.content,
    )
