"""Fixtures of the crash-point tests."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Disable logging: formatting the lines of thousands of trials would take longer than the trials."""
    logger = logging.getLogger("relay")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)
