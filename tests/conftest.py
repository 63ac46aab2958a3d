"""Fixtures that more than one folder of tests uses."""

from collections.abc import AsyncIterator

import pytest_asyncio

from devhost.azurite import Azurite


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def azurite() -> AsyncIterator[str]:
    """The connection string of an Azurite in memory that the whole test session shares.

    Tests take names of their own for queues, tables and containers, and need not clean up.
    """
    emulator = await Azurite.start()
    try:
        yield emulator.connection_string
    finally:
        await emulator.stop()
