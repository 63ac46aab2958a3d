"""A rotation reaches every part in some run, though no run can do all."""

from collections.abc import Sequence

import pytest

from relay.core.errors import Unavailable
from relay.operations.rotation import Rotation
from relay.platform.concurrency import Deadline, Progress
from tests.doubles import Place

PARTS = ("a", "b", "c", "d")


async def runs(
    place: Place, *, times: int, seconds: float = 25.0, endless: str = "", failing: str = ""
) -> Sequence[str]:
    """Run a rotation whose parts take ten seconds each, and return the parts that each run worked on."""
    rotation, worked = Rotation(place.storage.tables, "test"), list[str]()

    async def work(part: str, deadline: Deadline) -> Progress:
        worked[-1] += part
        if part == failing:
            raise ZeroDivisionError
        while part == endless and not deadline.is_over:
            place.time.move(1.0)
        place.time.move(10.0)
        return Progress(done=1, is_complete=part != endless)

    for _ in range(times):
        worked.append("")
        try:
            await rotation.run(PARTS, work, Deadline(place.time, seconds))
        except ZeroDivisionError:
            continue
    return worked


async def test_run_begins_where_the_last_one_ended(place: Place) -> None:
    assert await runs(place, times=3) == ["abc", "dab", "cda"]


async def test_complete_run_writes_nothing(place: Place) -> None:
    assert await runs(place, times=2, seconds=60.0) == ["abcd", "abcd"]
    assert "upsert" not in place.tables.calls


async def test_part_without_an_end_does_not_keep_others_from_their_turn(place: Place) -> None:
    assert await runs(place, times=3, endless="a") == ["a", "bcd", "a"]


async def test_failing_part_does_not_keep_others_from_their_turn(place: Place) -> None:
    assert await runs(place, times=3, failing="b") == ["ab", "cda", "b"]


async def test_run_is_repeated_when_its_end_cannot_be_stored(place: Place) -> None:
    place.tables.fail("upsert", Unavailable("away"))
    assert await runs(place, times=2) == ["abc", "abc"]


@pytest.mark.parametrize("part", ["gone", 7])
async def test_unknown_part_begins_with_the_first(place: Place, part: str | int) -> None:
    from relay.operations.rotation import TABLE
    from relay.platform.storage.ports import Entity

    await place.memory.tables.upsert(TABLE, Entity(partition="rotation", row="test", properties={"part": part}))
    assert await runs(place, times=1) == ["abc"]
