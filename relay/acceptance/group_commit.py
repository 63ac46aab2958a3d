"""Group commit: concurrent submissions share queue entries.

While one put is in flight, arrivals collect; when it returns, the next put takes all that fit (32 messages and the 64 KiB of an
entry). No timer, no waiting when idle. Every caller waits for its own put; if that fails, each caller gets the error and
nothing is confirmed. See docs/decisions/0004-group-commit.md.
"""

import asyncio
import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from relay.core import entries as wire
from relay.core import ids
from relay.core.errors import StorageError
from relay.platform.storage.ports import Queues


class _Waiting(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    encoded: bytes
    weight: int
    mac_key: bytes
    named: asyncio.Future[str]


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a request, and the ids of its messages, in order."""

    entries: tuple[bytes, ...]
    names: tuple[str, ...]


class GroupCommit:
    """Puts the submissions of one lane on its queues in shared entries.

    `relay.acceptance.acceptance` limits how many wait here.
    """

    def __init__(self, queues: Queues, lane: str, names: Sequence[str], new_batch: Callable[[], str]) -> None:
        self._queues = queues
        self._lane = lane
        self._names = itertools.cycle(names)
        self._new_batch = new_batch
        self._waiting: deque[_Waiting] = deque()
        self._putting: asyncio.Task[None] | None = None

    async def put(self, encoded: bytes, mac_key: bytes) -> str:
        """Store an encoded submission. Returns its message id. Raises `StorageError`: then nothing is confirmed.

        A caller that is cancelled before its put begins has submitted nothing.
        """
        weight = wire.weight(encoded)
        waiting = _Waiting(
            encoded=encoded, weight=weight, mac_key=mac_key, named=asyncio.get_running_loop().create_future()
        )
        self._waiting.append(waiting)
        if self._putting is None:
            self._putting = asyncio.create_task(self._put_all())
        return await waiting.named

    def pack(self, batch: str, encoded: Sequence[bytes], mac_key: bytes) -> Packed:
        """Pack submissions into entries, with batch ids derived from `batch`."""
        entries: list[bytes] = []
        names: list[str] = []
        for group in _groups(encoded):
            is_whole = len(group) == len(encoded)
            part = batch if is_whole else ids.derived_batch(batch, len(names), len(group))
            macs = [ids.mac(mac_key, part, index) for index in range(len(group))]
            entries.append(wire.join_batch(part, self._lane, macs, group))
            names += [str(ids.MessageId(batch=part, index=index, mac=mac)) for index, mac in enumerate(macs)]
        return Packed(entries=tuple(entries), names=tuple(names))

    async def put_entry(self, entry: bytes) -> None:
        """Put an entry on the lane's next queue. Raises `StorageError`."""
        await self._queues.put(next(self._names), entry)

    async def _put_all(self) -> None:
        try:
            while self._waiting:
                # Let all arrivals of this turn of the event loop share the entry.
                await asyncio.sleep(0)
                taken = self._take()
                if taken:
                    await self._put_shared(taken)
        finally:
            self._putting = None

    async def _put_shared(self, taken: Sequence[_Waiting]) -> None:
        """Put one entry, and give each of its callers the result."""
        try:
            names = await self._put_one(taken)
        except StorageError as error:
            # Waiting submissions need the same storage: fail them at once instead of one timeout later.
            _refuse([*taken, *self._waiting], error)
            self._waiting.clear()
        except Exception as error:
            # A bug: its callers must not wait forever.
            _refuse(taken, error)
        else:
            for waiting, name in zip(taken, names, strict=True):
                if not waiting.named.done():
                    waiting.named.set_result(name)

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        room = wire.MAX_ENTRY_BYTES - wire.entry_overhead(0)
        while self._waiting and len(taken) < wire.MAX_BATCH_MESSAGES:
            if self._waiting[0].named.cancelled():
                self._waiting.popleft()
                continue
            room -= self._waiting[0].weight + wire.entry_overhead(1) - wire.entry_overhead(0)
            if taken and room < 0:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _put_one(self, taken: Sequence[_Waiting]) -> list[str]:
        batch = self._new_batch()
        macs = [ids.mac(waiting.mac_key, batch, index) for index, waiting in enumerate(taken)]
        body = wire.join_batch(batch, self._lane, macs, [waiting.encoded for waiting in taken])
        await self._queues.put(next(self._names), body)
        return [str(ids.MessageId(batch=batch, index=index, mac=mac)) for index, mac in enumerate(macs)]


def _refuse(refused: Sequence[_Waiting], error: Exception) -> None:
    for waiting in refused:
        if not waiting.named.done():
            # A copy each: an exception raised in several tasks collects the tracebacks of all.
            waiting.named.set_exception(copy.copy(error))


def _groups(encoded: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Split submissions into groups that fit an entry each."""
    group: list[bytes] = []
    used = 0
    for submission in encoded:
        weight = wire.weight(submission)
        full = wire.entry_overhead(len(group) + 1) + used + weight > wire.MAX_ENTRY_BYTES
        if group and (full or len(group) >= wire.MAX_BATCH_MESSAGES):
            yield group
            group, used = [], 0
        group.append(submission)
        used += weight
    if group:
        yield group
