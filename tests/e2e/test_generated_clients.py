"""Clients that other people's tools generate from the OpenAPI document send, read and list messages."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.running import ROOT, RunningRelay, running_relay

FILES = Path(__file__).parent / "generated_clients"
NODE_MODULES = ROOT / "node_modules"
TOOLS_SECONDS = 300
UV = (sys.executable, "-m", "uv", "run", "--quiet", "--no-project", "--isolated", "--python", sys.executable)
PYTHON_TOOLS = (*UV, "--with-requirements", str(FILES / "requirements.txt"))
STRICT = ("--strict", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay() -> AsyncIterator[RunningRelay]:
    """A relay that has sent a message, so that lists are not empty."""
    mail = {"from": "shop@example.com", "to": "ada@example.net", "subject": "Earlier", "text": "Hello."}
    async with running_relay({}) as running:
        assert (await running.call("POST", "/v1/messages", json=mail))[0] == 202
        assert (await running.call("GET", "/v1/inbox/wait?timeout=60"))[0] == 200
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def document(relay: RunningRelay, tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, found, _ = await relay.call("GET", "/openapi.json")
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(found))
    return path


async def run(*argv: str, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; its output."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
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


def check(result: Mapping[str, Any]) -> None:
    """Check that the message that was sent was read, and that the list has one: this message, or while it is queued another."""
    assert result["id"].startswith("msg_")
    assert result["read"] == result["id"]
    [listed] = result["listed"]
    assert listed.startswith("msg_")
    assert result["state"] in ("queued", "sending", "sent")


async def test_python_client_is_generated_without_a_warning_and_works(
    relay: RunningRelay, document: Path, tmp_path: Path
) -> None:
    try:
        await run(*PYTHON_TOOLS, "openapi-python-client", "--version", cwd=tmp_path)
    except AssertionError as error:
        is_missing(f"openapi-python-client cannot be installed: {error}")
    options = ("--meta", "none", "--config", str(FILES / "config.yml"), "--fail-on-warning")
    generate = ("openapi-python-client", "generate", "--path", str(document), "--output-path", "relay_client")
    await run(*PYTHON_TOOLS, *generate, *options, cwd=tmp_path)
    script = ("python", str(FILES / "client.py"), relay.url, relay.key)
    output = await run(*PYTHON_TOOLS, *script, cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    check(json.loads(output.splitlines()[-1]))


async def test_typescript_client_is_generated_passes_strict_checks_and_works(
    relay: RunningRelay, document: Path, tmp_path: Path
) -> None:
    if not (NODE_MODULES / "openapi-typescript").exists():
        is_missing("openapi-typescript is not installed: run `make setup`")
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    shutil.copy(FILES / "client.ts", tmp_path)
    node_types = tmp_path / "process.d.ts"
    node_types.write_text("declare const process: { argv: string[] };\n")
    await run("node", "node_modules/openapi-typescript/bin/cli.js", str(document), "-o", "schema.d.ts", cwd=tmp_path)
    sources = ("client.ts", "schema.d.ts", node_types.name)
    await run("node", "node_modules/typescript/bin/tsc", *STRICT, *sources, cwd=tmp_path)
    output = await run("node", "client.js", relay.url, relay.key, cwd=tmp_path)
    check(json.loads(output.splitlines()[-1]))
