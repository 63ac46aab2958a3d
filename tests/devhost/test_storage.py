"""The host's storage calls, against Azurite and against a server that fails first."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from aiohttp import web

from devhost.azure_storage import Pause, Storage
from devhost.storage import MessageGoneError, StorageRefusedError, StorageUnavailableError
from tests.ports import free_port


@pytest_asyncio.fixture
async def storage() -> AsyncIterator[Storage]:
    opened = Storage()
    yield opened
    await opened.close()


async def test_put_creates_the_queue_and_the_message_expires_after_seven_days(storage: Storage, azurite: str) -> None:
    queue = storage.queue(azurite, "storage-put")
    assert not await queue.exists()
    await queue.put("first")
    assert await queue.exists()
    [message] = await queue.receive(16, 60)
    assert (message.text, message.dequeue_count) == ("first", 1)
    assert message.expires_at is not None
    assert message.inserted_at is not None
    assert message.expires_at - message.inserted_at == timedelta(days=7)


@pytest.mark.parametrize("text", ["", "<a href=\"x\">&amp;</a>", "a\r\nb\rc\n", "日本語 🎉", " spaces "])  # fmt: skip
async def test_received_text_equals_the_put_text(storage: Storage, azurite: str, text: str) -> None:
    queue = storage.queue(azurite, f"storage-text-{len(text)}")
    await queue.put(text)
    [message] = await queue.receive(1, 60)
    assert message.text == text


async def test_lease_changes_need_the_latest_receipt(storage: Storage, azurite: str) -> None:
    queue = storage.queue(azurite, "storage-lease")
    await queue.put("work")
    [message] = await queue.receive(1, 600)
    assert await queue.receive(1, 600) == []
    receipt = await queue.extend(message.id, message.pop_receipt, 600)
    for late in (queue.delete(message.id, message.pop_receipt), queue.extend(message.id, message.pop_receipt, 1)):
        with pytest.raises(MessageGoneError):
            await late
    released = await queue.extend(message.id, receipt, 0)
    [again] = await queue.receive(1, 600)
    assert (again.id, again.dequeue_count) == (message.id, 2)
    assert released != again.pop_receipt
    await queue.delete(again.id, again.pop_receipt)
    with pytest.raises(MessageGoneError):
        await queue.delete(again.id, again.pop_receipt)


async def test_missing_queue_is_unavailable_and_a_wrong_key_is_refused(storage: Storage, azurite: str) -> None:
    with pytest.raises(StorageUnavailableError):
        await storage.queue(azurite, "storage-absent").receive(1, 60)
    wrong = azurite.replace("AccountKey=", "AccountKey=AAAA")
    with pytest.raises(StorageRefusedError):
        await storage.queue(wrong, "storage-absent").receive(1, 60)


async def test_write_creates_the_container_and_replaces_the_blob(storage: Storage, azurite: str) -> None:
    blobs = storage.container(azurite, "storage-blobs")
    assert await blobs.read("timers/a b/status") is None
    await blobs.write("timers/a b/status", "one")
    await blobs.write("timers/a b/status", "twö")
    assert await blobs.read("timers/a b/status") == "twö"


async def test_refused_connection_is_unavailable_after_retries() -> None:
    pauses: list[float] = []
    opened = Storage(pause=_recording(pauses))
    with pytest.raises(StorageUnavailableError):
        await opened.queue(_account(free_port()), "orders").put("text")
    assert pauses == [0.8, 1.6, 3.2]
    await opened.close()


class FailingFirst:
    """A queue service that returns 503 for the first requests, then 204."""

    def __init__(self, times: int) -> None:
        self.calls: list[str] = []
        self._left = times

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.calls.append(request.method)
        self._left -= 1
        return web.Response(status=503 if self._left >= 0 else 204)


@pytest.mark.parametrize(("times", "pauses", "calls"), [(0, [], 1), (2, [0.8, 1.6], 3)])
async def test_settling_call_is_retried_while_storage_returns_503(times: int, pauses: list[float], calls: int) -> None:
    service, seen = FailingFirst(times), list[float]()
    runner = web.ServerRunner(web.Server(service.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    opened = Storage(pause=_recording(seen))
    await opened.queue(_account(runner.addresses[0][1]), "orders").delete("m1", "receipt")
    assert (seen, service.calls) == (pauses, ["DELETE"] * calls)
    await opened.close()
    await runner.cleanup()


def _recording(pauses: list[float]) -> Pause:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    return pause


def _account(port: int) -> str:
    return f"AccountName=a;AccountKey=YQ==;QueueEndpoint=http://127.0.0.1:{port}/a"
