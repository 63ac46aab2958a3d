"""Refusals of the account: which codes they have, and that no recipient's server can write one into a report."""

import pytest

from relay.core.outcomes import CAUSES
from relay.providers.account_refusals import DAY, EXCHANGE, SENDGRID, Concerns, account_refusal, reported_refusal

LIMIT = "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email"


def test_every_refusal_has_a_known_cause_and_a_source() -> None:
    for row in (*EXCHANGE, *SENDGRID):
        assert row.cause in CAUSES
        assert row.source
        assert row.codes or row.words


@pytest.mark.parametrize(
    ("code", "text", "cause", "concerns"),
    [
        ("5.7.232", "", "credits_exhausted", Concerns.TENANT),
        ("5.7.233", "", "credits_exhausted", Concerns.TENANT),
        ("5.7.236", "", "credits_exhausted", Concerns.SENDER),
        ("5.1.90", "", "credits_exhausted", Concerns.MAILBOX),
        ("5.2.2", "550 5.2.2 Submission quota exceeded", "credits_exhausted", Concerns.MAILBOX),
        ("5.5.105", "", "credits_exhausted", Concerns.TENANT),
        ("5.1.8", "", "account_restricted", Concerns.MAILBOX),
        ("5.7.501", "", "account_restricted", Concerns.MAILBOX),
        ("5.7.511", "", "account_restricted", Concerns.TENANT),
        ("5.7.606", "", "account_restricted", Concerns.TENANT),
        ("5.7.705", "", "account_restricted", Concerns.TENANT),
        ("5.7.708", "", "account_restricted", Concerns.TENANT),
        ("5.7.750", "", "sender_not_verified", Concerns.SENDER),
    ],
)
def test_refusal_of_the_account_is_recognized(code: str, text: str, cause: str, concerns: Concerns) -> None:
    row = account_refusal("graph", code, text)
    assert row is not None
    assert (row.cause, row.concerns) == (cause, concerns)


@pytest.mark.parametrize(
    "code",
    ["5.1.1", "5.1.10", "5.2.2", "5.4.1", "5.7.1", "5.7.504", "5.7.505", "5.7.507", "5.7.509", "5.7.513", "5.7.703"],
)
def test_refusal_of_a_recipient_or_message_is_none_of_the_account(code: str) -> None:
    assert account_refusal("graph", code, "mailbox full") is None


def test_limits_of_a_day_end_after_a_day() -> None:
    row = account_refusal("graph", "5.7.233", "")
    assert row is not None
    assert row.again_after_seconds == DAY


@pytest.mark.parametrize(
    "server", ["", "BN0PR04MB0001.namprd04.prod.outlook.com", "x.mail.protection.partner.outlook.cn"]
)
def test_refusal_by_the_vendors_own_server_counts(server: str) -> None:
    assert reported_refusal("5.7.233", LIMIT, server) is not None


@pytest.mark.parametrize("server", ["mx.recipient.example", "mx.outlook.com.recipient.example", "notoutlook.com"])
def test_refusal_by_a_recipients_server_does_not_count(server: str) -> None:
    assert reported_refusal("5.7.233", LIMIT, server) is None


def test_quoted_reply_of_a_remote_server_does_not_count() -> None:
    quoted = "550 5.7.350 Remote server returned message detected as spam -> 554 5.2.2 Submission quota exceeded"
    assert reported_refusal("5.7.350", quoted, "") is None


def test_drop_for_the_packages_quota_is_a_refusal_of_the_account() -> None:
    assert account_refusal("sendgrid", "", "Recipient List over Package Quota") is not None
    assert account_refusal("sendgrid", "5.7.705", "550 5.7.705 Access denied") is None
