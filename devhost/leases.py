"""Hold the lease on a message, and renew it while the function runs."""

from __future__ import annotations

import asyncio
import logging

from devhost.queue_rules import QueueMessage
from devhost.storage import MessageGoneError, Queue, StorageUnavailableError

log = logging.getLogger("devhost.leases")

LEASE_SECONDS = 600
RENEWAL_SECONDS = 300.0
SOONER_RENEWAL_SECONDS = 60.0


class Lease:
    """The lease on a message, `seconds` long, with the latest pop receipt."""

    def __init__(self, queue: Queue, message: QueueMessage, seconds: int = LEASE_SECONDS) -> None:
        self._queue = queue
        self._seconds = seconds
        self._id = message.id
        self._pop_receipt = message.pop_receipt

    async def delete(self) -> None:
        """Delete the message. With a lost lease it does nothing: the message is redelivered, or already deleted."""
        try:
            await self._queue.delete(self._id, self._pop_receipt)
        except MessageGoneError as error:
            log.debug("Not deleted: %s", error)

    async def release(self, after_seconds: int) -> None:
        """Make the message visible after `after_seconds`."""
        try:
            await self._queue.extend(self._id, self._pop_receipt, after_seconds)
        except MessageGoneError as error:
            log.debug("Not released: %s", error)

    async def renew(self, interval_seconds: float) -> float | None:
        """Renew the lease for its whole length. Return the seconds until the next renewal; None if the lease is lost."""
        try:
            self._pop_receipt = await self._queue.extend(self._id, self._pop_receipt, self._seconds)
        except MessageGoneError as error:
            log.warning("Lease lost, the function continues: %s", error)
            return None
        except StorageUnavailableError as error:
            log.warning("Lease not renewed, retrying sooner: %s", error)
            return min(interval_seconds, SOONER_RENEWAL_SECONDS)
        return interval_seconds


class Renewal:
    """Renews a lease at intervals until ended. Starts a task only after the first interval: few functions run that long."""

    def __init__(self, lease: Lease, seconds: float) -> None:
        self._lease = lease
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._is_ended = False
        self._schedule(seconds)

    def _schedule(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        following = await self._lease.renew(self._seconds)
        if following is not None and not self._is_ended:
            self._schedule(following)

    async def end(self) -> None:
        """Stop renewing. Waits for a running renewal instead of cancelling it: it changes the receipt that settling needs."""
        self._is_ended = True
        self._timer.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])
