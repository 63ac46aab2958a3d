"""What a SendGrid account says of itself, for the doctor. A key with only Mail Send may read none of it: that is no fault.

Sources: twilio.com/docs/sendgrid/api-reference: sender-verification, domain-authentication, user-api (credits).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from relay.core.outcomes import RouteFault
from relay.providers.contract import AccountRemark
from relay.providers.http_exchange import Answer, LostResponse

type Reply = Answer | LostResponse | RouteFault

FEW_CREDITS = 100


def remarks(sender_domains: Sequence[str], senders: Reply, domains: Reply, credit: Reply) -> Sequence[AccountRemark]:
    """What to say, from the answers to /v3/verified_senders, /v3/whitelabel/domains and /v3/user/credits."""
    return [*_on_domains(sender_domains, _decoded(senders), _decoded(domains)), *_on_credits(_decoded(credit))]


def _on_domains(wanted: Sequence[str], senders: Any, domains: Any) -> Iterator[AccountRemark]:
    if not isinstance(domains, list):
        text = "the key may not read the account's domains; their DNS records are looked at instead"
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
                what=f"{name} is neither an authenticated domain nor has it a verified sender",
                why="SendGrid answers 403 to mail from it; Relay holds that sender.",
                fix="Authenticate the domain: Settings, Sender Authentication.",
            )


def _on_credits(found: Any) -> Iterator[AccountRemark]:
    remain = found.get("remain") if isinstance(found, dict) else None
    if isinstance(remain, int) and remain < FEW_CREDITS and not found.get("overage"):
        yield AccountRemark(
            health="warning",
            what=f"{remain} credits are left until {found.get('next_reset', 'the next period')}",
            why="Without credits SendGrid refuses everything; Relay then holds the route until the reset.",
            fix="Raise the plan, or add a fallback route.",
        )


def _decoded(reply: Reply) -> Any:
    return reply.decoded() if isinstance(reply, Answer) and reply.status == 200 else None
