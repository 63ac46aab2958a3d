"""Content wherever it lies, and the bytes that one process holds of it at a time."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from relay.core.errors import Unavailable, UnreadableEntry
from relay.core.model import Attachment
from relay.journal.content import SHARED_ABOVE_BYTES, Budget
from relay.platform.resources import ATTACHMENTS_CONTAINER, CONTENT_CONTAINER
from tests.doubles import Place, batch_id, changed, message_of, submission_of

HERE = Attachment(name="here.txt", content=b"here", size=4)
UPLOADED = Attachment(name="there.bin", blob="20260301/there", size=5)
MESSAGE = message_of(attachments=(HERE, UPLOADED))


async def store(place: Place) -> None:
    await place.memory.blobs.put(CONTENT_CONTAINER, "20260301/m", msgspec.json.encode(MESSAGE))
    await place.memory.blobs.put(ATTACHMENTS_CONTAINER, "20260301/there", b"there")


async def test_content_in_the_entry_costs_no_operation(place: Place) -> None:
    submission = submission_of()
    assert await place.content.message(submission) == submission.message
    assert await place.content.whole(submission) == submission.message
    assert not place.blobs.calls


async def test_content_in_a_blob_is_read_with_its_uploads(place: Place) -> None:
    await store(place)
    submission = submission_of(message_of(), blob="20260301/m")
    assert await place.content.message(submission) == MESSAGE
    whole = await place.content.whole(submission)
    assert whole is not None
    assert whole.attachments == (HERE, changed(UPLOADED, content=b"there"))


@pytest.mark.parametrize("gone", [CONTENT_CONTAINER, ATTACHMENTS_CONTAINER])
async def test_incomplete_content_is_missing(place: Place, gone: str) -> None:
    await store(place)
    for blob in (await place.memory.blobs.list(gone))[0]:
        await place.memory.blobs.delete(gone, blob.name)
    assert await place.content.whole(submission_of(blob="20260301/m")) is None


async def test_unreadable_content_raises(place: Place) -> None:
    await place.memory.blobs.put(CONTENT_CONTAINER, "20260301/m", b"{")
    place.blobs.fail("get", Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.content.whole(submission_of(blob="20260301/m"))
    with pytest.raises(UnreadableEntry):
        await place.content.whole(submission_of(blob="20260301/m"))


@pytest.mark.parametrize(("size", "blobs"), [(SHARED_ABOVE_BYTES, 0), (SHARED_ABOVE_BYTES + 1, 1)])
async def test_shared_attachment_is_stored_once(place: Place, size: int, blobs: int) -> None:
    message = message_of(attachments=(Attachment(name="a.bin", content=b"x" * size, size=size),))
    submissions = [submission_of(message), submission_of(changed(message, subject="Other"))]
    shared = await place.content.share_attachments(submissions, batch_id)
    assert place.blobs.calls["put"] == blobs
    for each, before in zip(shared, submissions, strict=True):
        whole = await place.content.whole(each)
        assert whole is not None
        assert changed(whole, attachments=(changed(whole.attachments[0], blob=None),)) == before.message


# ── budget ──


class Holders:
    """Tasks that hold bytes of a budget until they are let go."""

    def __init__(self, total: int) -> None:
        self.budget = Budget(total)
        self.holding: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self, **sizes: int) -> None:
        for name, size in sizes.items():
            self._gates[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(name, size))
            await self._turns()

    async def end(self, name: str) -> None:
        self._gates[name].set()
        await self._turns()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await self._turns()

    async def end_all(self) -> Sequence[BaseException | None]:
        for gate in self._gates.values():
            gate.set()
        return await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _hold(self, name: str, size: int) -> None:
        async with self.budget.hold(size):
            self.holding.append(name)
            await self._gates[name].wait()
            self.holding.remove(name)

    async def _turns(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


async def test_content_in_memory_stays_within_the_budget() -> None:
    holders = Holders(100)
    await holders.begin(a=60, b=40, c=1)
    assert holders.holding == ["a", "b"]
    await holders.end("b")
    assert holders.holding == ["a", "c"]
    await holders.begin(d=41, e=39)
    assert holders.holding == ["a", "c", "e"]
    await holders.end("a")
    assert holders.holding == ["c", "e", "d"]
    assert await holders.end_all() == [None] * 5


async def test_content_above_the_budget_is_loaded_alone() -> None:
    holders = Holders(100)
    await holders.begin(a=1, huge=1000)
    assert holders.holding == ["a"]
    await holders.end("a")
    assert holders.holding == ["huge"]
    await holders.begin(b=1)
    assert holders.holding == ["huge"]
    await holders.end("huge")
    assert holders.holding == ["b"]
    await holders.end_all()


async def test_cancelled_reader_releases_its_budget() -> None:
    holders = Holders(100)
    await holders.begin(a=100, b=100, c=100)
    await holders.cancel("b")
    await holders.cancel("a")
    assert holders.holding[-1] == "c"
    await holders.begin(d=1)
    assert "d" not in holders.holding
    await holders.end("c")
    assert "d" in holders.holding
    await holders.end_all()
