"""Read and decode the attachments of a request, and note everything that a provider would refuse later."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.text_checks import control_problem
from relay.core.model import Attachment
from relay.mime.size import base64_size

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
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
"""Common types that the standard library's table lacks."""


def read_attachments(value: Any, problems: Problems, limits: Limits) -> tuple[Attachment, ...]:
    """Read and decode all attachments. Problems are noted, and the attachment is left out."""
    if not isinstance(value, list):
        return ()
    if len(value) > limits.max_attachments:
        text = f"Too many attachments: {len(value)} (limit {limits.max_attachments})."
        problems.add("too_many", "attachments", text)
        return ()
    found: list[Attachment] = []
    content_ids: dict[str, int] = {}
    for number, item in enumerate(value):
        if isinstance(item, dict):
            before = len(problems.found)
            attachment = _read(item, f"attachments[{number}]", problems, limits)
            if attachment.disposition == "inline":
                _check_unique(attachment.content_id, number, content_ids, problems)
            if len(problems.found) == before:
                found.append(attachment)
    _check_total(found, problems, limits)
    return tuple(found)


def decode_base64(text: str) -> bytes:
    """Decode base64 (RFC 4648 section 4) with optional white space. Raises `ValueError` with the error and its position."""
    # As strict as `binascii.a2b_base64` in its strict mode, and five times as fast.
    try:
        return msgspec.convert(text, bytes)
    except msgspec.ValidationError:
        pass
    bare = "".join(text.split())
    try:
        return msgspec.convert(bare, bytes)
    except msgspec.ValidationError as error:
        raise ValueError(_base64_problem(text, bare)) from error


def _read(item: Mapping[str, Any], target: str, problems: Problems, limits: Limits) -> Attachment:
    name = _name(item, target, problems, limits)
    content, declared = _content(item, target, problems)
    kind = _media_type(item.get("type"), declared, name, target, problems)
    content_id = _content_id(item.get("content_id"), target, problems, limits)
    disposition = item.get("disposition") or ("inline" if content_id else "attachment")
    if disposition == "inline" and not content_id:
        text = (
            "An inline attachment needs a content_id, to which the HTML refers (cid:…). Add one, or use `attachment`."
        )
        problems.add("required", f"{target}.content_id", text)
    return Attachment(
        name=name,
        type=kind,
        content=content,
        blob=_id(item, target, problems),
        size=len(content),
        disposition=disposition,
        content_id=content_id,
    )


def _name(item: Mapping[str, Any], target: str, problems: Problems, limits: Limits) -> str:
    name = item.get("name")
    at = f"{target}.name"
    if name is None:
        if item.get("id") is None:
            problems.add("required", at, "An attachment with content needs a file name, such as invoice.pdf.")
        return ""
    if not isinstance(name, str):
        return ""
    check_file_name(name, at, problems, limits)
    return name


def check_file_name(name: str, at: str, problems: Problems, limits: Limits) -> None:
    """Note the problems of a file name."""
    problem = control_problem(name)
    if problem:
        problems.add("invalid_text", at, f"The file name {problem}. Remove it: a header cannot contain it.")
    elif "/" in name or "\\" in name or name.strip(" .") == "":
        text = "A file name must not contain / or \\ (use the last part of the path), nor consist of dots and spaces."
        problems.add("invalid_file_name", at, text)
    elif len(name) > limits.max_attachment_name:
        text = f"The file name is too long: {len(name)} characters (limit {limits.max_attachment_name})."
        problems.add("too_long", at, text)


def _content(item: Mapping[str, Any], target: str, problems: Problems) -> tuple[bytes, str | None]:
    """Return the decoded content, and the media type of a Logic Apps object."""
    content, at, declared = item.get("content"), f"{target}.content", None
    if content is None:
        if item.get("id") is None:
            problems.add("required", at, "An attachment needs content in base64, or the id of an uploaded file.")
        return b"", None
    if isinstance(content, dict):
        declared, content, at = content.get("$content-type"), content.get("$content"), f"{at}['$content']"
    if not isinstance(content, str):
        return b"", None
    try:
        decoded = decode_base64(content)
    except ValueError as error:
        problems.add("invalid_base64", at, str(error))
        return b"", None
    return decoded, declared if isinstance(declared, str) else None


def _id(item: Mapping[str, Any], target: str, problems: Problems) -> str | None:
    identifier = item.get("id")
    if not isinstance(identifier, str):
        return None
    if item.get("content") is not None:
        problems.add("not_applicable", f"{target}.id", "An attachment can have content or an id, not both.")
    if not _ID.fullmatch(identifier):
        problems.add("invalid_value", f"{target}.id", "Not a valid id. Use the id that POST /v1/attachments returned.")
    return identifier


def _media_type(given: Any, declared: str | None, name: str, target: str, problems: Problems) -> str:
    at = f"{target}.type"
    if given is None and declared is not None:
        given, at = declared, f"{target}.content['$content-type']"
    return read_media_type(given, at, problems) if isinstance(given, str) else guess_type(name)


def read_media_type(given: str, at: str, problems: Problems) -> str:
    """Note a problem of a media type, and return the type unchanged."""
    found = _MEDIA_TYPE.fullmatch(given) if len(given) <= 255 else None
    if found is None:
        text = "Not a valid media type. Use type/subtype with optional parameters: application/pdf, text/csv; charset=utf-8."
        problems.add("invalid_media_type", at, text)
    elif found[1].lower() == "multipart":
        problems.add("invalid_media_type", at, "A file cannot be multipart. Use application/octet-stream.")
    return given


def _content_id(value: Any, target: str, problems: Problems, limits: Limits) -> str | None:
    if not isinstance(value, str):
        return None
    content_id = value[1:-1] if value.startswith("<") and value.endswith(">") else value
    problem = control_problem(content_id)
    if problem or not 0 < len(content_id.strip()) <= limits.max_content_id:
        reason = f" It {problem}." if problem else ""
        text = f"Not a valid content_id.{reason} Use 1 to {limits.max_content_id} characters, best ASCII letters and digits."
        problems.add("invalid_content_id", f"{target}.content_id", text)
    return content_id


def _check_unique(content_id: str | None, number: int, seen: dict[str, int], problems: Problems) -> None:
    if not content_id:
        return
    first = seen.setdefault(content_id, number)
    if first != number:
        text = f"Duplicate content_id: attachments[{first}] has the same one."
        problems.add("invalid_content_id", f"attachments[{number}].content_id", text)


def _check_total(found: list[Attachment], problems: Problems, limits: Limits) -> None:
    total = sum(base64_size(attachment.size) for attachment in found)
    if total > limits.max_message_bytes:
        text = (
            f"The attachments are too large: {total} bytes as base64 (limit {limits.max_message_bytes})."
            " Send a link instead, or several messages."
        )
        problems.add("message_too_large", "attachments", text)


def _base64_problem(text: str, bare: str) -> str:
    """Return a description of the first error in a text that is not base64."""
    if text[:5].lower() == "data:":
        return "This is a data: URL. Send only the part after `;base64,`."
    found = _NOT_BASE64.search(text)
    if found is not None:
        if found[0] in "-_":
            reason = "This is the URL-safe alphabet: replace - with + and _ with /"
        else:
            reason = "Base64 uses letters, digits, + and /"
        return f"The character at position {found.start() + 1} is not base64. {reason}."
    padding = bare.find("=")
    if padding >= 0 and bare[padding:].strip("="):
        return f"There is text after the padding at position {text.find('=') + 1}. Encode the file as one piece."
    missing = -len(bare.rstrip("=")) % 4
    return f"The base64 is cut off or wrongly padded: {len(bare)} characters need {missing} `=` at the end."


def guess_type(name: str) -> str:
    """Guess the media type from a file name, by the standard library's own table (not the machine's)."""
    kind, encoding = _types().guess_file_type(name)
    if encoding is not None:  # the file itself is the compressed one
        return "application/gzip" if encoding == "gzip" else _DEFAULT_TYPE
    return kind or _DEFAULT_TYPE


@lru_cache(maxsize=1)
def _types() -> Any:
    from mimetypes import MimeTypes

    types = MimeTypes(filenames=())
    for ending, kind in _MORE_TYPES.items():
        types.add_type(kind, ending)
    return types
