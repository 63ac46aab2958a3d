"""Show the budgets of external recipients: how much is used and left, and when there is room again."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from relay.core.settings import RecipientBudget, Settings
from relay.platform.storage.ports import Entity, Query, Tables
from relay.routes.recipient_budget.counting import TABLE, read_hours
from relay.routes.recipient_budget.limits import LIMITED, MAILBOX, TENANT, budgets_of, partition_of
from relay.routes.recipient_budget.window import opens_at, used

MAX_MAILBOXES = 10
"""Mailboxes shown for a route: those that have used the most."""
_MAX_ROWS = 1_000


class Scope(StrEnum):
    """The senders that a limit counts."""

    TENANT = "tenant"
    SENDER_DOMAIN = "sender_domain"
    MAILBOX = "mailbox"


class BudgetUse(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of a route. `name` is the domain or mailbox that it counts, empty for the whole tenant.

    `opens_at` is when there is room for a recipient; None: now.
    """

    scope: Scope
    name: str
    limit: int
    used: int
    opens_at: datetime | None

    @property
    def left(self) -> int:
        """The number of recipients left."""
        return max(0, self.limit - self.used)


class RecipientUsage:
    """Reads the rows of all tenants."""

    def __init__(self, settings: Settings, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._budgets = budgets_of(settings)
        self._tables = tables
        self._clock = clock

    async def read(self) -> Mapping[str, Sequence[BudgetUse]]:
        """Return the limits of each route that has any. Costs a query for each tenant."""
        rows: dict[str, Sequence[Entity]] = {}
        for tenant in {budget.tenant for budget in self._budgets.values()}:
            page = await self._tables.query(TABLE, Query(partition=partition_of(tenant)), limit=_MAX_ROWS)
            rows[tenant] = page.entities
        return {route: self._uses(budget, rows[budget.tenant]) for route, budget in self._budgets.items()}

    def _uses(self, budget: RecipientBudget, rows: Sequence[Entity]) -> Sequence[BudgetUse]:
        known = {row.row: row for row in rows}
        found: list[BudgetUse] = []
        if budget.per_tenant is not None:
            found.append(self._use(Scope.TENANT, "", budget.per_tenant, known.get(TENANT)))
        if LIMITED in known:
            found.append(
                self._use(Scope.SENDER_DOMAIN, budget.limited_domain, budget.per_limited_domain, known[LIMITED])
            )
        if budget.per_mailbox is None:
            return found
        named = [(str(row.properties.get("name", "")), row) for row in rows if row.row.startswith(MAILBOX)]
        mailboxes = [
            self._use(Scope.MAILBOX, name, budget.per_mailbox, row)
            for name, row in named
            if budget.mailbox in ("", name)
        ]
        return [*found, *sorted(mailboxes, key=lambda use: -use.used)[:MAX_MAILBOXES]]

    def _use(self, scope: Scope, name: str, limit: int, row: Entity | None) -> BudgetUse:
        now = self._clock()
        at, hours = now.timestamp(), read_hours(row)
        opens = opens_at(limit, hours, at, 1)
        return BudgetUse(
            scope=scope,
            name=name,
            limit=limit,
            used=used(hours, at),
            opens_at=datetime.fromtimestamp(opens, now.tzinfo) if opens > at else None,
        )
