"""The state of the routes, shared by all instances through one table row each.

    open ──route fault──► held ──probe succeeds──► canary ──its batch is sent──► open
                           ▲  └─probe fails: next probe later    │
                           └──────────another route fault────────┘

A held route uses up no attempt and no expiry. In `canary` one batch may go (claimed by ETag); the others stay held for a moment.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from relay.errors import Changed, NotFound
from relay.log import log_event
from relay.storage.ports import Entity, Query, Tables

TABLE = "routes"
_PARTITION = "route"
CACHE_SECONDS = 5.0
PROBE_DELAYS = (60.0, 120.0, 300.0, 600.0, 900.0)
"""Seconds before the first, second, … probe of a held route; the last one repeats."""
CANARY_SECONDS = 120.0
"""How long a canary batch may take before another one may try."""


class RouteState(StrEnum):
    """Whether a route may be used."""

    OPEN = "open"
    HELD = "held"
    CANARY = "canary"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A route's row. `code` and `reply` tell why it is held; `canary_until` ends the canary batch's claim."""

    route: str
    state: RouteState = RouteState.OPEN
    code: str = ""
    reply: str = ""
    since: datetime | None = None
    next_probe_at: datetime | None = None
    probes: int = 0
    canary_batch: str = ""
    canary_until: datetime | None = None
    etag: str = ""


def probe_delay(probes: int) -> timedelta:
    """How long to wait for the next probe after so many failed ones."""
    return timedelta(seconds=PROBE_DELAYS[min(probes, len(PROBE_DELAYS) - 1)])


class Holds:
    """Reads route rows (cached for seconds) and changes them."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._clock = clock
        self._cached: Mapping[str, Hold] = {}
        self._cached_until: datetime | None = None

    async def all(self, *, fresh: bool = False) -> Mapping[str, Hold]:
        """Every route that has ever been held, by name. A route without a row is open."""
        now = self._clock()
        if fresh or self._cached_until is None or now >= self._cached_until:
            page = await self._tables.query(TABLE, Query(partition=_PARTITION))
            self._cached = {entity.row: _hold(entity) for entity in page.entities}
            self._cached_until = now + timedelta(seconds=CACHE_SECONDS)
        return self._cached

    async def hold(
        self,
        route: str,
        code: str,
        reply: str = "",
        *,
        retry_after_seconds: float | None = None,
        for_ever: bool = False,
    ) -> Hold:
        """Hold a route. One that is held keeps its `since`; a failed canary goes back to held with the next delay."""
        now = self._clock()
        known = (await self.all(fresh=True)).get(route, Hold(route=route))
        if known.state is RouteState.HELD and known.next_probe_at is not None and known.next_probe_at > now:
            return known
        delay = timedelta(seconds=retry_after_seconds) if retry_after_seconds else probe_delay(known.probes)
        held = Hold(
            route=route,
            state=RouteState.HELD,
            code=code,
            reply=reply,
            since=known.since if known.state is not RouteState.OPEN and known.since else now,
            next_probe_at=None if for_ever else now + delay,
            probes=known.probes + 1 if known.state is not RouteState.OPEN else 0,
        )
        await self._write(held)
        if known.state is RouteState.OPEN:
            log_event("route_held", level=logging.ERROR, route=route, code=code)
        return held

    async def open_to_canary(self, route: str, *, etag: str) -> None:
        """A probe succeeded: let one batch try. Does nothing if the row changed meanwhile."""
        known = (await self.all()).get(route, Hold(route=route))
        opened = msgspec.structs.replace(
            known, state=RouteState.CANARY, next_probe_at=None, canary_batch="", canary_until=None
        )
        await self._write_if(opened, etag)

    async def postpone_probe(self, hold: Hold, code: str, reply: str) -> None:
        """A probe failed: say why, and try later. Does nothing if the row changed meanwhile."""
        later = msgspec.structs.replace(
            hold,
            code=code or hold.code,
            reply=reply,
            probes=hold.probes + 1,
            next_probe_at=self._clock() + probe_delay(hold.probes + 1),
        )
        await self._write_if(later, hold.etag)

    async def claim_canary(self, route: str, batch: str) -> bool:
        """Whether this batch is the one that may try a route in `canary`."""
        now = self._clock()
        known = (await self.all(fresh=True)).get(route, Hold(route=route))
        if known.state is RouteState.OPEN:
            return True
        if known.state is RouteState.HELD:
            return False
        if known.canary_batch and known.canary_batch != batch and known.canary_until and known.canary_until > now:
            return False
        claimed = msgspec.structs.replace(
            known, canary_batch=batch, canary_until=now + timedelta(seconds=CANARY_SECONDS)
        )
        return await self._write_if(claimed, known.etag)

    async def release(self, route: str, why: str) -> None:
        """Open a route for all."""
        known = (await self.all(fresh=True)).get(route)
        if known is None or known.state is RouteState.OPEN:
            return
        await self._write(Hold(route=route))
        held_seconds = (self._clock() - known.since).total_seconds() if known.since else 0.0
        log_event("route_released", level=logging.WARNING, route=route, why=why, held_seconds=held_seconds)

    async def due_for_probe(self) -> list[Hold]:
        """Held routes whose next probe is due."""
        now = self._clock()
        return [
            hold
            for hold in (await self.all(fresh=True)).values()
            if hold.state is RouteState.HELD and hold.next_probe_at is not None and hold.next_probe_at <= now
        ]

    async def _write(self, hold: Hold) -> None:
        await self._tables.upsert(TABLE, _entity(hold))
        self._cached_until = None

    async def _write_if(self, hold: Hold, etag: str) -> bool:
        try:
            await self._tables.merge(TABLE, _entity(hold), etag=etag)
        except (Changed, NotFound):
            return False
        finally:
            self._cached_until = None
        return True


_FIELDS = tuple(field for field in Hold.__struct_fields__ if field not in ("route", "etag"))


def _entity(hold: Hold) -> Entity:
    # An absent time is stored as an empty text: a merge cannot remove a property.
    properties: dict[str, Any] = {}
    for field in _FIELDS:
        value = getattr(hold, field)
        properties[field] = value.isoformat() if isinstance(value, datetime) else "" if value is None else value
    properties["state"] = str(hold.state)
    return Entity(partition=_PARTITION, row=hold.route, properties=properties)


def _hold(entity: Entity) -> Hold:
    known = {field: value for field, value in entity.properties.items() if field in _FIELDS and value != ""}
    return msgspec.convert({**known, "route": entity.row, "etag": entity.etag}, Hold)
