"""Every rule of SMTP, with a reply from a real server, and replies without a rule."""

import pytest

from relay.core.outcomes import CAUSES, Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.smtp.outcomes import RULES, SmtpReply, distinct, queue_id, read_reply

# fmt: off
REPLIES = (
    ("content", "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
     Deferred, "rate_limited"),
    ("mail", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", Deferred, "rate_limited"),
    ("rcpt", "452 4.5.3 Too many recipients", Deferred, "recipient_deferred"),
    ("rcpt", "452 4.2.2 Mailbox full", Deferred, "recipient_deferred"),
    ("rcpt", "450 4.2.1 The user is receiving mail too quickly, rate limited", Deferred, "recipient_deferred"),
    ("mail", "450 4.7.1 Error: too much mail, rate exceeded", Deferred, "rate_limited"),
    ("mail", "421 4.4.2 Message submission rate for this client has exceeded the configured limit", Deferred, "rate_limited"),
    ("mail", "450 4.5.127 Message rejected. Excessive message rate from sender", Deferred, "rate_limited"),
    ("auth", "454 4.7.0 Temporary authentication failure", Deferred, "provider_unavailable"),
    ("auth", "454 4.7.0 Too many login attempts, please try again later", Deferred, "rate_limited"),
    ("auth", "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
     RouteFault, "missing_permission"),
    ("auth", "535 5.7.139 Authentication unsuccessful, the user is locked by your organization's security policy",
     RouteFault, "missing_permission"),
    ("auth", "550 5.7.30 Basic authentication is not supported for Client Submission.", RouteFault, "misconfigured"),
    ("auth", "504 5.5.4 Unrecognized authentication type", RouteFault, "misconfigured"),
    ("mail", "530 5.7.0 Must issue a STARTTLS command first", RouteFault, "misconfigured"),
    ("auth", "538 5.7.11 Encryption required for requested authentication mechanism", RouteFault, "misconfigured"),
    ("auth", "535 5.7.3 Authentication unsuccessful", RouteFault, "bad_credentials"),
    ("auth", "535 5.7.8 Error: authentication failed:", RouteFault, "bad_credentials"),
    ("mail", "503 auth first (#5.5.1)", RouteFault, "bad_credentials"),
    ("mail", "530 5.7.57 Client not authenticated to send mail.", RouteFault, "bad_credentials"),
    ("content", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException.MapiExceptionShutoffQuotaExceeded",
     RouteFault, "credits_exhausted"),
    ("content", "550 5.1.90 Your message can't be sent because you've reached your daily limit", RouteFault, "credits_exhausted"),
    ("mail", "550 5.7.501 Access denied, spam abuse detected from your network", RouteFault, "account_restricted"),
    ("content", "550 5.7.705 Access denied, tenant has exceeded threshold", RouteFault, "account_restricted"),
    ("content", "550 5.1.8 Access denied, bad outbound sender", RouteFault, "account_restricted"),
    ("content", "550 5.7.232 Your message can't be sent because your trial tenant has exceeded its daily limit",
     RouteFault, "credits_exhausted"),
    ("content", "550 5.7.236 Your message can't be sent: your tenant's onmicrosoft.com domains", RouteFault, "credits_exhausted"),
    ("content", "550 5.5.105 Submission limit", RouteFault, "credits_exhausted"),
    ("rcpt", "550 5.7.511 Access denied, banned sender", RouteFault, "account_restricted"),
    ("rcpt", "550 5.7.606 Access denied, banned sending IP [192.0.2.1]", RouteFault, "account_restricted"),
    ("rcpt", "550 5.7.505 Access denied, banned recipient", Rejected, "policy_refused"),
    ("content", "550 5.7.703 Your message can't be delivered: a recipient is blocked by your organization",
     Rejected, "policy_refused"),
    ("content", "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
     RouteFault, "mailbox_unavailable"),
    ("content", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", RouteFault, "sender_not_verified"),
    ("content", "554 5.2.252 SendAsDenied; the user is not allowed to send as this sender", RouteFault, "sender_not_verified"),
    ("content", "550 5.7.750 Client blocked from sending from unregistered domain", RouteFault, "sender_not_verified"),
    ("mail", "550 5.7.1 Client does not have permissions to send as this sender", RouteFault, "sender_not_verified"),
    ("mail", "553 5.7.1 <a@example.com>: Sender address rejected: not owned by user b", RouteFault, "sender_not_verified"),
    ("mail", "550 5.7.1 Requested action not taken: policy", RouteFault, "sender_not_verified"),
    ("rcpt", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", Rejected, "policy_refused"),
    ("rcpt", "550 5.7.1 Unable to relay", RouteFault, "missing_permission"),
    ("rcpt", "554 5.7.1 <a@example.org>: Relay access denied", RouteFault, "missing_permission"),
    ("rcpt", "550 5.1.1 <relay@corp.example>: Recipient address rejected: User unknown", Rejected, "invalid_recipient"),
    ("rcpt", "552 Too many recipients", Deferred, "recipient_deferred"),
    ("rcpt", "503 5.5.2 Need mail command", Deferred, "provider_unavailable"),
    ("mail", "552 5.3.4 Message size exceeds fixed maximum message size", Rejected, "message_too_large"),
    ("content", "554 5.2.3 Message too large for this mailbox", Rejected, "message_too_large"),
    ("mail", "552 message too big", Rejected, "message_too_large"),
    ("rcpt", "553 5.6.7 SMTPUTF8 is required", Rejected, "unsupported"),
    ("content", "554 5.6.0 Corrupt message content", Rejected, "invalid_message"),
    ("mail", "501 5.1.7 Invalid address", Rejected, "invalid_message"),
    ("mail", "555 syntax error (#5.5.4)", Rejected, "invalid_message"),
    ("content", "550 5.7.1 Message rejected as spam by content filtering", Rejected, "policy_refused"),
    ("content", "554 Transaction failed", Rejected, "content_refused"),
    ("data", "554 no valid recipients", Rejected, "content_refused"),
    ("rcpt", "550 5.1.1 User unknown", Rejected, "invalid_recipient"),
    ("rcpt", "550 relay@corp.example: no such user", Rejected, "recipient_refused"),
    ("rcpt", "550 5.7.193 Blocked by the recipient's policy", Rejected, "policy_refused"),
    ("rcpt", "553 mailbox name not allowed", Rejected, "invalid_recipient"),
    ("rcpt", "501 syntax error", Rejected, "invalid_recipient"),
    ("rcpt", "550 no such user here", Rejected, "recipient_refused"),
    ("rcpt", "450 4.7.1 Greylisted, come back in a minute", Deferred, "recipient_deferred"),
    ("rcpt", "451 4.3.0 Temporary lookup failure", Deferred, "recipient_deferred"),
    ("connect", "501 5.5.4 Invalid domain name", RouteFault, "misconfigured"),
    ("connect", "554 5.7.1 Service unavailable; client host blocked", RouteFault, "account_restricted"),
    ("connect", "421 4.3.2 The maximum number of concurrent server connections has been reached",
     Deferred, "provider_unavailable"),
    ("connect", "454 4.7.0 TLS not available due to temporary reason", Deferred, "provider_unavailable"),
    ("content", "451 4.3.2 Please try again later", Deferred, "provider_unavailable"),
    ("mail", "550 no", Rejected, "policy_refused"),
)
# fmt: on


def reply(step: str, text: str) -> SmtpReply:
    return SmtpReply(step=step, code=int(text[:3]), text=text[4:])


@pytest.mark.parametrize(("step", "text", "kind", "cause"), REPLIES)
def test_reply_gives_the_expected_outcome(step: str, text: str, kind: type[Outcome], cause: str) -> None:
    outcome = read_reply(reply(step, text))
    assert (type(outcome), outcome.code, outcome.reply) == (kind, cause, text)


def test_every_rule_is_covered() -> None:
    decided = {next(rule for rule in RULES if rule.matches(reply(step, text))) for step, text, *_ in REPLIES}
    assert [rule for rule in RULES if rule not in decided] == []


def test_every_rule_has_a_known_cause_and_a_source() -> None:
    assert {rule.cause for rule in RULES} <= set(CAUSES)
    assert all(rule.source for rule in RULES)


@pytest.mark.parametrize("step", ["connect", "auth", "mail", "rcpt", "data"])
def test_undefined_reply_is_deferred_and_unknown_after_the_content(step: str) -> None:
    assert type(read_reply(reply(step, "699 what"))) is Deferred
    assert type(read_reply(reply("content", "699 what"))) is Unknown


def test_reply_354_is_good_only_for_data() -> None:
    assert reply("data", "354 go on").is_good
    assert not reply("content", "354 go on").is_good


@pytest.mark.parametrize(
    ("text", "enhanced"), [("5.1.1 User unknown", "5.1.1"), ("4.5.127 x", "4.5.127"), ("User 5.1.1", ""), ("9.1.1", "")]
)
def test_enhanced_code_is_read_only_at_the_beginning(text: str, enhanced: str) -> None:
    assert SmtpReply(step="mail", code=550, text=text).enhanced == enhanced


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.0.0 Ok: queued as 4XyZ12", "4XyZ12"),
        (
            "2.6.0 <0123@example.com> [InternalId=1, Hostname=mail.example.com] Queued mail for delivery",
            "0123@example.com",
        ),
        ("OK id=1tAbCd-000000001", "1tAbCd-000000001"),
        ("2.0.0 OK", None),
    ],
)
def test_queue_id_is_found(text: str, expected: str | None) -> None:
    assert queue_id(text) == expected


def test_recipients_are_grouped_by_outcome_in_order() -> None:
    sent, no = Sent(provider_id="a"), Rejected(code="invalid_recipient", reply="550")
    assert distinct([(3, no), (0, sent), (1, no), (2, Sent(provider_id="a"))]) == [((0, 2), sent), ((1, 3), no)]


FOREIGN = (
    "{} <relay-access-denied@example.com>: no",
    "{} relay.access.denied@example.com is not here",
    '{} "Relay access denied" is not a mailbox',
    "{} 'unable to relay' is not a mailbox",
    "{} host mx.example[192.0.2.1] said: 554 5.7.1 Relay access denied (in reply to RCPT TO)",
    "{} host mx.example[192.0.2.1] said: 550 5.7.60 SendAsDenied",
    "{} <x> SubmissionQuotaExceeded@example.com",
)
"""Replies that quote what a caller, a recipient or another server wrote."""


@pytest.mark.parametrize("step", ["rcpt", "data", "content"])
@pytest.mark.parametrize("code", ["550 5.1.1", "550", "554 5.2.0", "554 5.7.1", "450 4.1.1"])
@pytest.mark.parametrize("text", FOREIGN)
def test_quoted_text_never_holds_a_route(step: str, code: str, text: str) -> None:
    assert not isinstance(read_reply(reply(step, text.format(code))), RouteFault)
