"""Responses of the operations that send, read and change messages; `acceptance` has that of sending one."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from relay.api.errors import ErrorBodyView, ErrorView
from relay.api.shapes.acceptance import SuppressedView
from relay.api.shapes.base import MessageName, NextLink, Time, says
from relay.core.arrival.arrivals import Arrival
from relay.core.arrival.recipient_states import BounceType
from relay.core.events import BounceClass, EventKind, LikelyActor
from relay.core.model import DeliveryGuarantee, State


class RecipientKind(StrEnum):
    """The field of the message that names a recipient."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"


class RecipientStatus(StrEnum):
    """The state of one recipient's copy: that of sending it, then what providers report about it."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    SUPPRESSED = "suppressed"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


# `unreadable` is no state of a part, so `relay.core.model.State` lacks it, and code that decides by a state can ignore it.
class RecordState(StrEnum):
    """The state of a message, or `unreadable`."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    """The message's record is damaged, or a newer version of Relay wrote it."""


def _open(description: str, values: Iterable[str]) -> Meta:
    """Describe a recorded word. A newer version of Relay may have written one that this version does not know."""
    return says(f"{description} One of {', '.join(values)}; a later version may add others.")


OUTCOMES = ("sent", "deferred", "rejected", "route_fault", "unknown", "interrupted", "not_sent")
"""How an attempt can end, as it is recorded."""
_BounceType = Annotated[
    BounceType,
    says("The type of a bounce: temporary (`soft`), so that another mail may arrive, or permanent (`hard`)."),
]
_WorstArrival = Annotated[Arrival, says("The worst arrival of its recipients. Absent until it was sent.")]
_BounceClass = Annotated[str, _open("What a bounce is about.", BounceClass)]


class MailboxView(Struct, frozen=True, kw_only=True):
    """An address with its display name."""

    email: Annotated[str, says("The address.")]
    name: Annotated[str, says("The display name.")] | UnsetType = UNSET


class RecipientView(Struct, frozen=True, kw_only=True):
    """A recipient and the state of this recipient's copy."""

    email: Annotated[str, says("The address.")]
    name: Annotated[str, says("The display name.")] | UnsetType = UNSET
    kind: Annotated[RecipientKind, says("The field of the message that names the recipient.")]
    state: Annotated[RecipientStatus, says("The state of this recipient's copy.")] | UnsetType = UNSET
    route: Annotated[str, says("The route of this recipient's copy.")] | UnsetType = UNSET
    code: (
        Annotated[str, says("The cause of the state: a cause of Relay, or the status code of a bounce.")] | UnsetType
    ) = UNSET
    arrival: (
        Annotated[
            Arrival, says("Whether the copy arrived, as far as the provider reports it. Absent until it was sent.")
        ]
        | UnsetType
    ) = UNSET
    bounce_type: _BounceType | UnsetType = UNSET
    bounce_class: _BounceClass | UnsetType = UNSET


class AttemptView(Struct, frozen=True, kw_only=True):
    """One attempt to send."""

    number: Annotated[int, says("The number of the attempt, counted from 1.")]
    route: Annotated[str, says("The route of the attempt.")]
    provider: Annotated[str, says("The provider of the route.")]
    at: Annotated[Time, says("When the attempt began.")]
    outcome: Annotated[str, _open("How the attempt ended.", OUTCOMES)]
    code: Annotated[str, says("The cause of the outcome, as GET /v1/causes lists it.")] | UnsetType = UNSET
    reply: Annotated[str, says("The provider's reply, shortened to 1,000 characters.")] | UnsetType = UNSET
    provider_id: Annotated[str, says("The provider's id of the message.")] | UnsetType = UNSET
    seconds: Annotated[float, says("How long the attempt took, in seconds.")]
    verified: (
        Annotated[
            int,
            says("Nothing was sent: the provider was found to have the mail of this attempt, whose response was lost."),
        ]
        | UnsetType
    ) = UNSET
    ignored: (
        Annotated[Sequence[str], says("Options of another provider that this one ignored, such as tracking.")]
        | UnsetType
    ) = UNSET
    recipients: (
        Annotated[
            Sequence[int], says("Positions in recipients, counted from 0. Absent when the attempt was for all of them.")
        ]
        | UnsetType
    ) = UNSET


class AnswerView(Struct, frozen=True, kw_only=True):
    """A mail that answers the message. Anyone who has the message can have written it."""

    sender: Annotated[str, says("The writer's address, as the mail claims.")] | UnsetType = field(
        name="from", default=UNSET
    )
    subject: Annotated[str, says("The subject, shortened to 250 characters.")] | UnsetType = UNSET
    message_id: Annotated[str, says("The Message-ID of the answer.")] | UnsetType = UNSET
    text: Annotated[str, says("The text without the quoted mail, up to 16,000 characters.")] | UnsetType = UNSET
    is_truncated: Annotated[bool, says("Whether the text was shortened.")] | UnsetType = UNSET
    attachments: Annotated[Sequence[str], says("The names of attached files, which are not stored.")] | UnsetType = (
        UNSET
    )


class EventView(Struct, frozen=True, kw_only=True):
    """Something a provider or a bounce reported about the message."""

    kind: Annotated[str, _open("What happened.", EventKind)]
    at: Annotated[Time, says("When it happened.")]
    recipient: Annotated[str, says("The recipient's address.")] | UnsetType = UNSET
    code: Annotated[str, says("The enhanced status code (RFC 3463).")] | UnsetType = UNSET
    bounce_class: _BounceClass | UnsetType = UNSET
    reply: Annotated[str, says("The reply of the recipient's server.")] | UnsetType = UNSET
    provider: Annotated[str, says("The provider that reported it.")] | UnsetType = UNSET
    attempt: Annotated[int, says("The number of the attempt it is about.")] | UnsetType = UNSET
    likely: (
        Annotated[str, _open("The likely cause of an opening or a click, if the vendor's data shows it.", LikelyActor)]
        | UnsetType
    ) = UNSET
    answer: Annotated[AnswerView, says("The mail of a reply.")] | UnsetType = UNSET
    topic: (
        Annotated[str, says("The topic that the recipient unsubscribed from, or subscribed to again.")] | UnsetType
    ) = UNSET


class KnownMessageView(Struct, frozen=True, kw_only=True):
    """The members of a message that a single message and a list share."""

    id: Annotated[MessageName, says("The message's id.")]
    state: Annotated[RecordState, says("The message's state.")]
    arrival: _WorstArrival | UnsetType = UNSET
    bounce_type: _BounceType | UnsetType = UNSET
    created_at: Annotated[Time, says("When the message was accepted.")]
    erased_at: Annotated[Time, says("When an operator erased the message.")] | UnsetType = UNSET


class MessageView(KnownMessageView, frozen=True, kw_only=True):
    """A message: its state, recipients, attempts and events. While it is queued only its id, state and time are known."""

    recipient_count: Annotated[int, says("The number of recipients of an erased message.")] | UnsetType = UNSET
    lane: Annotated[str, says("The message's lane.")] | UnsetType = UNSET
    client: Annotated[str, says("The client that sent the message.")] | UnsetType = UNSET
    delivery: (
        Annotated[DeliveryGuarantee, says("What Relay does when an attempt's outcome is unknown.")] | UnsetType
    ) = UNSET
    expires_at: (
        Annotated[Time, says("When Relay stops trying. Time held because of a wrong configuration is added.")]
        | UnsetType
    ) = UNSET
    send_at: Annotated[Time, says("When the message is due, if it was scheduled.")] | UnsetType = UNSET
    next_attempt_at: Annotated[Time, says("When Relay tries next, while it waits.")] | UnsetType = UNSET
    size: Annotated[int, says("The message's size in bytes.")] | UnsetType = UNSET
    from_: Annotated[MailboxView, says("The sender.")] | UnsetType = field(name="from", default=UNSET)
    subject: Annotated[str, says("The subject.")] | UnsetType = UNSET
    tags: Annotated[Sequence[str], says("The message's tags.")] | UnsetType = UNSET
    topic: Annotated[str, says("The topic that the recipient can unsubscribe from.")] | UnsetType = UNSET
    metadata: Annotated[Mapping[str, str], says("The caller's own keys and values.")] | UnsetType = UNSET
    recipients: Annotated[Sequence[RecipientView], says("The recipients.")] | UnsetType = UNSET
    attempts: Annotated[Sequence[AttemptView], says("The attempts to send, oldest first.")] | UnsetType = UNSET
    events: Annotated[Sequence[EventView], says("What providers reported.")] | UnsetType = UNSET


class MessageSummaryView(KnownMessageView, frozen=True, kw_only=True):
    """A message in a list. Content that was purged or erased is left out."""

    recipient: Annotated[str, says("The address of the first recipient.")] | UnsetType = UNSET
    recipient_count: Annotated[int, says("The number of recipients.")] | UnsetType = UNSET
    client: Annotated[str, says("The client that sent the message; empty if that cannot be read.")]
    lane: Annotated[str, says("The message's lane; empty if that cannot be read.")]
    size: Annotated[int, says("The message's size in bytes; 0 if that cannot be read.")]
    send_at: Annotated[Time, says("When the message is due, if it was scheduled.")] | UnsetType = UNSET
    next_attempt_at: Annotated[Time, says("When Relay tries next, while it waits.")] | UnsetType = UNSET
    from_: Annotated[MailboxView, says("The sender.")] | UnsetType = field(name="from", default=UNSET)
    subject: Annotated[str, says("The subject.")] | UnsetType = UNSET
    tags: Annotated[Sequence[str], says("The message's tags.")] | UnsetType = UNSET


class MessagePageView(Struct, frozen=True, kw_only=True):
    """A page of messages, newest first."""

    value: Annotated[Sequence[MessageSummaryView], says("The messages.")]
    next_link: NextLink | UnsetType = UNSET


class MessageStateView(Struct, frozen=True, kw_only=True):
    """The state of a message after a change."""

    id: Annotated[MessageName, says("The message's id.")]
    state: Annotated[State, says("The message's state.")]
    send_at: Annotated[Time, says("The new time, after rescheduling.")] | UnsetType = UNSET


class RoutingView(Struct, frozen=True, kw_only=True):
    """Recipients that would travel together, and the routes they may use."""

    recipients: Annotated[Sequence[str], says("The recipients' addresses.")]
    routes: Annotated[Sequence[str], says("The routes, in the order in which Relay would try them.")]


class ExplanationView(Struct, frozen=True, kw_only=True):
    """The result of checking a message with `dry_run`: how Relay would send it."""

    dry_run: Annotated[bool, says("Always true: nothing was accepted.")]
    lane: Annotated[str, says("The lane the message would use.")]
    size: Annotated[int, says("The message's size in bytes.")]
    delivery: Annotated[DeliveryGuarantee, says("What Relay does when an attempt's outcome is unknown.")]
    expires_at: Annotated[Time, says("When Relay would stop trying.")]
    routing: Annotated[Sequence[RoutingView], says("Recipients grouped by the routes they may use.")]
    suppressed: Annotated[Sequence[SuppressedView], says("Recipients that Relay would not send to.")]


class BatchItemView(Struct, frozen=True, kw_only=True):
    """The result of one message of a batch."""

    index: Annotated[int, says("The message's position in the batch, counted from 0.")]
    status: Annotated[
        int, says("The HTTP status that this message alone would get: 202 accepted, 200 checked, 4xx or 503 refused.")
    ]
    id: Annotated[MessageName, says("The message's id, when it was accepted.")] | UnsetType = UNSET
    state: Annotated[State, says("The message's state, when it was accepted.")] | UnsetType = UNSET
    suppressed: Annotated[Sequence[SuppressedView], says("Recipients that Relay does not send to.")] | UnsetType = UNSET
    error: Annotated[ErrorBodyView, says("Why the message was refused.")] | UnsetType = UNSET
    dry_run: Annotated[bool, says("True when the message was only checked.")] | UnsetType = UNSET
    lane: Annotated[str, says("With dry_run: the lane the message would use.")] | UnsetType = UNSET
    size: Annotated[int, says("With dry_run: the message's size in bytes.")] | UnsetType = UNSET
    delivery: (
        Annotated[DeliveryGuarantee, says("With dry_run: what Relay does when an attempt's outcome is unknown.")]
        | UnsetType
    ) = UNSET
    expires_at: Annotated[Time, says("With dry_run: when Relay would stop trying.")] | UnsetType = UNSET
    routing: Annotated[Sequence[RoutingView], says("With dry_run: recipients grouped by their routes.")] | UnsetType = (
        UNSET
    )


class BatchResultView(Struct, frozen=True, kw_only=True):
    """The results of a batch, in the order of its messages."""

    accepted: Annotated[int, says("The number of messages that were accepted.")]
    refused: Annotated[int, says("The number of messages that were refused.")]
    value: Annotated[Sequence[BatchItemView], says("The result of each message.")]


class BatchErrorView(ErrorView, frozen=True, kw_only=True):
    """A batch of which no message was accepted; without results when the batch itself is wrong."""

    accepted: Annotated[int, says("The number of messages that were accepted: 0.")] | UnsetType = UNSET
    refused: Annotated[int, says("The number of messages that were refused.")] | UnsetType = UNSET
    value: Annotated[Sequence[BatchItemView], says("The result of each message.")] | UnsetType = UNSET
