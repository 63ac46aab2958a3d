"""Check and read a route's `external_recipients`: the limits of Exchange Online for recipients outside the organization.

Sources: [tenant] techcommunity.microsoft.com/blog/exchange/introducing-exchange-online-tenant-outbound-email-limits/4372797;
[onmicrosoft] techcommunity.microsoft.com/blog/exchange/limiting-onmicrosoft-domain-usage-for-sending-emails/4446167.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from relay.core.settings import RecipientBudget, RouteSettings

TRIAL = 5_000
"""[tenant] The limit of a tenant with trial licenses only."""
ONMICROSOFT = 100
"""[onmicrosoft] The limit of all From addresses `@….onmicrosoft.com` of a tenant together."""
MAX_LIMIT = 10_000_000
WHEN_SPENT = ("reroute", "hold")
_TENANT_KEYS = ("licenses", "trial", "per_tenant")
_NUMBERS = ("licenses", "per_tenant", "per_mailbox")
_KEYS = (*_TENANT_KEYS, "per_mailbox", "internal_domains", "when_spent", "tenant")
KEY = "external_recipients"


def tenant_limit(licenses: int) -> int:
    """Compute the tenant external recipient rate limit of this number of licenses, rounded down [tenant]."""
    return int(500 * licenses**0.7 + 9_500)


def budget_problems(settings: RouteSettings) -> Iterator[str]:
    """Yield all problems of `external_recipients`, each as `key: sentence`."""
    if KEY not in settings:
        return
    given = settings[KEY]
    if not isinstance(given, Mapping):
        yield f'{KEY}: must be an object, such as {{"licenses": 25, "internal_domains": ["example.com"]}}'
        return
    for key in given:
        if key not in _KEYS:
            yield f"{KEY}.{key}: is not a setting of {KEY} (known: {', '.join(_KEYS)})"
    for key in _NUMBERS:
        if key in given and not _is_limit(given[key]):
            yield f"{KEY}.{key}: must be a whole number from 1 to {MAX_LIMIT}"
    if given.get("trial", True) is not True:
        yield f"{KEY}.trial: must be true, or be left out"
    chosen = [key for key in _TENANT_KEYS if key in given]
    if len(chosen) > 1:
        yield f"{KEY}.{chosen[1]}: cannot be combined with {chosen[0]}; give one of {', '.join(_TENANT_KEYS)}"
    if not chosen and "per_mailbox" not in given:
        yield f"{KEY}: needs a limit: {', '.join(_TENANT_KEYS)} or per_mailbox"
    yield from _domain_problems(given.get("internal_domains", []))
    if given.get("when_spent", WHEN_SPENT[0]) not in WHEN_SPENT:
        yield f"{KEY}.when_spent: must be {' or '.join(WHEN_SPENT)}"
    if not isinstance(given.get("tenant", ""), str):
        yield f"{KEY}.tenant: must be a text; routes with the same one share the budget"


def recipient_budget(settings: RouteSettings) -> RecipientBudget | None:
    """Return the budget of a route whose settings are checked; None without `external_recipients`."""
    given: Mapping[str, Any] | None = settings.get(KEY)
    if given is None:
        return None
    limit = TRIAL if "trial" in given else given.get("per_tenant")
    return RecipientBudget(
        tenant=_tenant(settings, given),
        per_tenant=tenant_limit(given["licenses"]) if "licenses" in given else limit,
        per_mailbox=given.get("per_mailbox"),
        limited_domain="onmicrosoft.com",
        per_limited_domain=ONMICROSOFT,
        internal_domains=tuple(domain.lower() for domain in given.get("internal_domains", ())),
        mailbox=str(settings.get("mailbox") or "").lower(),
        reroutes=given.get("when_spent", WHEN_SPENT[0]) == WHEN_SPENT[0],
    )


def _tenant(settings: RouteSettings, given: Mapping[str, Any]) -> str:
    """Name the tenant: as given, else by its id and cloud. A managed identity's tenant is that of the app."""
    named = given.get("tenant") or [settings.get("tenant_id", ""), settings.get("base_url", "")]
    return hashlib.sha256(json.dumps(named).lower().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _domain_problems(domains: Any) -> Iterator[str]:
    if not isinstance(domains, list | tuple):
        yield f"{KEY}.internal_domains: must be an array of domains"
        return
    for number, domain in enumerate(domains):
        if not isinstance(domain, str) or not domain.removeprefix("*.") or any(each in domain for each in "@ /"):
            yield f"{KEY}.internal_domains[{number}]: must be a domain, such as example.com or *.example.com"


def _is_limit(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_LIMIT
