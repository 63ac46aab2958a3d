"""The commands of every page that calls a relay work. tests/repository/test_documented_commands.py has the other pages."""

import asyncio
import re
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.documented.pages import OTHERS, ROOT, VARIABLES, calls_relay, commands, languages, pages
from tests.documented.programs import SHIMS, Programs
from tests.documented.shell import run_shell, script, shims_working, write_shims
from tests.e2e.running import RunningRelay, running_relay

PYTHON = {
    "docs/api/attachments.md": "tests/api/test_reference_docs.py",
    "docs/api/raw-mime.md": "tests/e2e/test_mail_programs.py",
    "docs/api/templates.md": "tests/api/test_reference_docs.py",
    "docs/api/waiting.md": "tests/api/test_waiting.py",
    "docs/sendgrid-compatible.md": "tests/e2e/test_sendgrid_clients.py",
}
"""The tests that run the Python examples of a page."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sendgrid() -> AsyncIterator[SendGridStandIn]:
    async with SendGridStandIn() as stand_in:
        yield stand_in


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(sendgrid: SendGridStandIn) -> AsyncIterator[RunningRelay]:
    """A relay with the routes that pages name."""
    routes = {
        "capture": {"provider": "capture"},
        "sendgrid": {"provider": "sendgrid", "base_url": sendgrid.url},
        "exchange": {"provider": "capture"},
    }
    settings = {
        "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
        "RELAY_ROUTING": '[{"routes": ["capture"]}]',
        "SENDGRID_API_KEY": DEFAULT_KEY,
    }
    async with running_relay(settings) as running:
        yield running


def write_files(folder: Path, key: str, *, python: Path) -> None:
    """Write the files that a reader has: the environment, keys, mails, lists."""
    mail = "From: a@example.com\r\nTo: delivered@relay.test\r\nSubject: A file\r\n\r\nHello.\r\n"
    files = {
        ".local/client-key": key,
        ".azure/prod/relay-client-key": key,
        ".venv/bin/activate": "",
        "invoice.pdf": "%PDF-1.7\n",
        "suppressions.csv": "email,reason\nnobody@example.org,bounced\n",
        "pickup/one.eml": mail,
        "mailroot/failed/one.eml": mail,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(python, folder / ".venv/bin/python")


async def create(relay: RunningRelay, sendgrid: SendGridStandIn) -> Mapping[str, str]:
    """Create what pages assume. Returns texts of pages, and what a reader writes instead."""
    text = {"Content-Type": "text/plain"}
    _, upload, _ = await relay.call("POST", "/v1/attachments?name=a.txt", data=b"a", headers=text)
    await relay.call("POST", "/v1/clients", json={"name": "newsletter", "policy": {"senders": ["*"]}})
    return {
        "https://relay.example RELAY_KEY=relay_…": f"{relay.url} RELAY_KEY={relay.key}",
        "att_019c…": upload["id"],
        "<the verification key>": sendgrid.webhook.public_key,
        "SG.…": DEFAULT_KEY,
    }


def variables(relay: RunningRelay, sendgrid: SendGridStandIn) -> Mapping[str, str]:
    """Return the variables that a reader has set."""
    values = (relay.url, relay.key, relay.key, sendgrid.url, "rg-prod", "westeurope")
    return dict(zip(VARIABLES, values, strict=True))


async def remove_clients(relay: RunningRelay) -> None:
    """Remove what a page created: the next one may use the same name."""
    _, listed, _ = await relay.call("GET", "/v1/clients")
    for client in listed["value"]:
        if client["name"] != "first":
            await relay.call("DELETE", f"/v1/clients/{client['name']}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("page", [page for page in pages() if page not in OTHERS and calls_relay(page)])
async def test_every_command_of_a_page_works(
    page: str, relay: RunningRelay, sendgrid: SendGridStandIn, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    write_shims(tmp_path / "bin", SHIMS)
    write_files(folder, relay.key, python=tmp_path / "bin/python")
    values = await create(relay, sendgrid)
    programs = Programs(url=relay.url, environment=relay.environment, folder=folder, sendgrid_url=sendgrid.url)
    async with shims_working(tmp_path / "bin", programs.run) as environment:
        own = variables(relay, sendgrid)
        ran = await run_shell(script(commands(page), values), folder=folder, environment={**environment, **own})
    await remove_clients(relay)
    assert ran.code == 0, ran.errors + ran.output
    assert programs.seen


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("page", [page for page in pages() if "python" in languages(page) and page not in OTHERS])
async def test_python_examples_run(page: str, relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in PYTHON:
        assert Path(page).name in (ROOT / PYTHON[page]).read_text()
        return
    monkeypatch.setenv("RELAY_URL", relay.url)
    monkeypatch.setenv("RELAY_KEY", relay.key)
    body, now = "{}", datetime.now(UTC)
    secret = "whsec_" + b64encode(b"a key of a webhook 123456").decode()
    signed = Webhook(secret).sign("evt_1", now, body)
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signed}
    for example in re.findall(
        r"^( *)```python\n(.*?)^ *```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE
    ):
        code = compile(dedent(example[1]), page, "exec")
        await asyncio.to_thread(exec, code, {"secret": secret, "body": body, "headers": headers})
