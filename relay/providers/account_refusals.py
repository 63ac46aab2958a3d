"""Recognize refusals that concern the account and not the message, by one table for replies and for later reports.

Sources: [ndr] learn.microsoft.com/troubleshoot/exchange/email-delivery/ndr/non-delivery-reports-in-exchange-online;
[700] the page fix-error-code-5-7-700-through-5-7-750 beside it; [5.1.8] fix-error-code-5-1-8-in-exchange-online;
[limits] learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits;
[submission] learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements; [events]
twilio.com/docs/sendgrid/for-developers/tracking-events/event.

Not in the table, because they concern one recipient or message [ndr]: 5.7.504, 505, 507, 509, 510, 512, 513, 520 and 703. The
delivery reports of ACS have no status about the account (learn.microsoft.com/azure/event-grid/
communication-services-email-events), and their texts quote the recipient's server.
"""

import re
from enum import StrEnum

import msgspec

from relay.providers.vendor_words import own_words

HOUR = 3_600.0
DAY = 86_400.0


class Concerns(StrEnum):
    """The part of an account that a refusal concerns."""

    TENANT = "tenant"
    MAILBOX = "mailbox"
    """The sending mailbox."""
    SENDER = "sender"
    """The From address."""


class AccountRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: enhanced status codes (a pattern), or `words` where the code has other meanings too.

    An SMTP reply may come from another vendor's server, so it must have the words if the row has any. `again_after_seconds` is
    the time after a report until sending can work again: the length of a rolling window, or Relay's choice if a person must act.
    A reply does not need it, because the next attempt gets a reply at once. `is_at_recipient`: the server may refuse so at RCPT.
    `is_external`: only recipients outside the organization are refused, so that internal mail can go on.
    """

    codes: str = ""
    words: str = ""
    cause: str
    concerns: Concerns
    again_after_seconds: float
    is_at_recipient: bool = False
    is_external: bool = False
    source: str

    def matches(self, code: str, text: str) -> bool:
        """Return whether the vendor's own status code or words match this row."""
        if self.codes:
            return re.fullmatch(self.codes, code) is not None
        return re.search(self.words, own_words(text).strip(), re.IGNORECASE) is not None


# fmt: off
EXCHANGE = (
    # limits of a rolling window of 24 hours
    AccountRefusal(codes=r"5\.7\.23[23]", cause="credits_exhausted", concerns=Concerns.TENANT, again_after_seconds=DAY,
        is_external=True,
        source="[ndr] external recipients of the (trial) tenant: a 24-hour rolling window"),
    AccountRefusal(codes=r"5\.7\.236", cause="credits_exhausted", concerns=Concerns.SENDER, again_after_seconds=DAY,
        is_external=True,
        source="[ndr] external recipients of the tenant's onmicrosoft.com addresses: a 24-hour rolling window"),
    AccountRefusal(codes=r"5\.1\.90", cause="credits_exhausted", concerns=Concerns.MAILBOX, again_after_seconds=DAY,
        source="[ndr] daily limit of recipients reached; [limits] recipient rate limit"),
    AccountRefusal(words=r"SubmissionQuotaExceeded|submission quota exceeded|recipient rate limit", cause="credits_exhausted",
        concerns=Concerns.MAILBOX, again_after_seconds=DAY,
        source="[ndr] 5.2.2 submission quota exceeded, which elsewhere means a full mailbox; [submission] 554 5.2.0"),
    AccountRefusal(codes=r"5\.5\.105", cause="credits_exhausted", concerns=Concerns.TENANT, again_after_seconds=DAY,
        source="reported for High Volume Email; its text and window are on no page of the vendor that was found"),
    # blocks that a person must lift
    AccountRefusal(codes=r"5\.1\.8", words=r"OutboundSpam|bad outbound sender", cause="account_restricted",
        concerns=Concerns.MAILBOX, again_after_seconds=HOUR,
        source="[5.1.8] bad outbound sender: an administrator unblocks the account, within a few hours"),
    AccountRefusal(codes=r"5\.7\.50[123]", cause="account_restricted", concerns=Concerns.MAILBOX, again_after_seconds=HOUR,
        is_at_recipient=True, source="[ndr] the sending account has been banned: contact support"),
    AccountRefusal(codes=r"5\.7\.(50[068]|511|514|6(0[6-9]|[1-4][0-9]))", cause="account_restricted",
        concerns=Concerns.TENANT, again_after_seconds=HOUR, is_at_recipient=True,
        source="[ndr] 506 bad HELO, 508 limits of an address range, 511 and 606 to 649 banned addresses"),
    AccountRefusal(codes=r"5\.7\.7(0[0-24-9]|[1-4][0-9])", cause="account_restricted", concerns=Concerns.TENANT,
        again_after_seconds=HOUR, is_at_recipient=True,
        source="[700] 705 the tenant has exceeded its threshold, 708 addresses of low reputation: support lifts them"),
    AccountRefusal(codes=r"5\.7\.(60|750)|5\.2\.252", cause="sender_not_verified", concerns=Concerns.SENDER,
        again_after_seconds=HOUR,
        source="[700] 750 a domain that the tenant has not added; [submission] 5.7.60 and 5.2.252 SendAsDenied"),
)
SENDGRID = (
    AccountRefusal(words=r"^recipient list over package quota", cause="credits_exhausted", concerns=Concerns.TENANT,
        again_after_seconds=HOUR, source="[events] a reason of `dropped`; credits return daily or monthly"),
)
"""Reasons of SendGrid's event `dropped`, which are its own words. Those of `bounce` are the recipient's server's."""
# fmt: on
_TABLES = {"graph": EXCHANGE, "smtp": EXCHANGE, "sendgrid": SENDGRID}
_REMOTE = re.compile(r"\s->\s")
"""Exchange Online writes a remote server's reply after its own: `550 5.7.350 Remote server returned … -> 554 5.7.1 …`."""
_OWN_SERVERS = re.compile(r"\.(outlook\.com|office365\.us|partner\.outlook\.cn)\.?$", re.IGNORECASE)


def account_refusal(provider: str, code: str, text: str) -> AccountRefusal | None:
    """Return the row that a provider's status code and text match; None if the message or a recipient is at fault."""
    return next((row for row in _TABLES.get(provider, ()) if row.matches(code, text)), None)


def reported_refusal(code: str, diagnostic: str, remote_server: str) -> AccountRefusal | None:
    """Return the row that a report of Exchange Online matches, unless another server refused the mail.

    `remote_server` is the report's Remote-MTA, without its type. A recipient's server may reply anything, so it is not believed.
    """
    if remote_server and not _OWN_SERVERS.search(remote_server):
        return None
    return account_refusal("graph", code, _REMOTE.split(diagnostic, maxsplit=1)[0])
