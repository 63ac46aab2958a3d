"""Fixtures of the journal's tests."""

import pytest

from relay.journal.records import TABLE, Journal
from tests.doubles import Clock, Watched, watched_tables


@pytest.fixture
async def tables() -> Watched:
    """The journal's table, empty."""
    return await watched_tables(TABLE)


@pytest.fixture
def journal(tables: Watched, clock: Clock) -> Journal:
    """A journal in `tables`."""
    return Journal(tables, clock)
