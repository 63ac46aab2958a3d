"""Watch the outcomes of attempts: hold a route at fault, release it after a successful canary, trip the circuit breaker."""

import logging
from datetime import datetime

from relay.core import entries, part_states
from relay.core.errors import StorageError
from relay.core.model import Message, Part, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.part_states import RouteHold
from relay.core.settings import Lane, Settings
from relay.platform.log import log_event
from relay.routes.circuit_breaker import CircuitBreaker
from relay.routes.holds import Hold, Holds, RouteState, scope_for, scope_of
from relay.routes.routing import Router


class RouteWatch:
    """Turns outcomes into holds and releases."""

    def __init__(self, settings: Settings, holds: Holds, breaker: CircuitBreaker) -> None:
        self._router = Router(settings)
        self._holds = holds
        self._breaker = breaker

    async def note(
        self,
        entry: entries.BatchEntry,
        part: Part,
        submission: Submission,
        message: Message | None,
        *,
        answer: Outcome | PerRecipient,
        now: datetime,
    ) -> RouteHold | None:
        """Update the route after an attempt. Returns the hold that a route fault led to.

        While storage is unavailable there is none; the next attempt holds the route.
        """
        outcomes = _outcomes(answer)
        sender = message.sender.email if message is not None else ""
        try:
            await self._note_failures(part.route, outcomes, now)
            fault = next((outcome for outcome in outcomes if isinstance(outcome, RouteFault)), None)
            if fault is None:
                if any(isinstance(outcome, Sent | Rejected) for outcome in outcomes):
                    await self._note_success(part.route, sender)
                else:
                    await self._release_canary(part.route, sender, entry.batch)
                return None
            hold = await self._hold(part.route, sender, fault)
        except StorageError as error:
            log_event("hold_not_recorded", level=logging.WARNING, route=part.route, error=type(error).__name__)
            return None
        other = self._router.alternative(part, submission, message, entry.lane) if message is not None else None
        if other is not None:
            log_event("failed_over", level=logging.WARNING, route=part.route, to=other, code=fault.code)
        return RouteHold(scope=hold.scope, until=hold.next_probe_at, other_route=other)

    async def spare_route(
        self,
        entry: entries.BatchEntry,
        part: Part,
        submission: Submission,
        message: Message | None,
        *,
        answer: Outcome | PerRecipient,
        lane: Lane,
        now: datetime,
    ) -> str | None:
        """Return an open route for a part that its own certainly did not take, and for which that asks for a long wait."""
        if message is None or isinstance(answer, PerRecipient) or not part_states.must_wait_long(part, answer, lane):
            return None
        try:
            holds = await self._holds.all()
        except StorageError:
            return None
        sender = message.sender.email.lower()
        closed = {
            hold.route for hold in holds.values() if hold.state is not RouteState.ACTIVE and hold.sender in ("", sender)
        }
        busy = {route for route in part.busy if part_states.is_busy(part, route, now)}
        other = self._router.alternative(part, submission, message, entry.lane, without=closed | busy)
        if other is not None:
            log_event("failed_over", level=logging.WARNING, route=part.route, to=other, code=answer.code)
        return other

    async def _hold(self, route: str, sender: str, fault: RouteFault) -> Hold:
        route, sender = scope_for(fault.code, route, sender)
        return await self._holds.hold(
            route, fault.code, fault.reply, sender=sender, retry_after_seconds=fault.retry_after_seconds
        )

    async def _note_success(self, route: str, sender: str) -> None:
        known = await self._holds.all()
        for scope in (route, scope_of(route, sender.lower())):
            hold = known.get(scope)
            if hold is not None and hold.state is RouteState.TRIAL:
                await self._holds.release(scope, "canary", is_by_canary=True)

    async def _release_canary(self, route: str, sender: str, batch: str) -> None:
        """Release the canary claim of a batch whose outcomes say nothing about the route, so that another batch can try."""
        known = await self._holds.all()
        for scope in (route, scope_of(route, sender.lower())):
            hold = known.get(scope)
            if hold is not None and hold.state is RouteState.TRIAL:
                await self._holds.release_canary(scope, batch)

    async def _note_failures(self, route: str, outcomes: tuple[Outcome, ...], now: datetime) -> None:
        for outcome in outcomes:
            code = outcome.code if isinstance(outcome, Deferred | Unknown) else ""
            if self._breaker.note(route, code, now):
                await self._holds.hold(route, "repeated_failure", outcome.reply)


def _outcomes(answer: Outcome | PerRecipient) -> tuple[Outcome, ...]:
    if isinstance(answer, PerRecipient):
        return tuple(outcome for _, outcome in answer.outcomes)
    return (answer,)
