"""Read the history of a message: from the journal, or, without a record, that it still waits on the queue."""

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.clients.registry import Client, Clients
from relay.clients.roles import visible_clients
from relay.core import ids
from relay.core.errors import NewerVersion, NotFound, Refusal, UnreadableEntry
from relay.core.events import RecordedEvent
from relay.core.model import MessageStatus, Submission
from relay.journal.record_rows import Record
from relay.journal.records import Journal
from relay.journal.unreadable import UnreadableRecord


class MessageHistory(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a message. Without a record it waits on the queue, and only a cancellation can be known.

    With `unreadable` it has a record, which cannot be read as a whole.
    """

    name: ids.MessageId
    is_cancelled_unrecorded: bool = False
    record: Record | None = None
    unreadable: UnreadableRecord | None = None
    submission: Submission | None = None
    events: Sequence[RecordedEvent] = ()

    @property
    def status(self) -> MessageStatus | None:
        """The message's status, None while it is on the queue, or if it cannot be read."""
        if self.unreadable is None:
            return None if self.record is None else self.record.statuses[self.name.index]
        statuses = self.unreadable.statuses
        return statuses[self.name.index] if self.name.index < len(statuses) else None

    @property
    def lane(self) -> str:
        """The message's lane, empty if it is not known."""
        known = self.record or self.unreadable
        return "" if known is None else known.lane

    def check_readable(self) -> None:
        """Raise `UnreadableEntry` if the record cannot be read."""
        if self.unreadable is not None:
            raise UnreadableEntry("the record of this message cannot be read")


class StatusReader:
    """Reads histories: of the messages that a caller may see."""

    def __init__(
        self, journal: Journal, clients: Clients, *, retention_days: int, clock: Callable[[], datetime]
    ) -> None:
        self._journal = journal
        self._clients = clients
        self._retention = timedelta(days=retention_days)
        self._clock = clock

    async def name_of(self, client: Client, text: str) -> ids.MessageId:
        """Return a message's name if this client may see it. Raises `Refusal` 404: unknown, purged and others' look alike."""
        try:
            name = ids.parse(text)
        except ValueError as error:
            raise _unknown() from error
        if not await self._may_see(client, name):
            raise _unknown()
        return name

    async def history(self, client: Client, text: str) -> MessageHistory:
        """Read a message's history, in one query. Raises `Refusal` 404."""
        name = await self.name_of(client, text)
        try:
            record, events = await self._journal.history(name.batch)
        except NewerVersion:
            raise
        except UnreadableEntry:
            return await self._unreadable(name)
        except NotFound as error:
            if ids.created_at(name.batch) + self._retention < self._clock():
                raise _unknown() from error
            return MessageHistory(
                name=name, is_cancelled_unrecorded=name.index in await self._journal.cancelled_unrecorded(name.batch)
            )
        submission = record.entry().messages[name.index]
        own = [event for event in events if event.index == name.index]
        return MessageHistory(name=name, record=record, submission=submission, events=own)

    async def _unreadable(self, name: ids.MessageId) -> MessageHistory:
        unreadable, events = await self._journal.salvaged_history(name.batch)
        own = [event for event in events if event.index == name.index]
        return MessageHistory(
            name=name, unreadable=unreadable, submission=unreadable.submission(name.index), events=own
        )

    async def _may_see(self, client: Client, name: ids.MessageId) -> bool:
        if ids.belongs_to(name, client.mac_key):
            return True
        known = await self._clients.all()
        visible = visible_clients(client, known)
        if any(ids.belongs_to(name, other.mac_key) for other in (known.values() if visible is None else visible)):
            return True
        return visible is None and await self._is_recorded(name)

    async def _is_recorded(self, name: ids.MessageId) -> bool:
        """Return whether the journal has this message, whose client and key were deleted."""
        try:
            macs = (await self._journal.read(name.batch)).entry().macs
        except NotFound:
            return False
        return name.index < len(macs) and hmac.compare_digest(macs[name.index], name.mac)


def _unknown() -> Refusal:
    return Refusal(404, "message_not_found", "This client has no message with this id, or the message was purged.")
