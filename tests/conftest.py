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
from xdist.workermanage import WorkerController

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
LONG_TESTS = {"crash_points"}
"""Folders whose tests are sent to workers one by one. All others go by files: sending a test costs as much as a short one."""
LONGEST = ("browser", "e2e/test_soak.py")
"""The groups that take longest."""
WORKERS_WITH_GROUPS = 2
"""How many workers run groups while there are other tests. With one worker more than cores, this leaves no core without work."""


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
    """Keep tests that share processes on one worker (`--dist loadgroup`); all other files go where there is time.

    Not by marks: pytest-xdist 3.8.0 writes a mark's group into a name that pytest 9.2 does not read any more.
    """
    return _Grouped(config, log) if config.getoption("dist") == "loadgroup" else None


class _Grouped(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    """Start with the groups, the longest first, on a few workers: their tests wait for processes, and the others compute."""

    _is_ordered = False

    def _split_scope(self, nodeid: str) -> str:
        folder = _folder(nodeid)
        if folder in ONE_RELAY:
            return folder
        return nodeid if folder in LONG_TESTS else nodeid.removeprefix("tests/").partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        if not self._is_ordered:
            self._order()
        if not self._takes_groups(node):
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)

    def _order(self) -> None:
        """Put the groups at the front of the queue and everything else at its end, the first of it last."""
        groups = [scope for scope in self.workqueue if _is_group(scope)]
        for scope in sorted(groups, key=lambda scope: scope not in LONGEST, reverse=True):
            self.workqueue.move_to_end(scope, last=False)
        for scope in [scope for scope in reversed(self.workqueue) if not _is_group(scope)]:
            self.workqueue.move_to_end(scope)
        self._is_ordered = True

    def _takes_groups(self, node: WorkerController) -> bool:
        busy = [each for each, units in self.assigned_work.items() if any(map(_is_group, units))]
        return node in busy or len(busy) < WORKERS_WITH_GROUPS

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Forget what is complete: xdist counts through all that a worker ever had, after each test."""
        super().mark_test_complete(node, item_index, duration)
        units = self.assigned_work[node]
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(units[scope].values()):
            del units[scope]


def _folder(name: str) -> str:
    return name.removeprefix("tests/").partition("/")[0]


def _is_group(scope: str) -> bool:
    return _folder(scope) in ONE_RELAY | ONE_RELAY_PER_FILE


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
        terminalreporter.line(
            "To run them: apt-get install chromium-headless-shell (or Google Chrome), then make browser"
        )
