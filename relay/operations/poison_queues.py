"""Drain the poison queues: entries that their function skipped stay there until this runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from relay.core.settings import Lane
from relay.delivery.poison import Poison
from relay.events.apply import Events
from relay.events.webhooks.delivery import Webhooks
from relay.platform.concurrency import NEVER, Deadline, Progress
from relay.platform.resources import EVENTS_QUEUE, WEBHOOKS_QUEUE, poison_of
from relay.platform.storage.ports import Queues, Received

_PAGE = 32


class PoisonQueues:
    """The poison queues, each with the function that handles its entries."""

    def __init__(
        self, *, queues: Queues, lanes: Mapping[str, Lane], poison: Poison, events: Events, webhooks: Webhooks
    ) -> None:
        self._queues = queues
        self._handlers: dict[str, Callable[[bytes], Awaitable[None]]] = {}
        for name, lane in lanes.items():
            for queue in map(poison_of, lane.queues(name)):
                self._handlers[queue] = partial(poison.record_dead_letters, queue)
        self._handlers[poison_of(EVENTS_QUEUE)] = events.apply_poison
        self._handlers[poison_of(WEBHOOKS_QUEUE)] = webhooks.keep_poison

    async def drain(self, deadline: Deadline = NEVER) -> Progress:
        """Handle the entries on every poison queue."""
        drained = 0
        for queue, handle in self._handlers.items():
            while not deadline.is_over and (received := await self._queues.receive(queue, limit=_PAGE)):
                drained += await self._handle(queue, handle, received, deadline)
        return Progress(done=drained, is_complete=not deadline.is_over)

    async def _handle(
        self, queue: str, handle: Callable[[bytes], Awaitable[None]], received: Sequence[Received], deadline: Deadline
    ) -> int:
        """Handle entries until the deadline, and return their number. The others come again after their lease."""
        for number, entry in enumerate(received):
            # Checked for each: while storage is unavailable, an entry takes half a minute.
            if deadline.is_over:
                return number
            await handle(entry.body)
            await self._queues.delete(queue, entry)
        return len(received)
