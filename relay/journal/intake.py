"""Take entries from a queue: decode them, run the use case, and decide what happens to an entry that cannot be used now.

    entry of a newer version ─► back on the queue until the upgrade
    unreadable entry         ─► kept as a blob for inspection
    storage unavailable      ─► back on the queue for a minute

The host retries a raised exception at once, five times, and then moves the entry to the poison queue. Putting the entry
back instead keeps an outage of storage or a rollback from poisoning everything that is queued.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from relay.core.errors import Changed, NewerVersion, Unavailable, UnreadableEntry
from relay.journal.dead_letters import DeadLetters
from relay.platform.concurrency import Deadline
from relay.platform.log import log_event, log_failure
from relay.platform.storage.ports import Queues

PUT_BACK_SECONDS = 60
"""Delay of an entry that is put back because storage is unavailable."""
POISON_PUT_BACK_SECONDS = 300
"""The same for a poison entry, after `POISON_TRIES` tries."""
UPGRADE_PAUSE_SECONDS = 900
"""Delay of an entry, or of an entry's record, that a newer version of Relay wrote."""
POISON_TRIES = 5
PATIENCE_SECONDS = 420.0
"""How long an entry is held while storage does not take it back either; below the function's limit of nine minutes."""


class Intake[Entry]:
    """Takes the entries of one kind from their queues."""

    def __init__(
        self,
        decode: Callable[[bytes], Entry],
        queues: Queues,
        dead_letters: DeadLetters,
        *,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._decode = decode
        self._queues = queues
        self._dead_letters = dead_letters

    async def take(
        self,
        queue: str,
        body: bytes,
        handle: Callable[[Entry], Awaitable[None]],
        *,
        put_back: Callable[[Entry], bytes] | None = None,
    ) -> None:
        """Decode an entry and handle it.

        `put_back` returns the bytes to enqueue when storage is unavailable; by default the entry's own. Raises only what
        `handle` raises because of a bug, and `Unavailable` when the entry cannot be put back either.
        """
        deadline = Deadline(self._clock, PATIENCE_SECONDS)
        try:
            entry = self._decode(body)
        except NewerVersion as error:
            await self._leave_to_upgrade(queue, body, error, deadline)
            return
        except UnreadableEntry:
            await self.keep(body)
            return
        try:
            await handle(entry)
        except NewerVersion as error:
            await self._leave_to_upgrade(queue, body, error, deadline)
        except Unavailable as error:
            log_event("entry_put_back", level=logging.WARNING, queue=queue, error=str(error))
            await self._put_back(queue, put_back(entry) if put_back else body, PUT_BACK_SECONDS, deadline)

    async def _put_back(self, queue: str, body: bytes, delay_seconds: int, deadline: Deadline) -> None:
        """Put an entry back, and wait while the queue does not take it: each raise would use up one of its five tries."""
        pause = 1.0
        while True:
            try:
                await self._queues.put(queue, body, delay_seconds=delay_seconds)
            except Unavailable:
                if deadline.is_over:
                    raise
                await self._sleep(pause)
                pause = min(pause * 2, 30.0)
            else:
                return

    async def take_poison(
        self,
        queue: str,
        body: bytes,
        handle: Callable[[Entry], Awaitable[None]],
    ) -> None:
        """Handle an entry that the host gave up on; keep it as a blob if `handle` fails because of a bug.

        Retries while storage is unavailable, then puts the entry back on `queue`. Raises `Unavailable` only when that fails
        too: the current queue extension silently skips a poison entry whose function raises.
        """
        deadline = Deadline(self._clock, PATIENCE_SECONDS)
        pause = 1.0
        for _ in range(POISON_TRIES):
            try:
                await self._handle_or_keep(body, handle)
            except NewerVersion as error:
                await self._leave_to_upgrade(queue, body, error, deadline)
            except (Unavailable, Changed):
                await self._sleep(pause)
                pause *= 2
                continue
            return
        log_event("entry_put_back", level=logging.WARNING, queue=queue, error="storage is unavailable")
        await self._put_back(queue, body, POISON_PUT_BACK_SECONDS, deadline)

    async def leave_to_upgrade(self, queue: str, body: bytes, error: NewerVersion) -> None:
        """Put an entry back until the version that wrote it, or its record, is deployed again."""
        await self._leave_to_upgrade(queue, body, error, Deadline(self._clock, PATIENCE_SECONDS))

    async def _leave_to_upgrade(self, queue: str, body: bytes, error: NewerVersion, deadline: Deadline) -> None:
        log_event("newer_version", level=logging.WARNING, queue=queue, error=str(error))
        await self._put_back(queue, body, UPGRADE_PAUSE_SECONDS, deadline)

    async def keep(self, body: bytes) -> None:
        """Keep an entry as a blob for inspection, and log its name."""
        name = await self._dead_letters.keep_unreadable(body)
        log_event("entry_unreadable", level=logging.ERROR, blob=name)

    async def _handle_or_keep(self, body: bytes, handle: Callable[[Entry], Awaitable[None]]) -> None:
        try:
            await handle(self._decode(body))
        except (NewerVersion, Unavailable, Changed):
            raise
        except UnreadableEntry:
            await self.keep(body)
        except Exception as error:
            # The bug that poisoned the entry may occur here again; the entry must survive it.
            log_failure("poison_failed", error=type(error).__name__)
            await self.keep(body)
