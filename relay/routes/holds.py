"""Hold routes, or a route for one sender only. All instances share one table row per hold.

    active ──route fault──► held ──probe succeeds──► trial ──its canary batch is sent──► active
                           ▲  └─probe fails: next probe later    │
                           └──────────another route fault────────┘

Messages of a held route use no attempts, and their expiry stops. In `trial` one canary batch may send (claimed by ETag); the
others stay held. A fault of one From address (not verified, mailbox missing) holds only that sender, so that one client's
mistake does not stop the mail of all.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import msgspec

from relay.core.errors import AlreadyExists, Changed, NotFound, Unavailable
from relay.core.outcomes import reply_text
from relay.platform import resources
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Query, Tables, every_row

TABLE = resources.ROUTES_TABLE
_PARTITION = "route"
CACHE_SECONDS = 5.0
PROBE_DELAYS = (60.0, 120.0, 300.0, 600.0, 900.0)
"""Seconds before the first, second, … probe of a held route; the last delay repeats."""
MAX_WAIT_SECONDS = 86_400.0
"""Limit for a provider's `Retry-After`: a probe costs little."""
MAX_RACES = 20
CANARY_SECONDS = 120.0
"""Time a canary batch may take before another batch may claim the trial."""
SENDER_CODES = frozenset({"sender_not_verified", "mailbox_unavailable"})
"""Route faults that concern the From address, not the whole route."""


class RouteState(StrEnum):
    """Whether a route may be used."""

    ACTIVE = "active"
    HELD = "held"
    TRIAL = "trial"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A row. `sender` is empty when the whole route is held. `code` and `reply` are the reason.

    `canary_until` ends the canary batch's claim. `must_wake`: released, but its held messages are not on the queue yet.
    `next_probe_at` is None on a held route that only an operator releases.
    """

    route: str
    sender: str = ""
    state: RouteState = RouteState.ACTIVE
    code: str = ""
    reply: str = ""
    since: datetime | None = None
    next_probe_at: datetime | None = None
    probes: int = 0
    canary_batch: str = ""
    canary_until: datetime | None = None
    must_wake: bool = False
    etag: str = ""

    @property
    def scope(self) -> str:
        """The row's key, which the rows of held parts in `pending` refer to."""
        return scope_of(self.route, self.sender)


def scope_of(route: str, sender: str = "") -> str:
    """Name a hold: the route, or the route and one sender."""
    return f"{route}|{quote(sender, safe='@')}" if sender else route


def scope_for(code: str, route: str, sender: str) -> tuple[str, str]:
    """Return what a fault with this code holds: the route, and the sender if the fault is the sender's."""
    return (route, sender.lower()) if code in SENDER_CODES else (route, "")


def probe_delay(probes: int) -> timedelta:
    """Return the delay of the next probe after this number of failed probes."""
    return timedelta(seconds=PROBE_DELAYS[min(probes, len(PROBE_DELAYS) - 1)])


def _wait(probes: int, retry_after: float | None) -> timedelta:
    return timedelta(seconds=min(retry_after, MAX_WAIT_SECONDS)) if retry_after else probe_delay(probes)


class Holds:
    """Reads the rows (cached for seconds) and changes them."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._cached: Mapping[str, Hold] = {}
        self._cached_until: datetime | None = None
        self._reading = asyncio.Lock()

    async def all(self, *, fresh: bool = False) -> Mapping[str, Hold]:
        """Read all holds by scope, released ones included. A route without a row is active."""
        now = self._clock()
        if not fresh and self._is_known(now):
            return self._cached
        # One read serves all concurrent callers: the host starts sixteen deliveries at once.
        async with self._reading:
            if fresh or not self._is_known(now):
                entities = [entity async for entity in every_row(self._tables, TABLE, Query(partition=_PARTITION))]
                self._cached = {entity.row: _hold(entity) for entity in entities}
                self._cached_until = now + timedelta(seconds=CACHE_SECONDS)
        return self._cached

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
        is_for_operator: bool = False,
    ) -> Hold:
        """Hold a route, or one sender of it. A hold keeps its `since`; after a failed canary the probe delay grows.

        `is_for_operator`: without probes, until an operator releases it.
        """
        scope = scope_of(route, sender)
        for _ in range(MAX_RACES):
            now = self._clock()
            known = (await self.all(fresh=True)).get(scope, Hold(route=route, sender=sender))
            is_running = known.state is RouteState.HELD and (known.next_probe_at is None or known.next_probe_at > now)
            if is_running and not is_for_operator:
                return known
            was_active = known.state is RouteState.ACTIVE
            probes = 0 if was_active else known.probes + 1
            held = Hold(
                route=route,
                sender=sender,
                state=RouteState.HELD,
                code=code,
                reply=reply_text(reply),
                since=now if was_active or known.since is None else known.since,
                next_probe_at=None if is_for_operator else now + _wait(probes, retry_after_seconds),
                probes=probes,
            )
            if await self._write_if(held, known.etag):
                if was_active:
                    log_event("route_held", level=logging.ERROR, route=route, code=code, one_sender=bool(sender))
                return held
        raise Unavailable("a route's row changed too often while it was written", retry_after_seconds=2)

    async def begin_trial(self, hold: Hold) -> bool:
        """Let one canary batch try after a successful probe. Returns False if the row has changed."""
        canary = msgspec.structs.replace(
            hold, state=RouteState.TRIAL, next_probe_at=None, canary_batch="", canary_until=None
        )
        return await self._write_if(canary, hold.etag)

    async def postpone_probe(self, hold: Hold, code: str, reply: str) -> bool:
        """Record a failed probe and schedule the next one. Returns False if the row has changed."""
        later = msgspec.structs.replace(
            hold,
            code=code or hold.code,
            reply=reply_text(reply),
            probes=hold.probes + 1,
            next_probe_at=self._clock() + probe_delay(hold.probes + 1),
        )
        return await self._write_if(later, hold.etag)

    async def claim_canary(self, scope: str, batch: str) -> bool:
        """Claim the trial of a route for this batch. Returns whether the batch may send."""
        now = self._clock()
        known = (await self.all(fresh=True)).get(scope)
        if known is None or known.state is RouteState.ACTIVE:
            return True
        if known.state is RouteState.HELD:
            return False
        is_claimed = known.canary_until is not None and known.canary_until > now
        if is_claimed:
            return known.canary_batch == batch
        until = now + timedelta(seconds=CANARY_SECONDS)
        return await self._write_if(msgspec.structs.replace(known, canary_batch=batch, canary_until=until), known.etag)

    async def release_canary(self, scope: str, batch: str) -> None:
        """Release this batch's claim on a trial, so that another batch can try."""
        known = (await self.all(fresh=True)).get(scope)
        if known is not None and known.state is RouteState.TRIAL and known.canary_batch == batch:
            await self._write_if(msgspec.structs.replace(known, canary_batch="", canary_until=None), known.etag)

    async def release(self, scope: str, why: str, *, is_by_canary: bool = False) -> Hold | None:
        """Release a route; None if it was active. Its held messages must then be re-enqueued (`must_wake`).

        `is_by_canary`: release only a route that is still in `trial`, not one that was held again since.
        """
        for _ in range(MAX_RACES):
            known = (await self.all(fresh=True)).get(scope)
            if known is None or known.state is RouteState.ACTIVE:
                return None
            if is_by_canary and known.state is not RouteState.TRIAL:
                return None
            released = Hold(route=known.route, sender=known.sender, must_wake=True)
            if await self._write_if(released, known.etag):
                held_seconds = (self._clock() - known.since).total_seconds() if known.since else 0.0
                log_event(
                    "route_released", level=logging.WARNING, route=known.route, why=why, held_seconds=held_seconds
                )
                return released
        raise Unavailable("a route's row changed too often while it was written", retry_after_seconds=2)

    async def mark_woken(self, hold: Hold) -> bool:
        """Record that the held messages of a released route are on the queue. Returns False if the row has changed."""
        return await self._write_if(msgspec.structs.replace(hold, must_wake=False), hold.etag)

    async def _write_if(self, hold: Hold, etag: str) -> bool:
        """Write a row if its ETag matches, or insert it if there is no ETag. Returns False if another writer was first."""
        try:
            if etag:
                await self._tables.merge(TABLE, _entity(hold), etag=etag)
            else:
                await self._tables.insert(TABLE, _entity(hold))
        except (Changed, NotFound, AlreadyExists):
            return False
        finally:
            self._cached_until = None
        return True


_FIELDS = tuple(field for field in Hold.__struct_fields__ if field != "etag")


def _entity(hold: Hold) -> Entity:
    # An absent time is stored as an empty string, because a merge cannot remove a property.
    properties: dict[str, Any] = {}
    for field in _FIELDS:
        value = getattr(hold, field)
        properties[field] = value.isoformat() if isinstance(value, datetime) else "" if value is None else value
    properties["state"] = str(hold.state)
    return Entity(partition=_PARTITION, row=hold.scope, properties=properties)


def _hold(entity: Entity) -> Hold:
    known = {field: value for field, value in entity.properties.items() if field in _FIELDS and value != ""}
    return msgspec.convert({**known, "etag": entity.etag}, Hold)
