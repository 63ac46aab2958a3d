"""Probe held routes. A success starts a trial with one canary batch.

The minute timer probes every held route whose probe is due. While a provider is away the first probes come within seconds, too
early for the timer: a function that delivers mail makes them. Only the process that claims the row of the hold probes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial

from relay.core.outcomes import RouteFault, Sent
from relay.core.settings import Settings
from relay.platform.concurrency import NEVER, Deadline, Progress, process
from relay.platform.log import log_event, log_failure
from relay.providers.contract import Provider
from relay.routes.hold_rows import Hold, RouteState
from relay.routes.holds import Holds

PROBE_SECONDS = 30.0
"""Timeout of a probe."""
EARLY_PROBE_SECONDS = 5.0
"""Timeout of a probe that a delivery makes: its own messages wait for it."""
PROBES_AT_ONCE = 8


class Probes:
    """Probes the providers of held routes."""

    def __init__(
        self, settings: Settings, holds: Holds, providers: Callable[[str], Provider], clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._holds = holds
        self._providers = providers
        self._clock = clock

    async def run(self, deadline: Deadline = NEVER) -> Progress:
        """Probe every held route whose probe is due."""
        probe = partial(self._probe_one, seconds=PROBE_SECONDS)
        return await process(self._due(fresh=True), probe, limit=PROBES_AT_ONCE, deadline=deadline)

    async def run_all(self, deadline: Deadline = NEVER) -> Progress:
        """Probe every held route that Relay probes, due or not. A route that an operator holds or paused is probed at its end."""
        probe = partial(self._probe_one, seconds=PROBE_SECONDS)
        return await process(self._at_fault(), probe, limit=PROBES_AT_ONCE, deadline=deadline)

    async def run_early(self) -> None:
        """Make the early probes that are due. Costs nothing while there are none: deliveries read the holds anyway."""
        async for hold in self._due(fresh=False):
            if hold.has_early_probe:
                await self._probe_one(hold, seconds=EARLY_PROBE_SECONDS)

    async def probe_now(self, route: str) -> Sent | RouteFault:
        """Probe a route now, at an operator's request. A success starts the trial of its holds."""
        answer = await self._ask(Hold(route=route), PROBE_SECONDS)
        if isinstance(answer, Sent):
            for hold in list((await self._holds.all(fresh=True)).values()):
                if hold.route == route and hold.state is RouteState.HELD:
                    await self._holds.begin_trial(hold)
        return answer

    async def _due(self, *, fresh: bool) -> AsyncIterator[Hold]:
        """Yield the holds whose probe is due, and the trials whose canary no report has refused in time."""
        now = self._clock()
        for hold in list((await self._holds.all(fresh=fresh)).values()):
            at = hold.next_probe_at if hold.state is RouteState.HELD else hold.confirmed_at
            if at is not None and at <= now:
                yield hold

    async def _at_fault(self) -> AsyncIterator[Hold]:
        now = self._clock()
        async for hold in self._probed():
            if not (hold.is_deliberate and hold.next_probe_at is not None and hold.next_probe_at > now):
                yield hold

    async def _probed(self) -> AsyncIterator[Hold]:
        for hold in list((await self._holds.all(fresh=True)).values()):
            if hold.state is RouteState.HELD and hold.next_probe_at is not None:
                yield hold

    async def _probe_one(self, hold: Hold, *, seconds: float) -> bool:
        if hold.route not in self._settings.routes:
            await self._holds.release(hold.scope, "route_removed")
            return True
        if hold.state is RouteState.TRIAL:
            return await self._holds.release(hold.scope, "canary", is_by_canary=True) is not None
        claimed = await self._holds.claim_probe(hold)
        if claimed is None:
            return False
        if not claimed.sender:
            answer = await self._ask(claimed, seconds)
            if not isinstance(answer, Sent):
                await self._holds.postpone_probe(claimed, answer.code, answer.reply)
                log_event("probe_failed", level=logging.WARNING, route=claimed.route, code=answer.code)
                return True
        # A probe cannot check one sender: only a message of that sender can.
        await self._holds.begin_trial(claimed)
        log_event("probe_succeeded", route=claimed.route)
        return True

    async def _ask(self, hold: Hold, seconds: float) -> Sent | RouteFault:
        """Ask the provider. An exception or a timeout counts as a failed probe, so that it does not stop the other routes."""
        try:
            async with asyncio.timeout(seconds):
                return await self._providers(hold.route).probe()
        except Exception as error:
            log_failure("probe_failed_unexpectedly", route=hold.route)
            return RouteFault(code=hold.code, reply=type(error).__name__)
