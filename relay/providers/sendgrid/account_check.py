"""Check sender domains and credits of a SendGrid account, for the doctor. A key limited to Mail Send can read neither.

Sources: twilio.com/docs/sendgrid/api-reference: sender-verification, domain-authentication, user-api (credits).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from relay.core.outcomes import RouteFault
from relay.providers.contract import AccountRemark
from relay.providers.http_exchange import HttpResponse, LostResponse

type AccountResult = HttpResponse | LostResponse | RouteFault

FEW_CREDITS = 100


def account_remarks(
    sender_domains: Sequence[str], senders: AccountResult, domains: AccountResult, credit: AccountResult
) -> Sequence[AccountRemark]:
    """Report on the responses of /v3/verified_senders, /v3/whitelabel/domains and /v3/user/credits."""
    return [*_on_domains(sender_domains, _decoded(senders), _decoded(domains)), *_on_credits(_decoded(credit))]


def _on_domains(wanted: Sequence[str], senders: Any, domains: Any) -> Iterator[AccountRemark]:
    if not isinstance(domains, list):
        text = "the key cannot read the account's domains; only their DNS records are checked"
        yield AccountRemark(health="ok", what=text)
        return
    valid = {str(entry.get("domain")).lower() for entry in domains if isinstance(entry, dict) and entry.get("valid")}
    results = senders.get("results", ()) if isinstance(senders, dict) else ()
    single = {
        str(entry.get("from_email")).rpartition("@")[2].lower()
        for entry in results
        if isinstance(entry, dict) and entry.get("verified")
    }
    for name in wanted:
        if any(name == domain or name.endswith(f".{domain}") for domain in valid):
            yield AccountRemark(health="ok", what=f"domain authentication of {name} is valid")
        elif name in single:
            yield AccountRemark(
                health="warning",
                what=f"{name} has single verified senders, and no domain authentication",
                why="Only those addresses may send, and their mail has no DKIM signature of the domain.",
                fix="Authenticate the domain: Settings, Sender Authentication.",
            )
        else:
            yield AccountRemark(
                health="fault",
                what=f"{name} has neither domain authentication nor a verified sender",
                why="SendGrid refuses mail from it (403), and Relay holds that sender.",
                fix="Authenticate the domain: Settings, Sender Authentication.",
            )


def _on_credits(found: Any) -> Iterator[AccountRemark]:
    remain = found.get("remain") if isinstance(found, dict) else None
    if isinstance(remain, int) and remain < FEW_CREDITS and not found.get("overage"):
        yield AccountRemark(
            health="warning",
            what=f"{remain} credits are left until {found.get('next_reset', 'the next period')}",
            why="Without credits SendGrid refuses all mail, and Relay holds the route until the reset.",
            fix="Upgrade the plan, or add a fallback route.",
        )


def _decoded(result: AccountResult) -> Any:
    return result.decoded() if isinstance(result, HttpResponse) and result.status == 200 else None
