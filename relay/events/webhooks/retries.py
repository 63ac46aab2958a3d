"""Keep retries that wait for longer than two minutes as rows of table `pending`, and put them back on the queue in time.

The platform counts invisible entries of a queue as work, and would start instances for them (docs/decisions/0005-pending.md).
Partition `webhooks`, row `<due>-<webhook>-<digest of the entry>`, with the entry as it goes back on the queue. A row is written
before the entry that led to it is deleted, and deleted after its entry was put: a crash in between repeats posts, which keep
their ids, and loses none.
"""

import hashlib
import math
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.events.webhooks.payload import QUEUE
from relay.journal.pending import SOON, TABLE, stamp
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.storage.ports import Entity, Query, Queues, Tables, delete_where, every_row
from relay.platform.storage.readable import readable

PARTITION = "webhooks"
ROWS_AT_ONCE = 16
DAMAGED_KEPT = timedelta(days=7)
"""How long a row that cannot be read is kept after its time."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, and when it becomes visible on the queue."""

    client_id: str
    webhook: str
    at: datetime
    body: bytes

    @property
    def row(self) -> str:
        """The row's key."""
        return f"{stamp(self.at)}-{self.webhook}-{hashlib.sha256(self.body).hexdigest()[:16]}"


class Retries:
    """Writes and deletes the rows, and puts the due ones on the queue."""

    def __init__(self, *, tables: Tables, queues: Queues, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._queues = queues
        self._clock = clock

    async def put(self, retry: Retry) -> None:
        """Enqueue a retry that is due soon; write a row for any other."""
        if retry.at <= self._clock() + SOON:
            await self._enqueue(retry)
        else:
            await self._tables.upsert(TABLE, _entity(retry))

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Enqueue what is due within two minutes. What is left is done by the next run."""
        query = Query(partition=PARTITION, row_before=stamp(self._clock() + SOON))
        return await process(
            every_row(self._tables, TABLE, query), self._put_back, limit=ROWS_AT_ONCE, deadline=deadline
        )

    async def remove(self, client_id: str, webhook: str = "", deadline: Deadline = NEVER) -> Progress:
        """Delete the rows of a webhook, or of all webhooks of a client. Delivery drops what is left when it is due."""
        equals = {"client_id": client_id} | ({"webhook": webhook} if webhook else {})
        query = Query(partition=PARTITION, equals=equals, select=())
        return await delete_where(self._tables, TABLE, query, lambda _: True, deadline=deadline, keeps_changed=False)

    async def purge(self, deadline: Deadline = NEVER) -> Progress:
        """Delete rows that cannot be read. A readable one goes back on the queue, however old it is."""
        query = Query(partition=PARTITION, row_before=stamp(self._clock() - DAMAGED_KEPT))
        return await delete_where(
            self._tables, TABLE, query, lambda row: not any(readable(TABLE, (row,), _retry)), deadline=deadline
        )

    async def _put_back(self, row: Entity) -> bool:
        for retry in readable(TABLE, (row,), _retry):
            await self._enqueue(retry)
            await self._tables.delete(TABLE, row.partition, row.row)
            return True
        return False

    async def _enqueue(self, retry: Retry) -> None:
        wait = max(0.0, (retry.at - self._clock()).total_seconds())
        await self._queues.put(QUEUE, retry.body, delay_seconds=math.ceil(wait))


def _entity(retry: Retry) -> Entity:
    return Entity(partition=PARTITION, row=retry.row, properties=msgspec.structs.asdict(retry))


def _retry(row: Entity) -> Retry:
    return msgspec.convert(dict(row.properties), Retry)
