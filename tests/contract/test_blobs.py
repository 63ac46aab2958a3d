"""Contract of the port `Blobs`, for every adapter."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from relay.core.errors import Changed, NotFound, StorageError
from relay.platform.storage.ports import Blobs, Storage

MIB = 1024 * 1024
BODIES = {"empty": b"", "all bytes": bytes(range(256)), "several blocks": bytes(range(251)) * (9 * MIB // 251)}


@pytest.fixture
async def blobs(storage: Storage, name: str) -> Blobs:
    await storage.blobs.create(name)
    return storage.blobs


async def in_chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def streamed(blobs: Blobs, container: str, name: str) -> list[bytes]:
    return [chunk async for chunk in blobs.stream(container, name)]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_body_is_returned_unchanged(blobs: Blobs, name: str, body: bytes) -> None:
    await blobs.put(name, "a", body)
    assert await blobs.get(name, "a") == body
    assert b"".join(await streamed(blobs, name, "a")) == body


@pytest.mark.parametrize("size", [1 * MIB, 5 * MIB - 7, 100 * MIB])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_stream_is_returned_unchanged(blobs: Blobs, name: str, body: bytes, size: int) -> None:
    assert await blobs.put_stream(name, "a", in_chunks(body, size)) == len(body)
    assert await blobs.get(name, "a") == body


async def test_large_blob_is_read_in_chunks(blobs: Blobs, name: str) -> None:
    await blobs.put(name, "a", BODIES["several blocks"])
    chunks = await streamed(blobs, name, "a")
    assert len(chunks) > 1
    assert max(len(chunk) for chunk in chunks) <= 8 * MIB


async def test_put_replaces_the_existing_blob(blobs: Blobs, name: str) -> None:
    await blobs.put(name, "a", b"first")
    await blobs.put(name, "a", b"second")
    assert await blobs.get(name, "a") == b"second"
    await blobs.put_stream(name, "a", in_chunks(b"third", 2))
    assert await blobs.get(name, "a") == b"third"


async def test_replacement_requires_that_nobody_wrote_the_blob_since(blobs: Blobs, name: str) -> None:
    await blobs.put(name, "a", b"first")
    body, etag = await blobs.read(name, "a")
    assert body == b"first"
    await blobs.replace(name, "a", b"second", etag=etag)
    with pytest.raises(Changed):
        await blobs.replace(name, "a", b"third", etag=etag)
    body, etag = await blobs.read(name, "a")
    assert body == b"second"
    await blobs.delete(name, "a")
    with pytest.raises(Changed):
        await blobs.replace(name, "a", b"third", etag=etag)
    with pytest.raises(NotFound):
        await blobs.read(name, "a")


async def test_failed_stream_keeps_the_existing_blob(blobs: Blobs, name: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(5 * MIB)
        raise ValueError("the sender went away")

    await blobs.put(name, "a", b"first")
    with pytest.raises(ValueError, match="went away"):
        await blobs.put_stream(name, "a", broken())
    assert await blobs.get(name, "a") == b"first"


@pytest.mark.parametrize("blob", ["a/b/c.json", "件名 🎉.eml", "a b+c%20&d=e?f#g"])
async def test_unusual_blob_names_work_in_every_operation(blobs: Blobs, name: str, blob: str) -> None:
    await blobs.put(name, blob, b"x", content_type="message/rfc822")
    assert await blobs.get(name, blob) == b"x"
    listed, _ = await blobs.list(name)
    assert [each.name for each in listed] == [blob]
    await blobs.delete(name, blob)
    assert await blobs.list(name) == ([], None)


async def test_missing_blob_raises_not_found_and_can_be_deleted(blobs: Blobs, name: str) -> None:
    with pytest.raises(NotFound):
        await blobs.get(name, "a")
    with pytest.raises(NotFound):
        await anext(aiter(blobs.stream(name, "a")))
    await blobs.delete(name, "a")


async def test_missing_container_raises_not_found(storage: Storage, name: str) -> None:
    with pytest.raises(NotFound):
        await storage.blobs.put(name, "a", b"x")
    with pytest.raises(NotFound):
        await storage.blobs.put_stream(name, "a", in_chunks(b"x", 1))
    with pytest.raises(NotFound):
        await storage.blobs.get(name, "a")
    with pytest.raises(NotFound):
        await storage.blobs.list(name)
    await storage.blobs.delete(name, "a")


async def test_list_is_sorted_and_paged(blobs: Blobs, name: str) -> None:
    for blob in ("b/2", "a/1", "b/1", "b/3", "c"):
        await blobs.put(name, blob, blob.encode() * 2)
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await blobs.list(name, prefix="b/", limit=2, cursor=cursor)
        assert len(page) <= 2
        found += [blob.name for blob in page]
        if cursor is None:
            break
    assert found == ["b/1", "b/2", "b/3"]
    everything, cursor = await blobs.list(name)
    assert [blob.name for blob in everything] == ["a/1", "b/1", "b/2", "b/3", "c"]
    assert cursor is None


async def test_list_returns_size_and_modification_time(blobs: Blobs, name: str) -> None:
    await blobs.put(name, "a", b"12345")
    ((blob,), _) = await blobs.list(name)
    assert blob.size == 5
    assert blob.modified_at.utcoffset() == timedelta(0)


async def test_page_limit_out_of_range_is_refused(blobs: Blobs, name: str) -> None:
    with pytest.raises(StorageError):
        await blobs.list(name, limit=1001)


async def test_creating_twice_keeps_the_contents(blobs: Blobs, name: str) -> None:
    await blobs.put(name, "a", b"x")
    await blobs.create(name)
    assert await blobs.get(name, "a") == b"x"


@pytest.mark.parametrize("dotted", ["..", ".", "../x", "20260301/../../other/x", "a/./b", "a/.."])
async def test_blob_name_with_a_dot_segment_is_not_found_and_not_written(blobs: Blobs, name: str, dotted: str) -> None:
    with pytest.raises(NotFound):
        await blobs.put(name, dotted, b"x")
    with pytest.raises(NotFound):
        await blobs.get(name, dotted)
    with pytest.raises(NotFound):
        await blobs.delete(name, dotted)
    with pytest.raises(NotFound):
        await streamed(blobs, name, dotted)
    assert (await blobs.list(name))[0] == []


@pytest.mark.parametrize("odd", ["a..b", "...", ".a/b.", "a b/ü/%2e%2e", "a?b#c"])
async def test_blob_name_with_other_unusual_characters_is_kept(blobs: Blobs, name: str, odd: str) -> None:
    await blobs.put(name, odd, b"x")
    assert await blobs.get(name, odd) == b"x"
    assert [blob.name for blob in (await blobs.list(name))[0]] == [odd]
