"""The hooks of the deployment, run on a relay in this process whose storage refuses as new role assignments do."""

import json
import stat
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from hooks import postdeploy, postprovision
from hooks.steps import storage_environment, until
from hooks.world import Answer, StepError, World, calling
from relay.api.http import Request
from relay.bootstrap import Relay, configuration
from relay.core.errors import Unavailable
from relay.platform.resources import queues_of
from relay.platform.storage.memory.memory_storage import MemoryQueues, MemoryStorage, memory_storage
from tests.serving import serving

ROOT = Path(__file__).parent.parent.parent
URL = "https://relay.example"
OUTPUTS = {
    "AZURE_ENV_NAME": "test",
    "RELAY_URL": f"{URL}/",
    "RELAY_STORAGE_BLOB_URL": "https://account.blob.core.windows.net",
    "RELAY_STORAGE_QUEUE_URL": "https://account.queue.core.windows.net",
    "RELAY_STORAGE_TABLE_URL": "https://account.table.core.windows.net",
}
MAIL = {"RELAY_TEST_SENDER": "relay@example.com", "RELAY_TEST_RECIPIENT": "operator@example.com"}


class LateQueues(MemoryQueues):
    """Queues whose creation is refused a number of times."""

    refusals = 0

    async def create(self, queue: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("create queue: 403 AuthorizationPermissionMismatch")
        await super().create(queue)


class Deployment:
    """A deployed relay: what the hooks are told, how long they waited, and what they call."""

    def __init__(self, folder: Path) -> None:
        memory = memory_storage(utc_now)
        self.queues = LateQueues(utc_now)
        self.storage = MemoryStorage(queues=self.queues, tables=memory.tables, blobs=memory.blobs)
        self.settings: dict[str, str] = {}
        self.told: list[str] = []
        self.waited: list[float] = []
        self.examined: list[tuple[str, str]] = []
        self.is_healthy = True
        self.is_delivering = True
        self.cold_answers: list[Answer] = []
        self.app = self._relay()
        self.world = World(
            ask=self._ask,
            start=self._start,
            examine=self._examine,
            sleep=self._sleep,
            tell=self.told.append,
            folder=folder,
            tries=5,
        )

    def _relay(self, **environment: str) -> Relay:
        return Relay(configuration.load(environment), self.storage)

    def _start(self, environment: Mapping[str, str]) -> Relay:
        self.settings = dict(environment)
        return self._relay()

    async def _examine(self, url: str, key: str) -> bool:
        self.examined.append((url, key))
        return self.is_healthy

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def _ask(self, method: str, url: str, key: str, body: Any) -> Answer:
        assert url.startswith(f"{URL}/v1/")
        if self.cold_answers:
            return self.cold_answers.pop(0)
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        if key:
            headers["x-api-key"] = key
        request = Request(method=method, path=url.removeprefix(URL), url=url, headers=headers, body=content)
        response = await self.app.api.handle(request)
        if method == "POST" and self.is_delivering:
            await self._deliver()
        return Answer(status=response.status, body=json.loads(response.body) if response.body else None)

    async def _deliver(self) -> None:
        for queue in queues_of(self.app.settings.lanes):
            for entry in await self.queues.receive(queue, most=32):
                await self.app.delivery.deliver(queue, entry.body)
                await self.queues.delete(queue, entry)


def utc_now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


async def provisioned(deployment: Deployment) -> Deployment:
    await postprovision.run(OUTPUTS, deployment.world)
    return deployment


async def test_provisioning_waits_until_the_rights_work(deployment: Deployment) -> None:
    deployment.queues.refusals = 3
    await postprovision.run(OUTPUTS, deployment.world)
    assert deployment.waited == [15.0] * 3
    assert deployment.told == [
        "Rights on storage: waiting (create queue: 403 AuthorizationPermissionMismatch).",
        "Rights on storage: done.",
    ]
    assert await deployment.app.clients.all() == {}


async def test_rights_that_never_come_end_with_the_reason(deployment: Deployment) -> None:
    deployment.queues.refusals = 1_000
    with pytest.raises(StepError, match=r"gave up after 5 tries\. create queue: 403 AuthorizationPermissionMismatch"):
        await postprovision.run(OUTPUTS, deployment.world)
    assert len(deployment.waited) == 4


async def test_storage_is_reached_as_whoever_is_signed_in(deployment: Deployment) -> None:
    lanes = '{"night": {}}'
    await postprovision.run({**OUTPUTS, "RELAY_LANES": lanes, "AzureWebJobsStorage": "a local one"}, deployment.world)
    assert deployment.settings == {
        "AzureWebJobsStorage__blobServiceUri": OUTPUTS["RELAY_STORAGE_BLOB_URL"],
        "AzureWebJobsStorage__queueServiceUri": OUTPUTS["RELAY_STORAGE_QUEUE_URL"],
        "AzureWebJobsStorage__tableServiceUri": OUTPUTS["RELAY_STORAGE_TABLE_URL"],
        "RELAY_LANES": lanes,
    }


def test_missing_outputs_are_all_named() -> None:
    with pytest.raises(StepError, match="RELAY_STORAGE_BLOB_URL, RELAY_STORAGE_QUEUE_URL, RELAY_STORAGE_TABLE_URL"):
        storage_environment({})


@pytest.mark.parametrize("hook", [postprovision, postdeploy])
async def test_a_private_network_is_left_alone(deployment: Deployment, hook: Any) -> None:
    await provisioned(deployment)
    deployment.settings = {}
    await hook.run({**OUTPUTS, "VNET_ENABLED": "true"}, deployment.world)
    assert deployment.settings == {}
    assert "virtual network alone" in deployment.told[-1]
    await hook.run({**OUTPUTS, "VNET_ENABLED": "true", "ADMIN_IP_ADDRESS": "192.0.2.1"}, deployment.world)
    assert deployment.settings != {}


async def test_the_first_key_opens_the_app_and_is_written_down(deployment: Deployment, tmp_path: Path) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.world)
    written = tmp_path / ".azure" / "test" / "relay-client-key"
    key = written.read_text().strip()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert deployment.examined == [(URL, key)]
    client = await deployment.app.clients.by_key(key)
    assert client is not None
    assert client.role == "operator"
    assert key not in "\n".join(deployment.told)
    assert deployment.told[-1].startswith("No test mail")


async def test_a_second_deployment_uses_the_key_that_is_there(deployment: Deployment, tmp_path: Path) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.world)
    await postdeploy.run(OUTPUTS, deployment.world)
    assert len(set(deployment.examined)) == 1


async def test_a_key_on_another_computer_is_no_failure(deployment: Deployment, tmp_path: Path) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.world)
    (tmp_path / ".azure" / "test" / "relay-client-key").unlink()
    await postdeploy.run(OUTPUTS, deployment.world)
    assert len(deployment.examined) == 1
    assert deployment.told[-1] == "The first client is there; its key is not on this computer."


async def test_a_cold_app_is_waited_for(deployment: Deployment) -> None:
    await provisioned(deployment)
    unavailable = Answer(status=503, body={"storage": "Unavailable"})
    deployment.cold_answers = [Answer(status=0), unavailable, unavailable]
    await postdeploy.run(OUTPUTS, deployment.world)
    assert deployment.waited == [15.0] * 3
    assert [line for line in deployment.told if line.startswith("The app:")] == [
        "The app: waiting (the app does not answer).",
        'The app: waiting (the app answers 503 {"storage": "Unavailable"}).',
        "The app: done.",
    ]


async def test_what_the_doctor_finds_ends_the_deployment(deployment: Deployment) -> None:
    await provisioned(deployment)
    deployment.is_healthy = False
    with pytest.raises(StepError, match="doctor found something"):
        await postdeploy.run({**OUTPUTS, **MAIL}, deployment.world)


async def test_the_test_mail_is_followed_until_it_is_sent(deployment: Deployment) -> None:
    await provisioned(deployment)
    await postdeploy.run({**OUTPUTS, **MAIL}, deployment.world)
    assert deployment.told[-1] == "The provider took the test mail."
    [caught] = [each async for each in deployment.app.inbox.all()]
    assert caught.subject == "Relay works"


async def test_a_held_test_mail_is_no_failure(deployment: Deployment) -> None:
    await provisioned(deployment)
    await deployment.app.holds.hold("capture", "account_restricted")
    await postdeploy.run({**OUTPUTS, **MAIL}, deployment.world)
    assert "route is held" in deployment.told[-1]


async def test_a_test_mail_that_does_not_move_is_told(deployment: Deployment) -> None:
    await provisioned(deployment)
    deployment.is_delivering = False
    with pytest.raises(StepError, match=r"test mail: gave up after 5 tries\. it is queued"):
        await postdeploy.run({**OUTPUTS, **MAIL}, deployment.world)


async def test_a_refused_test_mail_shows_the_answer(deployment: Deployment) -> None:
    await provisioned(deployment)
    with pytest.raises(StepError, match=r"refused: 400 .*invalid_address"):
        await postdeploy.run({**OUTPUTS, **MAIL, "RELAY_TEST_SENDER": "nobody"}, deployment.world)


async def test_a_step_is_not_tried_again_after_success(deployment: Deployment) -> None:
    async def attempt() -> str:
        attempts.append(1)
        return ""

    attempts: list[int] = []
    await until("It", attempt, deployment.world)
    assert (len(attempts), deployment.waited) == (1, [])


async def test_calls_carry_the_key_and_survive_an_absent_app() -> None:
    seen: list[tuple[str, str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.headers.get("x-api-key", ""), await request.text()))
        return web.json_response({"id": "1"}, status=202) if request.method == "POST" else web.Response(text="hello")

    async with calling() as ask:
        async with serving(handle) as url:
            accepted = await ask("POST", f"{url}/", "relay_key", {"a": 1})
            text = await ask("GET", f"{url}/", "", None)
        absent = await ask("GET", f"{url}/", "", None)
    assert accepted == Answer(status=202, body={"id": "1"})
    assert text == Answer(status=200)
    assert absent == Answer(status=0)
    assert seen == [("POST", "relay_key", '{"a": 1}'), ("GET", "", "")]


@pytest.mark.parametrize("name", ["postprovision.py", "postdeploy.py"])
def test_azd_can_run_the_file_in_its_own_folder(name: str) -> None:
    done = subprocess.run(
        [sys.executable, name], cwd=ROOT / "hooks", env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "azd provision" in done.stderr
    assert "Traceback" not in done.stderr
