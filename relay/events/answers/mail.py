"""Read mail that answers a message of Relay's: replies of people, and automatic ones. Never raises.

An answer is a stranger's mail. It is recorded with the message that it names: the id contains a MAC that only recipients of the
message know. It changes nothing else: no state of a recipient, no suppression, no route. Relay never responds to it.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from relay.core import entries, ids
from relay.core.events import Answer, EventKind, EventSource
from relay.events.answers import quotes
from relay.events.provider_events import REPORT, ProviderEvent, key_of, recipient_of, text_of
from relay.mime import addresses, parts, reader
from relay.mime.parts import Part
from relay.mime.reader import Reading
from relay.mime.writing.plain_text import MAX_HTML, text_from
from relay.providers.contract import MAX_ANSWER_BYTES, ReceivedAnswer

MAX_TEXT = 16_000
"""Characters of an answer's text."""
MAX_TEXT_WEIGHT = 30_000
"""Weight of the text in the entry of a webhook at most: there it is escaped twice."""
MAX_READ = 1_000_000
"""Characters of a mail's text that are searched for quotations."""
MAX_SUBJECT = 250
MAX_MESSAGE_ID = 250
MAX_FILES = 20
MAX_FILE_NAME = 120
_AUTOMATIC_CLASSES = ("ipm.note.rules.oof", "ipm.note.rules.replytemplate")
"""Classes of mail that Exchange writes: out-of-office replies, and replies of rules (MS-OXOMSG, MS-OXORULE)."""
_PRECEDENCES = frozenset(("bulk", "junk", "auto_reply"))
"""RFC 2076 section 3.9. Not `list`: a person's reply through a mailing list has that value."""
_AUTORESPONDERS = ("x-autoreply", "x-autorespond", "x-auto-reply", "x-autoresponder")
"""Written by Gmail's vacation responder and by autoresponders of hosting panels."""
_OWN = "x-relay-id"
_encoder = msgspec.json.Encoder()


def read_answer(mail: ReceivedAnswer, now: datetime) -> ProviderEvent | None:
    """Read an answer; None if it names no message of Relay's, is a report, or is Relay's own mail."""
    root = parts.parse(mail.raw).root
    name = _answered(root)
    if not name or root.type == "multipart/report" or _is_own(root):
        return None
    kind = EventKind.AUTO_REPLIED if is_automatic(root, mail.message_class) else EventKind.REPLIED
    reading = reader.read(mail.raw)
    # Attachments come after the text: if one is there, the text was whole.
    answer = _answer(root, reading, is_cut=len(mail.raw) >= MAX_ANSWER_BYTES and not reading.files)
    # The same mail in two mailboxes, or read twice, is one event, also if a later version judges it otherwise.
    identity = answer.message_id or "\n".join((root.text("date"), answer.sender, answer.subject, answer.text))
    return ProviderEvent(
        kind=str(kind),
        at=mail.received_at or now,
        key=key_of("answer", name, identity),
        provider=REPORT,
        message=name,
        source=EventSource.MAIL,
        answer=answer,
    )


def is_automatic(root: Part, message_class: str = "") -> bool:
    """Return whether a program wrote a mail, by its header and by Exchange's kind of item."""
    submitted = _word(root, "auto-submitted")
    return (
        # RFC 3834 section 5: `no` is a person's mail, anything else is not.
        (submitted not in ("", "no"))
        or message_class.lower().startswith(_AUTOMATIC_CLASSES)
        or _word(root, "precedence") in _PRECEDENCES
        or any(_word(root, field) not in ("", "no") for field in _AUTORESPONDERS)
        # Exchange's own replies have `All` (MS-OXCMAIL section 2.1.3.2.20). Other values may be in a person's mail.
        or _word(root, "x-auto-response-suppress") == "all"
        # RFC 3834 section 3.3: automatic mail has an empty return path. The delivering server writes it (RFC 5321 section 4.4).
        or root.text("return-path") == "<>"
    )


def _answered(root: Part) -> str:
    """Return the id of the message that a mail answers: In-Reply-To, or else the last of References (RFC 5322 section 3.6.4)."""
    for field in ("in-reply-to", "references"):
        if found := ids.IN_TEXT.findall(root.text(field)):
            return str(found[-1])
    return ""


def _is_own(root: Part) -> bool:
    """Return whether Relay sent this mail: one that names an earlier message, and came back to a mailbox that Relay reads."""
    return bool(root.text(_OWN)) or ids.IN_TEXT.search(root.text("message-id")) is not None


def _word(root: Part, field: str) -> str:
    """Return the first word of a field, without parameters and comments."""
    return root.text(field).partition(";")[0].partition("(")[0].strip().lower()


def _answer(root: Part, reading: Reading, *, is_cut: bool) -> Answer:
    text, is_long = _text(reading)
    kept = fitting(quotes.new_text(text))
    return Answer(
        sender=_sender(root),
        subject=text_of(_shown(reading, "subject"), MAX_SUBJECT),
        message_id=text_of(root.text("message-id"), MAX_MESSAGE_ID),
        text=kept[0],
        is_truncated=is_cut or is_long or kept[1],
        attachments=_files(reading),
    )


def _sender(root: Part) -> str:
    found = addresses.mailboxes(root.text("from"), limit=1)
    return recipient_of(found[0].email) if found else ""


def _shown(reading: Reading, name: str) -> str:
    return next((value for field, value in reading.headers if field.lower() == name), "")


def _text(reading: Reading) -> tuple[str, bool]:
    """Return the text of a mail, made from its HTML if it has no other, and whether its end is missing."""
    if reading.text is not None and reading.text.strip():
        return reading.text[:MAX_READ], len(reading.text) > MAX_READ
    html = reading.html or ""
    return text_from(html), len(html) > MAX_HTML


def fitting(text: str) -> tuple[str, bool]:
    """Cut a text to what every entry and row has room for, and say whether something was cut."""
    kept = text_of(text, MAX_TEXT)
    while (weight := _weight(kept)) > MAX_TEXT_WEIGHT:
        kept = kept[: len(kept) * MAX_TEXT_WEIGHT // weight]
    return kept, len(kept) < len(text)


def _weight(text: str) -> int:
    return entries.weight(entries.escaped(_encoder.encode(_encoder.encode(text).decode())))


def _files(reading: Reading) -> tuple[str, ...]:
    """Return the names of attachments; an image within the text is none."""
    names: Sequence[str] = [
        text_of(file.name, MAX_FILE_NAME)
        for file in reading.files
        if file.name and not (file.content_id and file.disposition != "attachment")
    ]
    return tuple(names[:MAX_FILES])
