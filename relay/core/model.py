"""Data types: a caller's submission, and its state while Relay delivers it.

Everything here is frozen and keyword-only. The structs that are stored (see `relay.core.entries` and
`relay.journal.records`) are durable formats: fields may be added with a default, never renamed or removed.
Times are aware UTC, durations are seconds, sizes are bytes.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class State(StrEnum):
    """The state of a message, or of a part of one."""

    SCHEDULED = "scheduled"
    """Accepted; waits for the time the caller asked for."""
    QUEUED = "queued"
    """Durable on a queue; no attempt has begun."""
    SENDING = "sending"
    """An attempt is under way, under a lease."""
    DEFERRED = "deferred"
    """Waits for its next attempt at a stated time, after a transient failure or for a limit of the route."""
    HELD = "held"
    """The route is held; waits without using attempts (its expiry: `part_states.expires_at_while_held`)."""
    SENT = "sent"
    """The provider took responsibility. Says nothing about arrival."""
    FAILED = "failed"
    """Refused for good. A dead letter."""
    EXPIRED = "expired"
    """Expired before it could be sent. A dead letter."""
    CANCELLED = "cancelled"
    """Cancelled by the caller before it was sent."""
    UNKNOWN = "unknown"
    """Perhaps sent: a response was lost, and sending again is not allowed (at_most_once) or failed. A dead letter."""


WAITING = frozenset({State.SCHEDULED, State.DEFERRED, State.HELD})
"""States that wait for a due time; each part in one has a row in `pending`."""
FINAL = frozenset({State.SENT, State.FAILED, State.EXPIRED, State.CANCELLED, State.UNKNOWN})
"""States that end a message, unless an operator redrives it."""
DEAD = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN})
"""The final states that are dead letters."""


class DeliveryGuarantee(StrEnum):
    """The policy for an attempt that may or may not have reached the recipients."""

    AT_LEAST_ONCE = "at_least_once"
    """Send again: the message may arrive twice, but is not lost."""
    AT_MOST_ONCE = "at_most_once"
    """Do not send again: the message becomes `unknown`."""


class Address(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mailbox: `email` as `local@domain` (domain in lower-case A-labels or U-labels as given), and a display name."""

    email: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The part after the last `@`, in lower case."""
        return self.email.rpartition("@")[2].lower()


class Attachment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file: `content` in memory, or `blob`, the name of a stored one. `disposition` is `attachment` or `inline`."""

    name: str
    type: str = "application/octet-stream"
    content: bytes = b""
    blob: str | None = None
    size: int = 0
    disposition: str = "attachment"
    content_id: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"sender": "from"}):
    """Envelope and content as the caller gave them.

    `raw` is a finished message (RFC 5322 bytes without Bcc). With it, `to`/`cc`/`bcc` are only the envelope, and `subject` is a
    copy of the header. `return_path` is the address for bounces instead of `sender`; if empty, there are none (RFC 5321 section
    4.5.5, for bounces and automatic replies). `options` holds, by provider name, options that only that provider understands.
    `calendar` is an iCalendar object with a METHOD (RFC 6047), which readers see instead of the text. With `text_from_html` a
    message that has only HTML is sent with a text made from it.
    """

    sender: Address
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = {}
    attachments: tuple[Attachment, ...] = ()
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}
    return_path: str | None = None
    raw: bytes | None = None
    options: Mapping[str, Any] = {}
    calendar: str | None = None
    text_from_html: bool = False

    @property
    def recipients(self) -> tuple[Address, ...]:
        """All recipients of the envelope: to, cc, bcc, in this order. Recipient numbers everywhere are indices into it."""
        return self.to + self.cc + self.bcc

    @property
    def content_size(self) -> int:
        """The number of characters and bytes of content in memory, at most as many as the message has in JSON."""
        texts = len(self.text or "") + len(self.html or "") + len(self.calendar or "") + len(self.raw or b"")
        return texts + sum([len(attachment.content) for attachment in self.attachments])

    @property
    def building_size(self) -> int:
        """The cost of building the message, as bytes of content to copy: making a text from HTML costs more than copying."""
        return self.content_size + (20 * len(self.html or "") if self.text_from_html else 0)

    @property
    def envelope_sender(self) -> str:
        """The address for bounces; empty if there are to be none."""
        return self.sender.email if self.return_path is None else self.return_path


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished message as text, HTML and files, for routes that cannot send a finished message.

    `features` are the capabilities that such a route needs, `losses` names the content that would be lost, and `size` is the
    estimated size on the wire in bytes.
    """

    size: int
    features: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The topic of a message with one recipient, and the link by which this recipient unsubscribes from it.

    Delivery adds the message's id to the link.
    """

    topic: str
    link: str


type Span = tuple[int, int]
"""A place in a blob: its start and its size, in bytes."""


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message with the decisions about it at acceptance; one element of a batch.

    With `blob` the content is there (claim check), at `span`, and `message` is only its envelope, or None if even that was too
    long for an entry. `size` is the estimated size on the wire in bytes, `body_size` that of everything but the attachments.
    `route` pins a route by name. `traceparent` is the caller's W3C trace context.
    `suppressed` has the numbers of the recipients that are not sent to, and the reason of each. `features` are the capabilities
    that the content needs (`relay.providers.contract.FEATURES`), so that routing need not read content from a blob. `group` is
    the group by which the caller may stop the message (`relay.delivery.send_groups`). `has_own_expiry`: the request set the
    expiry. `optional` names provider options that routes of other providers ignore
    (`sendgrid.tracking_settings.open_tracking`). `rebuilt` describes a finished message as routes without `raw_mime` send it.
    `unsubscribe` is set for a message about a topic. `client` is the name of its client at acceptance, `client_id` that
    client's id, which no later client of that name has.
    """

    client: str
    client_id: str
    expires_at: datetime
    message: Message | None = None
    blob: str | None = None
    span: Span | None = None
    size: int = 0
    delivery: DeliveryGuarantee = DeliveryGuarantee.AT_LEAST_ONCE
    send_at: datetime | None = None
    route: str | None = None
    traceparent: str | None = None
    suppressed: Mapping[int, str] = {}
    features: tuple[str, ...] = ()
    group: str | None = None
    has_own_expiry: bool = False
    body_size: int = 0
    optional: tuple[str, ...] = ()
    rebuilt: Rebuilt | None = None
    unsubscribe: Unsubscribe | None = None

    @property
    def is_bare(self) -> bool:
        """True if the content and the recipients are gone: the message was erased."""
        return self.message is None and self.blob is None

    def bare(self) -> "Submission":
        """Return the submission as it stays after erasure: with its client, size, times and delivery guarantee."""
        return Submission(
            client=self.client,
            client_id=self.client_id,
            expires_at=self.expires_at,
            size=self.size,
            delivery=self.delivery,
            send_at=self.send_at,
        )


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt by one route, as recorded. `reply` is the provider's raw reply, cut to 1,000 characters.

    `outcome` is the name of the outcome (`sent`, `deferred`, `rejected`, `route_fault`, `unknown`, `interrupted`; or `not_sent`,
    if the provider later said so of an uncertain attempt), `code` its cause (docs/errors.md), `provider_id` the provider's id for
    the message. `verified` is the number of an earlier attempt, if this one sent nothing and only asked about that one, whose
    mail the provider has (`sent`) or may have; 0 if this attempt sent. `first` is the first recipient of the part that made the
    attempt, or the one that `verified` names. Its id is made of it (`relay.core.parts.part_history`), as a part may be split.
    """

    number: int
    route: str
    provider: str
    at: datetime
    outcome: str
    code: str = ""
    reply: str = ""
    provider_id: str | None = None
    seconds: float = 0.0
    verified: int = 0
    first: int = 0

    @property
    def accepted_number(self) -> int:
        """The number of the attempt whose mail the provider accepted, which its reports name."""
        return self.verified or self.number


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Recipients of one message that share a route and its attempts.

    Most messages have one part with all recipients (`recipients` None). A part splits when routing chooses different routes for
    its recipients, or when a provider returns different outcomes for some of them. `attempt` counts attempts begun.

    A part with a `due_at` has a row in `pending`, also while it is `sending`: by this row, recovery finds an interrupted retry.
    `held_scope` is the scope that is held (`relay.routes.hold_rows.scope_of`): the route, or the route for one sender.
    `held_expires_at` is when a held part expires; None while its expiry stops.

    `expires_at` replaces the submission's after a redrive or a change of `send_at`; `is_pinned` keeps a redriven part on the
    route asked for. `may_resend`: an operator put it back knowing that it may have been sent. `slot_at` is the slot from the
    route's pace. `check_at` is when Relay asks the provider of a sent part whether it really sent it
    (`relay.operations.sent_checks`); it has a row in `pending` too. `busy` maps each route that asked for a longer wait than the
    backoff's to the end of that wait.
    """

    route: str
    state: State
    recipients: tuple[int, ...] | None = None
    attempt: int = 0
    attempts: tuple[Attempt, ...] = ()
    due_at: datetime | None = None
    lease_until: datetime | None = None
    held_since: datetime | None = None
    held_seconds: float = 0.0
    held_scope: str = ""
    held_expires_at: datetime | None = None
    code: str = ""
    provider_id: str | None = None
    expires_at: datetime | None = None
    is_pinned: bool = False
    redriven: int = 0
    may_resend: bool = False
    slot_at: datetime | None = None
    check_at: datetime | None = None
    busy: Mapping[str, datetime] = {}


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The time of a message's erasure, and how many recipients the message had."""

    at: datetime
    recipients: int


class Reported(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Recipients with the same report about the same attempt (0: not known).

    `word` is one of `relay.core.arrival.arrivals`. Encoded as a short array, because a message may have a thousand recipients.
    """

    word: str
    attempt: int
    recipients: tuple[int, ...]


class MessageStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All parts of one message, as the journal holds them. `sender` replaces From after a redrive that asked for it.

    With `erased` the message has ended, and its content is gone or about to be deleted (`relay.operations.erasure`). `reported`
    is derived from the events of the message, so that lists and the counts of arrivals need not read them. `vouched` are the
    hard bounces and complaints that the provider itself vouches for, and that no one else can have made.
    """

    parts: tuple[Part, ...]
    sender: Address | None = None
    erased: Erased | None = None
    reported: tuple[Reported, ...] = ()
    vouched: tuple[Reported, ...] = ()

    @property
    def state(self) -> State:
        """The state of the whole message: states that still change win over final ones, and failures over `sent`."""
        states = {part.state for part in self.parts}
        return next(state for state in _PRECEDENCE if state in states)


_PRECEDENCE = (
    State.SENDING,
    State.QUEUED,
    State.DEFERRED,
    State.HELD,
    State.SCHEDULED,
    State.UNKNOWN,
    State.FAILED,
    State.EXPIRED,
    State.CANCELLED,
    State.SENT,
)
