"""Every storage adapter, for suites that each of them must pass."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from relay.platform.storage.azure.account_storage import create_storage
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.platform.storage.ports import Storage

type Wait = Callable[[float], Awaitable[None]]


class StorageUnderTest:
    """A storage, and how time passes in it."""

    def __init__(self, storage: Storage, wait: Wait) -> None:
        self.storage = storage
        self.wait = wait


def in_memory() -> StorageUnderTest:
    """The doubles, whose time passes at once."""
    now = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    async def wait(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    return StorageUnderTest(memory_storage(lambda: now), wait)


@pytest.fixture(params=["memory", "azurite"])
def connection_string(request: pytest.FixtureRequest) -> str | None:
    """Azurite's, or None for the doubles."""
    found: str | None = None if request.param == "memory" else request.getfixturevalue("azurite")
    return found


@pytest.fixture
async def under_test(connection_string: str | None) -> AsyncIterator[StorageUnderTest]:
    """Each adapter in turn. Azurite's time is the clock on the wall: tests wait for it a second at most."""
    if connection_string is None:
        yield in_memory()
        return
    storage = create_storage({"AzureWebJobsStorage": connection_string})
    try:
        yield StorageUnderTest(storage, asyncio.sleep)
    finally:
        await storage.close()


@pytest.fixture
def storage(under_test: StorageUnderTest) -> Storage:
    """The storage to ask."""
    return under_test.storage


@pytest.fixture
def wait(under_test: StorageUnderTest) -> Wait:
    """Return a function that lets seconds pass for the storage."""
    return under_test.wait


@pytest.fixture
def name() -> str:
    """A name that no other test uses, good for a queue, a table or a container."""
    return f"t{uuid.uuid4().hex}"
