"""What more than one folder of tests uses: an Azurite, the depth of searches, and which tests share a worker."""

import gc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from devhost.azurite import Azurite
from tests import depth

settings.load_profile(depth.PROFILE)

TESTS = Path(__file__).parent
ONE_RELAY = {"browser"}
"""Folders whose tests share one running relay."""
ONE_RELAY_PER_FILE = {"devhost", "e2e"}
"""Folders in which the tests of a file share running processes."""


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep tests that share processes on one worker (pytest-xdist, `--dist loadgroup`); all others go where there is time."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ONE_RELAY:
            item.add_marker(pytest.mark.xdist_group(folder))
        elif folder in ONE_RELAY_PER_FILE:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(TESTS))))


def pytest_collection_finish() -> None:
    """Take what is loaded by now out of the garbage collector's sight: it stays to the end, and is a fifth of its work."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end, where it is seen, that the pages were not tested in a browser."""
    skipped = [
        report for report in terminalreporter.getreports("skipped") if report.nodeid.startswith("tests/browser/")
    ]
    if skipped:
        terminalreporter.section("browser tests skipped", yellow=True)
        terminalreporter.line(
            f"{len(skipped)} tests of the console and the inbox did not run: there is no Chromium here."
        )
        terminalreporter.line("To run them: apt-get install chromium (or Google Chrome), then make browser")
