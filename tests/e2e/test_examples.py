"""docs/api/examples.md is current, and each curl and Python example gets a documented response."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import pytest

from relay.api.openapi.document import document
from relay.api.operations import OPERATIONS
from relay.platform.concurrency import gather_limited
from scripts.examples import PAGE, operations, page
from tests.e2e.running import RunningRelay, running_relay

AT_ONCE = 4
NOT_RUN = {
    "WaitForInboxMail": "waits for a mail that does not come",
    "DeleteClient": "would remove the client that later examples name",
}
PYTHON = """
import contextlib, io, json, sys
from urllib.error import HTTPError

printed = []
for code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            exec(code, {})
        except HTTPError as error:
            print(error.code)
    printed.append(output.getvalue())
json.dump(printed, sys.stdout)
"""
"""Runs all Python examples one after the other: a process for each would spend its time on starting."""


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
    """Create what the examples name: a message, a mail, a webhook, a client, a template, a topic, a route."""
    message = {"from": "a@example.com", "to": "delivered@relay.test", "subject": "s", "text": "t"}
    _, sent, _ = await relay.call("POST", "/v1/messages", json=message)
    _, mail, _ = await relay.call("GET", "/v1/inbox/wait?timeout=20")
    await relay.call("POST", "/v1/clients", json={"name": "examples", "policy": {"senders": ["*"]}})
    template = {"subject": "Hello", "text": "Hello {{ name }}", "variables": {"name": {"default": "Ada"}}}
    await relay.call("PUT", "/v1/templates/examples", json=template)
    await relay.call("PUT", "/v1/topics/examples", json={})
    _, hook, _ = await relay.call("POST", "/v1/webhooks", json=_example("CreateWebhook"))
    return {
        **os.environ,
        "RELAY_URL": relay.url,
        "RELAY_KEY": relay.key,
        "MESSAGE_ID": sent["id"],
        "MAIL_NAME": mail["name"],
        "CLIENT_NAME": "examples",
        "TEMPLATE_NAME": "examples",
        "TOPIC_NAME": "examples",
        "ROUTE_NAME": "capture",
        "STEP_NAME": "health_log",
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
    """Return the status of the response to each example."""
    chosen = {name: code for name, code in examples(language).items() if name not in NOT_RUN}
    codes = list(chosen.values())
    printed = await (_curl_all(codes, environment) if language == "sh" else _python_all(codes, environment))
    return {name: _status(name, text) for name, text in zip(chosen, printed, strict=True)}


def _status(name: str, text: str) -> int:
    found = re.match(r"\d{3}", text)
    if found is None:
        pytest.fail(f"the example of {name} did not run")
    return int(found[0])


async def _curl_all(codes: Sequence[str], environment: Mapping[str, str]) -> Sequence[str]:
    async def one(code: str) -> str:
        code = code.replace("curl -sS", "curl -sS -m 120 -o /dev/null -w '%{http_code}'", 1)
        return await _output(("sh", "-c", code), "", environment)

    return await gather_limited([partial(one, code) for code in codes], limit=AT_ONCE)


async def _python_all(codes: Sequence[str], environment: Mapping[str, str]) -> Sequence[str]:
    printed: Sequence[str] = json.loads(await _output((sys.executable, "-c", PYTHON), json.dumps(codes), environment))
    return printed


async def _output(argv: Sequence[str], text: str, environment: Mapping[str, str]) -> str:
    """Run a program with `text` as its input. Returns what it printed."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stdin=pipe, stdout=pipe)
    output, _ = await process.communicate(text.encode())
    assert process.returncode == 0, output
    return output.decode()
