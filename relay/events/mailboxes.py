"""Read bounces and answers from mailboxes: enqueue the events, then store the cursor.

A mailbox may be a person's too: nothing in it is changed, and mail that does not concern Relay is not downloaded.

Table `mailboxes` has one row per mailbox: where the last run ended. If the process dies between the queue and the row, the
next run reads the same mail again; the keys of the events identify them as known.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from relay.core.errors import NotFound
from relay.core.events import EventSource
from relay.core.settings import BounceMailbox
from relay.events import dsn
from relay.events.answers.mail import read_answer
from relay.events.apply import Events
from relay.events.provider_events import ProviderEvent, key_of
from relay.platform import resources
from relay.platform.log import log_event, log_failure
from relay.platform.storage.ports import Entity, Tables
from relay.providers.contract import BounceReport, BounceReports, Provider, ReceivedAnswer

TABLE = resources.MAILBOXES_TABLE
_PARTITION = "mailbox"
MAX_PAGES = 50
"""Pages of one mailbox per run; the next run reads the rest."""
MAX_RUN = timedelta(minutes=4)
"""After this time a run begins no more pages. The host ends a function after 9 minutes."""


class Mailboxes:
    """Runs every minute, on one instance. An unreadable mailbox does not stop the others."""

    def __init__(
        self,
        *,
        mailboxes: tuple[BounceMailbox, ...],
        providers: Callable[[str], Provider],
        events: Events,
        tables: Tables,
        retention: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """`retention`: how long messages are kept. An older answer has no message any more."""
        self._mailboxes = mailboxes
        self._retention = retention
        self._providers = providers
        self._events = events
        self._tables = tables
        self._clock = clock

    async def read(self) -> int:
        """Read every mailbox. Returns the number of reports and answers."""
        found = 0
        end = self._clock() + MAX_RUN
        for each in self._mailboxes:
            try:
                found += await self._read_one(each, end)
            except Exception as error:
                log_failure("mailbox_failed", route=each.route, error=type(error).__name__)
        return found

    async def _read_one(self, mailbox: BounceMailbox, end: datetime) -> int:
        row = key_of(mailbox.route, mailbox.mailbox.lower())
        cursor, reports, events = await self._cursor(row), 0, 0
        since = self._clock() - self._retention if mailbox.replies else None
        for number in range(MAX_PAGES):
            if number and self._clock() >= end:
                break
            provider: Any = self._providers(mailbox.route)
            page = await provider.read_reports(mailbox.mailbox, cursor, since)
            if not isinstance(page, BounceReports):
                log_event("mailbox_unreadable", level=logging.ERROR, route=mailbox.route, code=page.code)
                break
            mails: Sequence[BounceReport | ReceivedAnswer] = [*page.found, *page.answers]
            for mail in mails:
                found = await asyncio.to_thread(_events_in, mail, self._clock(), mailbox)
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


def _events_in(mail: BounceReport | ReceivedAnswer, now: datetime, mailbox: BounceMailbox) -> Sequence[ProviderEvent]:
    """Parse a mail. If one mail meets a bug, later mail must still be read."""
    try:
        if isinstance(mail, ReceivedAnswer):
            answer = read_answer(mail, now)
            return () if answer is None else (answer,)
        source = EventSource.PROVIDER if mail.is_by_provider else EventSource.MAIL
        found = dsn.read_report(mail.raw, now, provider="graph", source=source)
        return [msgspec.structs.replace(each, mailbox=mailbox.mailbox, read_by=mailbox.route) for each in found]
    except Exception as error:
        log_failure("report_skipped", route=mailbox.route, error=type(error).__name__)
        return ()
