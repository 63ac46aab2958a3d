"""Fixtures of the API tests: an application over storage in memory."""

from collections.abc import AsyncIterator

import pytest

from tests.api.harness import Harness


@pytest.fixture
async def relay() -> AsyncIterator[Harness]:
    """An application with the default settings: one route, which captures."""
    harness = await Harness().start()
    yield harness
    await harness.relay.close()
