"""Run the storage suites against every adapter."""

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
    """Return the doubles, whose clock is moved."""
    now = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    async def wait(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    return StorageUnderTest(memory_storage(lambda: now), wait)


@pytest.fixture(params=["memory", "azurite"])
def connection_string(request: pytest.FixtureRequest) -> str | None:
    """Return Azurite's settings, or None for the doubles."""
    found: str | None = None if request.param == "memory" else request.getfixturevalue("azurite")
    return found


@pytest.fixture
async def under_test(connection_string: str | None) -> AsyncIterator[StorageUnderTest]:
    """Yield each adapter in turn. Azurite uses real time: tests wait at most a second for it."""
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
    """Return the storage."""
    return under_test.storage


@pytest.fixture
def wait(under_test: StorageUnderTest) -> Wait:
    """Return a function that lets seconds pass for the storage."""
    return under_test.wait


@pytest.fixture
def name() -> str:
    """Return a unique name, valid for a queue, a table or a container."""
    return f"t{uuid.uuid4().hex}"
