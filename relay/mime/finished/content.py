"""Read a finished message as text, HTML and files, for providers that accept no finished message (decision 0042).

`rebuild` names everything that would be lost. Without losses, a mail built from the result has the message's content.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from relay.core.model import Address, Attachment, Message
from relay.mime import charsets, encoded_words, parts
from relay.mime.addresses import mailboxes, spelling
from relay.mime.fields import clean
from relay.mime.finished.losses import ENCRYPTED, SIGNATURES, Losses, name_of
from relay.mime.parts import Part
from relay.mime.raw import Field
from relay.mime.reader import field_shown
from relay.mime.writing import structured
from relay.mime.writing.calendar import calendar_problem, method_of

MAX_SUBMISSION_HOPS = 3
"""Maximum of Received fields to drop, which programs before Relay add, such as a local Postfix. They are trace, not content (RFC
5321 section 4.4). A mail with more of them was relayed, and dropping them would hide a mail loop (section 6.3)."""
_OWN_FIELDS = frozenset((
    "from", "to", "cc", "bcc", "subject", "reply-to", "date", "message-id", "mime-version", "received",
))  # fmt: skip
_OF_PARTS = frozenset((
    "content-type", "content-transfer-encoding", "content-disposition", "content-id", "content-language",
))  # fmt: skip
_MESSAGE_CLASS = "urn:content-classes:message"
"""The `Content-Class` that CDO and IIS write into every mail."""
_WITHOUT_PLACE = ("multipart/", "message/")
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,400}")


class Rebuilding(msgspec.Struct, frozen=True, kw_only=True):
    """A message without `raw`, and the names of its losses. `message_id` is that of the finished message, or empty."""

    message: Message
    message_id: str
    losses: tuple[str, ...]


def rebuild(message: Message) -> Rebuilding:
    """Replace a finished message by its content, with the same envelope. Never raises.

    Takes time in proportion to the size, so call it in a thread for large messages.
    """
    mail = parts.parse(message.raw or b"")
    root, reader = mail.root, _Reader()
    if mail.exceeded or any(part.problems for part in root.walk()):
        reader.losses.add("part that mail programs read differently")
    headers = reader.headers(root, message.sender)
    reader.body(root)
    content = msgspec.structs.replace(
        message,
        raw=None,
        subject=clean(next((field_shown(field) for field in root.fields if field.name == "subject"), "")),
        reply_to=tuple(
            Address(email=spelling(each.email), name=each.name) for each in mailboxes(root.text("reply-to"))
        ),
        headers=headers,
        text=reader.bodies.get("text/plain"),
        html=reader.bodies.get("text/html"),
        calendar=reader.bodies.get("text/calendar"),
        attachments=tuple(reader.files),
    )
    return Rebuilding(message=content, message_id=reader.message_id(root), losses=reader.losses.named())


def names_others(message: Message) -> bool:
    """Return whether To and Cc of a finished message name addresses that are not in `to` and `cc`.

    A message that Relay builds would not name them.
    """
    named = {
        spelling(each.email).casefold()
        for field in parts.read_fields(message.raw or b"")
        if field.name in ("to", "cc")
        for each in mailboxes(parts.field_text(field))
    }
    return bool(named - {each.email.casefold() for each in (*message.to, *message.cc)})


class _Reader:
    """Collects bodies, files and losses."""

    def __init__(self) -> None:
        self.bodies: dict[str, str] = {}
        self.files: list[Attachment] = []
        self.losses = Losses()

    def message_id(self, root: Part) -> str:
        found = root.text("message-id").strip("<> ")
        if found and not _MESSAGE_ID.fullmatch(found):
            self.losses.add("header Message-ID (its value does not follow its grammar)")
        return found

    def headers(self, root: Part, sender: Address) -> Mapping[str, str]:
        counted = Counter(field.name for field in root.fields)
        if counted["received"] > MAX_SUBMISSION_HOPS:
            self.losses.add(f"header Received (of {counted['received']} hops)")
        found: dict[str, str] = {}
        for field in root.fields:
            if field.name in _OWN_FIELDS or _says_nothing(field, sender):
                continue
            if field.name in SIGNATURES or field.name.startswith("arc-"):
                self.losses.add(SIGNATURES.get(field.name, "ARC seal"))
            elif field.name == "sender" or field.name.startswith(("resent-", "content-")):
                self.losses.add(f"header {field.spelling}")
            elif counted[field.name] > 1:
                self.losses.add(f"header {field.spelling} ({counted[field.name]} times)")
            else:
                value = clean(field_shown(field))
                if structured.header_problem(field.spelling, value):
                    self.losses.add(f"header {field.spelling} (its value does not follow its grammar)")
                found[field.spelling] = value
        return found

    def body(self, part: Part) -> None:
        """Read the part that readers show first, and the files beside it."""
        read = _STRUCTURES.get(part.type)
        if read is not None and part.parts:
            self.part_fields(part)
            read(self, part)
        elif part.type.startswith(_WITHOUT_PLACE) or part.type in ENCRYPTED:
            self.losses.add(name_of(part))
        elif _is_file(part):
            if part.type.startswith("text/") and part.disposition.value != "attachment":
                self.losses.add(f"file name of the text ({part.type})")
            self.file(part)
        else:
            self.text(part)

    def mixed(self, part: Part) -> None:
        """Read a body, then files. A text after them would be lost."""
        for number, each in enumerate(part.parts):
            if number == 0 or each.type in _STRUCTURES or each.type.startswith(_WITHOUT_PLACE):
                self.body(each)
            elif _is_file(each):
                self.losses.add(name_of(each)) if each.type in ENCRYPTED else self.file(each)
            elif self.bodies or self.files:
                self.losses.add(f"text part beside the text ({each.type})")
            else:
                self.body(each)

    def alternative(self, part: Part) -> None:
        for each in part.parts:
            if _is_file(each) and not each.type.startswith(_WITHOUT_PLACE) and each.type != "text/calendar":
                self.losses.add(f"alternative that is neither text/plain nor text/html ({each.type})")
            else:
                self.body(each)

    def related(self, part: Part) -> None:
        start = part.content_type.parameters.get("start", "")
        root = next((each for each in part.parts if start and each.text("content-id") == start), part.parts[0])
        self.body(root)
        for each in part.parts:
            if each is root:
                continue
            if each.parts or each.type.startswith(_WITHOUT_PLACE):
                self.losses.add(name_of(each))
            elif each.text("content-id"):
                self.file(each, disposition="inline")
            elif _is_file(each):
                self.file(each)
            else:
                self.losses.add(f"part without Content-ID in multipart/related ({each.type})")

    def text(self, part: Part) -> None:
        self.part_fields(part)
        if part.type not in ("text/plain", "text/html", "text/calendar"):
            self.losses.add(f"text part that is neither text/plain nor text/html ({part.type})")
            return
        content, parameters = part.content, part.content_type.parameters
        text = charsets.decode(content, parameters.get("charset", ""))
        if "\0" in text or ("\ufffd" in text and "\ufffd".encode() not in content):
            self.losses.add(f"characters that are not valid in their charset ({part.type})")
        if part.type == "text/plain" and parameters.get("format", "fixed").lower() != "fixed":
            # RFC 3676: its readers join lines, others show them as they are.
            self.losses.add(f"format={parameters['format']} of the text")
        if part.type == "text/calendar" and (calendar_problem(text) or not _states_method(part, text)):
            self.losses.add("calendar part without a valid method")
        if part.type == "text/plain" and "text/html" in self.bodies:
            self.losses.add("text after the HTML, which mail programs would prefer")
        if part.type in self.bodies:
            self.losses.add(f"second {part.type} part")
        self.bodies.setdefault(part.type, text)

    def file(self, part: Part, disposition: str = "") -> None:
        shown = part.disposition
        written = shown.parameters.get("filename") or part.content_type.parameters.get("name", "")
        name = clean(encoded_words.decode(written).encode("utf-8", "replace").decode())
        self.part_fields(part, name)
        method = part.content_type.parameters.get("method", "") if part.type == "text/calendar" else ""
        self.files.append(
            Attachment(
                name=name,
                type=f"{part.type}; method={method}" if method.isalpha() else part.type,
                content=part.content,
                disposition=disposition or ("inline" if shown.value == "inline" else "attachment"),
                content_id=clean(part.text("content-id")).strip("<> ") or None,
            )
        )

    def part_fields(self, part: Part, name: str = "") -> None:
        for field in part.fields if part.number > 1 else ():
            is_known = field.name in _OF_PARTS or not field.name.startswith("content-")
            # Exchange describes each file by its name.
            if not is_known and not (field.name == "content-description" and clean(field_shown(field)) == name):
                self.losses.add(f"header {field.spelling} of a part")


_STRUCTURES: Mapping[str, Callable[[_Reader, Part], None]] = {
    "multipart/mixed": _Reader.mixed,
    "multipart/alternative": _Reader.alternative,
    "multipart/related": _Reader.related,
}


def _says_nothing(field: Field, sender: Address) -> bool:
    """Return whether a field of the message repeats another one, or describes the parts that are built again."""
    if field.name == "sender":
        people = mailboxes(parts.field_text(field))
        return len(people) == 1 and spelling(people[0].email).casefold() == sender.email.casefold()
    if field.name == "content-class":
        return parts.field_text(field).lower() == _MESSAGE_CLASS
    return field.name in _OF_PARTS


def _is_file(part: Part) -> bool:
    """Return whether readers show a part as a file: it is an attachment, has a file name, or is not text."""
    shown = part.disposition
    is_named = "filename" in shown.parameters or "name" in part.content_type.parameters
    return (
        shown.value == "attachment" or not part.type.startswith("text/") or (is_named and part.type != "text/calendar")
    )


def _states_method(part: Part, calendar: str) -> bool:
    return part.content_type.parameters.get("method", "").upper() == method_of(calendar)
