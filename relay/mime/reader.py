"""Read the headers, text, HTML and files of a mail from its RFC 5322 bytes."""

from collections.abc import Iterator, Sequence
from email import message_from_bytes
from email.message import MIMEPart
from email.policy import default as mail_policy

import msgspec


class File(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment or an inline image, with its bytes. `content_id` includes its angle brackets."""

    name: str | None
    type: str
    disposition: str | None
    content_id: str | None
    content: bytes


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a mail. `headers` keep their order. `text` and `html` are None if missing."""

    headers: Sequence[tuple[str, str]]
    text: str | None
    html: str | None
    files: Sequence[File]


def read(mime: bytes) -> Reading:
    """Read a mail. Never raises: malformed mails are read as far as possible."""
    parsed = message_from_bytes(mime, policy=mail_policy)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    return Reading(
        headers=[(_shown(name), _shown(str(value))) for name, value in parsed.items()],
        text=None if text is None else _text(text),
        html=None if html is None else _text(html),
        files=[_file(part) for part in _leaves(parsed) if part is not text and part is not html],
    )


def _leaves(part: MIMEPart) -> Iterator[MIMEPart]:
    """Yield the parts that have content, including attached messages."""
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for inner in part.iter_parts():
        yield from _leaves(inner)


def _text(part: MIMEPart) -> str:
    """Decode a part's text. Bytes that are invalid in its charset become U+FFFD."""
    content = _content(part)
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return content.decode("latin-1")


def _content(part: MIMEPart) -> bytes:
    if part.is_multipart():  # message/rfc822: the content is a message
        return b"".join(inner.as_bytes() for inner in part.iter_parts())
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _shown(text: str) -> str:
    """Replace what JSON cannot carry: non-ASCII bytes of a header become `?`."""
    return text.encode("utf-8", "replace").decode()


def _file(part: MIMEPart) -> File:
    name, content_id = part.get_filename(), part.get("Content-ID")
    return File(
        name=None if name is None else _shown(name),
        type=part.get_content_type(),
        disposition=part.get_content_disposition(),
        content_id=None if content_id is None else _shown(str(content_id)),
        content=_content(part),
    )
