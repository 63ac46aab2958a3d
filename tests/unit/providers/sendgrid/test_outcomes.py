"""Every rule of SendGrid, with a response from the vendor's pages."""

from collections.abc import Mapping

import pytest

from relay.core.outcomes import CAUSES, Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.http_exchange import HttpResponse
from relay.providers.sendgrid.outcomes import RULES, outcome_of, wait_seconds
from tests.send_requests import NOW


def errors(message: str, field: str = "null") -> bytes:
    named = field if field == "null" else f'"{field}"'
    return f'{{"errors":[{{"message":"{message}","field":{named},"help":null}}]}}'.encode()


RESPONSES: Mapping[str, tuple[int, bytes, type[Outcome], str]] = {
    "size named in a 400": (
        400,
        errors("The total size of your email, including attachments, must be less than 30MB."),
        Rejected,
        "message_too_large",
    ),
    "a recipient": (
        400,
        errors("Does not contain a valid address.", "personalizations.0.to.0.email"),
        Rejected,
        "invalid_recipient",
    ),
    "another field": (400, errors("The subject is required.", "subject"), Rejected, "invalid_message"),
    "a from address that is malformed": (
        400,
        errors("Does not contain a valid address.", "from.email"),
        Rejected,
        "invalid_message",
    ),
    "credits": (401, errors("Maximum credits exceeded"), RouteFault, "credits_exhausted"),
    "scope": (401, errors("Authenticated user is not authorized to send mail"), RouteFault, "missing_permission"),
    "a suspended account": (401, errors("Your account is suspended"), RouteFault, "account_restricted"),
    "a revoked key": (
        401,
        errors("The provided authorization grant is invalid, expired, or revoked"),
        RouteFault,
        "bad_credentials",
    ),
    "no key": (401, errors("authorization required"), RouteFault, "bad_credentials"),
    "an unverified sender": (
        403,
        errors("The from address does not match a verified Sender Identity.", "from"),
        RouteFault,
        "sender_not_verified",
    ),
    "a temporary block": (403, errors("Too many bad requests. Temporary block"), RouteFault, "account_restricted"),
    "an account under review": (403, errors("Your account is under review"), RouteFault, "account_restricted"),
    "a new account without its rights": (403, errors("access forbidden"), RouteFault, "missing_permission"),
    "not found": (404, errors("not found"), RouteFault, "misconfigured"),
    "a method that is not allowed": (405, errors("method not allowed"), RouteFault, "misconfigured"),
    "a redirect": (302, b"", RouteFault, "misconfigured"),
    "a proxy": (407, b"", RouteFault, "misconfigured"),
    "a request that was not whole": (408, b"", Deferred, "provider_unavailable"),
    "a conflict": (409, b"", Rejected, "invalid_message"),
    "too large": (413, errors("content too large"), Rejected, "message_too_large"),
    "another type": (415, errors("UNSUPPORTED MEDIA TYPE"), Rejected, "invalid_message"),
    "unprocessable": (422, b"", Rejected, "invalid_message"),
    "too many requests": (429, errors("too many requests"), Deferred, "rate_limited"),
    "another region": (451, errors("unavailable"), RouteFault, "misconfigured"),
    "server error": (500, errors("internal server error"), Deferred, "provider_unavailable"),
    "a gateway without a response": (502, b"<html>Bad Gateway</html>", Unknown, "response_lost"),
    "the service is away": (503, errors("service unavailable"), Deferred, "provider_unavailable"),
    "a gateway that waited": (504, b"", Unknown, "response_lost"),
    "an undefined status": (600, b"", Unknown, "response_lost"),
    "a success that is none": (204, b"", Unknown, "response_lost"),
    "validated only, without sandbox mode": (200, b"", Unknown, "response_lost"),
}


@pytest.mark.parametrize(("status", "body", "kind", "code"), RESPONSES.values(), ids=RESPONSES)
def test_response_gives_the_expected_outcome(status: int, body: bytes, kind: type[Outcome], code: str) -> None:
    outcome = outcome_of(HttpResponse(status=status, headers={}, body=body), NOW, was_sandbox=False)
    assert (type(outcome), outcome.code) == (kind, code)
    assert outcome.reply == f"{status} {body.decode()}".rstrip()


def test_every_rule_is_covered() -> None:
    met = set()
    for status, body, _, _ in RESPONSES.values():
        response = HttpResponse(status=status, headers={}, body=body)
        met.add(next((number for number, rule in enumerate(RULES) if rule.matches(response)), None))
    assert met - {None} == set(range(len(RULES)))
    assert {rule.code for rule in RULES} <= set(CAUSES)
    assert all(rule.source for rule in RULES)


def test_accepted_message_is_sent_with_its_id() -> None:
    response = HttpResponse(status=202, headers={"x-message-id": "abc"})
    assert outcome_of(response, NOW, was_sandbox=False) == Sent(provider_id="abc", reply="202")
    assert outcome_of(HttpResponse(status=202, headers={}), NOW, was_sandbox=True) == Sent(reply="202")


def test_status_200_is_sent_only_in_sandbox_mode() -> None:
    assert outcome_of(HttpResponse(status=200, headers={}), NOW, was_sandbox=True) == Sent(reply="200")


AT = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "7", "x-ratelimit-reset": str(AT + 60)}, 7),
        ({"x-ratelimit-reset": str(AT + 60)}, 60),
        ({"x-ratelimit-reset": str(AT + 60), "x-ratelimit-remaining": "0"}, 60),
        ({"x-ratelimit-reset": str(AT + 60), "x-ratelimit-remaining": "12"}, None),
        ({"x-ratelimit-reset": str(AT - 60)}, 0),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-reset": "9" * 400}, None),
        ({"x-ratelimit-reset": "9" * 5_000}, None),
        ({}, None),
    ],
)
def test_wait_follows_retry_after_or_rate_limit_reset(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_seconds(headers, NOW) == seconds
    outcome = outcome_of(HttpResponse(status=429, headers=headers), NOW, was_sandbox=False)
    assert outcome == Deferred(code="rate_limited", reply="429", retry_after_seconds=seconds)
