"""A hold, and the pure functions that convert it from and to its row. `relay.routes.holds` reads and changes the rows."""

from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from relay.core.errors import UnreadableEntry
from relay.core.outcomes import PROVIDER_AWAY
from relay.platform import resources
from relay.platform.storage.ports import Entity
from relay.platform.storage.readable import decode

TABLE = resources.ROUTES_TABLE
PARTITION = "route"
CLIENTS = "client"
"""The partition of held clients (`relay.routes.brakes`)."""
OPERATOR = "operator"
"""The code of a hold that an operator asked for."""
EARLY_PROBE_DELAYS = (5.0, 15.0, 30.0)
"""Seconds before the first probes while the provider is away, before `PROBE_DELAYS`: most such faults pass within a minute."""


class RouteState(StrEnum):
    """The state of a route, or of one sender on it."""

    ACTIVE = "active"
    HELD = "held"
    TRIAL = "trial"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The hold of a route, or of one sender on it. `sender` is empty for the whole route. `code` and `reply` are the reason.

    `canary_until` ends the canary batch's claim. `must_wake`: released, but its held messages are not on the queue yet.
    `suspects` are the messages whose attempts made the route look at fault. They are not the canary while other messages wait.
    If others are sent, the suspects are at fault themselves, and hold the route no more.
    `next_probe_at` is None on a held route that only an operator releases. `owner` is the client that held or paused it, for
    `reason`; `until` is the end that a hold's owner set, at which Relay probes the route. `paused_at`: held while delivery is
    paused (`relay.operations.pause`), without probes until `next_probe_at`, if the pause has an end.
    `is_by_report`: the provider accepts mail and refuses it later, in a report; `confirmed_at` is when a canary that it accepted
    counts as sent. `reopened_at`: attempts since then show whether the route works again.
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
    suspects: tuple[str, ...] = ()
    paused_at: datetime | None = None
    owner: str = ""
    reason: str = ""
    until: datetime | None = None
    is_by_report: bool = False
    confirmed_at: datetime | None = None
    reopened_at: datetime | None = None
    etag: str = ""

    @property
    def scope(self) -> str:
        """The row's key, which the rows of held parts in `pending` refer to."""
        return scope_of(self.route, self.sender)

    def suspects_batch(self, batch: str) -> bool:
        """Return whether any message of this batch is a suspect."""
        return any(suspect.startswith(batch) for suspect in self.suspects)

    @property
    def has_early_probe(self) -> bool:
        """Whether the next probe comes too early for the minute timer."""
        return not self.sender and self.code in PROVIDER_AWAY and self.probes < len(EARLY_PROBE_DELAYS)

    @property
    def is_paused(self) -> bool:
        """Whether the pause holds the route. An operator's later release or probe of the route ends that."""
        return self.paused_at is not None and self.state is RouteState.HELD

    @property
    def is_deliberate(self) -> bool:
        """Whether an operator or the pause holds the route. Such a hold is probed at its end, if it has one, and not before."""
        return self.state is RouteState.HELD and (self.is_paused or self.code == OPERATOR)

    @property
    def ends_at(self) -> datetime | None:
        """The end of a deliberate hold, if it ends without an operator."""
        return (self.next_probe_at if self.is_paused else self.until) if self.is_deliberate else None


def scope_of(route: str, sender: str = "") -> str:
    """Name a hold: the route, or the route and one sender."""
    return f"{route}|{quote(sender, safe='@')}" if sender else route


def active_hold(scope: str) -> Hold:
    """Return the hold of a scope without a row: the route is active."""
    route, _, sender = scope.partition("|")
    return Hold(route=route, sender=unquote(sender))


_FIELDS = tuple(field for field in Hold.__struct_fields__ if field != "etag")


def entity_of(hold: Hold) -> Entity:
    """Return the row of a hold."""
    # An absent time is stored as an empty string, because a merge cannot remove a property.
    properties: dict[str, Any] = {}
    for field in _FIELDS:
        value = getattr(hold, field)
        properties[field] = value.isoformat() if isinstance(value, datetime) else "" if value is None else value
    properties["state"] = str(hold.state)
    properties["suspects"] = " ".join(hold.suspects)
    return Entity(partition=PARTITION, row=hold.scope, properties=properties, etag=hold.etag)


def hold_of(entity: Entity) -> Hold:
    """Read a row. A damaged row counts as a hold unless its state is readable: nothing is sent against an operator's wish."""
    try:
        return decode(TABLE, entity, _whole_hold)
    except UnreadableEntry:
        return _salvaged(entity)


def _salvaged(entity: Entity) -> Hold:
    """Return the hold in a damaged row. If the time of its next probe is not readable, only an operator releases the route."""
    known: dict[str, Any] = {}
    for field in msgspec.structs.fields(Hold):
        value = entity.properties.get(field.name, "")
        if value != "":
            with suppress(msgspec.ValidationError):
                known[field.name] = msgspec.convert(value, field.type)
    known = {"state": RouteState.HELD, "code": "unreadable", **known, "etag": entity.etag}
    place = active_hold(entity.row)
    return Hold(**{**known, "route": place.route, "sender": place.sender})


def _whole_hold(entity: Entity) -> Hold:
    if "state" not in entity.properties:
        raise KeyError("state")
    known = {field: value for field, value in entity.properties.items() if field in _FIELDS and value != ""}
    suspects = tuple(str(known.pop("suspects", "")).split())
    if known.get("code") == OPERATOR and "reason" not in known:
        # Older rows have an operator's reason in `reply`.
        known["reason"] = known.pop("reply", "")
    return msgspec.convert({**known, "suspects": suspects, "etag": entity.etag}, Hold)
