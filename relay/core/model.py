"""The nouns: what a caller submits, and what we know about it.

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
    """Where a message, or a part of one, stands."""

    SCHEDULED = "scheduled"
    """Accepted; waits for the time the caller asked for."""
    QUEUED = "queued"
    """Durable on a queue; no attempt has begun."""
    SENDING = "sending"
    """An attempt is under way, under a lease."""
    DEFERRED = "deferred"
    """A transient failure; will be tried again at a stated time."""
    HELD = "held"
    """The route is held; waits without using attempts (its expiry: `part_states.expires_at_while_held`)."""
    SENT = "sent"
    """The provider took responsibility. Says nothing about arrival."""
    FAILED = "failed"
    """Refused for good. A dead letter."""
    EXPIRED = "expired"
    """Became too old before it could be sent. A dead letter."""
    CANCELLED = "cancelled"
    """Cancelled by the caller before it was sent."""
    UNKNOWN = "unknown"
    """Perhaps sent: an answer was lost, and sending again is not allowed (at_most_once) or failed. A dead letter."""


WAITING = frozenset({State.SCHEDULED, State.DEFERRED, State.HELD})
"""States in which something must happen later; each has a row in `pending`."""
FINAL = frozenset({State.SENT, State.FAILED, State.EXPIRED, State.CANCELLED, State.UNKNOWN})
"""States that end a message, unless an operator redrives it."""
DEAD = frozenset({State.FAILED, State.EXPIRED, State.UNKNOWN})
"""The final states that are dead letters."""


class DeliveryGuarantee(StrEnum):
    """What to do when we cannot know whether an attempt reached the recipients."""

    AT_LEAST_ONCE = "at_least_once"
    """Send again: perhaps twice, never not at all."""
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

    With `raw` (RFC 5322 bytes, Bcc already taken out) that is the content, `to`/`cc`/`bcc` are only the envelope, and
    `subject` is a copy of the header. `return_path` is where bounces go instead of to `sender`; empty, to nobody (RFC 5321
    section 4.5.5: what is a bounce or an automatic answer itself). `options` holds, per provider name, what only that
    provider understands. `calendar` is an iCalendar object with a METHOD (RFC 6047), which readers see instead of the text. With
    `text_from_html` a message that has only HTML is sent with a text made from it.
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
        """The characters and bytes of content in memory: at most as many as the message has in JSON."""
        texts = len(self.text or "") + len(self.html or "") + len(self.calendar or "") + len(self.raw or b"")
        return texts + sum([len(attachment.content) for attachment in self.attachments])

    @property
    def building_size(self) -> int:
        """What building the message costs, as the bytes of content that cost as much: making a text takes longer than copying."""
        return self.content_size + (20 * len(self.html or "") if self.text_from_html else 0)

    @property
    def envelope_sender(self) -> str:
        """The address where bounces go, empty for nobody's."""
        return self.sender.email if self.return_path is None else self.return_path


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished message as its text, HTML and files, which routes send that take no finished message.

    `features` are what such a route needs for the content, `losses` what of the message has no place in it, `size` is its
    estimated size on the wire.
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
    """A message with what was decided about it at acceptance; one element of a batch.

    With `blob` the content lies there (claim check), at `span`, and `message` is only its envelope, or None when even that was
    too long for an entry. `size` is the estimated size on the wire in bytes, `body_size` that of everything but the attachments.
    `route` pins a route by name. `traceparent` is the caller's W3C trace context.
    `suppressed` numbers the recipients that are not sent to, with the reason of each. `features` are what the content asks
    of a route (`relay.providers.contract.FEATURES`), so that routing need not read a content that lies in a blob.
    `group` is what the caller may stop it by (`relay.delivery.send_groups`). `has_own_expiry`: the request asked for it.
    `optional` names the options that routes of other providers than theirs ignore (`sendgrid.tracking_settings.open_tracking`).
    `rebuilt` is what routes without `raw_mime` would send of a finished message.
    `unsubscribe` is there for a message about a topic.
    `client` is the name of its client at acceptance, `client_id` that client's id, which no later client of that name has.
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
        """Whether content and recipients are gone: the message was erased."""
        return self.message is None and self.blob is None

    def bare(self) -> "Submission":
        """What stays of it when it is erased: whose it was, its size, its times, how it was to be delivered."""
        return Submission(
            client=self.client,
            client_id=self.client_id,
            expires_at=self.expires_at,
            size=self.size,
            delivery=self.delivery,
            send_at=self.send_at,
        )


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try at one route, as recorded. `reply` is the provider's raw answer, at most 1,000 characters of it.

    `outcome` is the name of the outcome (`sent`, `deferred`, `rejected`, `route_fault`, `unknown`, `interrupted`; or
    `not_sent`, when the provider said so later of an uncertain one),
    `code` its cause in our words (docs/errors.md), `provider_id` the provider's name for the message. `verified`: this attempt
    sent nothing, because it only asked about the attempt of this number, which the provider has (`sent`) or may have; 0 if it
    sent.
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

    @property
    def accepted_number(self) -> int:
        """The number of the attempt whose mail the provider accepted: the one that its reports name."""
        return self.verified or self.number


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Recipients of one message that travel together: by one route, through the same attempts.

    Most messages have one part with everybody (`recipients` None). A part splits when routing sends its recipients
    different ways, or when a provider answers differently for some of them. `attempt` counts attempts begun.
    A part with a `due_at` has a row in `pending`, also while it is `sending`: that is how an interrupted retry is found.
    `held_scope` is what is held (`relay.routes.hold_rows.scope_of`): the route, or the route for one sender. `held_expires_at`:
    when a held part expires; None while its expiry stops.
    `expires_at` replaces the submission's after a redrive; `is_pinned` keeps a redriven part on the route asked for.
    `may_resend`: an operator put it back knowing that it may have been sent. `slot_at` is the slot that a paced route gave.
    `check_at`: when the provider of a sent part is asked whether it really sent it (`relay.operations.sent_checks`);
    a row in `pending` too. `busy`: until when each route asked to wait that asked for longer than Relay would have waited.
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
    """When a message was erased, and how many recipients it had."""

    at: datetime
    recipients: int


class Reported(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Recipients with the same report about the same attempt (0: not known).

    `word` is one of `relay.core.arrival.arrivals`. An array of few bytes, because a message may have a thousand recipients.
    """

    word: str
    attempt: int
    recipients: tuple[int, ...]


class MessageStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All parts of one message, as the journal holds it. `sender` replaces From after a redrive that asked for it.

    With `erased` it has ended for good, and its content is gone or about to go (`relay.operations.erasure`). `reported` follows
    from the events of the message, so that a list and the counts of arrivals need not read them. `vouched` are the hard bounces
    and complaints among them that the provider itself vouches for, and nobody else can have made.
    """

    parts: tuple[Part, ...]
    sender: Address | None = None
    erased: Erased | None = None
    reported: tuple[Reported, ...] = ()
    vouched: tuple[Reported, ...] = ()

    @property
    def state(self) -> State:
        """One state for the whole: what still moves wins over what ended, and trouble wins over success."""
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
