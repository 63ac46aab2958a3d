"""Checks SPF, DKIM and DMARC of the sender domains.

Sources: RFC 7208 (SPF), RFC 6376 (DKIM), RFC 7489 (DMARC), and each provider's page on authenticating a domain.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any

from relay.operations.doctor.findings import Finding, fault, ok, warning

if TYPE_CHECKING:
    from relay.core.settings import Settings

type Resolve = Callable[[str, str], Awaitable[Sequence[str]]]
"""Looks up the DNS records of a name and type; empty if the name or the record does not exist."""

TIMEOUT_SECONDS = 5.0
_RESERVED = (".test", ".example", ".invalid", ".localhost", "example.com", "example.net", "example.org")
_SPF_INCLUDES = {"sendgrid": "sendgrid.net", "graph": "spf.protection.outlook.com", "acs": "spf.protection.outlook.com"}
_DKIM_SELECTORS = {
    "sendgrid": ("s1", "s2"),
    "graph": ("selector1", "selector2"),
    "acs": ("selector1-azurecomm-prod-net", "selector2-azurecomm-prod-net"),
}
_SPAM = "Receivers may refuse the mail or mark it as spam: Gmail, Yahoo and Outlook require this of bulk senders."


def sender_domains(settings: "Settings", patterns: Sequence[str]) -> Sequence[str]:
    """Return the allowed sender domains, from client policies and routes, without reserved names."""
    every = [*patterns, *(pattern for route in settings.routes.values() for pattern in route.senders)]
    found = {pattern.rpartition("@")[2].lower() for pattern in every if "@" in pattern}
    return sorted(domain for domain in found if not domain.endswith(_RESERVED))


async def domain(name: str, providers: Set[str], resolve: Resolve) -> Sequence[Finding]:
    """Check SPF, DKIM and DMARC of one domain, for the providers in use."""
    sending = providers & _DKIM_SELECTORS.keys()
    if not sending:
        return []
    texts = await resolve(name, "TXT")
    signatures = [await _dkim(name, provider, resolve) for provider in sorted(sending)]
    return [*_spf(name, texts, sending), *signatures, *_dmarc(name, await resolve(f"_dmarc.{name}", "TXT"))]


def resolver(nameservers: Sequence[str] = (), port: int = 53, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Resolve:
    """Create a resolver that asks these name servers (default: those of the machine)."""

    async def resolve(name: str, kind: str) -> Sequence[str]:
        import dns.asyncresolver
        import dns.exception
        import dns.resolver

        asking = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            asking.nameservers, asking.port = list(nameservers), port
        try:
            answer = await asking.resolve(name, kind, lifetime=timeout_seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise NoResponseError(type(error).__name__) from error
        return [_text(record) for record in answer]

    return resolve


class NoResponseError(Exception):
    """The DNS did not answer. The text is the resolver's reason."""


def _text(record: Any) -> str:
    strings = getattr(record, "strings", None)
    return b"".join(strings).decode("utf-8", "replace") if strings is not None else str(record.target)


def _spf(name: str, texts: Sequence[str], providers: Set[str]) -> Iterator[Finding]:
    about = f"domain {name}"
    records = [text for text in texts if text.lower().startswith("v=spf1")]
    if len(records) > 1:
        why = "Receivers treat several SPF records as an error, so none of them counts (RFC 7208 section 4.5)."
        yield fault(about, f"{len(records)} SPF records", why, "Merge them into one TXT record.")
        return
    record = records[0] if records else ""
    for provider in sorted(providers):
        include = _SPF_INCLUDES[provider]
        if include in record:
            yield ok(about, f"SPF includes {provider}")
        elif provider == "sendgrid" and record:
            # With SendGrid's automated security the return path is a separate subdomain with its own SPF record.
            yield ok(about, "SPF exists; SendGrid's automated security uses a separate return path")
        else:
            fix = f"Publish TXT at {name}: v=spf1 include:{include} -all (merge it with an existing record)."
            yield warning(about, f"SPF does not include {provider}", _SPAM, fix)


async def _dkim(name: str, provider: str, resolve: Resolve) -> Finding:
    about, selectors = f"domain {name}", _DKIM_SELECTORS[provider]
    for selector in selectors:
        at = f"{selector}._domainkey.{name}"
        if await resolve(at, "CNAME") or any("p=" in text for text in await resolve(at, "TXT")):
            return ok(about, f"DKIM for {provider} is published ({selector})")
    fix = (
        f"Authenticate the domain at the provider and publish the records it shows (usually {selectors[0]}._domainkey)."
    )
    return warning(about, f"no DKIM record for {provider} ({', '.join(selectors)})", _SPAM, fix)


def _dmarc(name: str, texts: Sequence[str]) -> Iterator[Finding]:
    about = f"domain {name}"
    record = next((text for text in texts if text.upper().startswith("V=DMARC1")), "")
    if not record:
        fix = f"Publish TXT at _dmarc.{name}: v=DMARC1; p=none; rua=mailto:… Read the reports before you use a stricter p."
        yield warning(about, "no DMARC record", _SPAM, fix)
    else:
        policy = next((part.strip()[2:] for part in record.split(";") if part.strip().startswith("p=")), "none")
        yield ok(about, f"DMARC is published (p={policy})")
