"""Describe messages that Relay itself ended without sending them, for the webhooks of their clients."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from relay.core.entries import BatchEntry
from relay.core.events import EndKind
from relay.core.model import Part
from relay.journal.record_rows import Record

MAX_RECIPIENTS = 100
"""Recipients that a post names."""


class MessageEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a part of a message. `key` is the same whenever this end is found, `about` is the body's data."""

    kind: EndKind
    message: str
    client: str
    client_id: str
    at: datetime
    key: str
    about: Mapping[str, object]


def ends_of(record: Record, ended: Iterable[tuple[int, Part]], at: datetime) -> Iterator[MessageEnd]:
    """Yield the ends of these parts, which have ended without being sent. `at` is when that was found."""
    entry = record.entry()
    for index, part in ended:
        submission = entry.messages[index]
        kind, name = EndKind(part.state), record.message_id(index, entry)
        yield MessageEnd(
            kind=kind,
            message=name,
            client=submission.client,
            client_id=submission.client_id,
            at=at,
            # A part may end again after it was put back; then it has been redriven, or has made more attempts.
            key=f"{kind}\n{part.redriven}\n{part.attempt}\n{part.recipients}",
            about={"message": name, "at": at, **_about(part), **_envelope(entry, index, part)},
        )


def _about(part: Part) -> Mapping[str, object]:
    last = part.attempts[-1] if part.attempts else None
    if last is None:
        return {"code": part.code}
    return {
        "code": part.code,
        "reply": last.reply,
        "provider": last.provider,
        "route": last.route,
        "attempt": last.number,
    }


def _envelope(entry: BatchEntry, index: int, part: Part) -> Mapping[str, object]:
    """Return what the entry says of the message. An envelope that was too long for it lies in a blob, and is not read."""
    submission = entry.messages[index]
    message = submission.message
    if message is None:
        return {}
    emails = [address.email for address in message.recipients]
    numbers = part.recipients
    if numbers is None:
        numbers = tuple(number for number in range(len(emails)) if number not in submission.suppressed)
    named = [emails[number] for number in numbers] if len(numbers) <= MAX_RECIPIENTS else []
    return {"recipients": named, "tags": list(message.tags), "metadata": dict(message.metadata)}
