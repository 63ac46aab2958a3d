"""Medium-sized messages that are submitted together share a blob, which is written before the entry and read once."""

import asyncio
from itertools import pairwise

import pytest

from relay.acceptance.content_blobs import MAX_SHARED_BYTES, ContentBlobs
from relay.acceptance.group_commit import ENTRIES_WORTH_A_BLOB
from relay.core import entries
from relay.core.errors import Refusal, Unavailable
from relay.core.model import Address, Attachment, Message, State, Submission
from relay.platform.resources import CONTENT_CONTAINER
from tests.doubles import CLIENT, Place, message_of, submission_of

LANE = "transactional"
SMALL = message_of(subject="small")


def medium(number: int, size: int = 20_000) -> Message:
    return message_of(subject=f"{number}", text=f"{number}" * (size // len(f"{number}")))


async def accept(place: Place, *messages: Message) -> list[str | None]:
    """Submit messages concurrently. Return the code of each refusal, or None."""
    results = await asyncio.gather(
        *(place.acceptance.accept(CLIENT, LANE, submission_of(message)) for message in messages),
        return_exceptions=True,
    )
    return [result.code if isinstance(result, Refusal) else None for result in results]


def waiting(place: Place) -> list[list[Submission]]:
    return [list(entry.messages) for entry in place.waiting() if isinstance(entry, entries.BatchEntry)]


async def test_medium_messages_share_a_blob_and_small_ones_stay_in_the_entry(place: Place) -> None:
    finished = message_of(subject="raw", text=None, raw=b"Subject: raw\r\n\r\n" + b"\xff" * 20_000)
    files = message_of(subject="files", attachments=tuple(Attachment(name=name, content=b"x" * 9_000) for name in "ab"))
    messages = [*(medium(number) for number in range(9)), SMALL, finished, files]
    await accept(place, *messages)
    [batch] = waiting(place)
    assert [await place.content.message(each) for each in batch] == messages
    assert len({each.blob for each in batch if each.blob}) == 1
    assert [each.message for each in batch if each.blob is None] == [SMALL]
    spans = [each.span for each in batch if each.span]
    assert all(start + size == following for (start, size), (following, _) in pairwise(spans))
    assert (place.queues.calls["put"], place.blobs.calls["put"]) == (1, 1)
    assert [entry.relay for entry in place.waiting() if isinstance(entry, entries.BatchEntry)] == [2]


@pytest.mark.parametrize(
    "message",
    [
        medium(1),
        message_of(text="<&>" * 1_000),
        *(message_of(text=None, raw=b"Subject: <x>\r\n\r\n" + b"\xff" * size) for size in (3_000, 3_001, 3_002)),
        message_of(html="<p>&</p>", attachments=tuple(Attachment(name=name, content=b"x" * 4_000) for name in "ab")),
        message_of(attachments=tuple(Attachment(name="c", content=b"y" * size) for size in (2_500, 0, 1, 3, 4))),
        message_of(attachments=(Attachment(name="a", blob="b", size=9), Attachment(name="c", content=b"y" * 2_500))),
    ],
)
async def test_weight_is_that_of_the_encoded_submission(place: Place, message: Message) -> None:
    element = await ContentBlobs(place.memory.blobs, place.clock).element(submission_of(message))
    assert element.weight == entries.weight(element.encode())
    assert element.movable or message.content_size <= 2_000


async def test_messages_that_fill_few_entries_stay_in_them(place: Place) -> None:
    count = ENTRIES_WORTH_A_BLOB - 1
    await accept(place, *(medium(number, 40_000) for number in range(count)))
    assert [len(batch) for batch in waiting(place)] == [1] * count
    assert not place.blobs.calls


async def test_shared_blob_is_bounded(place: Place) -> None:
    await accept(place, *(medium(number, 40_000) for number in range(40)))
    blobs, _ = await place.memory.blobs.list(CONTENT_CONTAINER)
    assert all(blob.size < MAX_SHARED_BYTES + 40_000 for blob in blobs)
    assert sum(map(len, waiting(place))) == 40
    assert len(blobs) == 3


async def test_entry_with_long_envelopes_stays_within_its_limit(place: Place) -> None:
    many = tuple(Address(email=f"{'r' * 40}{number}@example.com") for number in range(100))
    await accept(place, *(message_of(to=many, text="x" * 20_000) for _ in range(32)))
    assert all(
        entries.weight(body) <= entries.MAX_ENTRY_BYTES for body in place.memory.queues.bodies("relay-transactional")
    )
    assert all(each.message is not None for batch in waiting(place) for each in batch)
    assert any(each.blob is not None for batch in waiting(place) for each in batch)
    assert sum(map(len, waiting(place))) == 32


async def test_blob_that_cannot_be_written_accepts_nothing(place: Place) -> None:
    place.blobs.fail("put", Unavailable("away"))
    assert await accept(place, *(medium(number) for number in range(12))) == ["storage_unavailable"] * 12
    assert waiting(place) == []


async def test_shared_blob_is_read_once_for_all_its_messages(place: Place) -> None:
    await accept(place, *(medium(number) for number in range(12)))
    await place.work()
    assert sorted(request.message.subject for request in place.script().sent) == sorted(map(str, range(12)))
    assert all(request.message == medium(int(request.message.subject)) for request in place.script().sent)
    assert place.blobs.calls["get"] == 1


async def test_shared_blob_that_cannot_be_read_delays_all_its_messages(place: Place) -> None:
    await accept(place, *(medium(number) for number in range(12)))
    place.blobs.fail("get", Unavailable("away"))
    [entry] = [entry for entry in place.waiting() if isinstance(entry, entries.BatchEntry)]
    await place.work()
    record = await place.journal.read(entry.batch)
    assert {(status.state, status.parts[0].code) for status in record.statuses} == {
        (State.DEFERRED, "content_unavailable")
    }
    assert place.blobs.calls["get"] == 1
    place.time.move(60)
    await place.work()
    assert {status.state for status in (await place.journal.read(entry.batch)).statuses} == {State.SENT}
