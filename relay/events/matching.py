"""Match an event with the record of its message: find the client, the recipient and the attempt."""

import hmac
from collections.abc import Sequence

import msgspec

from relay.core import ids
from relay.core.entries import BatchEntry
from relay.core.events import EventKind, RecordedEvent
from relay.core.model import Message, MessageStatus
from relay.core.parts import part_history
from relay.events.provider_events import REPORT, ProviderEvent
from relay.journal.record_rows import Record


def emails_of(message: Message | None) -> Sequence[str]:
    """Return the recipients in lower case; none where the content was purged."""
    return () if message is None else [address.email.lower() for address in message.recipients]


def numbers_of(recipient: str, recipients: Sequence[str]) -> frozenset[int]:
    """Return the numbers of an address among the recipients of a message."""
    return frozenset(number for number, email in enumerate(recipients) if email == recipient)


def is_about(reported: ProviderEvent, name: ids.MessageId, record: Record, entry: BatchEntry) -> bool:
    """Return whether an event is about a message of this record that is not erased, and its reporter may report it."""
    if name.index >= len(record.statuses) or record.is_erased(name.index):
        return False
    if not hmac.compare_digest(name.mac, entry.macs[name.index]):
        return False
    return not reported.client_id or reported.client_id == entry.messages[name.index].client_id


def named(reported: ProviderEvent, recipients: Sequence[str]) -> ProviderEvent:
    """Turn an event of a recipient that the message does not name into one without a recipient, if the event asks for that.

    A list may have thousands of members: all of them become one event. An answer is about a recipient if that one wrote it.
    """
    if reported.answer is not None:
        writer = reported.answer.sender
        return msgspec.structs.replace(reported, recipient=writer if writer.lower() in recipients else "")
    if not reported.unnamed_key or reported.recipient.lower() in recipients:
        return reported
    return ProviderEvent(
        kind=str(EventKind.PROCESSED),
        at=reported.at,
        key=reported.unnamed_key,
        provider=reported.provider,
        message=reported.message,
        client_id=reported.client_id,
        source=reported.source,
    )


def _attempt_of(reported: ProviderEvent, index: int, record: Record) -> int:
    """Find the attempt of an event: the one whose id it names, or the last of its provider that had begun when it happened.

    Later attempts begin later, so the result does not depend on when the event is applied.
    """
    parts = record.statuses[index].parts
    if reported.attempt_id:
        return part_history.attempt_of_id(reported.message, parts, reported.attempt_id)
    begun = (
        attempt
        for part in parts
        for attempt in part.attempts
        if attempt.at <= reported.at and reported.provider in (attempt.provider, REPORT)
    )
    return max((attempt.number for attempt in begun), default=0)


def event_of(reported: ProviderEvent, index: int, record: Record, topic: str) -> RecordedEvent:
    """Return an event as it is recorded, with its attempt."""
    return RecordedEvent(
        index=index,
        kind=reported.kind,
        at=reported.at,
        key=reported.key,
        recipient=reported.recipient,
        code=reported.code,
        reply=reported.reply,
        provider=reported.provider,
        raw=reported.raw,
        bounce_class=reported.bounce_class,
        likely=reported.likely,
        answer=reported.answer,
        source=str(reported.source),
        topic=topic,
        attempt=reported.attempt or _attempt_of(reported, index, record),
    )


def is_attempted(recipient: str, recipients: Sequence[str], status: MessageStatus) -> bool:
    """Return whether a message to this recipient was attempted: without an attempt there is nothing to report.

    For an address that the message does not name (mail is forwarded), any attempt will do.
    """
    numbers = numbers_of(recipient, recipients)
    return any(
        (part.attempt or part.attempts) and (not numbers or part.recipients is None or numbers & set(part.recipients))
        for part in status.parts
    )
