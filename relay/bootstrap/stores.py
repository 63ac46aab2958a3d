"""The stores: a class for each table and container."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from relay.clients.quotas import Quotas
from relay.clients.registry import Clients
from relay.core import ids
from relay.core.settings import Settings
from relay.platform.storage.ports import Storage

if TYPE_CHECKING:
    from relay.clients.idempotency import Idempotency
    from relay.clients.suppressions.event_rules import EventRules
    from relay.clients.suppressions.store import Suppressions
    from relay.clients.templates.store import Templates
    from relay.clients.uploads import Uploads
    from relay.delivery.send_groups import SendGroups
    from relay.journal.content import Content
    from relay.journal.counts.hours import ArrivalHours
    from relay.journal.dead_letters import DeadLetters
    from relay.journal.listing import Listing
    from relay.journal.message_status import StatusReader
    from relay.journal.overview import Overview
    from relay.journal.pending import Pending
    from relay.journal.records import Journal
    from relay.journal.search.index import SearchIndex
    from relay.providers.capture.inbox import Inbox
    from relay.routes.brakes import Brakes
    from relay.routes.holds import Holds
    from relay.routes.readiness import Readiness
    from relay.routes.recipient_budget.counting import ExternalRecipients
    from relay.routes.recipient_budget.usage import RecipientUsage
    from relay.unsubscribe.topics import Topics


def utc_now() -> datetime:
    """Return the current time, aware."""
    return datetime.now(UTC)


class Stores:
    """Everything that needs only storage and the clock."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        clock: Callable[[], datetime] = utc_now,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Any] = asyncio.sleep,
        new_batch: Callable[[], str] = ids.new_batch_id,
    ) -> None:
        self.settings = settings
        self.storage = storage
        self.clock = clock
        self._draw = draw
        self.sleep = sleep
        self.new_batch = new_batch

    @cached_property
    def clients(self) -> Clients:
        """Clients and their keys."""
        return Clients(self.storage.tables, self.clock)

    @cached_property
    def quotas(self) -> Quotas:
        """Rates and daily quotas of clients."""
        return Quotas(self.storage.tables, self.clock)

    @cached_property
    def idempotency(self) -> "Idempotency":
        """Idempotency keys."""
        from relay.clients.idempotency import Idempotency

        return Idempotency(self.storage.tables, self.clock)

    @cached_property
    def suppressions(self) -> "Suppressions":
        """Suppressed addresses."""
        from relay.clients.suppressions.store import Suppressions

        return Suppressions(self.storage.tables, self.clock, self.settings.suppression_rules)

    @cached_property
    def suppression_events(self) -> "EventRules":
        """Suppressed addresses that follow from events."""
        from relay.clients.suppressions.event_rules import EventRules

        return EventRules(self.storage.tables, self.suppressions)

    @cached_property
    def topics(self) -> "Topics":
        """The topics that recipients can unsubscribe from."""
        from relay.unsubscribe.topics import Topics

        return Topics(self.storage.tables, self.clock)

    @cached_property
    def journal(self) -> "Journal":
        """Records of messages."""
        from relay.journal.records import Journal

        return Journal(self.storage.tables, self.clock)

    @cached_property
    def pending(self) -> "Pending":
        """The index of waiting messages by due time."""
        from relay.journal.pending import Pending

        return Pending(self.storage.tables)

    @cached_property
    def holds(self) -> "Holds":
        """Held routes."""
        from relay.routes.holds import Holds

        return Holds(self.storage.tables, self.clock, self.settings.routes)

    @cached_property
    def external_recipients(self) -> "ExternalRecipients":
        """Budgets of external recipients."""
        from relay.routes.recipient_budget.counting import ExternalRecipients

        return ExternalRecipients(self.settings, self.storage.tables, self.clock)

    @cached_property
    def recipient_usage(self) -> "RecipientUsage":
        """The use of the budgets of external recipients."""
        from relay.routes.recipient_budget.usage import RecipientUsage

        return RecipientUsage(self.settings, self.storage.tables, self.clock)

    @cached_property
    def brakes(self) -> "Brakes":
        """Held clients."""
        from relay.routes.brakes import Brakes

        return Brakes(self.storage.tables, self.holds, self.clock)

    @cached_property
    def readiness(self) -> "Readiness":
        """Checks whether storage answers."""
        from relay.routes.readiness import Readiness

        return Readiness(self.holds, self.clock)

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        """The index of dead letters."""
        from relay.journal.dead_letters import DeadLetters

        return DeadLetters(self.storage.tables, self.storage.blobs, self.clock)

    @cached_property
    def content(self) -> "Content":
        """Message content."""
        from relay.journal.content import Content

        return Content(self.storage.blobs, self.settings.memory)

    @cached_property
    def send_groups(self) -> "SendGroups":
        """Send groups."""
        from relay.delivery.send_groups import SendGroups

        return SendGroups(self.storage.tables, self.journal, self.clock)

    @cached_property
    def uploads(self) -> "Uploads":
        """Uploaded attachments."""
        from relay.clients.uploads import Uploads

        return Uploads(tables=self.storage.tables, blobs=self.storage.blobs, clock=self.clock, new_id=self.new_batch)

    @cached_property
    def templates(self) -> "Templates":
        """Templates and their versions."""
        from relay.clients.templates.store import Templates

        return Templates(self.storage.tables, self.clock)

    @cached_property
    def inbox(self) -> "Inbox":
        """Mail that the capture provider stored."""
        from relay.providers.capture.inbox import Inbox

        return Inbox(self.storage.blobs, self.clock)

    @cached_property
    def listing(self) -> "Listing":
        """Messages by time, newest first."""
        from relay.journal.listing import Listing
        from relay.journal.search.lookup import Lookup
        from relay.routes.reports import reports_of

        lookup = Lookup(self.search_index, self.storage.tables)
        return Listing(self.journal, self.clients, reports=reports_of(self.settings), lookup=lookup)

    @cached_property
    def search_index(self) -> "SearchIndex":
        """The search index of messages."""
        from relay.journal.search.index import SearchIndex

        retention = timedelta(days=self.settings.retention_days)
        return SearchIndex(self.journal, self.storage.tables, self.clock, retention=retention)

    @cached_property
    def overview(self) -> "Overview":
        """Totals of recent messages."""
        from relay.journal.overview import Overview

        return Overview(self.journal, self.clock)

    @cached_property
    def arrival_hours(self) -> "ArrivalHours":
        """Counts of arrivals, by the hour."""
        from relay.journal.counts.hours import ArrivalHours
        from relay.routes.reports import reports_of

        retention = timedelta(days=self.settings.retention_days)
        reports = reports_of(self.settings)
        return ArrivalHours(self.journal, self.storage.tables, reports, self.clock, retention=retention)

    @cached_property
    def status_reader(self) -> "StatusReader":
        """Message status."""
        from relay.journal.message_status import StatusReader

        return StatusReader(self.journal, self.clients, retention_days=self.settings.retention_days, clock=self.clock)

    async def create_storage(self) -> None:
        """Create all missing queues, tables and containers."""
        from relay.platform.resources import CONTAINERS, TABLES, queues_of

        for queue in queues_of(self.settings.lanes):
            await self.storage.queues.create(queue)
        for table in TABLES:
            await self.storage.tables.create(table)
        for container in CONTAINERS:
            await self.storage.blobs.create(container)
