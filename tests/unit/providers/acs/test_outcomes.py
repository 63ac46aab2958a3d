"""Every rule of ACS, with a response from the service or its documentation."""

from collections.abc import Mapping

import pytest

from relay.core.outcomes import CAUSES, Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.acs.outcomes import FAILURES, RULES, operation_outcome, sent_outcome
from relay.providers.http_exchange import HttpResponse, LostResponse
from tests.send_requests import NOW


def error(code: str, message: str = "") -> bytes:
    return f'{{"error":{{"code":"{code}","message":"{message}"}}}}'.encode()


RESPONSES: Mapping[str, tuple[int, bytes, type[Outcome], str]] = {
    "a domain that is not linked": (404, error("DomainNotLinked"), RouteFault, "sender_not_verified"),
    "a sender that is not set up": (400, error("InvalidSenderUserName"), RouteFault, "sender_not_verified"),
    "every recipient suppressed": (400, error("EmailDroppedAllRecipientsSuppressed"), Rejected, "suppressed"),
    "an address": (400, error("BadRequest", "Invalid format for email address"), Rejected, "invalid_recipient"),
    "a size as 400": (400, error("RequestEntityTooLarge"), Rejected, "message_too_large"),
    "a fault": (400, error("BadRequest", "Either plainText or html is required."), Rejected, "invalid_message"),
    "a size": (413, error("RequestEntityTooLarge"), Rejected, "message_too_large"),
    "a bad key": (401, error("Denied", "Denied by the resource provider."), RouteFault, "bad_credentials"),
    "a suspended resource": (403, error("Forbidden", "The resource is suspended."), RouteFault, "account_restricted"),
    "a missing role": (403, error("Forbidden", "not authorized"), RouteFault, "missing_permission"),
    "a request that was not whole": (408, b"", Deferred, "provider_unavailable"),
    "too many": (429, error("TooManyRequests", "PerSubscriptionPerHourLimitExceeded"), Deferred, "rate_limited"),
    "busy": (503, b"", Deferred, "provider_unavailable"),
    "no resource": (404, b"", RouteFault, "misconfigured"),
    "a redirect": (301, b"", RouteFault, "misconfigured"),
    "a proxy": (407, b"", RouteFault, "misconfigured"),
    "an operation that is there": (409, error("Conflict"), Unknown, "response_lost"),
    "an entity": (422, b"", Rejected, "invalid_message"),
    "an internal error": (500, error("InternalServerError"), Unknown, "response_lost"),
    "a gateway": (504, b"upstream", Unknown, "response_lost"),
    "success of another kind": (200, b"<html>", Unknown, "response_lost"),
}


@pytest.mark.parametrize(("status", "body", "kind", "code"), RESPONSES.values(), ids=RESPONSES)
def test_response_gives_the_expected_outcome(status: int, body: bytes, kind: type[Outcome], code: str) -> None:
    outcome = sent_outcome(HttpResponse(status=status, headers={"retry-after": "5"}, body=body), NOW, "op")
    assert (type(outcome), outcome.code) == (kind, code)
    assert outcome.code in CAUSES
    if isinstance(outcome, Deferred | RouteFault):
        assert outcome.retry_after_seconds == 5
    if isinstance(outcome, Unknown):
        assert outcome.provider_id == "op"


def test_every_rule_is_covered() -> None:
    responses = [HttpResponse(status=status, headers={}, body=body) for status, body, _, _ in RESPONSES.values()]
    met = {next((rule for rule in RULES if rule.matches(response)), None) for response in responses}
    assert [rule.source for rule in RULES if rule not in met] == []


def status(state: str, code: str = "") -> HttpResponse:
    inner = f'{{"code":"{code}","message":"why"}}' if code else "null"
    return HttpResponse(status=200, headers={}, body=f'{{"id":"op","status":"{state}","error":{inner}}}'.encode())


ENDED = {
    "well": (status("Succeeded"), Sent, ""),
    "suppressed": (status("Failed", "EmailDroppedAllRecipientsSuppressed"), Rejected, "suppressed"),
    "no address": (status("Failed", "InvalidEmailAddress"), Rejected, "invalid_recipient"),
    "otherwise": (status("Failed", "Other"), Rejected, "provider_failed"),
    "canceled": (status("Canceled"), Rejected, "provider_failed"),
    "never begun": (HttpResponse(status=404, headers={}), Deferred, "provider_unavailable"),
    "not to be asked": (HttpResponse(status=403, headers={}), Unknown, "response_lost"),
    "in words of another": (HttpResponse(status=200, headers={}, body=b"[]"), Unknown, "response_lost"),
    "lost": (LostResponse(is_certain=True, reason="x"), Unknown, "response_lost"),
    "without a token": (RouteFault(code="bad_credentials", reply="x"), Unknown, "response_lost"),
}


@pytest.mark.parametrize(("result", "kind", "code"), ENDED.values(), ids=ENDED)
def test_ended_operation_gives_the_expected_outcome(
    result: HttpResponse | LostResponse | RouteFault, kind: type[Outcome], code: str
) -> None:
    outcome = operation_outcome(result, "op")
    assert (type(outcome), outcome.code) == (kind, code)
    if isinstance(outcome, Sent):
        assert outcome.check_after_seconds is None


@pytest.mark.parametrize("state", ["NotStarted", "Running", "SomethingNew"])
def test_running_operation_is_checked_again(state: str) -> None:
    outcome = operation_outcome(status(state), "op")
    assert isinstance(outcome, Sent)
    assert outcome.check_after_seconds


def test_every_failure_rule_is_covered() -> None:
    responses = [result for result, _, _ in ENDED.values() if isinstance(result, HttpResponse)]
    assert all(any(rule.matches(response) for response in responses) for rule in FAILURES)
