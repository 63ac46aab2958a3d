"""The whole host as a process, with the sample app, on Azurite."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from devhost.azure_storage import Storage, StorageQueue
from tests.devhost.running import RunningHost, running_host

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(azurite: str) -> AsyncIterator[RunningHost]:
    storage = Storage()
    for name in ("sample-host", "sample-host-poison"):
        await _created(storage.queue(azurite, name))
    async with running_host(azurite, "sample-host") as running:
        yield running
    await storage.close()


@pytest_asyncio.fixture(loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def queue(azurite: str) -> AsyncIterator[StorageQueue]:
    storage = Storage()
    yield storage.queue(azurite, "sample-host")
    await storage.close()


async def _created(queue: StorageQueue) -> None:
    """Create the queue by a put, then delete the message."""
    await queue.put("")
    [message] = await queue.receive(1, 60)
    await queue.delete(message.id, message.pop_receipt)


async def json_of(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        assert response.status == 200
        return await response.json()


async def test_startup_lists_functions_and_routes(host: RunningHost) -> None:
    assert f"\techo: [GET,POST] {host.url}/echo/{{*rest}}" in host.lines
    assert "\tconsume: queueTrigger" in host.lines


async def test_misconfigured_function_is_reported_and_the_others_run(
    host: RunningHost, session: aiohttp.ClientSession
) -> None:
    status = await json_of(session, f"{host.url}/admin/host/status")
    assert status["state"] == "Running"
    assert status["errors"] == [
        "The 'misconfigured' function is in error: '%NOT_SET%' does not resolve to a value: add the app setting 'NOT_SET'."
    ]


async def test_timer_with_run_on_startup_fires_at_start(host: RunningHost) -> None:
    note = await host.notes.next("tick")
    assert note.answer() == {"kind": "tick", "past_due": False}


async def test_http_function_receives_the_whole_request(host: RunningHost, session: aiohttp.ClientSession) -> None:
    target = f"{host.url}/echo/a/b?q=1&empty="
    async with session.post(target, data="héllo", headers={"X-One": "1"}) as response:
        seen = await response.json()
        assert (response.status, response.headers["x-sample"]) == (200, "yes")
    assert (seen["method"], seen["body"], seen["query"], seen["route"]) == (
        "POST",
        "héllo",
        {"q": "1"},
        {"rest": "a/b"},
    )
    assert seen["url"] == target
    assert seen["headers"]["x-one"] == "1"


async def test_chunked_body_arrives_empty(host: RunningHost, session: aiohttp.ClientSession) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"lost"

    async with session.post(f"{host.url}/echo/x", data=parts()) as response:
        assert (await response.json())["body"] == ""


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        ("POST /plain", 202, b"{}"),
        ("GET /plain", 404, b""),
        ("GET /items/7", 200, b"7"),
        ("GET /items/seven", 404, b""),
        ("GET /fails", 500, b""),
        ("GET /envelope", 201, b"inside"),
    ],
)
async def test_http_function_results_become_responses(
    host: RunningHost, session: aiohttp.ClientSession, request_line: str, status: int, body: bytes
) -> None:
    method, path = request_line.split()
    async with session.request(method, f"{host.url}{path}") as response:
        assert (response.status, await response.read()) == (status, body)


async def test_failure_is_logged_with_function_name_and_traceback(
    host: RunningHost, session: aiohttp.ClientSession
) -> None:
    async with session.get(f"{host.url}/fails"):
        pass
    logged = "\n".join(host.lines)
    assert "ERROR    [fails] Native invocation failed" in logged
    assert "RuntimeError: a bug" in logged


async def test_output_message_reaches_the_listener(host: RunningHost, session: aiohttp.ClientSession) -> None:
    async with session.post(f"{host.url}/forward", data=b"from a binding") as response:
        assert response.status == 202
    note = await host.notes.next("consume")
    assert note.answer()["body"] == "from a binding"


async def test_failing_message_runs_five_times_then_moves_to_poison(host: RunningHost, queue: StorageQueue) -> None:
    await queue.put("fail")
    counts = [(await host.notes.next("consume")).answer()["dequeue_count"] for _ in range(5)]
    assert counts == [1, 2, 3, 4, 5]
    note = await host.notes.next("poison")
    assert note.answer() == {"kind": "poison", "body": "fail", "dequeue_count": 1}


async def test_id_in_a_json_body_replaces_the_message_id(host: RunningHost, queue: StorageQueue) -> None:
    await queue.put('{"id": "mine", "n": 1}')
    assert (await host.notes.next("consume")).answer()["id"] == "mine"


async def test_admin_invocation_runs_in_the_background(host: RunningHost, session: aiohttp.ClientSession) -> None:
    async with session.post(f"{host.url}/admin/functions/consume", json={"input": "by hand"}) as response:
        assert response.status == 202
    note = (await host.notes.next("consume")).answer()
    assert note == {"kind": "consume", "id": None, "body": "by hand", "dequeue_count": 0}


async def test_drained_host_receives_no_messages_until_resumed(
    host: RunningHost, session: aiohttp.ClientSession, queue: StorageQueue
) -> None:
    await queue.put("before")
    under_way = await host.notes.next("consume")
    async with session.post(f"{host.url}/admin/host/drain") as response:
        assert response.status == 202
    status = await json_of(session, f"{host.url}/admin/host/drain/status")
    assert status == {"state": "InProgress", "outstandingInvocations": 1, "outstandingRetries": 0}
    under_way.answer()
    await queue.put("while drained")
    # HTTP triggers and admin pages still run functions; the listeners do not.
    async with session.post(f"{host.url}/admin/functions/consume", json={"input": "by hand"}):
        pass
    assert (await host.notes.next("consume")).answer()["body"] == "by hand"
    async with session.post(f"{host.url}/admin/host/resume") as response:
        assert await response.json() == {"state": "Running"}
    assert (await host.notes.next("consume")).answer()["body"] == "while drained"
    # A resume restarts all listeners, so this timer runs on startup again.
    (await host.notes.next("tick")).answer()


async def test_app_that_fails_to_load_is_reported_at_start(azurite: str, tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0"}))
    (tmp_path / "function_app.py").write_text("import azure.functions as func\napp = func.FunctionApp(\n")
    async with running_host(azurite, "unused", app=tmp_path) as faulty:
        assert "Host has errors: SyntaxError:" in "\n".join(faulty.lines)
