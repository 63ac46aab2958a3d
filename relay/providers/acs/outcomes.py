"""Map the responses of ACS Email to outcomes. The first rule that matches decides.

Sources: [errors] learn.microsoft.com/rest/api/communication/errorcodes; [contract] the service's OpenAPI file (Email,
stable/2025-09-01); [limits] learn.microsoft.com/azure/communication-services/concepts/service-limits; [seen] codes that
the service returns and its pages do not list, from issue threads of the Azure SDKs (azure-sdk-for-js 25286 and 32328).
"""

from datetime import datetime

import msgspec

from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.bearer import ExchangeResult
from relay.providers.http_exchange import (
    HttpResponse,
    LostResponse,
    ResponseRule,
    lost_outcome,
    outcome_by_rules,
    retry_after,
)

CHECK_AFTER_SECONDS = 60.0
"""Delay before checking an accepted message. Status reads have a rate limit too: 60 a minute, 200 an hour [limits]."""

# fmt: off
RULES = (
    # the sender
    ResponseRule(first=400, last=404, pattern="DomainNotLinked|InvalidSenderUserName|InvalidSenderDomain", kind=RouteFault,
        code="sender_not_verified", source="[seen] the sender's domain or name is not set up in the resource"),
    # the message
    ResponseRule(first=400, pattern="EmailDroppedAllRecipientsSuppressed", kind=Rejected, code="suppressed",
        source="[seen] every recipient is on the resource's suppression list"),
    ResponseRule(first=400, pattern="InvalidEmailAddress|Invalid format for email address", kind=Rejected,
        code="invalid_recipient", source="[seen]"),
    ResponseRule(first=400, pattern="RequestEntityTooLarge|request size|too large", kind=Rejected, code="message_too_large",
        source="[limits] 10 MB; the code's name is not documented"),
    ResponseRule(first=400, kind=Rejected, code="invalid_message", source="[errors] 400"),
    ResponseRule(first=413, kind=Rejected, code="message_too_large", source="[limits] 10 MB with attachments"),
    # the key or the account
    ResponseRule(first=401, kind=RouteFault, code="bad_credentials",
        source='[errors] 401; [seen] "Denied by the resource provider"'),
    ResponseRule(first=403, pattern="suspend|block", kind=RouteFault, code="account_restricted",
        source="learn.microsoft.com/azure/communication-services/concepts/email/email-domain-and-sender-authentication"),
    ResponseRule(first=403, kind=RouteFault, code="missing_permission",
        source="[errors] 403: the identity lacks the role Communication and Email Service Owner"),
    # not now
    ResponseRule(first=408, kind=Deferred, code="provider_unavailable", source="RFC 9110 15.5.9: the request was incomplete"),
    ResponseRule(first=429, kind=Deferred, code="rate_limited", source="[limits] per subscription, with Retry-After"),
    ResponseRule(first=503, kind=Deferred, code="provider_unavailable", source="RFC 9110 15.6.4"),
    # the settings
    ResponseRule(first=300, last=407, kind=RouteFault, code="misconfigured",
        source="[errors] 404: no such resource; redirects, 405 to 407: endpoint"),
    ResponseRule(first=409, kind=Unknown, code="response_lost", source="RFC 9110 15.5.10: the operation seems to exist already"),
    ResponseRule(first=410, last=499, kind=Rejected, code="invalid_message", source="[errors] 422; RFC 9110 15.5"),
    # `verify` can look up the operation, so Unknown is safe here.
    ResponseRule(first=500, last=599, kind=Unknown, code="response_lost", source="[errors] 500; RFC 9110 15.6"),
)
FAILURES = (
    ResponseRule(first=200, pattern="EmailDroppedAllRecipientsSuppressed", kind=Rejected, code="suppressed", source="[seen]"),
    ResponseRule(first=200, pattern="InvalidEmailAddress", kind=Rejected, code="invalid_recipient", source="[seen]"),
    ResponseRule(first=200, kind=Rejected, code="provider_failed", source="[contract] EmailSendStatus: Failed, Canceled"),
)
"""Rules for a failed operation, by the `error` in its status."""
# fmt: on


class SendOperation(msgspec.Struct, frozen=True, kw_only=True):
    """EmailSendResult [contract]. `status` is NotStarted, Running, Succeeded, Failed or Canceled."""

    id: str
    status: str


def sent_outcome(result: ExchangeResult, now: datetime, operation: str) -> Outcome:
    """Return the outcome of a send request. 202 means that the service accepted the message but has not sent it yet."""
    if isinstance(result, LostResponse):
        return lost_outcome(result, operation)
    if not isinstance(result, HttpResponse):
        return result
    if result.status == 202:
        return Sent(provider_id=operation, reply=result.reply, check_after_seconds=CHECK_AFTER_SECONDS)
    outcome = outcome_by_rules(RULES, result, retry_after(result.headers, now))
    return msgspec.structs.replace(outcome, provider_id=operation) if isinstance(outcome, Unknown) else outcome


def operation_outcome(result: ExchangeResult, operation: str) -> Outcome:
    """Return the outcome that an operation's status shows. While it runs, the service still sends the message."""
    if isinstance(result, LostResponse):
        return Unknown(code="response_lost", reply=result.reason, provider_id=operation)
    if not isinstance(result, HttpResponse):
        return Unknown(code="response_lost", reply=result.reply, provider_id=operation)
    if result.status == 404:
        return Deferred(code="provider_unavailable", reply=result.reply)
    known = _operation(result)
    if known is None:
        return Unknown(code="response_lost", reply=result.reply, provider_id=operation)
    if known.status == "Succeeded":
        return Sent(provider_id=operation, reply=result.reply)
    if known.status in ("Failed", "Canceled"):
        return outcome_by_rules(FAILURES, result)
    return Sent(provider_id=operation, reply=result.reply, check_after_seconds=CHECK_AFTER_SECONDS)


def _operation(response: HttpResponse) -> SendOperation | None:
    try:
        return msgspec.json.decode(response.body, type=SendOperation) if response.status == 200 else None
    except msgspec.MsgspecError:
        return None
