"""Map Graph's responses to outcomes. The first rule that matches decides.

Sources: [errors] learn.microsoft.com/graph/errors; [ews] learn.microsoft.com/exchange/client-developer/
web-service-reference/responsecode, whose names Exchange also returns through Graph; [sendmail] and [upload]
learn.microsoft.com/graph/api/user-sendmail and attachment-createuploadsession; [throttling]
learn.microsoft.com/graph/throttling; [limits] the page exchange-online-limits of the service description.
"""

from datetime import datetime

import msgspec

from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Sent, Unknown, reply_text
from relay.providers.bearer import ExchangeResult
from relay.providers.http_exchange import (
    HttpResponse,
    LostResponse,
    ResponseRule,
    lost_outcome,
    outcome_by_rules,
    retry_after,
)

# fmt: off
RULES = (
    # 403 about the message
    ResponseRule(first=400, last=403, error="ErrorMessageBlocked", kind=Rejected, code="content_refused",
        source="[ews] the message is considered spam"),
    # the mailbox may not send as that sender
    ResponseRule(first=400, last=403, error="ErrorSendAsDenied|ErrorSendOnBehalfOfDenied", kind=RouteFault,
        code="sender_not_verified", source="[ews] ErrorSendAsDenied: the mailbox has no right to send as the From address"),
    # the mailbox
    ResponseRule(first=400, last=599, error="ErrorQuotaExceeded", kind=RouteFault, code="mailbox_unavailable",
        source="[ews] the mailbox is full; github.com/microsoftgraph/microsoft-graph-docs/issues/3935 shows it for sendMail"),
    ResponseRule(first=507, kind=RouteFault, code="mailbox_unavailable", source="[errors] 507 insufficient storage"),
    ResponseRule(first=400, last=599, error=r"Error(Exceeded(Message|MaxRecipient|HourlyMessage)Limit|SubmissionQuotaExceeded)",
        kind=RouteFault, code="credits_exhausted", source="[limits] 10,000 recipients a day; [ews] ErrorExceededMessageLimit"),
    ResponseRule(first=400, last=599, error="ErrorMessageSubmissionBlocked|ErrorAccountSuspend", kind=RouteFault,
        code="account_restricted", source="[ews] submission is blocked until the account's owner signs in and verifies it"),
    ResponseRule(first=400, last=404,
        error="ErrorInvalidUser|ErrorNonExistentMailbox|MailboxNot(EnabledForRESTAPI|HostedOnline|Found)",
        kind=RouteFault, code="mailbox_unavailable",
        source="[ews] ErrorNonExistentMailbox; learn.microsoft.com/graph/resolve-auth-errors: no mailbox, or on premises"),
    ResponseRule(first=404, error="ResourceNotFound|MailboxInfoStale", kind=RouteFault, code="mailbox_unavailable",
        source="[errors] 404: no such user in the directory"),
    ResponseRule(first=403, pattern=r"Access to OData is disabled|\[RAOP\]", kind=RouteFault, code="mailbox_unavailable",
        source="learn.microsoft.com/graph/auth-limit-mailbox-access: the policy leaves this mailbox out"),
    ResponseRule(first=403, kind=RouteFault, code="missing_permission",
        source="[errors] 403; ErrorAccessDenied: no Mail.Send, or RBAC for Applications leaves this mailbox out"),
    ResponseRule(first=401, kind=RouteFault, code="bad_credentials", source="[errors] 401, also with a fresh token"),
    # the message
    ResponseRule(first=400, last=413, error="ErrorInvalidRecipients|ErrorMissingRecipients|ErrorInvalidSmtpAddress",
        kind=Rejected, code="invalid_recipient", source="[ews] ErrorInvalidRecipients"),
    ResponseRule(first=400, last=413, error="ErrorTooManyRecipients", kind=Rejected, code="policy_refused",
        source="[limits] 500 recipients a message, or what the tenant sets; the code's name is not documented"),
    ResponseRule(first=400, last=413, error="ErrorMessageSizeExceeded|ErrorAttachmentSizeLimitExceeded",
        kind=Rejected, code="message_too_large", source="[ews]; [upload] 35 MB unless the tenant set more"),
    ResponseRule(first=400, pattern="maximum supported size", kind=Rejected, code="message_too_large",
        source="[upload] says it in words; every other 400 is about the message too"),
    ResponseRule(first=413, kind=Rejected, code="message_too_large", source="[errors] 413: the maximum request length is 4 MB"),
    # not now
    ResponseRule(first=429, kind=Deferred, code="rate_limited", source="[throttling] with Retry-After; ApplicationThrottled"),
    ResponseRule(first=509, kind=Deferred, code="rate_limited", source="[errors] 509 bandwidth limit exceeded"),
    ResponseRule(first=404, error="ErrorItemNotFound", kind=Deferred, code="provider_unavailable",
        source="[ews] the draft is not in the store (yet, or any more): it was not sent by this request"),
    ResponseRule(first=408, last=409, kind=Deferred, code="provider_unavailable",
        source="RFC 9110 15.5.9, 15.5.10; [ews] ErrorIrresolvableConflict: the draft was changed"),
    ResponseRule(first=412, kind=Deferred, code="provider_unavailable", source="[errors] 412: the draft was changed"),
    ResponseRule(first=423, kind=Deferred, code="provider_unavailable", source="[errors] 423 locked"),
    ResponseRule(first=503, kind=Deferred, code="provider_unavailable",
        source="[errors] 503: repeat after the delay in Retry-After"),
    # the settings
    ResponseRule(first=300, last=399, kind=RouteFault, code="misconfigured",
        source="base_url does not lead to Graph"),
    ResponseRule(first=404, last=407, kind=RouteFault, code="misconfigured", source="[errors] 404 to 406; 407: base_url"),
    ResponseRule(first=400, last=499, kind=Rejected, code="invalid_message",
        source="[errors] 400, 422; [sendmail] ErrorMimeContentInvalidBase64String"),
    # Mail was sent despite a response of 500 or 504: learn.microsoft.com/answers/questions/2286986 and 5629476.
    ResponseRule(first=500, last=599, kind=Unknown, code="response_lost", source="[errors] 500, 504: what was done is not known"),
)
# fmt: on
MAILBOX_CODES = frozenset({"missing_permission", "credits_exhausted", "account_restricted"})
"""Faults that concern only one mailbox, on routes where each sender has its own."""


def outcome_of(result: ExchangeResult, now: datetime, *, provider_id: str | None = None) -> Outcome:
    """Return the outcome of a send request from its response or the lack of one. 202: Exchange accepted the message."""
    if isinstance(result, LostResponse):
        return lost_outcome(result, provider_id)
    if not isinstance(result, HttpResponse):
        return result
    if result.status == 202:
        return Sent(provider_id=provider_id, reply=_accepted(result))
    outcome = outcome_by_rules(RULES, result, retry_after(result.headers, now))
    return msgspec.structs.replace(outcome, provider_id=provider_id) if isinstance(outcome, Unknown) else outcome


def before_sending(outcome: Outcome) -> Outcome:
    """Change the outcome of a request that sends nothing: even if it is unknown, the message was certainly not sent."""
    if isinstance(outcome, Unknown):
        return Deferred(code="provider_unavailable", reply=outcome.reply)
    return outcome


def for_one_mailbox(outcome: Outcome) -> Outcome:
    """Change a fault of one mailbox so that it does not hold the others, where each sender has its own."""
    if isinstance(outcome, RouteFault) and outcome.code in MAILBOX_CODES:
        return msgspec.structs.replace(outcome, code="mailbox_unavailable")
    return outcome


def _accepted(response: HttpResponse) -> str:
    """Return the reply of an accepted message: the request id that Microsoft's support asks for. The response has no body."""
    request_id = response.headers.get("request-id", "")
    return reply_text(f"{response.status} request-id {request_id}" if request_id else response.reply)
