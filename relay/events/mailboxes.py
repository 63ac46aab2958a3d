"""Read bounces from mailboxes: enqueue the events, then store the cursor.

Table `mailboxes` has one row per mailbox: where the last run ended. If the process dies between the queue and the row, the
next run reads the same reports again; their keys identify them as known.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from relay.core.errors import NotFound
from relay.core.events import EventSource
from relay.core.settings import BounceMailbox
from relay.events import dsn
from relay.events.apply import Events
from relay.events.provider_events import ProviderEvent, key_of
from relay.platform import resources
from relay.platform.log import log_event, log_failure
from relay.platform.storage.ports import Entity, Tables
from relay.providers.contract import BounceReport, BounceReports, Provider

TABLE = resources.MAILBOXES_TABLE
_PARTITION = "mailbox"
MAX_PAGES = 50
"""Pages of one mailbox per run; the next run reads the rest."""


class Mailboxes:
    """Runs every minute, on one instance. An unreadable mailbox does not stop the others."""

    def __init__(
        self,
        *,
        mailboxes: tuple[BounceMailbox, ...],
        providers: Callable[[str], Provider],
        events: Events,
        tables: Tables,
        clock: Callable[[], datetime],
    ) -> None:
        self._mailboxes = mailboxes
        self._providers = providers
        self._events = events
        self._tables = tables
        self._clock = clock

    async def read(self) -> int:
        """Read every mailbox. Returns the number of reports."""
        found = 0
        for each in self._mailboxes:
            try:
                found += await self._read_one(each)
            except Exception as error:
                log_failure("mailbox_failed", route=each.route, error=type(error).__name__)
        return found

    async def _read_one(self, mailbox: BounceMailbox) -> int:
        row = key_of(mailbox.route, mailbox.mailbox.lower())
        cursor, reports, events = await self._cursor(row), 0, 0
        for _ in range(MAX_PAGES):
            provider: Any = self._providers(mailbox.route)
            page = await provider.read_reports(mailbox.mailbox, cursor)
            if not isinstance(page, BounceReports):
                log_event("mailbox_unreadable", level=logging.ERROR, route=mailbox.route, code=page.code)
                break
            for report in page.found:
                found = await asyncio.to_thread(_events_in, report, self._clock(), mailbox.route)
                await self._events.enqueue(found)
                reports, events = reports + 1, events + len(found)
            if page.cursor != cursor:
                await self._tables.upsert(
                    TABLE, Entity(partition=_PARTITION, row=row, properties={"cursor": page.cursor})
                )
                cursor = page.cursor
            if not page.is_more:
                break
        if reports:
            log_event("mailbox_read", route=mailbox.route, reports=reports, events=events)
        return reports

    async def _cursor(self, row: str) -> str:
        try:
            # Without a readable cursor the mailbox is read from its beginning: duplicates of events change nothing.
            return str((await self._tables.get(TABLE, _PARTITION, row)).properties.get("cursor", ""))
        except NotFound:
            return ""


def _events_in(report: BounceReport, now: datetime, route: str) -> Sequence[ProviderEvent]:
    """Parse a report. A bug met by one mail of a stranger must not keep all later reports from being read."""
    try:
        source = EventSource.PROVIDER if report.is_by_provider else EventSource.MAIL
        return dsn.read_report(report.raw, now, provider="graph", source=source)
    except Exception as error:
        log_failure("report_skipped", route=route, error=type(error).__name__)
        return ()
