"""A webhook retry that waits in a row comes back on the queue as it was, and goes with its webhook, on every storage."""

import pytest

from relay.core.entries import MAX_ENTRY_BYTES
from relay.events.webhooks.payload import QUEUE, Entry, Post, encode
from relay.events.webhooks.retries import PARTITION, Retries, Retry
from relay.journal.pending import SOON, TABLE
from relay.platform.storage.ports import Query, Storage, every_row
from tests.doubles import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def retries(storage: Storage, clock: Clock) -> Retries:
    await storage.tables.create(TABLE)
    await storage.queues.create(QUEUE)
    return Retries(tables=storage.tables, queues=storage.queues, clock=clock)


async def rows(storage: Storage, client_id: str) -> list[str]:
    query = Query(partition=PARTITION, equals={"client_id": client_id})
    return [str(row.properties["webhook"]) async for row in every_row(storage.tables, TABLE, query)]


async def bodies(storage: Storage, client_id: str) -> list[bytes]:
    """Take the entries of a client; the queue of a shared Azurite may hold others."""
    found: list[bytes] = []
    while received := await storage.queues.receive(QUEUE, limit=32):
        for each in received:
            found += [each.body] if client_id.encode() in each.body else []
            await storage.queues.delete(QUEUE, each)
    return found


async def test_largest_retry_comes_back_unchanged(storage: Storage, retries: Retries, clock: Clock, name: str) -> None:
    post = Post(id="evt_1", body=f'{{"reply":"<請求書> & \ufffe{"x" * (MAX_ENTRY_BYTES - 400)}"}}')
    body = encode(Entry(relay=1, client="shop", client_id=name, webhook="wh_1", attempt=9, posts=(post,)))
    await retries.put(Retry(client_id=name, webhook="wh_1", at=clock() + 2 * SOON, body=body))
    await retries.run()
    assert (await rows(storage, name), await bodies(storage, name)) == (["wh_1"], [])
    clock.move(2 * SOON.total_seconds())
    await retries.run()
    assert (await rows(storage, name), await bodies(storage, name)) == ([], [body])


async def test_rows_go_with_their_webhook_and_their_client(
    storage: Storage, retries: Retries, clock: Clock, name: str
) -> None:
    for client, webhook in ((name, "wh_1"), (name, "wh_2"), (f"other{name}", "wh_3")):
        await retries.put(Retry(client_id=client, webhook=webhook, at=clock() + 2 * SOON, body=b"{}"))
    await retries.remove(name, "wh_1")
    assert await rows(storage, name) == ["wh_2"]
    await retries.remove(name)
    assert (await rows(storage, name), await rows(storage, f"other{name}")) == ([], ["wh_3"])
    await retries.remove(f"other{name}")
