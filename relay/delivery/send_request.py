"""Build the request that an attempt hands to its provider, from the record alone: a repetition builds the same request."""

import msgspec

from relay.core import entries, ids
from relay.core.model import Message, Part
from relay.core.parts import part_history
from relay.core.send_request import SendRequest
from relay.journal.record_rows import Record

MESSAGE_ID = "Message-ID"
"""The header in which a caller's own Message-ID is stored: the SendGrid-compatible API accepts one."""


def as_sent(record: Record, index: int, message: Message | None) -> Message | None:
    """Return the message with the sender that a redrive may have set."""
    sender = record.statuses[index].sender
    return message if message is None or sender is None else msgspec.structs.replace(message, sender=sender)


def send_request_of(record: Record, entry: entries.BatchEntry, index: int, part: Part, message: Message) -> SendRequest:
    """Build the request of a part's latest attempt. `message` comes from `as_sent`."""
    suppressed = entry.messages[index].suppressed
    not_suppressed = tuple(number for number in range(len(message.recipients)) if number not in suppressed)
    name = record.message_id(index, entry)
    unsubscribe = entry.messages[index].unsubscribe
    if unsubscribe is not None:
        from relay.unsubscribe.links import with_link

        message = with_link(message, f"{unsubscribe.link}/{name}")
    own = message.headers.get(MESSAGE_ID, "").strip("<> ")
    if own:
        others = {field: value for field, value in message.headers.items() if field != MESSAGE_ID}
        message = msgspec.structs.replace(message, headers=others)
    return SendRequest(
        id=name,
        message=message,
        recipients=not_suppressed if part.recipients is None else part.recipients,
        message_id_header=own or f"{name}@{message.sender.domain}",
        attempt=part_history.latest_number(part),
        attempt_id=part_history.latest_attempt_id(name, part),
        date=ids.created_at(record.batch),
        has_link=unsubscribe is not None,
    )
