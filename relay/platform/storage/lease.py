"""A lease on a table row: only one of several processes does a piece of work. If it dies, the lease expires."""

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import msgspec

from relay.core.errors import StorageError
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.rows import RowChange, change_row


class HeldLease(msgspec.Struct, frozen=True, kw_only=True):
    """A lease of another holder: the name of its work, and the time when it ends at the latest."""

    name: str
    until: datetime


class RowLease:
    """A lease in one row, taken by ETag."""

    def __init__(self, tables: Tables, table: str, partition: str, row: str, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._where = (table, partition, row)
        self._clock = clock

    @asynccontextmanager
    async def hold(self, lasts: timedelta, name: str = "") -> AsyncIterator[HeldLease | None]:
        """Hold the lease for a block; `name` names its work. Yields None, or the lease of another holder if it is taken."""
        token = secrets.token_hex(8)
        other = await self._take(token, lasts, name)
        if other is not None:
            yield other
            return
        try:
            yield None
        finally:
            await self._release(token)

    async def _take(self, token: str, lasts: timedelta, name: str) -> HeldLease | None:
        """Take the lease unless another holds it. If the response to the write was lost, the row already has this token."""
        now = self._clock()

        def decide(lease: Entity | None) -> RowChange[HeldLease | None]:
            known = lease.properties if lease is not None else {}
            until = known.get("until")
            if known.get("token") == token:
                return RowChange(result=None)
            if isinstance(until, datetime) and until > now:
                return RowChange(result=HeldLease(name=str(known.get("name", "")), until=until))
            return RowChange(result=None, properties={"name": name, "token": token, "until": now + lasts})

        return await change_row(self._tables, *self._where, decide)

    async def _release(self, token: str) -> None:
        """End the lease if it is still this one. A storage error is only logged: the work was done, and the lease expires."""

        def decide(lease: Entity | None) -> RowChange[None]:
            if lease is None or lease.properties.get("token") != token:
                return RowChange(result=None)
            return RowChange(result=None, properties={"until": self._clock()})

        try:
            await change_row(self._tables, *self._where, decide)
        except StorageError as error:
            log_event("lease_kept", level=logging.WARNING, table=self._where[0], error=type(error).__name__)
