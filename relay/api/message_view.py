"""What is told about a message: the JSON of its status, from the journal's record and its events."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from relay.core import ids
from relay.core.events import RecipientState, RecordedEvent, fates
from relay.core.model import WAITING, Attempt, Message, MessageStatus, Part, State, Submission
from relay.journal.content import Content
from relay.journal.message_status import MessageHistory


async def story_body(story: MessageHistory, content: Content) -> dict[str, Any]:
    """The body of GET /v1/messages/{id}, also of a message that is on the queue still: then only its id, state and time."""
    created_at = ids.created_at(story.name.batch)
    if story.record is None or story.submission is None or story.status is None:
        state = State.CANCELLED if story.is_withdrawn else State.QUEUED
        return {"id": str(story.name), "state": str(state), "created_at": created_at}
    return status_body(
        str(story.name),
        story.submission,
        await content.message(story.submission),
        story.status,
        story.events,
        lane=story.record.lane,
        created_at=created_at,
    )


def status_body(
    name: str,
    submission: Submission,
    message: Message | None,
    status: MessageStatus,
    events: Sequence[RecordedEvent],
    *,
    lane: str,
    created_at: datetime,
) -> dict[str, Any]:
    """The body of GET /v1/messages/{id}. `message` is None when the content is gone; absent values are left out."""
    body: dict[str, Any] = {
        "id": name,
        "state": str(status.state),
        "created_at": created_at,
        **told_erased(status),
        "lane": lane,
        "client": submission.client,
        "delivery": str(submission.delivery),
        "expires_at": submission.expires_at,
        "send_at": submission.send_at,
        "next_attempt_at": min((part.due_at for part in status.parts if _waits(part) and part.due_at), default=None),
        "size": submission.size,
        **(_envelope(message, status) if message is not None else {}),
        "recipients": list(_recipients(submission, message, status, events)),
        "attempts": [_attempt(part, attempt) for part in status.parts for attempt in part.attempts],
        "events": [_event(event) for event in events],
    }
    return {key: value for key, value in body.items() if value is not None}


def told_erased(status: MessageStatus) -> dict[str, Any]:
    """When a message was erased, and how many recipients it had; nothing for one that was not."""
    erased = status.erased
    return {} if erased is None else {"erased_at": erased.at, "recipient_count": erased.recipients}


def _waits(part: Part) -> bool:
    return part.state in WAITING


def _envelope(message: Message, status: MessageStatus) -> dict[str, Any]:
    return {
        "from": _text(status.sender or message.sender),
        "subject": message.subject,
        "tags": list(message.tags),
        "metadata": dict(message.metadata),
    }


def _text(address: Any) -> dict[str, str]:
    return {"email": address.email, **({"name": address.name} if address.name else {})}


def _recipients(
    submission: Submission, message: Message | None, status: MessageStatus, events: Sequence[RecordedEvent]
) -> Iterator[dict[str, Any]]:
    ended = fates(events)
    if message is None:
        return
    kinds = ("to",) * len(message.to) + ("cc",) * len(message.cc) + ("bcc",) * len(message.bcc)
    for number, (address, kind) in enumerate(zip(message.recipients, kinds, strict=True)):
        row: dict[str, Any] = {**_text(address), "kind": kind}
        if number in submission.suppressed:
            yield {**row, "state": "suppressed", "code": submission.suppressed[number]}
            continue
        part = next((part for part in status.parts if part.recipients is None or number in part.recipients), None)
        if part is not None:
            row |= {"state": str(part.state), "route": part.route or None, "code": part.code or None}
            row |= _fate(ended.get(address.email.lower()))
        yield {key: value for key, value in row.items() if value is not None}


def _fate(fate: RecipientState | None) -> dict[str, Any]:
    if fate is None:
        return {}
    return {"state": str(fate.state), "code": fate.code or None, "bounce_class": fate.bounce_class or None}


def _attempt(part: Part, attempt: Attempt) -> dict[str, Any]:
    row = {
        "number": attempt.number,
        "route": attempt.route,
        "provider": attempt.provider,
        "at": attempt.at,
        "outcome": attempt.outcome,
        "code": attempt.code or None,
        "reply": attempt.reply or None,
        "provider_id": attempt.provider_id,
        "seconds": attempt.seconds,
        "recipients": None if part.recipients is None else list(part.recipients),
    }
    return {key: value for key, value in row.items() if value is not None}


def _event(event: RecordedEvent) -> dict[str, Any]:
    row = {
        "kind": event.kind,
        "at": event.at,
        "recipient": event.recipient or None,
        "code": event.code or None,
        "bounce_class": event.bounce_class or None,
        "reply": event.reply or None,
        "provider": event.provider or None,
        "attempt": event.attempt or None,
    }
    return {key: value for key, value in row.items() if value is not None}
