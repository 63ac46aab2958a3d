"""The result of an attempt, as a value. Providers return expected failures; they do not raise them.

`code` is the cause, one of `CAUSES`; `reply` is the provider's raw reply (stored in the journal, never logged).
"""

import msgspec

MAX_REPLY = 1_000
"""The maximum length of a stored reply, in characters."""


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    code: str = ""
    reply: str = ""


class Sent(_Outcome, frozen=True, kw_only=True):
    """The provider accepted the message. `provider_id` is its id for the message, if it returned one.

    `check_after_seconds` is the time after which the provider can report whether it really sent the message
    (`relay.operations.sent_checks`). `verified` is the number of an earlier attempt if the provider was only asked, and found
    the mail of that one; 0: this attempt sent.
    """

    verified: int = 0
    provider_id: str | None = None
    check_after_seconds: float | None = None


class Deferred(_Outcome, frozen=True, kw_only=True):
    """A transient failure: certainly not sent. `retry_after_seconds` comes from the provider, if it returned any."""

    retry_after_seconds: float | None = None


class Rejected(_Outcome, frozen=True, kw_only=True):
    """A permanent refusal of this message or recipient."""


class RouteFault(_Outcome, frozen=True, kw_only=True):
    """The route cannot send anything now: key, scope, sender, account, credits. Certainly not sent."""

    retry_after_seconds: float | None = None


class Unknown(_Outcome, frozen=True, kw_only=True):
    """The whole request was sent but no response arrived: perhaps sent. Relay can ask the provider by `provider_id`."""

    provider_id: str | None = None


class AskLater(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an attempt is not known yet: ask again after `seconds`."""

    seconds: float


class NotYet(msgspec.Struct, frozen=True, kw_only=True):
    """Relay did not send, because a limit of its own has no room now: plan again after `seconds`. `code` is the cause."""

    seconds: float
    code: str


type Outcome = Sent | Deferred | Rejected | RouteFault | Unknown


class PerRecipient(msgspec.Struct, frozen=True, kw_only=True):
    """Different outcomes for different recipients of one attempt (SMTP replies for each recipient).

    Each pair has recipient numbers (indices into `Message.recipients`) and their outcome. Together the pairs cover all
    recipients of the attempt.
    """

    outcomes: tuple[tuple[tuple[int, ...], Outcome], ...]


CAUSES = {
    # this message cannot be sent (Rejected)
    "invalid_message": "The provider rejected the message as malformed.",
    "invalid_recipient": "The provider refused a recipient address.",
    "message_too_large": "The message is larger than the provider accepts.",
    "content_refused": "The provider refused the content.",
    "recipient_refused": "The recipient's server permanently refused the recipient.",
    "policy_refused": "The provider's policy forbids this message.",
    "unsupported": "No route supports the features that this message needs.",
    "provider_failed": "The provider accepted the message and later reported that it could not send it.",
    "suppressed": "Every recipient is on the suppression list.",
    "no_route": "No configured route may send from this address.",
    "too_many_external_recipients": "The message has more external recipients than the route's whole budget of 24 hours.",
    "content_missing": "The stored content of the message no longer exists.",
    # transient (Deferred)
    "rate_limited": "The provider's rate limit was reached.",
    "provider_unavailable": "The provider returned a server error before it accepted the message.",
    "unreachable": "Relay could not connect to the provider.",
    "recipient_deferred": "The recipient's server asked to retry later.",
    "content_unavailable": "The stored content of the message is temporarily unavailable.",
    "paced": "The route's own rate limit was reached.",
    "external_recipient_limit": "The route's budget for external recipients has no room, or cannot be read at the moment.",
    "paused": "The caller paused the message's group, or the state of the group is temporarily unavailable.",
    # the route is at fault (RouteFault)
    "bad_credentials": "The provider does not accept the route's key, certificate or identity.",
    "missing_permission": "The route's credentials may not send.",
    "sender_not_verified": "The provider does not allow this account to send from the From address.",
    "account_restricted": "The provider suspended or restricted the account, or has not approved it yet.",
    "credits_exhausted": "The account's sending credits are exhausted.",
    "mailbox_unavailable": "The sending mailbox does not exist or may not be used.",
    "misconfigured": "The route's settings are invalid.",
    "secret_unavailable": "A secret of the route could not be read.",
    "repeated_failure": "Ten messages failed in a row: the circuit breaker holds the route.",
    "operator": "An operator holds the route.",
    # the client's own mail does harm (the brake)
    "bounce_rate": "Too much of the client's mail bounced.",
    "complaint_rate": "Too much of the client's mail was reported as spam.",
    # unknown
    "response_lost": "The connection was lost, or timed out, after the message was handed over.",
    "interrupted": "The process died during the attempt.",
    # from Relay
    "cancelled": "The message was cancelled while the outcome of its last attempt was not known.",
    "expired": "The message expired before it could be sent.",
    "poisoned": "Relay's own code failed on this message repeatedly.",
    "unreadable": "The queue entry, or the stored state of the route, could not be read.",
}
"""Every cause an attempt or a dead letter can have, with its meaning."""

_RETRIED = "Nothing: Relay retries."
_AMBIGUOUS = "Ask the provider whether it sent the message. Redrive it if not: it can arrive twice."
FIXES = {
    "invalid_message": "Correct what the provider's reply names, and send the message again.",
    "invalid_recipient": "Correct the address, and send the message again.",
    "message_too_large": "Send a smaller message or a link to the file, or redrive it by a route with a higher limit.",
    "content_refused": "Change what the provider's reply names, such as a link or a file, and send the message again.",
    "recipient_refused": "Check the address with the recipient: the reply has the server's reason"
    " (docs/how-to/read-a-bounce.md).",
    "policy_refused": "Change what the provider's reply names, or redrive the message by another route.",
    "unsupported": "Add a route whose provider supports the features (docs/providers/capabilities.md), and redrive.",
    "provider_failed": "Read the provider's reply, and redrive the message when the cause is gone.",
    "suppressed": "If the recipient wants the mail, remove the address from the suppressions and send the message again.",
    "no_route": "Allow the sender in a route or a rule (docs/reference/settings.md), and redrive the message.",
    "too_many_external_recipients": "Send it to fewer recipients at once, or add a route without a budget and redrive it by that"
    " one.",
    "content_missing": "Send the message again as a new one: Relay has nothing left to send.",
    "rate_limited": f"{_RETRIED} If it lasts, set a pace for the route, or raise the limit at the provider.",
    "provider_unavailable": f"{_RETRIED} If it lasts, look at the provider's status page.",
    "unreachable": "Check the network: DNS, firewall, and for a private smart host the virtual network.",
    "recipient_deferred": f"{_RETRIED} The reply has the server's reason.",
    "content_unavailable": f"{_RETRIED} If it lasts, check the storage account.",
    "paced": "Nothing: Relay sends the message as soon as the route's pace allows it.",
    "external_recipient_limit": "Nothing: Relay sends the message when there is room. If it expired, add a route to the rule, and"
    " redrive the message.",
    "paused": "Nothing, or ask the caller to resume the group.",
    "bad_credentials": "Create a new key and store it where the route's settings point. No restart is needed.",
    "missing_permission": "Grant the key or the identity permission to send (docs/how-to/).",
    "sender_not_verified": "Verify the sender or authenticate its domain at the provider.",
    "account_restricted": "Complete the provider's review. Relay keeps the mail and resumes automatically.",
    "credits_exhausted": "Wait for the next period or upgrade the plan. Relay keeps the mail and resumes automatically.",
    "mailbox_unavailable": "Create the mailbox, or name an existing one in the route's settings.",
    "misconfigured": "Correct the route's settings (docs/reference/settings.md).",
    "secret_unavailable": "Give the app's identity the role Key Vault Secrets User, and check that the secret exists.",
    "repeated_failure": "Read the replies of the last attempts. Relay probes the route and resumes automatically.",
    "operator": "Release the route when it may send again.",
    "bounce_rate": "Find out why (docs/reference/brake.md), then release the client.",
    "complaint_rate": "Find out why (docs/reference/brake.md), then release the client.",
    "response_lost": _AMBIGUOUS,
    "interrupted": _AMBIGUOUS,
    "cancelled": "Nothing, or ask the provider whether it sent the message. A redrive sends it although it was cancelled.",
    "expired": "Fix what delayed it (docs/reference/alerts.md), and redrive what is still worth sending.",
    "poisoned": "Find the exception in the log, deploy a version that fixes it, and redrive the message.",
    "unreadable": "Deploy the newest version of Relay. The container `unreadable` keeps what cannot be read.",
}
"""The fix for each cause, as an instruction to an operator or caller."""


PROVIDER_AWAY = frozenset(
    {
        "repeated_failure",
        "rate_limited",
        "provider_unavailable",
        "unreachable",
        "recipient_deferred",
        "response_lost",
    }
)
"""Causes of a hold that pass without an operator: the provider is away, nothing is configured wrongly."""


def reply_text(text: str) -> str:
    """Cut a raw reply to `MAX_REPLY` and replace lone surrogates (JSON can contain them, storage cannot)."""
    return text[:MAX_REPLY].encode("utf-8", "replace").decode()
