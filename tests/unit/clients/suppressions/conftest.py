"""The suppressions of one process."""

import pytest

from relay.clients.suppressions.store import Suppressions
from tests.doubles import Place


@pytest.fixture
def lists(place: Place) -> Suppressions:
    return place.suppressions
