"""Every rule of Graph, with a response from Exchange Online or its documentation."""

from collections.abc import Mapping

import pytest

from relay.core.outcomes import CAUSES, Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.graph.outcomes import RULES, before_sending, for_one_mailbox, outcome_of
from relay.providers.http_exchange import HttpResponse, LostResponse
from tests.send_requests import NOW


def error(code: str, message: str = "") -> bytes:
    return f'{{"error":{{"code":"{code}","message":"{message}","innerError":{{"request-id":"r"}}}}}}'.encode()


DENIED = "Access is denied. Check credentials and try again."
RESPONSES: Mapping[str, tuple[int, bytes, type[Outcome], str]] = {
    "send as": (403, error("ErrorSendAsDenied", "does not have the right"), RouteFault, "sender_not_verified"),
    "a full mailbox": (403, error("ErrorQuotaExceeded"), RouteFault, "mailbox_unavailable"),
    "a full mailbox as 507": (507, error("ErrorQuotaExceeded"), RouteFault, "mailbox_unavailable"),
    "no storage": (507, b"", RouteFault, "mailbox_unavailable"),
    "the daily limit": (429, error("ErrorExceededMessageLimit", "Cannot send mail."), RouteFault, "credits_exhausted"),
    "a blocked account": (403, error("ErrorMessageSubmissionBlocked"), RouteFault, "account_restricted"),
    "a suspended account": (403, error("ErrorAccountSuspend"), RouteFault, "account_restricted"),
    "no such user": (404, error("ErrorInvalidUser"), RouteFault, "mailbox_unavailable"),
    "no such user in the directory": (404, error("Request_ResourceNotFound"), RouteFault, "mailbox_unavailable"),
    "an on-premises mailbox": (404, error("MailboxNotEnabledForRESTAPI"), RouteFault, "mailbox_unavailable"),
    "a mailbox without a licence": (404, error("ErrorNonExistentMailbox"), RouteFault, "mailbox_unavailable"),
    "an access policy": (
        403,
        error("ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by tenant"),
        RouteFault,
        "mailbox_unavailable",
    ),
    "no permission": (403, error("ErrorAccessDenied", DENIED), RouteFault, "missing_permission"),
    "a bad token": (401, error("InvalidAuthenticationToken"), RouteFault, "bad_credentials"),
    "a recipient": (400, error("ErrorInvalidRecipients", "At least one"), Rejected, "invalid_recipient"),
    "no recipients": (400, error("ErrorMissingRecipients"), Rejected, "invalid_recipient"),
    "too many recipients": (400, error("ErrorTooManyRecipients"), Rejected, "policy_refused"),
    "the message's size": (400, error("ErrorMessageSizeExceeded"), Rejected, "message_too_large"),
    "an attachment's size": (413, error("ErrorAttachmentSizeLimitExceeded"), Rejected, "message_too_large"),
    "a size in words": (400, error("BadRequest", "exceeds the maximum supported size"), Rejected, "message_too_large"),
    "a size that a caller wrote": (
        404,
        error("UnknownError", "'ErrorMessageSizeExceeded'"),
        RouteFault,
        "misconfigured",
    ),
    "a draft named after a size": (
        404,
        error("ErrorItemNotFound", "maximum supported size"),
        Deferred,
        "provider_unavailable",
    ),
    "the request's size": (413, error("BadRequest", "maximum request length"), Rejected, "message_too_large"),
    "spam": (403, error("ErrorMessageBlocked"), Rejected, "content_refused"),
    "throttling": (429, error("ApplicationThrottled", "MailboxConcurrency"), Deferred, "rate_limited"),
    "bandwidth": (509, b"", Deferred, "rate_limited"),
    "a draft that is gone": (404, error("ErrorItemNotFound"), Deferred, "provider_unavailable"),
    "a request that was not whole": (408, b"", Deferred, "provider_unavailable"),
    "a draft that changed": (409, error("ErrorIrresolvableConflict"), Deferred, "provider_unavailable"),
    "a precondition": (412, error("ErrorIrresolvableConflict"), Deferred, "provider_unavailable"),
    "a lock": (423, b"", Deferred, "provider_unavailable"),
    "busy": (503, error("ErrorServerBusy"), Deferred, "provider_unavailable"),
    "a redirect": (302, b"", RouteFault, "misconfigured"),
    "another path": (404, error("UnknownError"), RouteFault, "misconfigured"),
    "a proxy": (407, b"", RouteFault, "misconfigured"),
    "bad MIME": (400, error("ErrorMimeContentInvalidBase64String"), Rejected, "invalid_message"),
    "an entity": (422, b"", Rejected, "invalid_message"),
    "an internal error": (500, error("ErrorInternalServerError"), Unknown, "response_lost"),
    "a gateway": (502, b"", Unknown, "response_lost"),
    "a gateway that waited": (504, error("UnknownError"), Unknown, "response_lost"),
    "success of another kind": (200, b"<html>", Unknown, "response_lost"),
}


@pytest.mark.parametrize(("status", "body", "kind", "code"), RESPONSES.values(), ids=RESPONSES)
def test_response_gives_the_expected_outcome(status: int, body: bytes, kind: type[Outcome], code: str) -> None:
    outcome = outcome_of(HttpResponse(status=status, headers={"retry-after": "5"}, body=body), NOW, provider_id="draft")
    assert (type(outcome), outcome.code) == (kind, code)
    assert outcome.code in CAUSES
    assert outcome.reply.startswith(str(status))
    if isinstance(outcome, Deferred | RouteFault):
        assert outcome.retry_after_seconds == 5
    if isinstance(outcome, Unknown) and status != 200:
        assert outcome.provider_id == "draft"


def test_every_rule_is_covered() -> None:
    responses = [HttpResponse(status=status, headers={}, body=body) for status, body, _, _ in RESPONSES.values()]
    met = {next((rule for rule in RULES if rule.matches(response)), None) for response in responses}
    assert {rule.source for rule in RULES if rule not in met} == set()


def test_accepted_reply_has_the_request_id() -> None:
    outcome = outcome_of(HttpResponse(status=202, headers={"request-id": "r1"}), NOW, provider_id="draft")
    assert outcome == Sent(provider_id="draft", reply="202 request-id r1")
    # Taken is taken, whatever it says about waiting (github.com/microsoftgraph/msgraph-sdk-java/issues/1487).
    assert outcome_of(HttpResponse(status=202, headers={"retry-after": "9"}), NOW) == Sent(reply="202")


def test_lost_response_and_missing_token_give_their_outcomes() -> None:
    assert outcome_of(LostResponse(is_certain=True, reason="x"), NOW) == Deferred(code="unreachable", reply="x")
    assert outcome_of(LostResponse(is_certain=False, reason="x"), NOW, provider_id="draft") == Unknown(
        code="response_lost", reply="x", provider_id="draft"
    )
    fault = RouteFault(code="bad_credentials", reply="AADSTS")
    assert outcome_of(fault, NOW) == fault


def test_unknown_before_the_send_step_becomes_deferred() -> None:
    assert before_sending(Unknown(code="response_lost", reply="504")) == Deferred(
        code="provider_unavailable", reply="504"
    )
    rejected = Rejected(code="invalid_message")
    assert before_sending(rejected) == rejected


@pytest.mark.parametrize("code", ["missing_permission", "credits_exhausted", "account_restricted"])
def test_fault_of_one_mailbox_does_not_hold_others(code: str) -> None:
    assert for_one_mailbox(RouteFault(code=code, reply="r")) == RouteFault(code="mailbox_unavailable", reply="r")


def test_fault_of_the_app_holds_the_route() -> None:
    fault = RouteFault(code="bad_credentials")
    assert for_one_mailbox(fault) == fault
