"""Check a mail/send body as SendGrid does, according to its v3 contract and errors page.

Sources: Twilio SendGrid Mail API OpenAPI (tsg_mail_v3), twilio.com/docs/sendgrid/api-reference/
mail-send and …/mail-send/errors, and the support article on validation errors for the texts.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

MAX_BODY_BYTES = 30 * 1024 * 1024
MAX_RECIPIENTS = 1000
MAX_ARGUMENT_BYTES = 10_000
MAX_SCHEDULE_SECONDS = 72 * 3600
RESERVED_HEADERS = frozenset(
    (
        "x-sg-id",
        "x-sg-eid",
        "received",
        "dkim-signature",
        "content-type",
        "content-transfer-encoding",
        "to",
        "from",
        "subject",
        "reply-to",
        "cc",
        "bcc",
    )
)
"""Headers that a mail may not set: github.com/sendgrid/sendgrid-oai, oai.yaml, `headers` of POST /mail/send."""
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+|\"[^\"\r\n]+\"@[^\s@<>,;\"]+")
_INVITATION = re.compile(r"text/calendar; method=[A-Za-z]+", re.IGNORECASE)
"""The one type with a parameter that the service takes (github.com/sendgrid/sendgrid-ruby/issues/298)."""
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of SendGrid's `errors` array."""

    message: str
    field: str | None = None
    help: str | None = None


def refusal(message: str, field: str) -> Refusal:
    return Refusal(message=message, field=field, help=_HELP + re.sub(r"\.\d+", "", field))


def check(mail: Any, now: datetime) -> list[Refusal]:
    """Return all errors in a decoded body; empty if SendGrid would accept it."""
    if not isinstance(mail, dict):
        return [Refusal(message="Bad Request")]
    return [
        *_personalizations(mail, now),
        *_from(mail.get("from")),
        *_reply_to(mail),
        *_subject(mail),
        *_content(mail),
        *_attachments(mail.get("attachments")),
        *_headers(mail.get("headers"), "headers"),
        *_categories(mail.get("categories")),
        *_arguments(mail.get("custom_args"), "custom_args"),
        *_send_at(mail.get("send_at"), "send_at", now),
        *_settings(mail),
    ]


def _personalizations(mail: Mapping[str, Any], now: datetime) -> Iterator[Refusal]:
    blocks = mail.get("personalizations")
    if not isinstance(blocks, list) or not blocks:
        yield refusal(
            "The personalizations field is required and must have at least one personalization.",
            "personalizations",
        )
        return
    if len(blocks) > MAX_RECIPIENTS:
        yield refusal(
            "The personalization block is limited to 1000 personalizations per API request. You have "
            f"provided {len(blocks)} personalizations. Please consider splitting this into multiple "
            "requests and resending your request.",
            "personalizations",
        )
    total = sum(len(people(block, kind)) for block in blocks for kind in ("to", "cc", "bcc"))
    if total > MAX_RECIPIENTS:
        yield refusal("There is a limit of 1000 total recipients (to + cc + bcc) per request.", "personalizations")
    for index, block in enumerate(blocks):
        yield from _personalization(block, f"personalizations.{index}", now)


def people(block: Any, kind: str) -> list[Any]:
    """Return a recipient list of a personalization; empty if missing or malformed."""
    listed = block.get(kind) if isinstance(block, dict) else None
    return listed if isinstance(listed, list) else []


def _personalization(block: Any, field: str, now: datetime) -> Iterator[Refusal]:
    if not people(block, "to"):
        yield refusal(
            "The to array is required for all personalization objects, and must have at least one email "
            "object with a valid email address.",
            f"{field}.to",
        )
    if not isinstance(block, dict):
        return
    seen: set[str] = set()
    is_reported = False
    for kind in ("to", "cc", "bcc"):
        for index, person in enumerate(people(block, kind)):
            yield from _person(person, f"{field}.{kind}.{index}")
            yield from _recipient_name(person, f"{field}.{kind}.{index}.name")
            address = str(person.get("email", "")).lower() if isinstance(person, dict) else ""
            if address and address in seen and not is_reported:
                is_reported = True
                yield refusal(
                    "Each email address in the personalization block should be unique between to, cc, and "
                    f"bcc. We found the first duplicate instance of [{address}] in the {field}.{kind} field.",
                    field,
                )
            seen.add(address)
    if block.get("from") is not None:
        yield from _from(block["from"], f"{field}.from")
    if "subject" in block and not _is_text(block["subject"]):
        yield refusal("The subject must be a string at least one character in length.", f"{field}.subject")
    yield from _headers(block.get("headers"), f"{field}.headers")
    yield from _arguments(block.get("custom_args"), f"{field}.custom_args")
    yield from _arguments(block.get("substitutions"), f"{field}.substitutions")
    yield from _send_at(block.get("send_at"), f"{field}.send_at", now)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _person(person: Any, field: str) -> Iterator[Refusal]:
    address = person.get("email") if isinstance(person, dict) else None
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        yield refusal("Does not contain a valid address.", f"{field}.email")
    name = person.get("name") if isinstance(person, dict) else None
    if name is not None and not isinstance(name, str):
        yield refusal("The name parameter must be a string.", f"{field}.name")


def _recipient_name(person: Any, field: str) -> Iterator[Refusal]:
    """Refuse a name that the real service accepts, splits and then drops the mail for (sendgrid-python issue 291)."""
    name = person.get("name") if isinstance(person, dict) else None
    if isinstance(name, str) and (";" in name or "," in name) and not _QUOTED.fullmatch(name):
        yield refusal("The name must not contain a comma or a semicolon.", field)


def display_name(name: str) -> str:
    """Return the name as displayed, without surrounding quotes."""
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if _QUOTED.fullmatch(name) else name


def _from(sender: Any, field: str = "from") -> Iterator[Refusal]:
    if not isinstance(sender, dict) or not sender.get("email"):
        yield refusal(
            "The from object must be provided for every email send. It is an object that requires the "
            'email parameter, but may also contain a name parameter.  e.g. {"email" : '
            '"example@example.com"}  or {"email" : "example@example.com", "name" : "Example Recipient"}.',
            f"{field}.email",
        )
        return
    yield from _person(sender, field)
    # "Unicode encoding is not supported for the from field" (mail-send overview, limitations).
    if not str(sender["email"]).isascii():
        yield refusal("Does not contain a valid address.", f"{field}.email")


def _reply_to(mail: Mapping[str, Any]) -> Iterator[Refusal]:
    single, several = mail.get("reply_to"), mail.get("reply_to_list")
    if single is not None:
        yield from _person(single, "reply_to")
    if several is None:
        return
    if single is not None:
        yield refusal("The reply_to and reply_to_list parameters can not be used together.", "reply_to_list")
    if not isinstance(several, list) or len(several) > MAX_RECIPIENTS:
        yield refusal("The reply_to_list is limited to 1000 recipients.", "reply_to_list")
        return
    for index, person in enumerate(several):
        yield from _person(person, f"reply_to_list.{index}")


def _subject(mail: Mapping[str, Any]) -> Iterator[Refusal]:
    blocks = mail.get("personalizations")
    each = isinstance(blocks, list) and bool(blocks)
    each = each and all(isinstance(b, dict) and _is_text(b.get("subject")) for b in blocks or ())
    if not _is_text(mail.get("subject")) and not each and not mail.get("template_id"):
        yield refusal(
            "The subject is required. You can get around this requirement if you use a template with a "
            "subject defined or if every personalization has a subject defined.",
            "subject",
        )


def _content(mail: Mapping[str, Any]) -> Iterator[Refusal]:
    parts = mail.get("content")
    if not isinstance(parts, list) or not parts:
        if not mail.get("template_id"):
            yield refusal(
                "Unless a valid template_id is provided, the content parameter is required. There must be "
                "at least one defined content block. We typically suggest both text/plain and text/html "
                "blocks are included, but only one block is required.",
                "content",
            )
        return
    types = [str(part.get("type", "")).lower() if isinstance(part, dict) else "" for part in parts]
    for index, part in enumerate(parts):
        field = f"content.{index}"
        is_invitation = _INVITATION.fullmatch(types[index])
        if not is_invitation and ("/" not in types[index] or any(c in types[index] for c in "\r\n;")):
            yield refusal("The content type must be a valid MIME type, without parameters.", f"{field}.type")
        if not isinstance(part, dict) or not _is_text(part.get("value")):
            yield refusal("The content value must be a string at least one character in length.", f"{field}.value")
    rank = [{"text/plain": 0, "text/html": 1}.get(kind, 2) for kind in types]
    if rank != sorted(rank) or rank.count(0) > 1 or rank.count(1) > 1:
        yield refusal(
            "If present, text/plain must be first, followed by text/html, followed by any other content, "
            "and text/plain and text/html may only be provided once.",
            "content",
        )


def _attachments(attachments: Any) -> Iterator[Refusal]:
    if attachments is None:
        return
    if not isinstance(attachments, list):
        yield refusal("The attachments must be an array.", "attachments")
        return
    for index, item in enumerate(attachments):
        yield from _attachment(item if isinstance(item, dict) else {}, f"attachments.{index}")


def _attachment(item: Mapping[str, Any], field: str) -> Iterator[Refusal]:
    content = item.get("content")
    if not _is_text(content):
        yield refusal("The attachment content is required.", f"{field}.content")
    elif decode_base64(str(content)) is None:
        yield refusal("The attachment content must be base64 encoded.", f"{field}.content")
    if not _is_text(item.get("filename")):
        yield refusal("The filename parameter is required for each attachment.", f"{field}.filename")
    kind = item.get("type")
    is_invitation = isinstance(kind, str) and _INVITATION.fullmatch(kind)
    if kind is not None and not is_invitation and (not _is_text(kind) or any(c in kind for c in ";\r\n")):
        yield refusal(
            "The attachment type must be a non-empty string, and must not contain ; or CRLF characters.",
            f"{field}.type",
        )
    if item.get("disposition", "attachment") not in ("inline", "attachment"):
        yield refusal("The disposition of your attachment can be either inline or attachment.", f"{field}.disposition")


def decode_base64(text: str) -> bytes | None:
    """Return the bytes, or None if the text is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _headers(headers: Any, field: str) -> Iterator[Refusal]:
    if headers is None:
        return
    if not isinstance(headers, dict):
        yield refusal("The headers parameter must be an object.", field)
        return
    for name, value in headers.items():
        if not isinstance(value, str):
            yield refusal("Header values must be strings.", f"{field}.{name}")
        if name.lower() in RESERVED_HEADERS:
            yield refusal("The header is one of the reserved keys and cannot be used.", f"{field}.{name}")
        if not re.fullmatch(r"[\x21-\x39\x3b-\x7e]+", name):
            yield refusal("Header names must be ASCII without spaces or colons.", f"{field}.{name}")


def _categories(categories: Any) -> Iterator[Refusal]:
    if categories is None:
        return
    if not isinstance(categories, list) or not all(isinstance(c, str) for c in categories):
        yield refusal("The categories parameter must be an array of strings.", "categories")
        return
    if len(categories) > 10:
        yield refusal("You can have up to 10 categories per request.", "categories")
    if len(set(categories)) != len(categories):
        yield refusal("The categories must be unique.", "categories")
    if any(len(category) > 255 for category in categories):
        yield refusal("Each category name is limited to 255 characters.", "categories")


def _arguments(arguments: Any, field: str) -> Iterator[Refusal]:
    if arguments is None:
        return
    if not isinstance(arguments, dict) or not all(isinstance(v, str) for v in arguments.values()):
        yield refusal("Each value must be a string.", field)
        return
    if len(msgspec.json.encode(arguments)) > MAX_ARGUMENT_BYTES:
        yield refusal("The combined size may not exceed 10,000 bytes.", field)


def _send_at(send_at: Any, field: str, now: datetime) -> Iterator[Refusal]:
    if send_at is None:
        return
    if not isinstance(send_at, int) or isinstance(send_at, bool) or send_at < 0:
        yield refusal("The send_at parameter must be a unix timestamp, in seconds.", field)
    elif send_at > now.timestamp() + MAX_SCHEDULE_SECONDS:
        yield refusal("Scheduling more than 72 hours in advance is forbidden.", field)


def _settings(mail: Mapping[str, Any]) -> Iterator[Refusal]:
    asm = mail.get("asm")
    if asm is not None and not (isinstance(asm, dict) and isinstance(asm.get("group_id"), int)):
        yield refusal("The asm.group_id is required and must be an integer.", "asm.group_id")
    elif asm is not None and len(asm.get("groups_to_display") or ()) > 25:
        yield refusal("The asm.groups_to_display is limited to 25 groups.", "asm.groups_to_display")
    pool = mail.get("ip_pool_name")
    if pool is not None and not (isinstance(pool, str) and 2 <= len(pool) <= 64):
        yield refusal("The ip_pool_name must be between 2 and 64 characters.", "ip_pool_name")
