"""The deployment package starts in a clean folder, and needs nothing that Azure does not install."""

import asyncio
import json
import os
import re
import sys
import zipfile
from collections.abc import AsyncIterator
from importlib.metadata import packages_distributions
from pathlib import Path

import aiohttp
import pytest
from packaging.utils import canonicalize_name

from devhost.children import Child
from devhost.package import BY_AZD, SITE_PACKAGES, is_left_out, pack, packaged, patterns_in
from tests.requirement_lines import lines_of

ROOT = Path(__file__).parent.parent.parent
GITIGNORE = ROOT / ".gitignore"
_READY = re.compile(r"Host is ready on (?P<url>http://\S+)|Host has errors: (?P<errors>.*)")
PACKAGE = os.environ.get("RELAY_PACKAGE", "")
"""A package with dependencies, to check before a deployment; building one here would need a registry."""
IMPORT_ALL = """
import importlib, json, pkgutil, sys

absent = set(json.loads(sys.argv[1]))

class OnlyWhatAzureInstalls:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not in requirements.txt", name=name)
        return None

sys.meta_path.insert(0, OnlyWhatAzureInstalls())
import function_app, relay
for module in pkgutil.walk_packages(relay.__path__, "relay."):
    importlib.import_module(module.name)
print("imported", len(sys.modules))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the package: RELAY_PACKAGE, or one without dependencies."""
    place = tmp_path_factory.mktemp("package")
    if not PACKAGE:
        pack(ROOT, place / "package.zip")
    with zipfile.ZipFile(PACKAGE or place / "package.zip") as archive:
        archive.extractall(place / "app")
    return place / "app"


def test_package_contains_only_the_app() -> None:
    files = list(packaged(ROOT))
    assert {path.parts[0] for path in files} == {"function_app.py", "host.json", "relay", "requirements.txt"}
    assert {path.suffix for path in files} <= {".py", ".json", ".txt", ".html", ".css", ".js", ".svg", ".png", ".typed"}
    assert sum((ROOT / path).stat().st_size for path in files) < 10_000_000


def test_ignored_files_are_not_deployed() -> None:
    """Local settings, keys and caches: an environment of azd holds secrets."""
    patterns = (*patterns_in((ROOT / ".funcignore").read_text()), *BY_AZD)
    names = [line.strip("/").replace("*", "x").replace("[cod]", "c") for line in patterns_in(GITIGNORE.read_text())]
    packed = [name for name in names if not is_left_out(Path(name), patterns)]
    assert packed == []


def test_ignore_patterns_match_as_in_git() -> None:
    patterns = patterns_in("# a comment\n\ndocs\n*.md\n.git*\nrelay/cli\n")
    left_out = ["docs/a.txt", "relay/docs/a.txt", "README.md", "relay/README.md", ".github/x.yml", "relay/cli/a.py"]
    assert [path for path in left_out if not is_left_out(Path(path), patterns)] == []
    packed = ["relay/clients/registry.py", "docs2/a.txt", "other/relay/cli/a.py"]
    assert [path for path in packed if is_left_out(Path(path), patterns)] == []


def absent_modules() -> list[str]:
    """Return the top-level modules that are installed here but not on Azure."""
    pinned = {canonicalize_name(requirement.name) for requirement, _ in lines_of(ROOT / "requirements.txt")}
    installed = packages_distributions()
    return [module for module, owners in installed.items() if not pinned & {canonicalize_name(each) for each in owners}]


def test_development_packages_are_not_installed_on_azure() -> None:
    assert {"pytest", "typer", "cronsim", "aiosmtpd"} <= set(absent_modules())
    assert not {"aiohttp", "azure", "msgspec"} & set(absent_modules())


async def test_every_module_imports_with_what_azure_installs(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", IMPORT_ALL, json.dumps(absent_modules())),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert output.startswith(b"imported ")


def test_dependencies_lie_where_azure_looks_for_them(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    for name in ("msgspec/__init__.py", "msgspec/__pycache__/__init__.cpython-313.pyc"):
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).touch()
    pack(ROOT, tmp_path / "package.zip", installed)
    with zipfile.ZipFile(tmp_path / "package.zip") as archive:
        added = set(archive.namelist()) - {str(path) for path in packaged(ROOT)}
    assert added == {".python_packages/lib/site-packages/msgspec/__init__.py"}


@pytest.mark.skipif(not PACKAGE, reason="RELAY_PACKAGE names no package that `make package` wrote")
async def test_package_with_dependencies_imports_without_anything_installed(folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = sys.argv[2:]{IMPORT_ALL}", "[]"),
        *(folder, folder / SITE_PACKAGES),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert output.startswith(b"imported ")


@pytest.fixture
async def running(folder: Path, azurite: str, tmp_path: Path) -> AsyncIterator[str]:
    """Start the package's app on the local host, without other code of the project. Yields its URL."""
    (tmp_path / "devhost").symlink_to(ROOT / "devhost")
    child = await Child.start(
        name="the local host",
        argv=(sys.executable, "-m", "devhost", "--app-root", folder, "--port", "0"),
        ready=_READY,
        env={
            "PATH": os.environ["PATH"],
            "AzureWebJobsStorage": azurite,
            "PYTHONDONTWRITEBYTECODE": "1",
            # The package's own dependencies, where it has them, come before those of the local host.
            "PYTHONPATH": str(folder / SITE_PACKAGES),
        },
        cwd=tmp_path,
    )
    try:
        [line] = await child.until_ready(timeout_seconds=60)
        assert line["errors"] is None, line["errors"]
        yield line["url"]
    finally:
        await child.stop(grace_seconds=15)


async def test_package_starts_and_responds(running: str) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{running}/v1/health") as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})
        async with session.get(f"{running}/v1/messages/nothing") as response:
            assert response.status == 401
