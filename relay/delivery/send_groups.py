"""Messages that a caller has grouped, so that it can stop them together: cancel what is not sent yet, or pause it.

Table `groups`: partition `stop-<client id>`, a row per stopped group; partition `<group>`, a row per request that names the
batches of its messages. A group's name carries a MAC keyed to the client, so that making one writes nothing.

A stop is certain because of the order of reads and writes. An attempt is recorded as `sending` first, then the stop is
read; a stop is written first, then the records are read. So either the attempt finds the stop and is not made, or
the stop finds the attempt and says that it came too late. See docs/decisions/0013-groups.md.
"""

import base64
import binascii
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

import msgspec

from relay.core import ids
from relay.core.errors import AlreadyExists, NotFound, Unavailable, UnreadableEntry
from relay.core.model import Part, Submission
from relay.core.parts import part_states, part_turns
from relay.journal.records import Journal
from relay.platform import concurrency, resources
from relay.platform.storage.ports import Entity, Query, Tables, every_row
from relay.platform.storage.readable import decode

TABLE = resources.SEND_GROUPS_TABLE
PAUSE = timedelta(minutes=5)
"""Time until a paused message is checked again, and so the delay with which it may continue."""
_STORAGE_PAUSE = timedelta(seconds=30)
_MAC_BYTES = 8
_READS_AT_ONCE = 8
_batches_decoder = msgspec.json.Decoder(list[str])


class Stop(StrEnum):
    """How a group is stopped."""

    CANCEL = "cancel"
    """Messages end as `cancelled` when their time comes."""
    PAUSE = "pause"
    """Messages wait, until their expiry at most."""


def new_group(mac_key: bytes, unique: str) -> str:
    """Name a new group: 32 characters of URL-safe base64. `unique` is an unused batch name."""
    name = bytes.fromhex(unique)
    return base64.urlsafe_b64encode(name + _mac(mac_key, name)).decode()


def is_group(text: str, mac_key: bytes) -> bool:
    """Return whether this names a group of the client with this key."""
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(packed) == 16 + _MAC_BYTES and hmac.compare_digest(packed[16:], _mac(mac_key, packed[:16]))


def _mac(key: bytes, name: bytes) -> bytes:
    return hmac.digest(key, b"group" + name, "sha256")[:_MAC_BYTES]


class SendGroups:
    """Remembers what belongs to a group, and which groups are stopped."""

    def __init__(self, tables: Tables, journal: Journal, clock: Callable[[], datetime]) -> None:
        self._tables = tables
        self._journal = journal
        self._clock = clock

    async def join(self, group: str, names: Sequence[str]) -> None:
        """Record which messages belong to a group, before they are durable: `left` counts only recorded messages."""
        batches = Counter(ids.parse(name).batch for name in names)
        row = Entity(
            partition=group,
            row=next(iter(batches)),
            properties={"batches": msgspec.json.encode(list(batches)), "created_at": self._clock().isoformat()},
        )
        await self._tables.upsert(TABLE, row)

    async def stop(self, client_id: str, group: str, how: Stop) -> bool:
        """Stop a group from now on. Returns False, and changes nothing, if it was stopped already."""
        try:
            await self._tables.insert(TABLE, self._stop_row(client_id, group, how))
        except AlreadyExists:
            return False
        return True

    async def change(self, client_id: str, group: str, how: Stop) -> None:
        """Stop a group in this way, whatever its state was."""
        await self._tables.upsert(TABLE, self._stop_row(client_id, group, how))

    def _stop_row(self, client_id: str, group: str, how: Stop) -> Entity:
        properties = {"stop": str(how), "created_at": self._clock().isoformat()}
        return Entity(partition=_stops(client_id), row=group, properties=properties)

    async def release(self, client_id: str, group: str) -> None:
        """Release a stopped group: its waiting messages continue."""
        await self._tables.delete(TABLE, _stops(client_id), group)

    async def stop_of(self, client_id: str, group: str) -> Stop | None:
        """Return how a group is stopped now; None if it is not."""
        try:
            return _stop(await self._tables.get(TABLE, _stops(client_id), group))
        except NotFound:
            return None

    async def stopped(self, client_id: str) -> Mapping[str, Stop]:
        """Return every stopped group of a client."""
        rows = every_row(self._tables, TABLE, Query(partition=_stops(client_id)))
        return {entity.row: _stop(entity) async for entity in rows}

    async def left(self, group: str) -> int:
        """Count the messages of a group that were sent, are being sent, or may have been sent. Costs one read per batch."""
        batches: list[str] = []
        async for entity in every_row(self._tables, TABLE, Query(partition=group)):
            batches += _batches(entity)
        return sum(
            await concurrency.gather_limited((partial(self._left_of, batch) for batch in batches), limit=_READS_AT_ONCE)
        )

    async def halts(self, begun: Sequence[tuple[Submission, Part]]) -> list[Part | None]:
        """Return what each part recorded as `sending` becomes if its group is stopped; None: make its attempt."""
        named = {(submission.client_id, submission.group) for submission, _ in begun if submission.group}
        stops: dict[tuple[str, str], Stop | None] = {}
        try:
            for client_id, group in sorted(named):
                stops[client_id, group] = await self.stop_of(client_id, group)
        except Unavailable:
            later = self._clock() + _STORAGE_PAUSE
            return [
                part_states.postpone(part, later, "paused") if submission.group else None for submission, part in begun
            ]
        own = (stops.get((submission.client_id, submission.group or "")) for submission, _ in begun)
        return [self._halt(part, stop) for (_, part), stop in zip(begun, own, strict=True)]

    def _halt(self, part: Part, stop: Stop | None) -> Part | None:
        if stop is None:
            return None
        if stop is Stop.CANCEL:
            return part_states.cancel_begun(part)
        return part_states.postpone(part, self._clock() + PAUSE, "paused")

    async def _left_of(self, batch: str) -> int:
        try:
            record = await self._journal.read(batch)
        except UnreadableEntry:
            # It may have been sent.
            return 1
        except NotFound:
            # Not taken from the queue yet: its attempts will find the stop.
            return 0
        return sum(part_turns.may_have_left(status) for status in record.statuses)


def _stops(client_id: str) -> str:
    return f"stop-{client_id}"


def _stop(entity: Entity) -> Stop:
    """Return how a group is stopped. If that cannot be read, its messages wait: nothing is sent against a caller's wish."""
    try:
        return decode(TABLE, entity, lambda row: Stop(str(row.properties["stop"])))
    except UnreadableEntry:
        return Stop.PAUSE


def _batches(entity: Entity) -> Sequence[str]:
    """Return the batches that a row names; the first is its key."""
    try:
        return decode(
            TABLE, entity, lambda row: _batches_decoder.decode(msgspec.convert(row.properties["batches"], bytes))
        )
    except UnreadableEntry:
        return (entity.row,)
