"""What the proofs share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of trials tell what they do: nobody reads it, and formatting it would take longer than the trials."""
    logger = logging.getLogger("relay")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)
