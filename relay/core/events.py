"""What can become known of a mail after a provider took it: one vocabulary for all vendors.

What the events of a recipient say together: `relay.core.arrival.recipient_states`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec


class EventKind(StrEnum):
    """What happened, past tense, to one recipient's copy (`KINDS`). No event reports the folder."""

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
"""Every kind with its meaning, as docs/reference/events.md has it."""


ENGAGEMENTS = frozenset({EventKind.OPENED, EventKind.CLICKED})
"""What a machine may have done as well as a person."""


class BounceClass(StrEnum):
    """Why a mail bounced, by what is to be done about it (`BOUNCE_CLASSES`)."""

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
"""Every class with its meaning, as docs/reference/events.md has it."""

STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\d|\.\d)")
"""An enhanced status code (RFC 3463 section 2)."""

_BY_STATUS: tuple[tuple[str, BounceClass], ...] = (
    # Beginnings of class-less codes, the longest first. RFC 3463 section 3, RFC 7505 (1.10), RFC 7372 and 8616 (7.2x);
    # where vendors use a code otherwise, the vendor's page is named.
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
"""Exchange Online's directory-based edge blocking says so of addresses that do not exist
(learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/fix-error-code-5-4-1-in-exchange-online)."""
_BY_WORDS: tuple[tuple[re.Pattern[str], BounceClass], ...] = (
    # What old servers say without an enhanced code. In order: the first that is found counts.
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
    """The first enhanced status code in these texts, or an empty text."""
    found = next((match for text in texts if (match := STATUS.search(text))), None)
    return found[0] if found else ""


def classify(status: str, reply: str) -> BounceClass:
    """Why a mail bounced, by its enhanced status code and the server's words."""
    if _DIRECTORY_EDGE.search(f"{status} {reply}"):
        return BounceClass.ADDRESS
    _, _, detail = (status or enhanced_status(reply)).partition(".")
    # `x.0.0` says nothing; then the words have to.
    if detail and detail != "0.0":
        return next((found for begin, found in _BY_STATUS if f"{detail}.".startswith(begin)), BounceClass.UNKNOWN)
    return next((found for pattern, found in _BY_WORDS if pattern.search(reply)), BounceClass.UNKNOWN)


class LikelyActor(StrEnum):
    """Who is likely to have opened a mail or followed a link."""

    MACHINE = "machine"
    """A proxy or a filter: it says nothing about the recipient."""
    PERSON = "person"
    """The recipient, or who else reads the mailbox."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mail that answers a message of Relay's. A stranger wrote it: all of it is only shown.

    `text` is without the quoted mail. `attachments` are names; their content is not stored. `is_truncated`: the text goes on.
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
    """Something that became known later about a message: from a provider's webhook or a bounce.

    `kind` is one of `relay.core.events.EventKind`; `key` makes duplicates of an event one row. `code` is the
    enhanced status code
    (RFC 3463), `bounce_class` one of `relay.core.events.BounceClass`, `attempt` the number of the attempt it is about, 0 where
    that is not known. `likely` is a `LikelyActor`, empty where nothing says so. `raw` is what the provider said, as it was.
    `answer` is the mail of a `replied` or `auto_replied`.
    `source` is an `EventSource`; empty in what an older version recorded. `topic` is what an `unsubscribed` or `resubscribed`
    is about, empty for all mail of the client.
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
    """Where a recipient ended: `delivered`, `bounced` or `complained`, since when, by which attempt (0 where that is not
    known), and of a bounce the code and class.
    """

    state: EventKind
    at: datetime
    attempt: int = 0
    code: str = ""
    bounce_class: str = ""


class EventSource(StrEnum):
    """Who says that an event happened, and so how far its effect may reach."""

    PROVIDER = "provider"
    """The provider, authenticated by its signature, a secret, or the header fields that only it can write."""
    MAIL = "mail"
    """A report that arrived as mail. Anyone who knows the message's id can have written it: its recipients, its sender."""
    CLIENT = "client"
    """A client, about its own message."""
    RECIPIENT = "recipient"
    """The recipient, by the signed link in their mail."""


class MessageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the journal, with what those need who follow it: whose message it is, its name, its caller's
    tags and metadata, whether `recipient` is one that the message really had (and the only one), and who reported it.
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
    """What happened to a client as a whole."""

    HELD = "client.held"
    """Relay holds mail of the client, because too much of it bounced or was reported as spam."""
    RELEASED = "client.released"
    """An operator released it."""


class EndKind(StrEnum):
    """How Relay itself ended a message, or some of its recipients, without sending it. The values are those of `State`."""

    FAILED = "failed"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


class ClientNotice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a client, for its webhooks. `about` is the body's data."""

    kind: NoticeKind
    client: str
    client_id: str
    at: datetime
    about: Mapping[str, object]


class EventFollower(Protocol):
    """Something that happens because of events. A repetition must do no harm."""

    async def follow(self, events: Sequence[MessageEvent]) -> None:
        """Do it. Raises `StorageError` when it could not: the events come again."""
