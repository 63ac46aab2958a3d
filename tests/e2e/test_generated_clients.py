"""The page about generated clients: its commands generate a Python and a TypeScript client, and its examples work."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.running import ROOT, RunningRelay, running_relay

PAGE = (ROOT / "docs/api/generated-clients.md").read_text()
REQUIREMENTS = ROOT / "tests/e2e/generated_clients/requirements.txt"
NODE_MODULES = ROOT / "node_modules"
TOOLS_SECONDS = 300
UV = (sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--isolated", "--python", sys.executable)
PYTHON_TOOLS = (*UV, "--with-requirements", str(REQUIREMENTS))

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay() -> AsyncIterator[RunningRelay]:
    async with running_relay({}) as running:
        yield running


def blocks(section: str, language: str) -> Sequence[str]:
    """Return the blocks of a language in a section of the page."""
    [text] = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


async def run(*argv: str, cwd: Path, relay: RunningRelay | None = None) -> str:
    """Run a program to its end; its output."""
    own = {"RELAY_URL": relay.url, "RELAY_KEY": relay.key, "PYTHONPATH": str(cwd)} if relay else {}
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={**os.environ, **own},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(TOOLS_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def is_missing(reason: str) -> None:
    """Skip because a tool is missing; fail in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


async def check(relay: RunningRelay, output: str) -> None:
    """Check what an example printed: each line begins with what came of a call."""
    printed: Mapping[str, Sequence[str]] = {
        name: rest for name, *rest in (line.split() for line in output.splitlines() if line)
    }
    [accepted] = printed["accepted"]
    assert printed["ended"] == [accepted, "sent"]
    assert printed["listed"] == [accepted]
    assert printed["refused"][0] == "invalid_request"
    assert {"subject", "text", "to"} <= set(printed["refused"][1:])
    _, message, _ = await relay.call("GET", f"/v1/messages/{accepted}")
    assert message["subject"].startswith("Order 471")


async def test_python_client_is_generated_without_a_warning_and_works(relay: RunningRelay, tmp_path: Path) -> None:
    try:
        await run(*PYTHON_TOOLS, "openapi-python-client", "--version", cwd=tmp_path)
    except AssertionError as error:
        is_missing(f"openapi-python-client cannot be installed: {error}")
    _, generate = blocks("Python", "sh")
    await run(*PYTHON_TOOLS, "sh", "-euc", generate, cwd=tmp_path, relay=relay)
    [example] = blocks("Python", "python")
    await check(relay, await run(*PYTHON_TOOLS, "python", "-c", example, cwd=tmp_path, relay=relay))


async def test_typescript_client_is_generated_passes_strict_checks_and_works(
    relay: RunningRelay, tmp_path: Path
) -> None:
    if not (NODE_MODULES / "openapi-typescript").exists():
        is_missing("openapi-typescript is not installed: run `make setup`")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    [example] = blocks("TypeScript", "ts")
    (tmp_path / "client.ts").write_text(example)
    _, generate, compile_and_run = blocks("TypeScript", "sh")
    await run("sh", "-euc", generate, cwd=tmp_path, relay=relay)
    await check(relay, await run("sh", "-euc", compile_and_run, cwd=tmp_path, relay=relay))


async def test_page_installs_the_versions_that_are_tested() -> None:
    [python, *_] = blocks("Python", "sh")
    [install, *_] = blocks("TypeScript", "sh")
    assert python.removeprefix("pip install ") in REQUIREMENTS.with_suffix(".in").read_text()
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    tools = dict(word.rsplit("@", 1) for word in install.split() if "@" in word)
    assert tools == {name: pinned[name] for name in tools}
