"""Map SMTP replies and connection errors to outcomes. The first rule that matches decides."""

import re
import ssl
from collections.abc import Sequence

import msgspec

from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Unknown, reply_text
from relay.providers.account_refusals import EXCHANGE
from relay.providers.vendor_words import own_words


def opening_failed(error: BaseException) -> Deferred | RouteFault:
    """Return the outcome of a failure to open a connection. Nothing was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RouteFault(code="misconfigured", reply=reply_text(f"the certificate: {cause.verify_message}"))
        # These two mean that the connection broke during the handshake: a temporary error, not a wrong setting.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return RouteFault(code="misconfigured", reply=reply_text(f"TLS: {cause}"))
        cause = cause.__cause__
    return Deferred(code="unreachable", reply=type(error).__name__)


_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_QUEUE_ID = re.compile(r"queued as ([^\s\]]+)|<([^<>\s]+)> .*?Queued|\bid=([^\s\]]+)", re.IGNORECASE)


class SmtpReply(msgspec.Struct, frozen=True, kw_only=True):
    """A server's reply to one step: `connect` (with EHLO and STARTTLS), `auth`, `mail`, `rcpt`, `data` or `content`."""

    step: str
    code: int
    text: str

    @property
    def enhanced(self) -> str:
        """The enhanced status code, or empty."""
        found = _ENHANCED.match(self.text)
        return found.group() if found else ""

    @property
    def is_good(self) -> bool:
        """Whether the step succeeded."""
        return 200 <= self.code < 300 or (self.step == "data" and self.code == 354)

    @property
    def kept(self) -> str:
        """The reply as the journal keeps it."""
        return reply_text(f"{self.code} {self.text}".replace("\n", " ").strip())


class ReplyRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule for replies to `steps` (empty: any) whose code, enhanced code and text match the patterns.

    `kind` and `cause` are the outcome, `source` documents it.
    """

    steps: tuple[str, ...] = ()
    code: str = ""
    enhanced: str = ""
    text: str = ""
    kind: type[Deferred] | type[Rejected] | type[RouteFault]
    cause: str
    source: str

    def matches(self, reply: SmtpReply) -> bool:
        """Return whether the rule applies to the reply."""
        if self.steps and reply.step not in self.steps:
            return False
        if self.code and not re.match(self.code, str(reply.code)):
            return False
        if self.enhanced and not re.fullmatch(self.enhanced, reply.enhanced):
            return False
        return not self.text or re.search(self.text, own_words(reply.text), re.IGNORECASE) is not None


_SENDER = ("mail", "data", "content")
_BODY = ("data", "content")

# fmt: off
RULES = (
    # pacing
    ReplyRule(code="432", kind=Deferred, cause="rate_limited", source="EXO: 432 4.3.2 concurrent connections limit exceeded"),
    ReplyRule(steps=("rcpt",), code="452", enhanced=r"4\.5\.3", kind=Deferred, cause="recipient_deferred",
        source="RFC 5321 4.5.3.1.10: too many recipients, the rest in another transaction"),
    ReplyRule(steps=("rcpt",), code="4", enhanced=r"4\.2\.\d+", kind=Deferred, cause="recipient_deferred",
        source="RFC 3463 3.3: the recipient's mailbox, 4.2.2 full"),
    ReplyRule(code="4", text=r"\brate|throttl|too many|limit", kind=Deferred, cause="rate_limited",
        source="EXO 4.5.127, 4.7.x; Postfix anvil 450 4.7.1"),
    # credentials
    ReplyRule(steps=("auth",), code="4", kind=Deferred, cause="provider_unavailable",
        source="RFC 4954 6: 454 4.7.0 temporary authentication failure"),
    ReplyRule(text=r"SmtpClientAuth\w* is disabled|user is locked", code="5", kind=RouteFault, cause="missing_permission",
        source="EXO: 535 5.7.139 SmtpClientAuthentication is disabled for the tenant or mailbox"),
    ReplyRule(code="5", enhanced=r"5\.7\.30", kind=RouteFault, cause="misconfigured",
        source="EXO: 550 5.7.30 basic authentication is not supported for client submission"),
    ReplyRule(steps=("auth",), code="50", kind=RouteFault, cause="misconfigured",
        source="RFC 4954 4: 504 mechanism not supported, 503 not allowed now"),
    ReplyRule(code="530|538|523", text="TLS|encryption", kind=RouteFault, cause="misconfigured",
        source="RFC 3207 4: 530 must issue STARTTLS first; RFC 4954 6: 538"),
    ReplyRule(steps=("auth",), code="5", kind=RouteFault, cause="bad_credentials", source="RFC 4954 6: 535 5.7.8; EXO 5.7.3"),
    ReplyRule(code="503", text="auth", kind=RouteFault, cause="bad_credentials", source="qmail: 503 auth first (#5.5.1)"),
    ReplyRule(code="530|534|535", kind=RouteFault, cause="bad_credentials",
        source="RFC 4954 6: 530 5.7.0 authentication required, 534 5.7.9; EXO 530 5.7.57"),
    # the account behind the route, and whether it may send as that sender
    *(
        ReplyRule(steps=() if row.is_at_recipient else _SENDER, code="5", enhanced="" if row.words else row.codes,
            text=row.words, kind=RouteFault, cause=row.cause, source=f"EXO: {row.source}")
        for row in EXCHANGE
    ),
    ReplyRule(steps=_BODY, code="5", enhanced=r"5\.2\.2", kind=RouteFault, cause="mailbox_unavailable",
        source="EXO: 554 5.2.2 the sending mailbox is full and keeps sent items"),
    ReplyRule(steps=_SENDER, code="5", text="SendAsDenied|permissions? to send as|not owned by user|sender address rejected",
        kind=RouteFault, cause="sender_not_verified",
        source="Exchange 550 5.7.1 client does not have permissions to send as this sender; Postfix 553 5.7.1"),
    ReplyRule(steps=("mail",), code="5", enhanced=r"5\.7\.\d+|5\.1\.8", kind=RouteFault, cause="sender_not_verified",
        source="RFC 3463 3.8, 3.2: security or policy status, bad sender's system address"),
    ReplyRule(steps=("rcpt",), code="5", enhanced=r"5\.7\.54", kind=Rejected, cause="policy_refused",
        source="Exchange 550 5.7.54 unable to relay recipient in non-accepted domain: this recipient, not all"),
    ReplyRule(steps=("rcpt",), code="5", enhanced=r"5\.1\.(?!8|90)\d+", kind=Rejected, cause="invalid_recipient",
        source="RFC 3463 3.2: the status is the address's, whatever the text says"),
    ReplyRule(steps=("rcpt",), code="5", kind=RouteFault,
        text=r"relay(ing)? (access )?(is )?(denied|prohibited|not permitted|not allowed)|unable to relay|5\.7\.64",
        cause="missing_permission",
        source="Exchange 550 5.7.1 unable to relay, 5.7.64; Postfix 554 5.7.1 relay access denied"),
    ReplyRule(code="503", kind=Deferred, cause="provider_unavailable",
        source="RFC 5321 4.2.3: bad sequence of commands; the server forgot the transaction"),
    # the message
    ReplyRule(steps=_SENDER, code="5", enhanced=r"5\.3\.4|5\.2\.3", kind=Rejected, cause="message_too_large",
        source="RFC 1870 6.1, RFC 3463 3.3, 3.4"),
    ReplyRule(steps=_SENDER, code="552", kind=Rejected, cause="message_too_large", source="RFC 1870 6.1"),
    ReplyRule(code="5", enhanced=r"5\.6\.7", kind=Rejected, cause="unsupported", source="RFC 6531 3.5: non-ASCII not permitted"),
    ReplyRule(steps=_BODY, code="5", enhanced=r"5\.6\.\d+", kind=Rejected, cause="invalid_message", source="RFC 3463 3.7"),
    ReplyRule(steps=("mail",), code="5", enhanced=r"5\.1\.7|5\.5\.\d+", kind=Rejected, cause="invalid_message",
        source="RFC 3463 3.2, 3.6: bad sender syntax, invalid arguments"),
    ReplyRule(steps=("mail",), code="501|555", kind=Rejected, cause="invalid_message", source="RFC 5321 4.2.3, 4.1.1.11"),
    ReplyRule(steps=_BODY, code="5", enhanced=r"5\.7\.\d+", kind=Rejected, cause="policy_refused", source="RFC 3463 3.8"),
    ReplyRule(steps=_BODY, code="5", kind=Rejected, cause="content_refused", source="RFC 5321 4.2.3: 554 transaction failed"),
    # one recipient
    ReplyRule(steps=("rcpt",), code="552", text="too many recipients", kind=Deferred, cause="recipient_deferred",
        source="RFC 5321 4.5.3.1.10: treated as temporary, the rest goes in another transaction"),
    ReplyRule(steps=("rcpt",), code="5", enhanced=r"5\.7\.\d+", kind=Rejected, cause="policy_refused", source="RFC 3463 3.8"),
    ReplyRule(steps=("rcpt",), code="50[0-9]|553", kind=Rejected, cause="invalid_recipient", source="RFC 5321 4.2.3"),
    ReplyRule(steps=("rcpt",), code="5", kind=Rejected, cause="recipient_refused", source="RFC 5321 4.2.3: 550, 551, 552"),
    ReplyRule(steps=("rcpt",), code="4[035]", kind=Deferred, cause="recipient_deferred",
        source="RFC 5321 4.2.3: 450, 451, 452; greylisting RFC 6647"),
    # the server
    ReplyRule(steps=("connect",), code="50", kind=RouteFault, cause="misconfigured",
        source="RFC 5321 4.2.3: 501 the name after EHLO, 502 not an ESMTP server"),
    ReplyRule(steps=("connect",), code="5", kind=RouteFault, cause="account_restricted",
        source="RFC 5321 3.1: 554 no SMTP service here; block lists reply with it"),
    ReplyRule(code="4", kind=Deferred, cause="provider_unavailable", source="RFC 5321 4.2.1: 421, 451"),
    ReplyRule(code="5", kind=Rejected, cause="policy_refused", source="RFC 5321 4.2.1"),
)
# fmt: on


def read_reply(reply: SmtpReply) -> Outcome:
    """Return the outcome of an error reply. A reply without a rule is unknown after the content, else a deferral."""
    rule = next((rule for rule in RULES if rule.matches(reply)), None)
    if rule is not None:
        return rule.kind(code=rule.cause, reply=reply.kept)
    if reply.step == "content":
        return Unknown(code="response_lost", reply=reply.kept)
    return Deferred(code="provider_unavailable", reply=reply.kept)


def queue_id(text: str) -> str | None:
    """Return the server's id of an accepted message, in the formats of Postfix, Exchange and Exim."""
    found = _QUEUE_ID.search(text)
    return next((group for group in found.groups() if group), None) if found else None


def distinct(outcomes: Sequence[tuple[int, Outcome]]) -> list[tuple[tuple[int, ...], Outcome]]:
    """Group recipient numbers by outcome, ordered by the first recipient of each."""
    groups: dict[Outcome, list[int]] = {}
    for number, outcome in sorted(outcomes, key=lambda pair: pair[0]):
        groups.setdefault(outcome, []).append(number)
    return [(tuple(numbers), outcome) for outcome, numbers in groups.items()]
