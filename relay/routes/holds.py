"""Hold routes, or a route for one sender only. All instances share one table row per hold; `hold_changes` decides.

Messages of a held route use no attempts. Their expiry stops while the configuration is at fault, not while the provider is
away. In `trial` one canary batch may send (claimed by ETag); the others stay held. A fault of one From address (not
verified, mailbox missing) holds only that sender, so that one client's mistake does not stop the mail of all.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, every_row
from relay.platform.storage.rows import RowChange, change_row, write_row
from relay.routes import hold_changes
from relay.routes.hold_rows import (
    CLIENTS,
    OPERATOR,
    PARTITION,
    TABLE,
    Hold,
    RouteState,
    active_hold,
    entity_of,
    hold_of,
)

CACHE_SECONDS = 5.0
SENDER_CODES = frozenset({"sender_not_verified", "mailbox_unavailable"})
"""Route faults that concern the From address, not the whole route."""


def scope_for(code: str, route: str, sender: str) -> tuple[str, str]:
    """Return the route that a fault with this code holds, and the sender, or "" if it holds the whole route."""
    return (route, sender.lower()) if code in SENDER_CODES else (route, "")


class Holds:
    """Reads the rows (cached for `CACHE_SECONDS`) and changes them."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime], routes: Collection[str]) -> None:
        """Read and change the holds of these routes, which the settings name."""
        self._tables = tables
        self._clock = clock
        self._routes = routes
        self._cached: Mapping[str, Hold] = {}
        self._clients: Sequence[Entity] = ()
        self._cached_until: datetime | None = None
        self._reading = asyncio.Lock()

    async def all(self, *, fresh: bool = False) -> Mapping[str, Hold]:
        """Read all holds by scope, released ones included. A route without a row is active.

        While delivery is paused it is paused too: the settings may have named it after the pause began.
        """
        now = self._clock()
        if not fresh and self._is_known(now):
            return self._cached
        # One read serves all concurrent callers: the host starts sixteen deliveries at once.
        async with self._reading:
            if fresh or not self._is_known(now):
                rows = [row async for row in every_row(self._tables, TABLE, Query())]
                holds = {row.row: hold_of(row) for row in rows if row.partition == PARTITION}
                self._cached = with_new_routes(holds, self._routes)
                self._clients = [row for row in rows if row.partition == CLIENTS]
                self._cached_until = now + timedelta(seconds=CACHE_SECONDS)
        return self._cached

    @property
    def rows_of_clients(self) -> Sequence[Entity]:
        """The rows of held clients, which are read with the holds."""
        return self._clients

    def forget(self) -> None:
        """Drop the cached rows, because one of them was changed: the next caller reads them again."""
        self._cached_until = None

    def _is_known(self, now: datetime) -> bool:
        return self._cached_until is not None and now < self._cached_until

    async def hold(
        self,
        route: str,
        code: str,
        reply: str = "",
        *,
        sender: str = "",
        retry_after_seconds: float | None = None,
        suspect: str = "",
        reported_attempt_at: datetime | None = None,
    ) -> Hold:
        """Hold a route, or one sender of it. Returns the hold, which is `active` if nothing is held.

        `suspect` is the message that met the fault. If it is a suspect already and the route has worked for others since,
        nothing is held. `reported_attempt_at`: the fault comes from a report about an attempt of that time. The report is too
        late if the route was held or reopened since.
        """
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold | None, tuple[Hold, bool]]:
            held = hold_changes.after_fault(
                known,
                now,
                code=code,
                reply=reply,
                retry_after_seconds=retry_after_seconds,
                suspect=suspect,
                reported_attempt_at=reported_attempt_at,
            )
            return held, (held or known, held is not None and known.state is RouteState.ACTIVE)

        held, is_new = await self.change(Hold(route=route, sender=sender), decide)
        if is_new:
            log_event("route_held", level=logging.ERROR, route=route, code=code, one_sender=bool(sender))
        return held

    async def hold_for_operator(
        self, route: str, *, owner: str = "", reason: str = "", until: datetime | None = None
    ) -> Hold:
        """Hold a route until an operator releases it, or until a time. A repetition replaces reason, owner and end."""
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold, tuple[Hold, bool]]:
            held = hold_changes.by_operator(known, now, owner=owner, reason=reason, until=until)
            return held, (held, not hold_changes.is_held_by_operator(known))

        held, is_new = await self.change(Hold(route=route), decide)
        if is_new:
            log_event("route_held", level=logging.ERROR, route=route, code=OPERATOR, one_sender=False)
        return held

    async def claim_probe(self, hold: Hold) -> Hold | None:
        """Claim the due probe of a hold for this process. Returns the row as claimed, or None if it has changed."""
        now = self._clock()
        return await self._change_held(hold, lambda known: hold_changes.with_claimed_probe(known, now))

    async def begin_trial(self, hold: Hold) -> bool:
        """Let one canary batch try after a successful probe. Returns False if the row has changed."""
        now = self._clock()
        return await self._change_held(hold, lambda known: hold_changes.in_trial(known, now)) is not None

    async def postpone_probe(self, hold: Hold, code: str, reply: str) -> bool:
        """Record a failed probe and schedule the next one. Returns False if the row has changed."""
        now = self._clock()
        changed = await self._change_held(
            hold, lambda known: hold_changes.after_failed_probe(known, now, code=code, reply=reply)
        )
        return changed is not None

    async def _change_held(self, hold: Hold, make: Callable[[Hold], Hold]) -> Hold | None:
        """Change a hold that still waits for the same probe. Returns the new row, None if another process was first."""

        def decide(known: Hold) -> tuple[Hold | None, Hold | None]:
            if known.state is not RouteState.HELD or known.next_probe_at != hold.next_probe_at:
                return None, None
            changed = make(known)
            return changed, changed

        return await self.change(active_hold(hold.scope), decide)

    async def claim_canary(self, scope: str, batch: str) -> bool:
        """Claim the trial of a route for this batch. Returns whether the batch may send."""
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold | None, bool]:
            may_send = hold_changes.may_send(known, now, batch)
            return (hold_changes.with_canary(known, now, batch), True) if may_send is None else (None, may_send)

        return await self.change(active_hold(scope), decide)

    async def release_canary(self, scope: str, batch: str, *, suspect: str = "") -> None:
        """Release this batch's claim on a trial, so that another batch can try. `suspect` is its message that failed."""
        await self.change(
            active_hold(scope), lambda known: (hold_changes.without_canary(known, batch, suspect=suspect), None)
        )

    async def forget_suspects(self, scope: str) -> None:
        """Let the suspects of a trial be the canary: no other message waits for the route."""
        await self.change(active_hold(scope), lambda known: (hold_changes.without_suspects(known), None))

    async def release(self, scope: str, why: str, *, is_by_canary: bool = False, message: str = "") -> Hold | None:
        """Release a route, whose held messages must then be re-enqueued (`must_wake`). Returns None if it was active already.

        `is_by_canary`: release only a route that is still in `trial`, not one that was held again since. `message` is the one
        that was sent. Returns None also while reports about the canary may arrive.
        """
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold | None, tuple[Hold, Hold] | None]:
            changed = hold_changes.released(known, now, is_by_canary=is_by_canary, message=message)
            is_released = changed is not None and changed.state is RouteState.ACTIVE
            return changed, (known, changed) if changed is not None and is_released else None

        change = await self.change(active_hold(scope), decide)
        if change is None:
            return None
        known, released = change
        held_seconds = (now - known.since).total_seconds() if known.since else 0.0
        log_event("route_released", level=logging.WARNING, route=known.route, why=why, held_seconds=held_seconds)
        return released

    async def mark_woken(self, hold: Hold) -> bool:
        """Record that the held messages of a released route are on the queue. Returns False if the row has changed."""
        return await self._write(msgspec.structs.replace(hold, must_wake=False))

    async def change[Result](self, missing: Hold, decide: Callable[[Hold], tuple[Hold | None, Result]]) -> Result:
        """Write the hold that `decide` makes of the row (None: write nothing), and return its result.

        `missing` stands for a row that does not exist, and names the row.
        """

        def decide_row(entity: Entity | None) -> RowChange[Result]:
            # A route that only the pause holds has no row yet.
            known = hold_of(entity) if entity else self._cached.get(missing.scope, missing)
            hold, result = decide(known)
            return RowChange(result=result, properties=None if hold is None else entity_of(hold).properties)

        try:
            return await change_row(self._tables, TABLE, PARTITION, missing.scope, decide_row)
        finally:
            self.forget()

    async def _write(self, hold: Hold) -> bool:
        """Write a row unless another writer has changed it since it was read. Returns False then."""
        try:
            return await write_row(self._tables, TABLE, entity_of(hold))
        finally:
            self.forget()


def with_new_routes(holds: Mapping[str, Hold], routes: Collection[str]) -> Mapping[str, Hold]:
    """Add the routes that the pause holds although they have no row."""
    pauses = [hold for hold in holds.values() if hold.is_paused]
    if not pauses:
        return holds
    pause = max(pauses, key=_pause_end)
    new = Hold(
        route="",
        state=RouteState.HELD,
        code=OPERATOR,
        since=pause.paused_at,
        paused_at=pause.paused_at,
        next_probe_at=pause.next_probe_at,
        owner=pause.owner,
        reason=pause.reason,
    )
    return {**holds, **{name: msgspec.structs.replace(new, route=name) for name in routes if name not in holds}}


def _pause_end(hold: Hold) -> float:
    return hold.next_probe_at.timestamp() if hold.next_probe_at else math.inf
