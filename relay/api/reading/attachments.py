"""Attachments of a request: decoded once, and everything about them that a provider would refuse later."""

import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.text_checks import control_fault
from relay.core.model import Attachment
from relay.mime.size import base64_size

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]+")
"""RFC 2392 section 2, without what would need escapes in a URL of the html."""
_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_MEDIA_TYPE = re.compile(rf"({_WORD})/{_WORD}(?:\s*;\s*{_WORD}=(?:{_WORD}|\"[^\"\\\r\n]*\"))*", re.ASCII)
"""RFC 6838 section 4.2 and RFC 2045 section 5.1."""
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=\s]")
_DEFAULT_TYPE = "application/octet-stream"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_MORE_TYPES = {
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".ics": "text/calendar",
    ".7z": "application/x-7z-compressed",
}
"""What is often sent and not in the standard library's table."""


def read_attachments(value: Any, faults: Problems, limits: Limits) -> tuple[Attachment, ...]:
    """The attachments of a request, decoded; those that are wrong are noted and left out."""
    if not isinstance(value, list):
        return ()
    if len(value) > limits.max_attachments:
        text = f"There are {len(value)} attachments; {limits.max_attachments} are possible."
        faults.add("too_many", "attachments", text)
        return ()
    found: list[Attachment] = []
    content_ids: dict[str, int] = {}
    for number, item in enumerate(value):
        if isinstance(item, dict):
            before = len(faults.problems)
            attachment = _read(item, f"attachments[{number}]", faults, limits)
            _check_unique(attachment.content_id, number, content_ids, faults)
            if len(faults.problems) == before:
                found.append(attachment)
    _check_total(found, faults, limits)
    return tuple(found)


def decode_base64(text: str) -> bytes:
    """Content from base64 (RFC 4648 section 4); white space is allowed. Raises `ValueError` that says what is wrong where."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    bare = "".join(text.split())
    try:
        return binascii.a2b_base64(bare, strict_mode=True)
    except ValueError as error:
        raise ValueError(_base64_fault(text, bare)) from error


def _read(item: Mapping[str, Any], target: str, faults: Problems, limits: Limits) -> Attachment:
    name = _name(item, target, faults, limits)
    content, declared = _content(item, target, faults)
    kind = _media_type(item.get("type"), declared, name, target, faults)
    content_id = _content_id(item.get("content_id"), target, faults, limits)
    disposition = item.get("disposition") or ("inline" if content_id else "attachment")
    if disposition == "inline" and not content_id:
        text = "An inline attachment needs a content_id, which the html refers to as cid:…; or make it an attachment."
        faults.add("required", f"{target}.content_id", text)
    return Attachment(
        name=name,
        type=kind,
        content=content,
        blob=_id(item, target, faults),
        size=len(content),
        disposition=disposition,
        content_id=content_id,
    )


def _name(item: Mapping[str, Any], target: str, faults: Problems, limits: Limits) -> str:
    name = item.get("name")
    at = f"{target}.name"
    if name is None:
        if item.get("id") is None:
            faults.add("required", at, "An attachment with content needs a file name, such as invoice.pdf.")
        return ""
    if not isinstance(name, str):
        return ""
    check_file_name(name, at, faults, limits)
    return name


def check_file_name(name: str, at: str, faults: Problems, limits: Limits) -> None:
    """Note what makes a text no file name."""
    fault = control_fault(name)
    if fault:
        faults.add("invalid_text", at, f"The file name {fault}, which a header cannot hold.")
    elif "/" in name or "\\" in name or name.strip(" .") == "":
        text = "A file name has no / and no \\ (give the last part of a path), and more than dots and spaces."
        faults.add("invalid_file_name", at, text)
    elif len(name) > limits.max_attachment_name:
        text = f"The file name has {len(name)} characters; {limits.max_attachment_name} are possible."
        faults.add("too_long", at, text)


def _content(item: Mapping[str, Any], target: str, faults: Problems) -> tuple[bytes, str | None]:
    """The decoded content, and the media type that a Logic Apps object brings along."""
    content, at, declared = item.get("content"), f"{target}.content", None
    if content is None:
        if item.get("id") is None:
            faults.add("required", at, "An attachment has content in base64, or the id of an uploaded file.")
        return b"", None
    if isinstance(content, dict):
        declared, content, at = content.get("$content-type"), content.get("$content"), f"{at}['$content']"
    if not isinstance(content, str):
        return b"", None
    try:
        decoded = decode_base64(content)
    except ValueError as error:
        faults.add("invalid_base64", at, str(error))
        return b"", None
    if not decoded:
        faults.add("required", at, "The file is empty; SendGrid refuses a message with an empty file. Leave it out.")
    return decoded, declared if isinstance(declared, str) else None


def _id(item: Mapping[str, Any], target: str, faults: Problems) -> str | None:
    identifier = item.get("id")
    if not isinstance(identifier, str):
        return None
    if item.get("content") is not None:
        faults.add("not_applicable", f"{target}.id", "An attachment has either content or an id, not both.")
    if not _ID.fullmatch(identifier):
        faults.add("invalid_value", f"{target}.id", "This is no id that POST /v1/attachments answers.")
    return identifier


def _media_type(given: Any, declared: str | None, name: str, target: str, faults: Problems) -> str:
    at = f"{target}.type"
    if given is None and declared is not None:
        given, at = declared, f"{target}.content['$content-type']"
    return read_media_type(given, at, faults) if isinstance(given, str) else guess_type(name)


def read_media_type(given: str, at: str, faults: Problems) -> str:
    """A media type as it was given, after noting what is wrong with it."""
    found = _MEDIA_TYPE.fullmatch(given) if len(given) <= 255 else None
    if found is None:
        text = "A media type is type/subtype, with parameters if need be: application/pdf, text/csv; charset=utf-8."
        faults.add("invalid_media_type", at, text)
    elif found[1].lower() == "multipart":
        faults.add("invalid_media_type", at, "multipart is no type of a file; use application/octet-stream.")
    return given


def _content_id(value: Any, target: str, faults: Problems, limits: Limits) -> str | None:
    if not isinstance(value, str):
        return None
    content_id = value[1:-1] if value.startswith("<") and value.endswith(">") else value
    if not _CONTENT_ID.fullmatch(content_id) or len(content_id) > limits.max_content_id:
        text = f"A content_id is 1 to {limits.max_content_id} ASCII letters, digits and .-_@+ without spaces."
        faults.add("invalid_content_id", f"{target}.content_id", text)
    return content_id


def _check_unique(content_id: str | None, number: int, seen: dict[str, int], faults: Problems) -> None:
    if not content_id:
        return
    first = seen.setdefault(content_id, number)
    if first != number:
        text = f"attachments[{first}] has this content_id already; the html could not tell the two apart."
        faults.add("invalid_content_id", f"attachments[{number}].content_id", text)


def _check_total(found: list[Attachment], faults: Problems, limits: Limits) -> None:
    total = sum(base64_size(attachment.size) for attachment in found)
    if total > limits.max_message_bytes:
        text = (
            f"The attachments have {total} bytes as base64; a message may have {limits.max_message_bytes}."
            " Send a link instead, or several messages."
        )
        faults.add("message_too_large", "attachments", text)


def _base64_fault(text: str, bare: str) -> str:
    """What is wrong with a text that is not base64."""
    if text[:5].lower() == "data:":
        return "This is a data: URL; send only what stands after `;base64,`."
    found = _NOT_BASE64.search(text)
    if found is not None:
        if found[0] in "-_":
            reason = "This is the URL-safe alphabet; use + and / instead of - and _"
        else:
            reason = "Base64 has letters, digits, + and /"
        return f"The character at position {found.start() + 1} is not base64. {reason}."
    padding = bare.find("=")
    if padding >= 0 and bare[padding:].strip("="):
        return f"There is more after the padding at position {text.find('=') + 1}; encode the file as one piece."
    missing = -len(bare.rstrip("=")) % 4
    return f"The base64 has {len(bare)} characters and should end with {missing} `=`: it was cut off, or its padding is wrong."


def guess_type(name: str) -> str:
    """The media type by a file name's ending, from the standard library's own table (not the machine's)."""
    kind, encoding = _types().guess_file_type(name)
    if encoding is not None:  # the file is the compressed one, whatever is inside
        return "application/gzip" if encoding == "gzip" else _DEFAULT_TYPE
    return kind or _DEFAULT_TYPE


@lru_cache(maxsize=1)
def _types() -> Any:
    from mimetypes import MimeTypes

    types = MimeTypes(filenames=())
    for ending, kind in _MORE_TYPES.items():
        types.add_type(kind, ending)
    return types
