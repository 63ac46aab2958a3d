"""A lease on a table row: of several processes one does a piece of work. If it dies, the lease ends by its time."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.core.errors import StorageError
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.rows import RowChange, change_row


class RowLease:
    """A lease in one row, taken by ETag."""

    def __init__(self, tables: Tables, table: str, partition: str, row: str, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._where = (table, partition, row)
        self._clock = clock

    async def take(self, token: str, lasts: timedelta) -> bool:
        """Take the lease unless another holds it. If the response to the write was lost, the row already has this token."""
        now = self._clock()

        def decide(lease: Entity | None) -> RowChange[bool]:
            known = lease.properties if lease is not None else {}
            until = known.get("until")
            if known.get("token") == token:
                return RowChange(result=True)
            if isinstance(until, datetime) and until > now:
                return RowChange(result=False)
            return RowChange(result=True, properties={"token": token, "until": now + lasts})

        return await change_row(self._tables, *self._where, decide)

    async def release(self, token: str) -> None:
        """End the lease if it is still this one. Without storage it ends by its time."""

        def decide(lease: Entity | None) -> RowChange[None]:
            if lease is None or lease.properties.get("token") != token:
                return RowChange(result=None)
            return RowChange(result=None, properties={"until": self._clock()})

        try:
            await change_row(self._tables, *self._where, decide)
        except StorageError as error:
            log_event("lease_kept", level=logging.WARNING, table=self._where[0], error=type(error).__name__)
