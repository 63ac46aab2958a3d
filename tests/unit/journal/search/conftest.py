"""A journal with an index."""

from datetime import timedelta

import pytest

from relay.journal.records import TABLE as JOURNAL
from relay.journal.records import Journal
from relay.journal.search.index import TABLE, SearchIndex
from tests.doubles import Clock, Watched, watched_tables


@pytest.fixture
async def tables() -> Watched:
    """Return the tables of journal and index, empty."""
    return await watched_tables(JOURNAL, TABLE)


@pytest.fixture
def journal(tables: Watched, clock: Clock) -> Journal:
    """Return a journal in `tables`."""
    return Journal(tables, clock)


@pytest.fixture
def index(journal: Journal, tables: Watched, clock: Clock) -> SearchIndex:
    """Return an index of three days."""
    return SearchIndex(journal, tables, clock, retention=timedelta(days=3))
