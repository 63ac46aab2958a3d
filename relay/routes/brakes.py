"""Store which clients are held because too much of their mail bounces or is reported as spam.

One row per client that was ever held, in table `routes`, by the client's id. The row outlives the release: mail that was sent
before it counts no more (`relay.core.arrival.brake`). Held mail waits in `pending` under the row's scope, like mail for a held
route. The rows are read with those of the held routes, at no extra cost. See docs/decisions/0047-brake.md.
"""

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from enum import StrEnum

import msgspec

from relay.core.errors import UnreadableEntry
from relay.core.settings import BrakePolicy
from relay.platform.log import log_event
from relay.platform.storage.ports import Entity, Tables
from relay.platform.storage.readable import decode, readable
from relay.platform.storage.rows import RowChange, change_row
from relay.routes.hold_rows import CLIENTS, TABLE
from relay.routes.holds import Holds


class Notice(StrEnum):
    """A notice that must still be posted to the webhooks of a client."""

    NONE = ""
    HELD = "held"
    RELEASED = "released"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures behind a hold: its cause, the recipients that were counted, and since when their mail was accepted."""

    cause: str
    sent: int
    bounced: int
    complained: int
    since: datetime


class Brake(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The hold of a client, as a row. `lanes` are the held ones, `held_at` is None after a release.

    `must_wake`: released, but its held messages are not on the queue yet. `notice` must still be posted to its webhooks.
    """

    client_id: str
    client: str = ""
    lanes: BrakePolicy = BrakePolicy.OFF
    figures: Figures | None = None
    held_at: datetime | None = None
    released_at: datetime | None = None
    must_wake: bool = False
    notice: Notice = Notice.NONE

    @property
    def scope(self) -> str:
        """The name under which held parts wait in `pending`. In a route's scope an address follows the bar, so the two differ."""
        return f"client|{self.client_id}"

    @property
    def is_held(self) -> bool:
        """Whether mail of the client waits."""
        return self.held_at is not None

    def covers(self, lane: str) -> bool:
        """Return whether mail of this lane waits."""
        return self.is_held and self.lanes.covers(lane)


class Brakes:
    """Reads the rows (cached with the holds) and changes them."""

    def __init__(self, tables: Tables, holds: Holds, clock: Callable[[], datetime]) -> None:
        """`holds` reads these rows with its own."""
        self._tables = tables
        self._holds = holds
        self._clock = clock
        self._rows: Sequence[Entity] = ()
        self._known: Mapping[str, Brake] = {}

    async def all(self, *, fresh: bool = False) -> Mapping[str, Brake]:
        """Return the rows by the clients' ids, those of released clients included."""
        await self._holds.all(fresh=fresh)
        return self.known()

    def known(self) -> Mapping[str, Brake]:
        """Return the rows as of the last read of the holds, which reads them too."""
        if self._rows is not self._holds.rows_of_clients:
            self._rows = self._holds.rows_of_clients
            self._known = {brake.client_id: brake for brake in readable(TABLE, self._rows, _brake)}
        return self._known

    def held_scopes(self) -> Set[str]:
        """Return the scopes under which mail waits, as of the last read of the holds."""
        return {brake.scope for brake in self.known().values() if brake.is_held}

    async def hold(
        self, client_id: str, client: str, lanes: BrakePolicy, figures: Figures, *, released_at: datetime | None
    ) -> bool:
        """Hold lanes of a client. Returns False if it is held already, or was released since these figures were read.

        `released_at` is the last release that the figures take into account.
        """
        now = self._clock()

        def decide(known: Brake) -> tuple[Brake | None, bool]:
            if known.is_held or known.released_at != released_at:
                return None, False
            held = Brake(
                client_id=client_id,
                client=client,
                lanes=lanes,
                figures=figures,
                held_at=now,
                released_at=known.released_at,
                notice=Notice.HELD,
            )
            return held, True

        is_new = await self._change(client_id, decide)
        if is_new:
            log_event(
                "client_held",
                level=logging.ERROR,
                client=client,
                lanes=str(lanes),
                code=figures.cause,
                sent=figures.sent,
                bounced=figures.bounced,
                complained=figures.complained,
            )
        return is_new

    async def release(self, client_id: str) -> bool:
        """Release a client. Returns False if it was not held. Its waiting messages must then be enqueued (`must_wake`)."""
        now = self._clock()

        def decide(known: Brake) -> tuple[Brake | None, Brake | None]:
            if not known.is_held:
                return None, None
            released = msgspec.structs.replace(
                known, held_at=None, released_at=now, must_wake=True, notice=Notice.RELEASED
            )
            return released, known

        known = await self._change(client_id, decide)
        if known is None or known.held_at is None:
            return False
        seconds = (now - known.held_at).total_seconds()
        log_event("client_released", level=logging.WARNING, client=known.client, held_seconds=seconds)
        return True

    async def mark_woken(self, brake: Brake) -> None:
        """Record that the held messages of a released client are on the queue."""
        await self._update(brake, lambda known: msgspec.structs.replace(known, must_wake=False))

    async def mark_noticed(self, brake: Brake) -> None:
        """Record that the notice of a row was posted."""
        await self._update(brake, lambda known: msgspec.structs.replace(known, notice=Notice.NONE))

    async def _update(self, brake: Brake, change: Callable[[Brake], Brake]) -> None:
        """Change a row unless the client was held or released since it was read."""

        def decide(known: Brake) -> tuple[Brake | None, None]:
            is_same = (known.held_at, known.released_at) == (brake.held_at, brake.released_at)
            return (change(known) if is_same else None), None

        await self._change(brake.client_id, decide)

    async def _change[Result](self, client_id: str, decide: Callable[[Brake], tuple[Brake | None, Result]]) -> Result:
        def decide_row(row: Entity | None) -> RowChange[Result]:
            brake, result = decide(_known(row) or Brake(client_id=client_id))
            return RowChange(result=result, properties=None if brake is None else {"brake": _encoder.encode(brake)})

        try:
            return await change_row(self._tables, TABLE, CLIENTS, client_id, decide_row)
        finally:
            self._holds.forget()

    async def remove(self, client_id: str) -> None:
        """Delete the row of a deleted client: its waiting messages are sent when they are next due."""
        await self._tables.delete(TABLE, CLIENTS, client_id)
        self._holds.forget()


def _known(row: Entity | None) -> Brake | None:
    """Read a row to change it; None for an unreadable one, which is replaced: else no operator could release the client."""
    if row is None:
        return None
    try:
        return decode(TABLE, row, _brake)
    except UnreadableEntry:
        return None


def _brake(row: Entity) -> Brake:
    brake = _decoder.decode(msgspec.convert(row.properties["brake"], bytes))
    if brake.client_id != row.row:
        raise ValueError("the row holds another client")
    return brake


_decoder = msgspec.json.Decoder(Brake)
_encoder = msgspec.json.Encoder()
