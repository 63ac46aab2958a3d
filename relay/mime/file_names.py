"""Find every name that a program may give to a file in a mail, and the parts whose files cannot be seen.

Programs differ in where they read a name and in which part of it they keep. A check of names must cover all of them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote

import msgspec

from relay.core.model import Attachment
from relay.mime import encoded_words, parameters
from relay.mime.parts import Part, field_text, parse
from relay.mime.raw import Field

FIELDS = ("content-disposition", "content-type")
_DESCRIPTIONS = ("content-description", "content-location", "content-name")
"""Fields that a program may show as the name of a part that has no other (RFC 2045 section 8, RFC 2557 section 4.2)."""
_MAX_DESCRIPTION = 1_000
"""Characters at the end of such a field that are read as a name."""
OPAQUE = {
    "application/ms-tnef": "Outlook's own format (TNEF, winmail.dat)",
    "application/vnd.ms-tnef": "Outlook's own format (TNEF, winmail.dat)",
    "application/applefile": "a file with its name in its content (AppleSingle)",
    "application/mac-binhex40": "a file with its name in its content (BinHex)",
    "application/macbinary": "a file with its name in its content (MacBinary)",
    "application/x-macbinary": "a file with its name in its content (MacBinary)",
    "message/partial": "a piece of a message (message/partial)",
    "message/external-body": "content that lies elsewhere (message/external-body)",
}
"""Media types whose files cannot be seen, although mail programs open them (RFC 2046 sections 5.2.2 and 5.2.3, RFC 1740,
RFC 1741, MS-OXTNEF), and a description of each."""
_MESSAGES = frozenset(("message/rfc822", "message/global", "message/news"))
_MESSAGE_FILE = ".eml"
"""The extension of files that mail programs open as a message, whatever their type. Thunderbird goes by the name of an
`application/octet-stream` (`mime_create` in mailnews/mime/src/mimei.cpp of github.com/mozilla/releases-comm-central)."""
MAX_MESSAGE_FILES = 3
"""Maximum depth to which such files within each other are read: each level takes another reading of its content."""
_NAMED_BY_TYPE = {
    "application/pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-mime": "smime.p7m",
    "multipart/encrypted": "encrypted.asc",
}
"""Encrypted mail, by the name that RFC 8551 section 3.2.1 gives it and that mail programs give to PGP/MIME."""
_UNNAMED = {
    **dict.fromkeys(
        (
            "application/x-msdownload", "application/x-msdos-program", "application/x-dosexec", "application/x-exe",
            "application/exe", "application/vnd.microsoft.portable-executable",
        ),
        "unnamed.exe",
    ),
    **dict.fromkeys(("application/javascript", "application/x-javascript", "text/javascript"), "unnamed.js"),
    **dict.fromkeys(("text/vbscript", "text/vbs", "application/x-vbs"), "unnamed.vbs"),
    **dict.fromkeys(("application/x-bat", "application/bat"), "unnamed.bat"),
    **dict.fromkeys(("application/x-msi", "application/x-ms-installer"), "unnamed.msi"),
    "application/hta": "unnamed.hta",
    "application/java-archive": "unnamed.jar",
    "application/x-ms-shortcut": "unnamed.lnk",
    "application/x-powershell": "unnamed.ps1",
}  # fmt: skip
"""Programs without a file name, by the name that mail programs make from their type (iana.org/assignments/media-types, and the
`mime.types` of Apache httpd)."""
_TNEF = "winmail.dat"
_IGNORABLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
"""Zero-width characters that are not of category Cf (Default_Ignorable_Code_Point of the Unicode Character Database)."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SEPARATOR = re.compile(r"[/\\]")
_AROUND = " \t\u00a0\u3000.'\"`"
_INLINE = re.compile(
    rb"begin(?:(?<![^\r\n]begin)(?:-base64)?(-encoded)?[ \t]+[0-7]{1,6}[ \t]+([^\r\n]{1,1000})"
    rb"|(?<==ybegin)(?<![^\r\n]=ybegin) [^\r\n]{0,200}?\bname=([^\r\n]{1,1000}))"
)
"""Files within a text, which mail programs show as attachments: uuencode (POSIX, with the forms of GNU sharutils) and yEnc. The
pattern begins with a literal, which makes the search fast."""
_BINHEX = b"(This file must be converted with BinHex"
MAX_INLINE = 1_000
"""Files in one text whose names are checked."""
_ATTACH = re.compile(r"(?:^|\n)ATTACH((?:;(?:\"[^\"\r\n]*+\"|[^\":;\r\n])*+)++):", re.IGNORECASE)
_CALENDAR_NAME = re.compile(r";(?:X-[A-Z0-9-]*)?FILENAME=(?:\"([^\"]*)\"|([^;:,\"]*))", re.IGNORECASE)
_FOLD = re.compile(r"\r?\n[ \t]")


# A message's name is read to see what it is, whether it is a message, and for each policy.
@lru_cache(maxsize=32)
def readings(name: str) -> frozenset[str]:
    """Return every name that a program may make of a file's name, in lower case.

    Programs decode it, drop invisible characters or cut it at control characters, take the last part of a path or the part before
    a colon (an NTFS stream: `x.exe::$DATA`), and ignore dots and blanks at its end (Windows).
    """
    found = {name, encoded_words.decode(name), unquote(name)}
    found |= {_CONTROL.split(each, maxsplit=1)[0] for each in found}
    found |= {_without_invisible(each) for each in found}
    found |= {unicodedata.normalize("NFKC", each) for each in found}
    found |= {_last_part(each) for each in found}
    found |= {each.partition(":")[0] for each in found}
    return frozenset(each.strip(_AROUND).lower() for each in found) - {""}


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """The names of files, and descriptions of the parts whose files cannot be seen."""

    names: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()


def files_of(part: Part, depth: int = 0) -> Files:
    """Return the files of a part and those in its text, without the parts within it.

    A file whose name is that of a message is read too. `depth` is the number of such files around this part.
    """
    names = list(names_in(part.fields))
    by_type = _NAMED_BY_TYPE if names else {**_NAMED_BY_TYPE, **_UNNAMED}
    own = [*names, *_described(part.fields), *((by_type[part.type],) if part.type in by_type else ())]
    found = Files(names=tuple(own), opaque=opaque(part.type, own))
    if not part.parts and is_message_file(own):
        found = joined((found, _in_message(part.content, depth)))
    if part.parts or not (part.type.startswith("text/") or "uu" in part.text("content-transfer-encoding").lower()):
        return found
    content = part.content
    texts = (content,) if content == part.body else (part.body, content)
    return joined((found, *(_in_text(part.type, text) for text in texts)))


def files_in_attachments(attachments: Iterable[Attachment]) -> Files:
    """Return the files within attachments that mail programs show as messages, calendars or texts."""
    return joined(map(_in_attachment, attachments))


def files_in_text(text: str | None, media_type: str = "text/plain") -> Files:
    """Return the files in a body that a caller gave."""
    # Most texts have no files, and encoding a text would cost more than this search.
    may_have_files = text and (media_type == "text/calendar" or "begin" in text or "BinHex" in text)
    return _in_text(media_type, text.encode("utf-8", "replace")) if text and may_have_files else Files()


def names_in(fields: Iterable[Field]) -> Iterator[str]:
    """Yield the names in the header of a part."""
    for field in fields:
        if field.name in FIELDS:
            yield from sorted(parameters.file_names(field_text(field)))


def _described(fields: Iterable[Field]) -> Iterator[str]:
    """Yield the texts that programs may show as a name if there is none. No program shows one in an unknown charset."""
    for field in fields:
        if field.name in _DESCRIPTIONS:
            text = field_text(field)[-_MAX_DESCRIPTION:]
            yield from (text,) if encoded_words.is_readable(text) else ()


def opaque(media_type: str, names: Iterable[str] = ()) -> tuple[str, ...]:
    """Return a description of a part if its files cannot be seen."""
    kind = _type(media_type)
    if any(_TNEF in readings(name) for name in names):
        kind = "application/ms-tnef"
    return (OPAQUE[kind],) if kind in OPAQUE else ()


def kinds_of(attachment: Attachment) -> tuple[str, ...]:
    """Return a description of an attachment if its files cannot be seen."""
    is_message = _type(attachment.type) in _MESSAGES or is_message_file([attachment.name])
    if attachment.blob is not None and is_message:
        return ("an uploaded message",)
    return opaque(attachment.type, [attachment.name])


def _type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _in_attachment(attachment: Attachment) -> Files:
    kind = _type(attachment.type)
    if attachment.blob is not None:
        return Files()
    text = _in_text(kind, attachment.content) if kind.startswith("text/") else Files()
    if kind not in _MESSAGES and not is_message_file([attachment.name]):
        return text
    return joined((text, _in_message(attachment.content, 0)))


def is_message_file(names: Iterable[str]) -> bool:
    """Return whether a file's name is that of a message."""
    return any(reading.endswith(_MESSAGE_FILE) for name in names for reading in readings(name))


def _in_message(content: bytes, depth: int) -> Files:
    if depth >= MAX_MESSAGE_FILES:
        return Files(opaque=(f"a message in more than {MAX_MESSAGE_FILES} others",))
    mail = parse(content)
    found = list(mail.root.walk())
    is_exact = not (mail.exceeded or mail.similar or any(part.problems for part in found))
    odd = () if is_exact else ("an attached message that mail programs read differently",)
    return joined((Files(opaque=odd), *(files_of(part, depth + 1) for part in found)))


def _in_text(media_type: str, text: bytes) -> Files:
    names = list(islice(_names_in_text(media_type, text), MAX_INLINE + 1))
    kinds = [OPAQUE["application/mac-binhex40"]] if _BINHEX in text else []
    if len(names) > MAX_INLINE:
        kinds.append(f"a text with more than {MAX_INLINE:,} files")
    return Files(names=tuple(names[:MAX_INLINE]), opaque=tuple(kinds))


def _names_in_text(media_type: str, text: bytes) -> Iterator[str]:
    for found in _INLINE.finditer(text):
        name = found[2] or found[3]
        yield (encoded_words.base64_decoded(name) if found[1] else name).decode("utf-8", "replace").strip()
    if media_type == "text/calendar":
        unfolded = _FOLD.sub("", text.decode("utf-8", "replace"))
        for place in _ATTACH.finditer(unfolded):
            yield from (each[1] or each[2] or "" for each in _CALENDAR_NAME.finditer(place[1]))


def joined(found: Iterable[Files]) -> Files:
    """Combine files, each once."""
    found = tuple(found)
    names = dict.fromkeys(name for each in found for name in each.names)
    return Files(names=tuple(names), opaque=tuple(dict.fromkeys(kind for each in found for kind in each.opaque)))


def _without_invisible(name: str) -> str:
    kept = (each for each in _IGNORABLE.sub("", name) if unicodedata.category(each) not in ("Cf", "Cc"))
    return "".join(kept)


def _last_part(name: str) -> str:
    parts = [each for each in _SEPARATOR.split(name) if each.strip(_AROUND)]
    return parts[-1] if parts else ""
