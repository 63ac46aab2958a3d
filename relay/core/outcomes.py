"""The result of an attempt, as a value. Providers return it; nothing raises for what is expected.

`code` is the cause in our words, from `CAUSES`; `reply` the provider's raw answer (kept in the journal, never logged).
"""

import msgspec

MAX_REPLY = 1_000
"""Characters of a raw reply that are kept."""


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    code: str = ""
    reply: str = ""


class Sent(_Outcome, frozen=True, kw_only=True):
    """The provider took responsibility. `provider_id` is its name for the message, if it gave one.

    With `check_after_seconds` it can say by then whether it really sent it (`relay.operations.sent_checks`).
    """

    provider_id: str | None = None
    check_after_seconds: float | None = None


class Deferred(_Outcome, frozen=True, kw_only=True):
    """A transient failure: certainly not sent. `retry_after_seconds` is the provider's wish, if any."""

    retry_after_seconds: float | None = None


class Rejected(_Outcome, frozen=True, kw_only=True):
    """Refused for good, because of this message or recipient."""


class RouteFault(_Outcome, frozen=True, kw_only=True):
    """The route cannot send anything now: key, scope, sender, account, credits. Certainly not sent."""

    retry_after_seconds: float | None = None


class Unknown(_Outcome, frozen=True, kw_only=True):
    """The request left us whole and no answer came: perhaps sent. `provider_id` is what the provider can be asked by."""

    provider_id: str | None = None


type Outcome = Sent | Deferred | Rejected | RouteFault | Unknown


class PerRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """Different outcomes for different recipients of one attempt (SMTP answers so).

    Each pair is recipient numbers (indices into `Message.recipients`) and their outcome; together they cover the attempt.
    """

    outcomes: tuple[tuple[tuple[int, ...], Outcome], ...]


CAUSES = {
    # what is wrong with this message (Rejected)
    "invalid_message": "The provider found the message malformed.",
    "invalid_recipient": "The provider refused a recipient address.",
    "message_too_large": "The message is larger than the provider takes.",
    "content_refused": "The provider refused the content.",
    "recipient_refused": "The recipient's server refused the recipient for good.",
    "policy_refused": "The provider's policy forbids this message.",
    "unsupported": "No route can carry what this message asks for.",
    "provider_failed": "The provider took the message and said later that it could not send it.",
    "suppressed": "Every recipient is on the suppression list.",
    "no_route": "No configured route may send for this sender.",
    "content_missing": "The stored content of the message is gone.",
    # transient (Deferred)
    "rate_limited": "The provider asks to slow down.",
    "provider_unavailable": "The provider answered with a server error before taking the message.",
    "unreachable": "No connection to the provider could be made.",
    "recipient_deferred": "The recipient's server asks to come back later.",
    "content_unavailable": "The stored content of the message could not be read now.",
    "paced": "The shared pace of the route has no slot now.",
    "paused": "Its caller has paused the message's group, or it cannot be read now whether it has.",
    # the route is at fault (RouteFault)
    "bad_credentials": "The provider does not accept the route's key, certificate or identity.",
    "missing_permission": "The route's credentials may not send.",
    "sender_not_verified": "The provider does not let this account send for the From address.",
    "account_restricted": "The provider has suspended, restricted or not yet vetted the account.",
    "credits_exhausted": "The account's sending credits are used up.",
    "mailbox_unavailable": "The sending mailbox does not exist or may not be used.",
    "misconfigured": "The route's settings cannot work.",
    "secret_unavailable": "A secret of the route could not be read.",
    "repeated_failure": "Too many transient failures in a row: the circuit breaker holds the route.",
    "operator": "An operator holds the route.",
    # unknown
    "answer_lost": "The connection was lost, or timed out, after the message was handed over.",
    "interrupted": "The process died during the attempt.",
    # ours
    "expired": "The message became older than its expiry before it could be sent.",
    "poisoned": "Relay's own code failed on this message repeatedly.",
    "unreadable": "The queue entry could not be read.",
}
"""Every cause an attempt or a dead letter can have, with its meaning."""


def reply_text(text: str) -> str:
    """A raw reply cut to what is kept, and without half a surrogate pair (JSON can name one, storage cannot hold it)."""
    return text[:MAX_REPLY].encode("utf-8", "replace").decode()
