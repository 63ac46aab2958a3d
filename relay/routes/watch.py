"""Watch the outcomes of attempts: hold a route at fault, release it after a successful canary, trip the circuit breaker."""

import logging
from collections.abc import Set
from datetime import datetime

import msgspec

from relay.core import entries
from relay.core.errors import StorageError
from relay.core.model import Message, Part, Submission
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import attempt_results, part_states
from relay.core.parts.attempt_results import RouteHold
from relay.core.settings import Lane, Settings
from relay.platform.log import log_event
from relay.routes.circuit_breaker import CircuitBreaker
from relay.routes.hold_rows import Hold, RouteState, scope_of
from relay.routes.holds import Holds, scope_for
from relay.routes.routing import Router


class _Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of an attempt: route, sender (lower case), batch, and the message in the batch."""

    route: str
    sender: str
    batch: str
    message: str


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
        index: int,
        answer: Outcome | PerRecipient,
        now: datetime,
    ) -> RouteHold | None:
        """Update the route after an attempt. Returns the hold that a route fault led to. `index` is the message's place.

        Returns None while storage is unavailable; the next attempt holds the route.
        """
        outcomes = _outcomes(answer)
        attempted = _Attempted(
            route=part.route,
            sender=message.sender.email.lower() if message is not None else "",
            batch=entry.batch,
            message=f"{entry.batch}-{index:02d}",
        )
        try:
            await self._note_failures(attempted, outcomes, now)
            fault = next((outcome for outcome in outcomes if isinstance(outcome, RouteFault)), None)
            if fault is None:
                if any(isinstance(outcome, Sent | Rejected) for outcome in outcomes):
                    await self._note_success(attempted)
                else:
                    await self._release_canary(attempted)
                return None
            hold = await self._hold(attempted, fault)
        except StorageError as error:
            log_event("hold_not_recorded", level=logging.WARNING, route=part.route, error=type(error).__name__)
            return None
        is_at_fault = hold.state is RouteState.ACTIVE
        if is_at_fault:
            log_event("message_at_fault", level=logging.WARNING, route=part.route, code=fault.code)
        other = None
        if message is not None:
            closed = await self._closed(part, attempted.sender, now) if is_at_fault else frozenset()
            other = self._alternative(part, submission, message, entry.lane, closed=closed, code=fault.code)
        return RouteHold(scope=hold.scope, until=hold.next_probe_at, other_route=other, is_message_at_fault=is_at_fault)

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
        """Return an active route for a part whose own route certainly did not take it and asks for a long wait; else None."""
        if (
            message is None
            or isinstance(answer, PerRecipient)
            or not attempt_results.must_wait_long(part, answer, lane)
        ):
            return None
        try:
            closed = await self._closed(part, message.sender.email.lower(), now)
        except StorageError:
            return None
        return self._alternative(part, submission, message, entry.lane, closed=closed, code=answer.code)

    def _alternative(
        self, part: Part, submission: Submission, message: Message, lane: str, *, closed: Set[str], code: str
    ) -> str | None:
        """Return another route that the part may take, and log the failover."""
        other = self._router.alternative(part, submission, message, lane, without=closed)
        if other is not None:
            log_event("failed_over", level=logging.WARNING, route=part.route, to=other, code=code)
        return other

    async def _closed(self, part: Part, sender: str, now: datetime) -> Set[str]:
        """Return the routes that this part may not take now: held ones, and those that asked it to wait."""
        closed = {
            hold.route
            for hold in (await self._holds.all()).values()
            if hold.state is not RouteState.ACTIVE and hold.sender in ("", sender)
        }
        return closed | {route for route in part.busy if part_states.is_busy(part, route, now)}

    async def _hold(self, attempted: _Attempted, fault: RouteFault) -> Hold:
        route, sender = scope_for(fault.code, attempted.route, attempted.sender)
        return await self._holds.hold(
            route,
            fault.code,
            fault.reply,
            sender=sender,
            retry_after_seconds=fault.retry_after_seconds,
            suspect=attempted.message,
        )

    async def _note_success(self, attempted: _Attempted) -> None:
        for scope in await self._trials(attempted):
            await self._holds.release(scope, "canary", is_by_canary=True, message=attempted.message)

    async def _release_canary(self, attempted: _Attempted) -> None:
        """Release the canary claim of a batch whose outcomes say nothing about the route, so that another batch can try."""
        for scope in await self._trials(attempted):
            await self._holds.release_canary(scope, attempted.batch, suspect=attempted.message)

    async def _trials(self, attempted: _Attempted) -> list[str]:
        """Return the scopes in `trial` that the attempt says something about."""
        trials = {scope for scope, hold in (await self._holds.all()).items() if hold.state is RouteState.TRIAL}
        if not trials:
            return []
        return [scope for scope in (attempted.route, scope_of(attempted.route, attempted.sender)) if scope in trials]

    async def _note_failures(self, attempted: _Attempted, outcomes: tuple[Outcome, ...], now: datetime) -> None:
        for outcome in outcomes:
            code = outcome.code if isinstance(outcome, Deferred | Unknown) else ""
            if self._breaker.note(attempted.route, code, attempted.message, now):
                await self._holds.hold(attempted.route, "repeated_failure", outcome.reply)


def _outcomes(answer: Outcome | PerRecipient) -> tuple[Outcome, ...]:
    if isinstance(answer, PerRecipient):
        return tuple(outcome for _, outcome in answer.outcomes)
    return (answer,)
