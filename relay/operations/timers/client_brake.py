"""Hold the lanes of clients whose mail bounces or is reported as spam too often, and inform their owners.

Hold first, notify second: the row says which notice is still to be posted, so a process that dies in between leaves it to the
next run. A repeated notice has the same id.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.clients.registry import Client, Clients
from relay.core.arrival.brake import by_client, cause_of
from relay.core.arrival.counts import Counts
from relay.core.events import ClientNotice, NoticeKind
from relay.core.settings import BrakeLimits, BrakePolicy
from relay.events.webhooks.delivery import Webhooks
from relay.journal.counts.hours import Hour
from relay.routes.brakes import Brake, Brakes, Figures, Notice

UNAWARE = timedelta(minutes=2)
"""Time after a release in which a run that does not know of it may still count an hour, with the mail from before the release.
Longer than any run of the timer's step."""
_KINDS = {Notice.HELD: NoticeKind.HELD, Notice.RELEASED: NoticeKind.RELEASED}


class ClientBrake:
    """Holds clients by the counts of hours, and posts notices."""

    def __init__(
        self,
        *,
        brakes: Brakes,
        clients: Clients,
        webhooks: Webhooks,
        clock: Callable[[], datetime],
        limits: BrakeLimits,
    ) -> None:
        self._brakes = brakes
        self._clients = clients
        self._webhooks = webhooks
        self._clock = clock
        self._limits = limits

    async def released(self) -> Mapping[str, datetime]:
        """Return when each client was last released, by its id."""
        brakes = (await self._brakes.all(fresh=True)).values()
        return {brake.client_id: brake.released_at for brake in brakes if brake.released_at is not None}

    async def apply(self, hours: Sequence[Hour]) -> None:
        """Hold each client whose rates in these hours are too high, unless the deployment has no brake."""
        if not self._limits.is_on:
            return
        brakes = await self._brakes.all()
        for client in (await self._clients.all()).values():
            known = brakes.get(client.id, Brake(client_id=client.id))
            if not known.is_held and client.policy.brake is not BrakePolicy.OFF:
                await self._apply_to(client, known, hours)

    async def _apply_to(self, client: Client, known: Brake, hours: Sequence[Hour]) -> None:
        after = known.released_at and known.released_at + UNAWARE
        current = [each for each in hours if after is None or each.counted_at > after]
        counts = sum((by_client(each.lanes, client.id, client.policy.brake) for each in current), Counts())
        cause = cause_of(counts, self._limits)
        if cause is None:
            return
        figures = Figures(
            cause=str(cause),
            sent=counts.sent,
            bounced=counts.hard_bounced,
            complained=counts.complained,
            since=max(hours[0].at, known.released_at or hours[0].at),
        )
        await self._brakes.hold(client.id, client.name, client.policy.brake, figures, released_at=known.released_at)

    async def post_notices(self) -> None:
        """Post to the webhooks of each client that was held or released, and record that."""
        for brake in (await self._brakes.all()).values():
            if brake.notice is not Notice.NONE:
                await self._webhooks.notify(_notice(brake))
                await self._brakes.mark_noticed(brake)


def _notice(brake: Brake) -> ClientNotice:
    at = brake.held_at or brake.released_at
    if at is None:
        raise ValueError("a client that was never held has no notice")
    figures = {} if brake.figures is None else msgspec.structs.asdict(brake.figures)
    return ClientNotice(
        kind=_KINDS[brake.notice],
        client=brake.client,
        client_id=brake.client_id,
        at=at,
        about={"client": brake.client, "lanes": str(brake.lanes), "at": at, **figures},
    )
