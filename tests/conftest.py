"""What more than one folder of tests uses: an Azurite, the depth of searches, and which tests share a worker."""

import gc
import importlib
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

from devhost.azurite import Azurite
from tests import depth

settings.load_profile(depth.PROFILE)
# Tests make much garbage without cycles, which needs no collector: searching for cycles rarely saves a sixth of the crash points.
gc.set_threshold(50_000, 20, 100)

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Keep tests that share processes on one worker (`--dist loadgroup`); all others go where there is time.

    Not by marks: pytest-xdist 3.8.0 writes a mark's group into a name that pytest 9.2 does not read any more.
    """
    return _Grouped(config, log) if config.getoption("dist") == "loadgroup" else None


class _Grouped(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    def _split_scope(self, nodeid: str) -> str:
        folder, _, rest = nodeid.removeprefix("tests/").partition("/")
        if folder in ONE_RELAY:
            return folder
        return f"{folder}/{rest.partition('::')[0]}" if folder in ONE_RELAY_PER_FILE else nodeid


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Let each worker load another share of the test modules first, so that it finds the rest compiled by the others.

    In a fresh clone all would compile everything at the same time, and rewrite its asserts: half of what collection costs.
    """
    workers, number = os.environ.get("PYTEST_XDIST_WORKER_COUNT"), os.environ.get("PYTEST_XDIST_WORKER", "").strip("gw")
    if workers is None:
        return
    folders = [Path(chosen) for chosen in session.config.args if Path(chosen).is_dir()]
    modules = sorted(path.resolve() for folder in folders for path in folder.rglob("test_*.py"))
    for path in modules[int(number) :: int(workers)]:
        # Collection loads it again, and reports what is wrong with it.
        with suppress(Exception):
            importlib.import_module(".".join(path.relative_to(session.config.rootpath).with_suffix("").parts))


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
