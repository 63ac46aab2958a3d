"""The pages under /admin."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from devhost.admin import AdminPages, function_line
from devhost.host_json import HostSettings
from devhost.outputs import Invoker
from devhost.queues import Notices
from devhost.values import Datum
from devhost.worker import Function, Invocation
from tests.devhost.doubles import MemoryQueue, function

SETTINGS = HostSettings()
FUNCTIONS = (
    function("Echo", "httpTrigger", trigger={"route": "echo", "methods": ["get", "POST"]}),
    function("Consume", "queueTrigger"),
    function("Tick", "timerTrigger"),
)


class Host:
    """A double of the host."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.state = "Running"
        self.host_id = "machine-1"
        self.is_draining = False
        self.uptime_seconds = 1.5
        self.outstanding = 0

    def drain(self) -> None:
        self.is_draining = True

    def resume(self) -> None:
        self.is_draining = False


class Worker:
    """A worker double: puts each invocation into `seen`."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[tuple[str, Datum, Mapping[str, Datum]]] = asyncio.Queue()

    async def invoke(
        self, function: Function, value: Datum, trigger_metadata: Mapping[str, Datum], trace_parent: str = ""
    ) -> Invocation:
        await self.seen.put((function.name, value, trigger_metadata))
        return Invocation(succeeded=True)


def pages(host: Host | None = None, worker: Worker | None = None, **environment: str) -> AdminPages:
    return AdminPages(
        host=host or Host(),
        functions=FUNCTIONS,
        disabled=frozenset({"Tick"}),
        settings=SETTINGS,
        invoker=Invoker(worker or Worker(), is_base64=True, queue_for=lambda _: MemoryQueue(), notices=Notices()),
        environment={"WEBSITE_HOSTNAME": "localhost:7071", **environment},
    )


async def get(page: str, host: Host | None = None) -> Any:
    reply = await pages(host)("GET", page, b"")
    assert reply.status == 200
    return json.loads(reply.body)


async def test_status_has_state_and_errors() -> None:
    host = Host()
    status = await get("/admin/host/status", host)
    assert (status["state"], status["id"], status["processUptime"]) == ("Running", "machine-1", 1500)
    assert "errors" not in status
    host.errors = ["The 'x' function is in error: why"]
    assert (await get("/admin/host/status", host))["errors"] == host.errors


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_ping_returns_200(method: str) -> None:
    assert (await pages()(method, "/admin/host/ping", b"")).status == 200


async def test_function_list_has_bindings_and_addresses() -> None:
    listed = {described["name"]: described for described in await get("/admin/functions")}
    assert set(listed) == {"Echo", "Consume", "Tick"}
    assert listed["Echo"]["invoke_url_template"] == "http://localhost:7071/api/echo"
    assert [listed[name]["isDisabled"] for name in ("Consume", "Tick")] == [False, True]
    assert await get("/admin/functions/echo") == listed["Echo"]
    assert await get("/admin/functions/tick/status") == {"isDisabled": True, "errors": None}


@pytest.mark.parametrize(
    ("method", "page"),
    [("GET", "/admin/functions/none"), ("GET", "/admin/functions/echo/keys"), ("PUT", "/admin/functions/echo"),
     ("POST", "/admin/functions/none"), ("POST", "/admin/functions/echo/status"), ("GET", "/admin/other")],
)  # fmt: skip
async def test_unknown_admin_page_is_404(method: str, page: str) -> None:
    assert (await pages()(method, page, b'{"input": ""}')).status == 404


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"input": null}', b"[]", b"{"])
async def test_invocation_without_input_is_400(body: bytes) -> None:
    assert (await pages()("POST", "/admin/functions/consume", body)).status == 400


async def test_invoked_queue_function_receives_the_input_as_a_message() -> None:
    worker = Worker()
    made = pages(worker=worker)
    assert (await made("POST", "/admin/functions/consume", b'{"input": "hi"}')).status == 202
    name, value, metadata = await worker.seen.get()
    assert (name, value.type, value.value) == ("Consume", "string", "hi")
    assert metadata["DequeueCount"].value == "0"
    assert not {"Id", "PopReceipt"} & set(metadata)


async def test_disabled_timer_can_be_invoked() -> None:
    worker = Worker()
    made = pages(worker=worker)
    assert (await made("POST", "/admin/functions/tick", b'{"input": ""}')).status == 202
    name, value, _ = await worker.seen.get()
    assert name == "Tick"
    assert json.loads(value.value)["IsPastDue"] is False


async def test_invoked_http_function_receives_the_input_as_its_body() -> None:
    worker = Worker()
    made = pages(worker=worker)
    await made("POST", "/admin/functions/echo", b'{"input": {"a": 1}}')
    _, value, _ = await worker.seen.get()
    assert (value.value["method"].value, value.value["body"].value) == ("POST", b'{"a": 1}')


async def test_drain_is_completed_once_no_invocation_runs() -> None:
    host = Host()
    made = pages(host)
    assert json.loads((await made("GET", "/admin/host/drain/status", b"")).body)["state"] == "Disabled"
    assert (await made("POST", "/admin/host/drain", b"")).status == 202
    host.outstanding = 2
    under_way = json.loads((await made("GET", "/admin/host/drain/status", b"")).body)
    assert under_way == {"state": "InProgress", "outstandingInvocations": 2, "outstandingRetries": 0}
    host.outstanding = 0
    assert json.loads((await made("GET", "/admin/host/drain/status", b"")).body)["state"] == "Completed"
    assert (await made("POST", "/admin/host/resume", b"")).status == 200
    assert not host.is_draining


@pytest.mark.parametrize(("setting", "status"), [("", 200), ("true", 204)])
async def test_home_page_can_be_disabled(setting: str, status: int) -> None:
    assert (await pages(AzureWebJobsDisableHomepage=setting)("GET", "/", b"")).status == status


def test_startup_list_has_methods_and_addresses() -> None:
    lines = [function_line(f, "http://127.0.0.1:7071", SETTINGS) for f in FUNCTIONS[:2]]
    assert lines == ["\tEcho: [GET,POST] http://127.0.0.1:7071/api/echo", "\tConsume: queueTrigger"]
