"""Hold routes, or a route for one sender only. All instances share one table row per hold.

    active ──route fault──► held ──probe succeeds──► trial ──its canary batch is sent──► active
                           ▲  └─probe fails: next probe later    │
                           └──────────another route fault────────┘

A hold that a report led to ends only some minutes after its canary was accepted, when no report has refused that too.

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

from relay.core.outcomes import PROVIDER_AWAY, reply_text
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, every_row
from relay.platform.storage.rows import RowChange, change_row, write_row
from relay.routes.hold_rows import (
    CLIENTS,
    EARLY_PROBE_DELAYS,
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
PROBE_DELAYS = (60.0, 120.0, 300.0, 600.0, 900.0)
"""Seconds before the first, second, … probe of a held route; the last delay repeats."""
PROBE_CLAIM_SECONDS = 60.0
"""Time a probe may take before another process may probe."""
MAX_WAIT_SECONDS = 86_400.0
"""Limit for a provider's `Retry-After`: a probe costs little."""
CANARY_SECONDS = 120.0
"""Time a canary batch may take before another batch may claim the trial."""
REPORT_SECONDS = 600.0
"""Time for a report about a canary to arrive: reports take minutes, and Relay reads them every minute."""
MAX_SUSPECTS = 32
"""Suspects that a row remembers, the latest ones."""
MAX_HOLD = timedelta(days=7)
"""How far ahead the end of such a hold may be."""
SENDER_CODES = frozenset({"sender_not_verified", "mailbox_unavailable"})
"""Route faults that concern the From address, not the whole route."""


def scope_for(code: str, route: str, sender: str) -> tuple[str, str]:
    """Return what a fault with this code holds: the route, and the sender if the fault is the sender's."""
    return (route, sender.lower()) if code in SENDER_CODES else (route, "")


def probe_delay(probes: int, code: str) -> timedelta:
    """Return the delay of the next probe after this number of failed probes, by what the route is held for."""
    delays = (*EARLY_PROBE_DELAYS, *PROBE_DELAYS) if code in PROVIDER_AWAY else PROBE_DELAYS
    return timedelta(seconds=delays[min(probes, len(delays) - 1)])


def _wait(probes: int, code: str, retry_after: float | None) -> timedelta:
    return timedelta(seconds=min(retry_after, MAX_WAIT_SECONDS)) if retry_after else probe_delay(probes, code)


class Holds:
    """Reads the rows (cached for seconds) and changes them."""

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
        """Read the rows again when they are next asked for: one of them was changed."""
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
        """Hold a route, or one sender of it. A hold keeps its `since`; after a failed canary the probe delay grows.

        `suspect` is the message that met the fault. If it is a suspect already and the route has worked for others since,
        nothing is held, and the hold returned is `active`. `reported_attempt_at`: a report says so of an attempt of that time.
        It is too late if the route was held or reopened since.
        """
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold | None, tuple[Hold, bool]]:
            is_running = known.state is RouteState.HELD and (known.next_probe_at is None or known.next_probe_at > now)
            is_by_report = reported_attempt_at is not None
            if _is_late(known, reported_attempt_at) if is_by_report else is_running:
                return None, (known, False)
            was_active = known.state is RouteState.ACTIVE
            if was_active and suspect in known.suspects:
                return None, (known, False)
            probes = 0 if was_active else known.probes + 1
            held = Hold(
                route=route,
                sender=sender,
                state=RouteState.HELD,
                code=code,
                reply=reply_text(reply),
                since=now if was_active or known.since is None else known.since,
                next_probe_at=now + _wait(probes, code, retry_after_seconds),
                probes=probes,
                suspects=_with_suspect(known, suspect),
                is_by_report=is_by_report or (known.is_by_report and not was_active),
            )
            return held, (held, was_active)

        held, is_new = await self.change(Hold(route=route, sender=sender), decide)
        if is_new:
            log_event("route_held", level=logging.ERROR, route=route, code=code, one_sender=bool(sender))
        return held

    async def hold_for_operator(
        self, route: str, *, owner: str = "", reason: str = "", until: datetime | None = None
    ) -> Hold:
        """Hold a route until an operator releases it, or until a time at which it is probed as after a fault.

        A repetition replaces reason, owner and end. A hold made in a pause outlives it, and does not end before it.
        """
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold | None, tuple[Hold, bool]]:
            is_again = known.state is RouteState.HELD and known.code == OPERATOR
            outlasted = known.is_paused and until is not None
            held = Hold(
                route=route,
                state=RouteState.HELD,
                code=OPERATOR,
                since=known.since if is_again else now,
                next_probe_at=later_end(known.next_probe_at, until) if outlasted else until,
                suspects=known.suspects,
                paused_at=known.paused_at if outlasted else None,
                owner=owner,
                reason=reply_text(reason),
                until=until,
            )
            return held, (held, not is_again)

        held, is_new = await self.change(Hold(route=route), decide)
        if is_new:
            log_event("route_held", level=logging.ERROR, route=route, code=OPERATOR, one_sender=False)
        return held

    async def claim_probe(self, hold: Hold) -> Hold | None:
        """Claim the due probe of a hold for this process. Returns the row as claimed, or None if it has changed.

        The probe at the end of a pause ends the pause.
        """
        until = self._clock() + timedelta(seconds=PROBE_CLAIM_SECONDS)
        return await self._change_held(
            hold, lambda known: msgspec.structs.replace(known, next_probe_at=until, paused_at=None)
        )

    async def begin_trial(self, hold: Hold) -> bool:
        """Let one canary batch try after a successful probe. Returns False if the row has changed."""

        def canary(known: Hold) -> Hold:
            return msgspec.structs.replace(
                known,
                state=RouteState.TRIAL,
                next_probe_at=None,
                canary_batch="",
                canary_until=None,
                confirmed_at=None,
                reopened_at=self._clock(),
            )

        return await self._change_held(hold, canary) is not None

    async def postpone_probe(self, hold: Hold, code: str, reply: str) -> bool:
        """Record a failed probe and schedule the next one. Returns False if the row has changed.

        A provider that is away does not hide the wrong configuration that the route is held for.
        """

        def later(known: Hold) -> Hold:
            is_hidden = code in PROVIDER_AWAY and known.code not in (*PROVIDER_AWAY, OPERATOR)
            cause = known.code if is_hidden else code or known.code
            probes = known.probes + 1
            return msgspec.structs.replace(
                known,
                code=cause,
                reply=reply_text(reply),
                probes=probes,
                next_probe_at=self._clock() + probe_delay(probes, cause),
                owner="",
                reason="",
                until=None,
            )

        return await self._change_held(hold, later) is not None

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
            if known.state is not RouteState.TRIAL:
                return None, known.state is RouteState.ACTIVE
            if known.canary_until is not None and known.canary_until > now:
                return None, known.canary_batch == batch
            if known.suspects_batch(batch):
                return None, False
            until = now + timedelta(seconds=CANARY_SECONDS)
            return msgspec.structs.replace(known, canary_batch=batch, canary_until=until), True

        return await self.change(active_hold(scope), decide)

    async def release_canary(self, scope: str, batch: str, *, suspect: str = "") -> None:
        """Release this batch's claim on a trial, so that another batch can try. `suspect` is its message that failed."""

        def decide(known: Hold) -> tuple[Hold | None, None]:
            if known.state is not RouteState.TRIAL or known.canary_batch != batch:
                return None, None
            free = msgspec.structs.replace(known, canary_batch="", canary_until=None)
            return msgspec.structs.replace(free, suspects=_with_suspect(known, suspect)), None

        await self.change(active_hold(scope), decide)

    async def forget_suspects(self, scope: str) -> None:
        """Let the suspects of a trial be the canary: no other message waits for the route."""

        def decide(known: Hold) -> tuple[Hold | None, None]:
            is_trial = known.state is RouteState.TRIAL and bool(known.suspects)
            return (msgspec.structs.replace(known, suspects=()) if is_trial else None), None

        await self.change(active_hold(scope), decide)

    async def release(self, scope: str, why: str, *, is_by_canary: bool = False, message: str = "") -> Hold | None:
        """Release a route; None if it was active. Its held messages must then be re-enqueued (`must_wake`).

        `is_by_canary`: release only a route that is still in `trial`, not one that was held again since. `message` is the one
        that was sent; the others under suspicion stay so. After a report, the route stays in `trial` for `REPORT_SECONDS` more.
        """
        now = self._clock()

        def decide(known: Hold) -> tuple[Hold | None, tuple[Hold, Hold] | None]:
            if known.state is RouteState.ACTIVE or (is_by_canary and known.state is not RouteState.TRIAL):
                return None, None
            if is_by_canary and known.is_by_report and (known.confirmed_at is None or known.confirmed_at > now):
                at = known.confirmed_at or now + timedelta(seconds=REPORT_SECONDS)
                return msgspec.structs.replace(known, confirmed_at=at, canary_until=at), None
            suspects = tuple(each for each in known.suspects if each != message) if is_by_canary else ()
            released = Hold(
                route=known.route,
                sender=known.sender,
                must_wake=True,
                suspects=suspects,
                reopened_at=known.reopened_at if is_by_canary else now,
            )
            return released, (known, released)

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
    """Add the routes that the pause holds although it has no row of them."""
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


def later_end(one: datetime | None, other: datetime | None) -> datetime | None:
    """Return the later of two ends; None is never."""
    return None if one is None or other is None else max(one, other)


def _is_late(known: Hold, reported_attempt_at: datetime | None) -> bool:
    """Whether a report about an attempt of that time says nothing new about a route.

    A provider that is away may refuse the account as well, which lasts longer.
    """
    if known.state is RouteState.HELD:
        return known.code not in PROVIDER_AWAY
    return bool(reported_attempt_at and known.reopened_at and reported_attempt_at < known.reopened_at)


def _with_suspect(known: Hold, suspect: str) -> tuple[str, ...]:
    others = (each for each in known.suspects if each != suspect)
    return (*others, suspect)[-MAX_SUSPECTS:] if suspect else known.suspects
