"""Uploads: races between messages and the purge, and crashes in between."""

from datetime import timedelta

import pytest

from relay.clients.uploads import KEPT_UNUSED, TABLE, Incomplete, Upload, WrongSize
from relay.core.errors import Changed, Unavailable
from relay.platform.resources import ATTACHMENTS_CONTAINER
from tests.doubles import START, Place

LATER = START + timedelta(days=30)


@pytest.fixture
async def upload(place: Place) -> Upload:
    stored = await place.uploads.store("shop", "a.txt", "text/plain", b"hello")
    return await place.uploads.get("shop", stored.id)


async def blobs(place: Place) -> list[str]:
    return [blob.name for blob in (await place.memory.blobs.list(ATTACHMENTS_CONTAINER))[0]]


async def test_message_just_before_the_purge_keeps_the_file(place: Place, upload: Upload) -> None:
    place.time.move(KEPT_UNUSED.total_seconds())

    async def keep() -> None:
        assert await place.uploads.keep(upload, LATER)

    place.tables.before("merge", keep)
    assert (await place.uploads.purge()).done == 0
    assert await blobs(place) == [upload.blob]


async def test_message_just_after_the_purge_is_refused(place: Place, upload: Upload) -> None:
    place.time.move(KEPT_UNUSED.total_seconds())
    place.tables.before("merge", place.uploads.purge)
    assert not await place.uploads.keep(upload, LATER)


@pytest.mark.parametrize("operation", ["delete", "list"])
async def test_interrupted_purge_is_finished_by_the_next(place: Place, upload: Upload, operation: str) -> None:
    place.time.move(KEPT_UNUSED.total_seconds())
    place.blobs.fail(operation, Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.uploads.purge()
    assert not await place.uploads.find("shop", [upload.id])
    assert not await place.uploads.keep(upload, LATER)
    assert (await place.uploads.purge()).done == 1
    assert await blobs(place) == []
    assert place.memory.tables.rows(TABLE) == []


async def test_concurrent_keeps_agree_on_the_longer_time(place: Place, upload: Upload) -> None:
    async def keep() -> None:
        assert await place.uploads.keep(upload, LATER)

    place.tables.before("merge", keep)
    assert await place.uploads.keep(upload, START + timedelta(days=10))
    assert (await place.uploads.get("shop", upload.id)).keep_until >= LATER


async def test_file_used_all_day_is_written_once(place: Place, upload: Upload) -> None:
    assert await place.uploads.keep(upload, LATER)
    upload = await place.uploads.get("shop", upload.id)
    place.tables.calls.clear()
    assert await place.uploads.keep(upload, LATER + timedelta(hours=20))
    assert not place.tables.calls


@pytest.mark.parametrize("operation", ["put", "merge"])
async def test_interrupted_upload_is_deleted(place: Place, operation: str) -> None:
    port = place.blobs if operation == "put" else place.tables
    port.fail(operation, Unavailable("away"))
    with pytest.raises(Unavailable):
        await place.uploads.store("shop", "a.txt", "text/plain", b"hello")
    place.time.move(KEPT_UNUSED.total_seconds())
    assert (await place.uploads.purge()).done == 1
    assert await blobs(place) == []


async def test_interrupted_join_can_be_repeated(place: Place) -> None:
    begun = await place.uploads.begin("shop", "a.txt", "text/plain")
    for number, body in enumerate((b"a", b"b"), 1):
        await place.uploads.put_part(begun, number, body)
    place.tables.fail("merge", Unavailable("away"))
    place.blobs.fail("delete", Unavailable("away"))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await place.uploads.complete(await place.uploads.get("shop", begun.id))
    whole = await place.uploads.complete(await place.uploads.get("shop", begun.id))
    assert (whole.size, whole.is_complete) == (2, True)
    place.time.move(KEPT_UNUSED.total_seconds())
    await place.uploads.purge()
    assert await blobs(place) == []


async def test_concurrent_completion_succeeds_once(place: Place) -> None:
    begun = await place.uploads.begin("shop", "a.txt", "text/plain")
    await place.uploads.put_part(begun, 1, b"a")
    begun = await place.uploads.get("shop", begun.id)
    place.tables.before("merge", lambda: place.uploads.complete(begun))
    with pytest.raises(Changed):
        await place.uploads.complete(begun)


async def test_part_that_arrived_during_the_deletion_is_deleted(place: Place, upload: Upload) -> None:
    begun = await place.uploads.begin("shop", "a.txt", "text/plain")
    begun = await place.uploads.get("shop", begun.id)
    await place.uploads.keep(upload, LATER)

    async def delete() -> None:
        await place.uploads.delete(begun)

    place.blobs.before("put", delete)
    await place.uploads.put_part(begun, 1, b"late")
    await place.uploads.purge()
    assert await blobs(place) == [upload.blob, f"{begun.blob}.0001"]
    place.time.move(KEPT_UNUSED.total_seconds() + 1)
    await place.uploads.purge()
    assert await blobs(place) == [upload.blob]


@pytest.mark.parametrize("number", [1, 2])
async def test_crash_between_parts_is_recovered_by_sending_the_part_again(place: Place, number: int) -> None:
    begun = await place.uploads.begin("shop", "a.txt", "text/plain")
    place.blobs.fail("put", *([None] * (number - 1)), Unavailable("away"))
    for at, body in enumerate((b"one", b"two"), 1):
        try:
            await place.uploads.put_part(begun, at, body)
        except Unavailable:
            with pytest.raises((Incomplete, WrongSize)):
                await place.uploads.complete(await place.uploads.get("shop", begun.id), 6)
            await place.uploads.put_part(begun, at, body)
    whole = await place.uploads.complete(await place.uploads.get("shop", begun.id), 6)
    assert await place.memory.blobs.get(ATTACHMENTS_CONTAINER, whole.blob) == b"onetwo"
