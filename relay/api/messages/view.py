"""Show a message, from its record in the journal and its events."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from relay.api.shapes.base import given
from relay.api.shapes.messages import (
    AnswerView,
    AttemptView,
    EventView,
    MailboxView,
    MessageView,
    RecipientKind,
    RecipientStatus,
    RecipientView,
    RecordState,
)
from relay.core import ids
from relay.core.arrival.arrivals import (
    RecipientArrival,
    Reports,
    arrival_of,
    arrivals_of,
    is_current,
    recipient_count,
    reported_of,
    worst,
)
from relay.core.arrival.recipient_states import BounceType, recipient_states
from relay.core.events import Answer, RecipientState, RecordedEvent
from relay.core.model import WAITING, Address, Attempt, Message, MessageStatus, Part, Submission
from relay.core.parts import part_states
from relay.journal.content import Content
from relay.journal.message_status import MessageHistory


async def history_view(
    history: MessageHistory, content: Content, now: datetime, reports: Callable[[str], Reports]
) -> MessageView:
    """Show a message. While it is still on the queue only its id, state and time are known.

    `reports` returns the reports that the provider of a route can make.
    """
    created_at = ids.created_at(history.name.batch)
    if history.submission is not None and history.status is not None:
        return message_view(
            str(history.name),
            history.submission,
            await content.message(history.submission),
            history.status,
            history.events,
            lane=history.lane,
            created_at=created_at,
            now=now,
            reports=reports,
        )
    if history.unreadable is not None:
        return _unreadable_view(history, created_at)
    state = RecordState.CANCELLED if history.is_cancelled_unrecorded else RecordState.QUEUED
    return MessageView(id=str(history.name), state=state, created_at=created_at)


def _unreadable_view(history: MessageHistory, created_at: datetime) -> MessageView:
    """Show the known facts about a message whose record cannot be read."""
    submission = history.submission
    return MessageView(
        id=str(history.name),
        state=RecordState.UNREADABLE,
        created_at=created_at,
        lane=given(history.lane or None),
        client=UNSET if submission is None else submission.client,
        size=UNSET if submission is None else submission.size,
        events=[_event(event) for event in history.events],
    )


def message_view(
    name: str,
    submission: Submission,
    message: Message | None,
    status: MessageStatus,
    events: Sequence[RecordedEvent],
    *,
    lane: str,
    created_at: datetime,
    now: datetime,
    reports: Callable[[str], Reports],
) -> MessageView:
    """Show a message that has a record. `message` is None when its content is gone."""
    erased = status.erased
    arrivals = _arrivals(submission, message, status, events, reports)
    ended = worst(arrivals.values())
    view = MessageView(
        id=name,
        state=RecordState(status.state),
        arrival=UNSET if ended is None else ended.arrival,
        bounce_type=bounce_type_of(ended),
        created_at=created_at,
        erased_at=UNSET if erased is None else erased.at,
        recipient_count=UNSET if erased is None else erased.recipients,
        lane=lane,
        client=submission.client,
        delivery=submission.delivery,
        expires_at=_expires_at(submission, status, now),
        send_at=given(submission.send_at),
        next_attempt_at=next_attempt_at(status),
        size=submission.size,
        topic=UNSET if submission.unsubscribe is None else submission.unsubscribe.topic,
        recipients=list(_recipients(submission, message, status, events, arrivals)),
        attempts=_attempts(status, submission),
        events=[_event(event) for event in events],
    )
    if message is None:
        return view
    return replace(
        view,
        from_=mailbox_view(status.sender or message.sender),
        subject=message.subject,
        tags=message.tags,
        metadata=message.metadata,
    )


def _attempts(status: MessageStatus, submission: Submission) -> Sequence[AttemptView]:
    """Show the attempts of all parts, oldest first."""
    views = (_attempt(part, attempt, submission.optional) for part in status.parts for attempt in part.attempts)
    return sorted(views, key=lambda view: view.at)


def next_attempt_at(status: MessageStatus) -> datetime | UnsetType:
    """Return the time of the next attempt of a waiting message; unset if there is none."""
    return given(min((part.due_at for part in status.parts if part.state in WAITING and part.due_at), default=None))


def _expires_at(submission: Submission, status: MessageStatus, now: datetime) -> datetime:
    """Return when the last part expires. If its expiry is stopped, return the time as if it resumed now."""
    return max(part_states.expires_at(part_states.resume(part, now), submission) for part in status.parts)


def mailbox_view(address: Address) -> MailboxView:
    """Show an address."""
    return MailboxView(email=address.email, name=given(address.name or None))


def bounce_type_of(arrival: RecipientArrival | None) -> BounceType | UnsetType:
    """Show the type of a bounce; nothing of another arrival."""
    return UNSET if arrival is None else given(arrival.bounce_type)


def _arrivals(
    submission: Submission,
    message: Message | None,
    status: MessageStatus,
    events: Sequence[RecordedEvent],
    reports: Callable[[str], Reports],
) -> Mapping[int, RecipientArrival]:
    if message is not None:
        # A record from an older version lacks reports that its events have.
        status = replace(status, reported=reported_of(events, [each.email.lower() for each in message.recipients]))
    return arrivals_of(status, submission.suppressed, recipient_count(message, status), reports)


def _recipients(
    submission: Submission,
    message: Message | None,
    status: MessageStatus,
    events: Sequence[RecordedEvent],
    arrivals: Mapping[int, RecipientArrival],
) -> Iterator[RecipientView]:
    if message is None:
        return
    ended = recipient_states(events)
    kinds = (
        (RecipientKind.TO,) * len(message.to)
        + (RecipientKind.CC,) * len(message.cc)
        + (RecipientKind.BCC,) * len(message.bcc)
    )
    for number, (address, kind) in enumerate(zip(message.recipients, kinds, strict=True)):
        row = RecipientView(email=address.email, name=given(address.name or None), kind=kind)
        if arrival := arrivals.get(number):
            row = replace(row, arrival=arrival.arrival, bounce_type=bounce_type_of(arrival))
        if number in submission.suppressed:
            yield replace(row, state=RecipientStatus.SUPPRESSED, code=submission.suppressed[number])
            continue
        part = next((part for part in status.parts if part.recipients is None or number in part.recipients), None)
        yield row if part is None else _moved(row, part, ended.get(address.email.lower()))


def _moved(row: RecipientView, part: Part, ended: RecipientState | None) -> RecipientView:
    """Add the state of sending, or of the arrival once an event reported it."""
    if ended is None or not is_current(arrival_of(ended), ended.attempt, part):
        state = RecipientStatus(part.state)
        return replace(row, state=state, route=given(part.route or None), code=given(part.code or None))
    return replace(
        row,
        state=RecipientStatus(ended.state),
        route=given(part.route or None),
        code=given(ended.code or None),
        bounce_class=given(ended.bounce_class or None),
    )


def _attempt(part: Part, attempt: Attempt, optional: Sequence[str]) -> AttemptView:
    ignored = [name for name in optional if not name.startswith(f"{attempt.provider}.")]
    return AttemptView(
        number=attempt.number,
        route=attempt.route,
        provider=attempt.provider,
        at=attempt.at,
        outcome=attempt.outcome,
        code=given(attempt.code or None),
        reply=given(attempt.reply or None),
        provider_id=given(attempt.provider_id),
        seconds=attempt.seconds,
        verified=given(attempt.verified or None),
        ignored=given(ignored or None),
        recipients=given(part.recipients),
    )


def _event(event: RecordedEvent) -> EventView:
    return EventView(
        kind=event.kind,
        at=event.at,
        recipient=given(event.recipient or None),
        code=given(event.code or None),
        bounce_class=given(event.bounce_class or None),
        reply=given(event.reply or None),
        provider=given(event.provider or None),
        attempt=given(event.attempt or None),
        likely=given(event.likely or None),
        answer=given(None if event.answer is None else _answer(event.answer)),
        topic=given(event.topic or None),
    )


def _answer(answer: Answer) -> AnswerView:
    return AnswerView(
        sender=given(answer.sender or None),
        subject=given(answer.subject or None),
        message_id=given(answer.message_id or None),
        text=given(answer.text or None),
        is_truncated=given(answer.is_truncated or None),
        attachments=given(answer.attachments or None),
    )
