"""Pause delivery: hold every route, wait until running attempts have ended, and resume later.

Azure kills running instances at a deployment and at a change of settings. The outcome of a killed attempt is not known: its
message may be sent again, or never. After a pause nothing is being sent, so nothing can be cut off. Acceptance goes on.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from relay.core import ids
from relay.core.errors import NotFound, UnreadableEntry
from relay.core.outcomes import reply_text
from relay.core.parts import part_turns
from relay.core.settings import Settings
from relay.journal.pending import Pending
from relay.journal.record_rows import Record
from relay.journal.records import Journal, every_record
from relay.platform.log import log_event
from relay.routes.hold_changes import later_end
from relay.routes.hold_rows import OPERATOR, Hold, RouteState
from relay.routes.holds import CACHE_SECONDS, Holds

SETTLE_SECONDS = CACHE_SECONDS + 2.0
"""Time until no instance starts attempts any more: each reads the holds again after `CACHE_SECONDS`."""
POLL_SECONDS = 2.0
LOOK_BACK = timedelta(days=2)
"""All batches accepted within this time are read. Older ones have a row in `pending` while they are sent."""
_replace = msgspec.structs.replace


class PauseState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of delivery. `routes` are those that the pause holds, `sending` is the number of attempts that still run.

    `owner` is the client that paused it; `until` is when the first route resumes, None if an operator must resume it.
    `is_quiet`: no attempt runs, and none will start before delivery is resumed.
    """

    routes: tuple[str, ...]
    since: datetime | None
    reason: str
    owner: str
    until: datetime | None
    sending: int
    is_quiet: bool

    @property
    def is_paused(self) -> bool:
        """Whether a pause holds any route."""
        return bool(self.routes)


class Pause:
    """Pauses and resumes delivery."""

    def __init__(
        self,
        *,
        settings: Settings,
        holds: Holds,
        journal: Journal,
        pending: Pending,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._settings = settings
        self._holds = holds
        self._journal = journal
        self._pending = pending
        self._clock = clock
        self._sleep = sleep

    async def pause(
        self, reason: str = "", *, owner: str = "", until: datetime | None = None, wait_seconds: float = 0.0
    ) -> PauseState:
        """Hold every route, then wait until no attempt runs, or for `wait_seconds`. A repetition waits again.

        With `until` each route is probed then, as after a fault, and sends again if it is healthy.
        """
        now = self._clock()
        wanted = Hold(route="", owner=owner, reason=reply_text(reason), until=until)
        # Released routes that the settings do not name any more may come back during the pause.
        known_routes = (hold.route for hold in (await self._holds.all(fresh=True)).values() if not hold.sender)
        changes = [
            await self._holds.change(Hold(route=route), lambda known: paused(known, now, wanted))
            for route in sorted({*self._settings.routes, *known_routes})
        ]
        if any(changes):
            log_event("delivery_paused", level=logging.WARNING, routes=sum(changes), reason=reason)
        end = now + timedelta(seconds=wait_seconds)
        state = await self.state()
        while not state.is_quiet and self._clock() < end:
            left = (end - self._clock()).total_seconds()
            await self._sleep(min(POLL_SECONDS, left))
            state = await self.state()
        return state

    async def resume(self) -> int:
        """End the holds that the pause made, and return their number. Released messages must then be re-enqueued.

        A route that was at fault before is held again with its fault, and probed at once.
        """
        now = self._clock()
        holds = [hold for hold in (await self._holds.all(fresh=True)).values() if hold.is_paused]
        # Routes without a row first: they are paused only while another row is.
        changes = [
            await self._holds.change(hold, lambda known: resumed(known, now))
            for hold in sorted(holds, key=lambda hold: bool(hold.etag))
        ]
        if any(changes):
            log_event("delivery_resumed", level=logging.WARNING, routes=sum(changes))
        return sum(changes)

    async def state(self) -> PauseState:
        """Read the holds and count the attempts that run. Costs a scan of `pending` and of the batches of `LOOK_BACK`."""
        holds = await self._holds.all(fresh=True)
        ours = [hold for hold in holds.values() if hold.is_paused]
        sending = await self._sending()
        return PauseState(
            routes=tuple(sorted(hold.route for hold in ours)),
            since=min((hold.paused_at for hold in ours if hold.paused_at), default=None),
            reason=next((hold.reason for hold in ours if hold.reason), ""),
            owner=next((hold.owner for hold in ours if hold.owner), ""),
            until=min((hold.ends_at for hold in ours if hold.ends_at), default=None),
            sending=sending,
            is_quiet=not sending and self._is_settled(holds),
        )

    def _is_settled(self, holds: Mapping[str, Hold]) -> bool:
        """Return whether every route has been held without probes for long enough that each instance has noticed."""
        now = self._clock()
        since = [_closed_since(holds.get(route), now) for route in self._settings.routes]
        latest = now - timedelta(seconds=SETTLE_SECONDS)
        return all(at is not None and at <= latest for at in since)

    async def _sending(self) -> int:
        now = self._clock()
        since = now - LOOK_BACK
        recent = every_record(
            self._journal, since=since, before=now + timedelta(minutes=1), is_sending=True, with_content=False
        )
        count = sum([_running(record, now) async for record in recent])
        older = {listed.due.batch async for listed in self._pending.sending()}
        for batch in older:
            if batch < ids.batch_floor(since):
                # The records that cannot be read are left out, as the recent ones are.
                with suppress(NotFound, UnreadableEntry):
                    count += _running(await self._journal.read(batch), now)
        return count


def paused(known: Hold, now: datetime, wanted: Hold) -> tuple[Hold | None, bool]:
    """Decide about a route's row at a pause: hold an active route, stop the probes of a held one.

    `wanted` has the owner, the reason and the end of the pause. A route that an operator holds without an end stays as it is;
    one with an end is held until the later one. A second pause changes only the end. Returns the new row or None, and
    whether there is one.
    """
    end = wanted.until
    if known.state is RouteState.ACTIVE:
        held = _replace(wanted, route=known.route, state=RouteState.HELD, code=OPERATOR, since=now, paused_at=now)
        return _replace(held, next_probe_at=end, until=None), True
    if known.state is RouteState.HELD and known.next_probe_at is None and not known.is_paused:
        return None, False
    if known.until is not None:
        end = later_end(end, known.until)
    if known.is_paused:
        return (None, False) if end == known.next_probe_at else (_replace(known, next_probe_at=end), True)
    by = known if known.code == OPERATOR else wanted
    held = _replace(
        known,
        state=RouteState.HELD,
        next_probe_at=end,
        canary_batch="",
        canary_until=None,
        paused_at=now,
        owner=by.owner,
        reason=by.reason,
    )
    return held, True


def resumed(known: Hold, now: datetime) -> tuple[Hold | None, bool]:
    """Decide about a row at the end of a pause: release a route that only the pause held, let an earlier fault be probed again.

    An operator's earlier hold continues until its own end.
    """
    if not known.is_paused:
        return None, False
    if known.until is not None:
        return _replace(known, next_probe_at=max(known.until, now), paused_at=None), True
    if known.code == OPERATOR:
        return Hold(route=known.route, sender=known.sender, must_wake=True), True
    return _replace(known, next_probe_at=now, paused_at=None, owner="", reason=""), True


def _closed_since(hold: Hold | None, now: datetime) -> datetime | None:
    """Return since when no attempt may begin; None if one may, or may soon."""
    if hold is None or hold.state is not RouteState.HELD:
        return None
    if hold.next_probe_at is not None and not (hold.is_paused and hold.next_probe_at > now):
        return None
    return hold.paused_at or hold.since


def _running(record: Record, now: datetime) -> int:
    return sum(part_turns.is_in_progress(part, now) for status in record.statuses for part in status.parts)
