"""Group commit: concurrent submissions share queue entries.

While one put is in flight, arrivals collect; when it returns, the next put takes all that fit (32 messages and the 64 KiB of an
entry). If few fit, their content moves to a blob that they share. There is no timer, and an idle relay puts at once. Every caller
waits for its own put; if that fails, each caller gets the error and nothing is confirmed. See docs/decisions/0004-group-commit.md
and 0051.
"""

import itertools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import msgspec

from relay.acceptance.content_blobs import MAX_SHARED_BYTES, Element
from relay.core import entries as wire
from relay.core import ids
from relay.core.errors import StorageError
from relay.platform.concurrency import Joined
from relay.platform.storage.ports import Queues

ENTRIES_WORTH_A_BLOB = 4
"""Submissions share a blob if they would fill this many entries, which cost as much (docs/decisions/0051-shared-content.md)."""


class _Submitted(msgspec.Struct, frozen=True, kw_only=True):
    element: Element
    mac_key: bytes


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """The entries of a request, and the ids of its messages, in order."""

    entries: tuple[bytes, ...]
    names: tuple[str, ...]


class GroupCommit:
    """Puts the submissions of one lane on its queues in shared entries.

    `relay.acceptance.acceptance` limits how many wait here.
    """

    def __init__(
        self,
        queues: Queues,
        lane: str,
        names: Sequence[str],
        new_batch: Callable[[], str],
        share: Callable[[Sequence[Element]], Awaitable[Sequence[Element]]],
    ) -> None:
        """`share` moves content to a blob (`relay.acceptance.content_blobs`)."""
        self._queues = queues
        self._share = share
        self._lane = lane
        self._names = itertools.cycle(names)
        self._new_batch = new_batch
        # All waiting submissions need the same storage: while it is away they fail at once, not one timeout after another.
        self._joined = Joined(self._put_one, fitting=_fitting_together, fails_all=StorageError)

    async def put(self, element: Element, mac_key: bytes) -> str:
        """Store a submission. Returns its message id. Raises `StorageError`: then nothing is confirmed.

        A caller that is cancelled before its put begins has submitted nothing.
        """
        return await self._joined.call(_Submitted(element=element, mac_key=mac_key))

    def pack(self, batch: str, elements: Sequence[Element], mac_key: bytes) -> Packed:
        """Pack submissions into entries, with batch ids derived from `batch`."""
        entries: list[bytes] = []
        names: list[str] = []
        for group in _groups(elements):
            is_whole = len(group) == len(elements)
            part = batch if is_whole else ids.derived_batch(batch, len(names), len(group))
            macs = [ids.mac(mac_key, part, index) for index in range(len(group))]
            entries.append(self._entry(part, macs, group))
            names += ids.names(part, macs)
        return Packed(entries=tuple(entries), names=tuple(names))

    async def put_entry(self, entry: bytes) -> None:
        """Put an entry on the lane's next queue. Raises `StorageError`."""
        await self._queues.put(next(self._names), entry)

    async def _put_one(self, taken: Sequence[_Submitted]) -> list[str]:
        batch = self._new_batch()
        macs = [ids.mac(submitted.mac_key, batch, index) for index, submitted in enumerate(taken)]
        elements: Sequence[Element] = [submitted.element for submitted in taken]
        if _fitting(element.weight for element in elements) < len(taken):
            elements = await self._share(elements)
        body = self._entry(batch, macs, elements)
        await self._queues.put(next(self._names), body)
        return ids.names(batch, macs)

    def _entry(self, batch: str, macs: Sequence[str], elements: Sequence[Element]) -> bytes:
        has_spans = any(element.has_span for element in elements)
        return wire.join_batch(batch, self._lane, macs, [element.encode() for element in elements], has_spans=has_spans)


def _fitting_together(waiting: Iterable[_Submitted]) -> int:
    """Return how many of the first submissions the next entry takes: those that fit, or that fit once they share a blob."""
    first = list(itertools.islice(waiting, wire.MAX_BATCH_MESSAGES))
    entries = list(itertools.islice(_split([each.element.weight for each in first]), ENTRIES_WORTH_A_BLOB))
    if len(entries) < ENTRIES_WORTH_A_BLOB:
        return entries[0] if entries else 0
    sizes = itertools.accumulate(each.element.moved_size for each in first)
    sharing = first[: sum(size <= MAX_SHARED_BYTES for size in sizes)]
    return max(entries[0], _fitting(each.element.moved_weight for each in sharing))


def _fitting(weights: Iterable[int]) -> int:
    """Return how many of the first submissions fit an entry, by their weights: at least one, if there are any."""
    fitting, room = 0, wire.MAX_ENTRY_BYTES - wire.entry_overhead(0)
    around = wire.entry_overhead(1) - wire.entry_overhead(0)
    for weight in weights:
        room -= weight + around
        if fitting and (room < 0 or fitting == wire.MAX_BATCH_MESSAGES):
            break
        fitting += 1
    return fitting


def _groups(elements: Sequence[Element]) -> Iterator[Sequence[Element]]:
    """Split submissions into groups that fit an entry each."""
    rest = iter(elements)
    for number in _split([element.weight for element in elements]):
        yield list(itertools.islice(rest, number))


def _split(weights: Sequence[int]) -> Iterator[int]:
    """Yield how many submissions each entry takes, in order."""
    start = 0
    while start < len(weights):
        number = _fitting(itertools.islice(weights, start, None))
        yield number
        start += number
