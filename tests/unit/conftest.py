"""Fixtures of the unit tests of the core."""

import pytest

from tests.doubles import Clock, Place, place_of


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
async def place(clock: Clock) -> Place:
    """A whole Relay with one route `main`, over storage in memory."""
    return await place_of(clock=clock)
