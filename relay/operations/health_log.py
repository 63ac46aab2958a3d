"""Log queue depth, oldest entry, held routes and held clients every minute, for the alert rules.

States are repeated, not only their changes: a line that was sampled away or lost is written again a minute later, and the
alert rules (infra/alerts) need no memory. Costs two storage operations a queue, one for the routes and clients, and one for each
tenant with a budget.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec

from relay.core.settings import Lane, Settings
from relay.platform.log import log_event
from relay.platform.resources import OWN_QUEUES, poison_of
from relay.platform.storage.ports import Queues
from relay.platform.telemetry import OFF, QueueMetrics, Telemetry
from relay.routes.brakes import Brakes
from relay.routes.hold_rows import RouteState
from relay.routes.holds import Holds
from relay.routes.recipient_budget.usage import RecipientUsage


class HealthLog:
    """Measures queues and routes, and logs them."""

    def __init__(
        self,
        settings: Settings,
        queues: Queues,
        holds: Holds,
        brakes: Brakes,
        *,
        clock: Callable[[], datetime],
        telemetry: Telemetry = OFF,
        usage: RecipientUsage | None = None,
    ) -> None:
        self._settings = settings
        self._queues = queues
        self._holds = holds
        self._brakes = brakes
        self._clock = clock
        self._telemetry = telemetry
        self._usage = usage

    async def write(self) -> None:
        """Log a line for each queue and each route, then `health` with the totals: its absence raises an alert."""
        queues = [*await self.queues(), *await self._own_queues()]
        for queue in queues:
            log_event("queue", **msgspec.structs.asdict(queue))
        self._telemetry.queues(queues)
        held = await self._log_routes()
        await self._log_budgets()
        self._log_clients()
        waiting = sum(queue.entries for queue in queues)
        log_event("health", queues=len(queues), entries=waiting, held=held)

    async def queues(self) -> list[QueueMetrics]:
        """Measure every queue of every lane, each followed by its poison queue."""
        return [
            await self._queue(lane, queue, is_poison) for lane, queue, is_poison in _queues_of(self._settings.lanes)
        ]

    async def _own_queues(self) -> list[QueueMetrics]:
        names = [(queue, name) for queue in OWN_QUEUES for name in (queue, poison_of(queue))]
        return [await self._queue(queue, name, name != queue) for queue, name in names]

    async def _queue(self, lane: str, queue: str, is_poison: bool) -> QueueMetrics:
        entries = await self._queues.count(queue)
        oldest = await self._queues.oldest_inserted_at(queue) if entries else None
        age = 0.0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds())
        return QueueMetrics(lane=lane, queue=queue, is_poison=is_poison, entries=entries, oldest_seconds=age)

    async def _log_routes(self) -> int:
        """Log each hold of a route, or that the route is active. Returns the number of routes with a hold."""
        holds = [hold for hold in (await self._holds.all()).values() if hold.state is not RouteState.ACTIVE]
        now, held, states = self._clock(), set(), []
        for hold in holds:
            if hold.route in self._settings.routes:
                held.add(hold.route)
                states.append((hold.route, str(hold.state)))
                seconds = 0.0 if hold.since is None else (now - hold.since).total_seconds()
                log_event(
                    "route",
                    route=hold.route,
                    state=str(hold.state),
                    code=hold.code,
                    one_sender=bool(hold.sender),
                    held_seconds=seconds,
                )
        for name in self._settings.routes:
            if name not in held:
                log_event("route", route=name, state=str(RouteState.ACTIVE))
                states.append((name, str(RouteState.ACTIVE)))
        self._telemetry.routes(states)
        return len(held)

    async def _log_budgets(self) -> None:
        """Log the rest of each budget of external recipients; among mailboxes, of the one that has used the most."""
        budgets = await self._usage.read() if self._usage is not None else {}
        left: dict[tuple[str, str], int] = {}
        for route, uses in budgets.items():
            for use in uses:
                if (route, use.scope) not in left:
                    left[route, use.scope] = use.left
                    log_event(
                        "external_recipients",
                        route=route,
                        scope=str(use.scope),
                        limit=use.limit,
                        used=use.used,
                        left=use.left,
                    )
        self._telemetry.budgets(left)

    def _log_clients(self) -> None:
        """Log each client that is held."""
        now = self._clock()
        for brake in self._brakes.known().values():
            if brake.held_at is not None and brake.figures is not None:
                log_event(
                    "client_hold",
                    client=brake.client,
                    lanes=str(brake.lanes),
                    code=brake.figures.cause,
                    sent=brake.figures.sent,
                    bounced=brake.figures.bounced,
                    complained=brake.figures.complained,
                    held_seconds=(now - brake.held_at).total_seconds(),
                )


def _queues_of(lanes: Mapping[str, Lane]) -> Iterator[tuple[str, str, bool]]:
    for name, lane in lanes.items():
        for queue in lane.queues(name):
            yield name, queue, False
            yield name, poison_of(queue), True
