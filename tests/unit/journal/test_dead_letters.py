"""The index of dead letters, and unreadable entries."""

from datetime import timedelta

import pytest

from bench.counting import CountingTables
from relay.core.outcomes import CAUSES
from relay.journal.dead_letters import UNREADABLE_CONTAINER, DeadLetter, DeadLetters
from tests.doubles import START, Place, batch_id


async def test_dead_letters_are_listed_by_cause_oldest_first(place: Place) -> None:
    batches = [batch_id(START + timedelta(seconds=number)) for number in range(3)]
    for batch in reversed(batches):
        await place.dead_letters.note([DeadLetter(code="policy_refused", batch=batch, index=3, at=START)])
    await place.dead_letters.note([DeadLetter(code="expired", batch=batches[0], index=0, at=START)])
    page, cursor = await place.dead_letters.of("policy_refused")
    assert list(page) == [DeadLetter(code="policy_refused", batch=batch, index=3, at=START) for batch in batches]
    assert cursor is None
    assert page[0].key == f"{batches[0]}-03"
    assert await place.dead_letters.counts() == {"policy_refused": 3, "expired": 1}


async def test_pages_cover_every_dead_letter_once(place: Place) -> None:
    for _ in range(25):
        await place.dead_letters.note([DeadLetter(code="expired", batch=batch_id(), index=0, at=START)])
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await place.dead_letters.of("expired", limit=10, cursor=cursor)
        found += [dead_letter.key for dead_letter in page]
        if cursor is None:
            break
    assert len(found) == 25
    assert found == sorted(set(found))


async def test_repeated_add_and_remove_change_nothing(place: Place) -> None:
    batch = batch_id()
    for _ in range(2):
        await place.dead_letters.note([DeadLetter(code="expired", batch=batch, index=0, at=START)])
    assert await place.dead_letters.counts() == {"expired": 1}
    for _ in range(2):
        await place.dead_letters.remove("expired", batch, 0)
    assert await place.dead_letters.counts() == {}


async def test_dead_letters_of_a_batch_are_indexed_with_one_operation_for_each_cause(place: Place) -> None:
    batch = batch_id()
    # A message to two recipients may die once for each of them.
    died = [("expired", 0), ("expired", 0), ("expired", 1), ("policy_refused", 2)]
    counting = CountingTables(place.memory.tables)
    index = DeadLetters(counting, place.memory.blobs, place.time)
    await index.note(DeadLetter(code=code, batch=batch, index=number, at=START) for code, number in died)
    assert counting.operations == 2
    assert await place.dead_letters.counts() == {"expired": 2, "policy_refused": 1}


async def test_dead_letter_without_a_cause_is_listed_as_expired(place: Place) -> None:
    await place.dead_letters.note([DeadLetter(code="", batch=batch_id(), index=0, at=START)])
    assert await place.dead_letters.counts() == {"expired": 1}


@pytest.mark.parametrize("code", CAUSES)
async def test_every_cause_can_be_listed(place: Place, code: str) -> None:
    await place.dead_letters.note([DeadLetter(code=code, batch=batch_id(), index=0, at=START)])
    assert await place.dead_letters.counts() == {code: 1}


async def test_unreadable_entry_is_kept_once_and_unchanged(place: Place) -> None:
    bodies = [b"\xff\x00foreign", b"\xff\x00foreign", b"other"]
    names = [await place.dead_letters.keep_unreadable(body) for body in bodies]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("20260301/")
    assert [await place.memory.blobs.get(UNREADABLE_CONTAINER, name) for name in names] == bodies
