"""The limits of external recipients that count a message: pure decisions over the routes' settings."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from relay.core.model import Message
from relay.core.settings import RecipientBudget, Route, Settings
from relay.providers.registry import recipient_budget

TENANT, LIMITED, MAILBOX = "all", "limited", "mailbox-"
"""The names of a tenant's rows; the last is the prefix of a mailbox's."""


class CounterKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a row. `name` is the subject of the limit: `tenant`, a domain, or a mailbox."""

    tenant: str
    row: str
    name: str

    @property
    def partition(self) -> str:
        """The partition of a tenant's rows."""
        return partition_of(self.tenant)


def budgets_of(settings: Settings) -> Mapping[str, RecipientBudget]:
    """Return the budgets of the routes that have one."""
    found = {name: recipient_budget(route) for name, route in settings.routes.items()}
    return {name: budget for name, budget in found.items() if budget is not None}


def external_of(budget: RecipientBudget, message: Message, numbers: Sequence[int]) -> tuple[int, ...]:
    """Return the external recipients among these, by number."""
    return tuple(number for number in numbers if budget.is_external(message.recipients[number].domain))


def limits_of(budget: RecipientBudget, message: Message) -> Iterator[tuple[CounterKey, int]]:
    """Yield the limits that count a message's recipients."""
    tenant, sender = budget.tenant, message.sender
    if budget.is_limited_sender(sender.domain):
        yield CounterKey(tenant=tenant, row=LIMITED, name=budget.limited_domain), budget.per_limited_domain
    if budget.per_mailbox is not None:
        mailbox = budget.mailbox or sender.email.lower()
        digest = hashlib.sha256(mailbox.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        yield CounterKey(tenant=tenant, row=f"{MAILBOX}{digest}", name=mailbox), budget.per_mailbox
    if budget.per_tenant is not None:
        yield CounterKey(tenant=tenant, row=TENANT, name="tenant"), budget.per_tenant


def partition_of(tenant: str) -> str:
    """Return the partition of a tenant's rows."""
    return f"recipients-{tenant}"


def never_fits(budget: RecipientBudget, message: Message, count: int) -> bool:
    """Return whether a limit is smaller than this number of external recipients, so that waiting gives them no room."""
    return any(count > limit for _, limit in limits_of(budget, message))


def excess(route: Route, message: Message, numbers: Sequence[int]) -> str:
    """Return why a route never has room for these recipients of a message; empty if it may have."""
    budget = recipient_budget(route)
    count = len(external_of(budget, message, numbers)) if budget is not None else 0
    if budget is None or not never_fits(budget, message, count):
        return ""
    limit = min(limit for _, limit in limits_of(budget, message))
    return f"route {route.name} may send to {limit} external recipients in 24 hours; the message has {count}"
