"""docs/api/examples.md is current, and each curl and Python example gets a documented response."""

import asyncio
import os
import re
import sys
from collections.abc import Mapping

import pytest

from relay.api.openapi.document import document
from relay.api.operations import OPERATIONS
from scripts.examples import PAGE, operations, page
from tests.e2e.running import RunningRelay, running_relay

AT_ONCE = 4
NOT_RUN = {
    "WaitForInboxMail": "waits for a mail that does not come",
    "DeleteClient": "would remove the client that later examples name",
}
PYTHON = """
import sys
from urllib.error import HTTPError
try:
    exec(sys.stdin.read())
except HTTPError as error:
    print(error.code)
"""


def test_page_is_current() -> None:
    assert PAGE.read_text() == page()


def examples(language: str) -> Mapping[str, str]:
    """Return the code blocks of a language by operation."""
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    fence = re.compile(rf"```{language}\n(.*?)\n```", flags=re.DOTALL)
    return {name: found[1] for name, text in sections if (found := fence.search(text))}


async def test_each_curl_and_python_call_gets_a_documented_answer() -> None:
    documented = _documented()
    async with running_relay({}) as relay:
        environment = await _environment(relay)
        for language in ("sh", "python"):
            statuses = await _run_all(language, environment)
            assert {name for name, status in statuses.items() if str(status) not in documented[name]} == set(), statuses
            good = {name for name, status in statuses.items() if status < 300}
            assert {"SendMessage", "SendBatch", "GetMessage", "ListMessages", "ListRoutes", "Health"} <= good
            # The others name a thing that there is not, or that another example has just removed.
            assert len(good) > len(statuses) / 2, sorted(statuses.items())


def _documented() -> dict[str, set[str]]:
    paths = document("http://relay", OPERATIONS.tags())["paths"]
    return {
        operation.name: set(paths[operation.path][operation.method.lower()]["responses"]) for operation in operations()
    }


async def _environment(relay: RunningRelay) -> dict[str, str]:
    """Create what the examples name: a message, a mail, a webhook, a client, a template, a route."""
    message = {"from": "a@example.com", "to": "delivered@relay.test", "subject": "s", "text": "t"}
    _, sent, _ = await relay.call("POST", "/v1/messages", json=message)
    _, mail, _ = await relay.call("GET", "/v1/inbox/wait?timeout=20")
    await relay.call("POST", "/v1/clients", json={"name": "examples", "policy": {"senders": ["*"]}})
    template = {"subject": "Hello", "text": "Hello {{ name }}", "variables": {"name": {"default": "Ada"}}}
    await relay.call("PUT", "/v1/templates/examples", json=template)
    _, hook, _ = await relay.call("POST", "/v1/webhooks", json=_example("CreateWebhook"))
    return {
        **os.environ,
        "RELAY_URL": relay.url,
        "RELAY_KEY": relay.key,
        "MESSAGE_ID": sent["id"],
        "MAIL_NAME": mail["name"],
        "CLIENT_NAME": "examples",
        "TEMPLATE_NAME": "examples",
        "ROUTE_NAME": "capture",
        "EMAIL": "ada@example.org",
        "WEBHOOK_ID": hook["id"],
        "UPLOAD_ID": "att_none",
        "ID": "00000000",
        "NUMBER": "1",
        "PART": "1",
        "VERSION": "1",
    }


def _example(name: str) -> Mapping[str, object]:
    body = next(operation.body for operation in OPERATIONS if operation.name == name)
    return {} if body is None else body.example or {}


async def _run_all(language: str, environment: Mapping[str, str]) -> dict[str, int]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(code: str) -> int:
        async with gate:
            return await _run(language, code, environment)

    chosen = {name: code for name, code in examples(language).items() if name not in NOT_RUN}
    return dict(zip(chosen, await asyncio.gather(*map(one, chosen.values())), strict=True))


async def _run(language: str, code: str, environment: Mapping[str, str]) -> int:
    """Return the status of the response to an example."""
    if language == "sh":
        code = code.replace("curl -sS", "curl -sS -m 120 -o /dev/null -w '%{http_code}'", 1)
        argv, text = ("sh", "-c", code), b""
    else:
        argv, text = (sys.executable, "-c", PYTHON), code.encode()
    process = await asyncio.create_subprocess_exec(
        *argv, env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(text)
    found = re.match(rb"\d{3}", output)
    if found is None or process.returncode:
        pytest.fail(f"an example did not run: {code[:200]}")
    return int(found[0])
