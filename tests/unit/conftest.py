"""Fixtures of the unit tests of the core."""

import pytest

from relay.platform.storage import rows
from tests.doubles import Clock, Place, place_of


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture(autouse=True)
def immediate_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a writer that lost a race repeat at once."""
    monkeypatch.setattr(rows, "MAX_PAUSE_SECONDS", 0)


@pytest.fixture
async def place(clock: Clock) -> Place:
    """A whole Relay with one route `main`, over storage in memory."""
    return await place_of(clock=clock)
