"""Events of mail after a provider accepted it: one vocabulary for all vendors.

`relay.core.arrival.recipient_states` merges the events of a recipient.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class EventKind(StrEnum):
    """The kind of an event of one recipient's copy (meanings in `KINDS`). No event reports the folder that the mail went to."""

    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    RESUBSCRIBED = "resubscribed"
    REPLIED = "replied"
    AUTO_REPLIED = "auto_replied"


KINDS: Mapping[EventKind, str] = {
    EventKind.PROCESSED: "The provider has accepted the mail; nothing more is known yet.",
    EventKind.DEFERRED: "The recipient's server deferred the mail; the provider retries.",
    EventKind.DELIVERED: "The recipient's server has accepted the mail.",
    EventKind.BOUNCED: "The mail will not arrive: refused, dropped by the provider, or undeliverable after its retries.",
    EventKind.COMPLAINED: "The recipient reported it as spam.",
    EventKind.OPENED: "The tracking image was loaded, by a person or by a machine.",
    EventKind.CLICKED: "A tracked link was followed, by a person or by a machine.",
    EventKind.UNSUBSCRIBED: "The recipient unsubscribed, from one topic if the event names it.",
    EventKind.RESUBSCRIBED: "The recipient wants mail about a topic again.",
    EventKind.REPLIED: "A person answered the mail.",
    EventKind.AUTO_REPLIED: "A program answered the mail: out of office, or another automatic reply (RFC 3834).",
}
"""Every kind with its meaning, as in docs/reference/events.md."""


ENGAGEMENTS = frozenset({EventKind.OPENED, EventKind.CLICKED})
"""Kinds that a machine may have caused as well as a person."""


class BounceClass(StrEnum):
    """The reason of a bounce, by the action that it calls for (meanings in `BOUNCE_CLASSES`)."""

    ADDRESS = "address"
    MAILBOX = "mailbox"
    POLICY = "policy"
    CONTENT = "content"
    NETWORK = "network"
    SUPPRESSED = "suppressed"
    ACCOUNT = "account"
    UNKNOWN = "unknown"


BOUNCE_CLASSES: Mapping[BounceClass, str] = {
    BounceClass.ADDRESS: "The mailbox or domain does not exist.",
    BounceClass.MAILBOX: "The mailbox is full, disabled or closed to outsiders.",
    BounceClass.POLICY: "The receiver refuses this sender: reputation, authentication, a block list, a rule.",
    BounceClass.CONTENT: "The receiver refuses this mail: spam, a virus, too large, malformed.",
    BounceClass.NETWORK: "The receiver did not respond in time, until the provider gave up.",
    BounceClass.SUPPRESSED: "The provider did not try: the address is on its own suppression list.",
    BounceClass.ACCOUNT: "The provider refused the sending account: a limit, a block, a sender that it may not use.",
    BounceClass.UNKNOWN: "The report gives no reason.",
}
"""Every class with its meaning, as in docs/reference/events.md."""

STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\d|\.\d)")
"""An enhanced status code (RFC 3463 section 2)."""

_BY_STATUS: tuple[tuple[str, BounceClass], ...] = (
    # Prefixes of codes without their first digit, the longest first. RFC 3463 section 3, RFC 7505 (1.10), RFC 7372 and 8616
    # (7.2x). Where vendors use a code differently, the vendor's page is named.
    ("1.7", BounceClass.POLICY),  # bad sender's mailbox address syntax
    ("1.8", BounceClass.POLICY),  # bad sender's system address
    ("1.9", BounceClass.NETWORK),
    ("1.", BounceClass.ADDRESS),
    ("2.3", BounceClass.CONTENT),  # message length exceeds administrative limit
    ("2.", BounceClass.MAILBOX),
    ("3.4", BounceClass.CONTENT),  # message too big for system
    ("3.", BounceClass.NETWORK),
    ("4.", BounceClass.NETWORK),
    ("5.", BounceClass.UNKNOWN),
    ("6.", BounceClass.CONTENT),
    ("7.", BounceClass.POLICY),
)
_DIRECTORY_EDGE = re.compile(r"5\.4\.1\b.*recipient address rejected: access denied", re.IGNORECASE | re.DOTALL)
"""The reply of Exchange Online's directory-based edge blocking to addresses that do not exist
(learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/fix-error-code-5-4-1-in-exchange-online)."""
_BY_WORDS: tuple[tuple[re.Pattern[str], BounceClass], ...] = (
    # Words of old servers that send no enhanced code. The first match counts.
    (re.compile(r"spam|virus|content|too large|size limit", re.IGNORECASE), BounceClass.CONTENT),
    (
        re.compile(r"user unknown|unknown user|no such user|does not exist|not found", re.IGNORECASE),
        BounceClass.ADDRESS,
    ),
    (re.compile(r"full|quota|disabled|inactive", re.IGNORECASE), BounceClass.MAILBOX),
    (re.compile(r"block|blacklist|denied|dmarc|spf|dkim|reputation|policy", re.IGNORECASE), BounceClass.POLICY),
    (re.compile(r"timed? ?out|unreachable|refused to talk|connection", re.IGNORECASE), BounceClass.NETWORK),
)


def enhanced_status(*texts: str) -> str:
    """Return the first enhanced status code in these texts, or an empty text."""
    found = next((match for text in texts if (match := STATUS.search(text))), None)
    return found[0] if found else ""


def classify(status: str, reply: str) -> BounceClass:
    """Return the class of a bounce, by its enhanced status code and the server's words."""
    if _DIRECTORY_EDGE.search(f"{status} {reply}"):
        return BounceClass.ADDRESS
    _, _, detail = (status or enhanced_status(reply)).partition(".")
    # `x.0.0` gives no reason, but the words may.
    if detail and detail != "0.0":
        return next((found for begin, found in _BY_STATUS if f"{detail}.".startswith(begin)), BounceClass.UNKNOWN)
    return next((found for pattern, found in _BY_WORDS if pattern.search(reply)), BounceClass.UNKNOWN)


class LikelyActor(StrEnum):
    """The likely actor behind an open or a click."""

    MACHINE = "machine"
    """A proxy or a filter: the event says nothing about the recipient."""
    PERSON = "person"
    """The recipient, or another reader of the mailbox."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mail that answers a message sent by Relay. It is untrusted input, which is only shown.

    `text` omits the quoted mail. `attachments` are file names; their content is not stored. `is_truncated`: `text` was cut.
    """

    sender: str = msgspec.field(name="from", default="")
    subject: str = ""
    message_id: str = ""
    text: str = ""
    is_truncated: bool = False
    attachments: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Answer(is_truncated={self.is_truncated})"


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of a message, as the journal stores it.

    `kind` is an `EventKind`. `key` is part of the row's key, so that duplicates of an event share a row. `code` is the enhanced
    status code (RFC 3463), `bounce_class` a `BounceClass`, `attempt` the number of the attempt (0: not known). `likely` is a
    `LikelyActor`, empty if not known. `raw` is the provider's report as received. `answer` is the mail of a `replied` or
    `auto_replied`.
    `source` is an `EventSource`, empty in events of older versions. `topic` is the topic of an `unsubscribed` or `resubscribed`,
    empty for all mail of the client.
    """

    index: int
    kind: str
    at: datetime
    key: str
    recipient: str = ""
    code: str = ""
    reply: str = ""
    provider: str = ""
    raw: str = ""
    bounce_class: str = ""
    attempt: int = 0
    likely: str = ""
    answer: Answer | None = None
    source: str = ""
    topic: str = ""


class RecipientState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a recipient: `delivered`, `bounced` or `complained`.

    `at` is the time of the event, `attempt` the number of the attempt (0: not known). Only bounces have a code and a class.
    """

    state: EventKind
    at: datetime
    attempt: int = 0
    code: str = ""
    bounce_class: str = ""


class EventSource(StrEnum):
    """The source of an event, which limits how far its effect may reach."""

    PROVIDER = "provider"
    """The provider, authenticated by its signature, a secret, or the header fields that only it can write."""
    MAIL = "mail"
    """A report that arrived as mail. Anyone who knows the message's id can have written it, such as a recipient or the sender."""
    CLIENT = "client"
    """A client, about its own message."""
    RECIPIENT = "recipient"
    """The recipient, by the signed link in their mail."""


class MessageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the journal, with the facts that its followers need.

    `message` is the message's name; `client` and `client_id` are its client's; `tags` and `metadata` come from its caller.
    `is_ours`: the message really had the event's recipient. `is_sole_recipient`: and no other.
    """

    event: RecordedEvent
    message: str
    client: str
    client_id: str
    is_ours: bool
    source: EventSource
    is_sole_recipient: bool = False
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}


class NoticeKind(StrEnum):
    """The kind of an event of a client as a whole."""

    HELD = "client.held"
    """Relay holds mail of the client, because too much of it bounced or was reported as spam."""
    RELEASED = "client.released"
    """An operator released the client."""


class EndKind(StrEnum):
    """The state in which Relay ended a message, or some of its recipients, without sending it; a value of `State`."""

    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class ClientNotice(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a client, for its webhooks. `about` is the data in the webhook's body."""

    kind: NoticeKind
    client: str
    client_id: str
    at: datetime
    about: Mapping[str, object]


class EventFollower(Protocol):
    """A reaction to events. It must tolerate repeated events."""

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        """React to the events. Raises `StorageError` if that fails; then the events come again."""
