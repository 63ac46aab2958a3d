"""The deployment hooks against a relay in this process, whose storage first refuses, as new role assignments do."""

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

from hooks import postdeploy, postprovision, predeploy
from hooks.steps import storage_environment, until
from hooks.system import Response, StepError, System, http_calls
from relay.api.http import Request
from relay.bootstrap import Relay, configuration
from relay.core.errors import Unavailable
from relay.platform.resources import queues_of
from relay.platform.storage.memory.memory_storage import MemoryQueues, MemoryStorage, memory_storage
from tests.doubles import Clock
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
    """Queues that refuse creation the first `refusals` times."""

    refusals = 0

    async def create(self, queue: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("create queue: 403 AuthorizationPermissionMismatch")
        await super().create(queue)


class Deployment:
    """A deployed relay, with a record of what the hooks report, how long they wait, and what they call."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(datetime.now(UTC))
        memory = memory_storage(self.clock)
        self.queues = LateQueues(self.clock)
        self.storage = MemoryStorage(queues=self.queues, tables=memory.tables, blobs=memory.blobs)
        self.settings: dict[str, str] = {}
        self.reported: list[str] = []
        self.waited: list[float] = []
        self.doctor_runs: list[tuple[str, str]] = []
        self.is_healthy = True
        self.is_delivering = True
        self.cold_responses: list[Response] = []
        self.site: dict[str, Any] = {"properties": {"functionAppConfig": {"siteUpdateStrategy": {"type": "Recreate"}}}}
        self.managed: list[tuple[str, str]] = []
        self.offers_rolling_updates = True
        self.app = self._relay()
        self.system = System(
            call=self._call,
            manage=self._manage,
            start=self._start,
            passes_doctor=self._passes_doctor,
            sleep=self._sleep,
            report=self.reported.append,
            folder=folder,
            attempts=5,
        )

    def _relay(self, **environment: str) -> Relay:
        return Relay(configuration.load(environment), self.storage, clock=self.clock, sleep=self.clock.sleep)

    def _start(self, environment: Mapping[str, str]) -> Relay:
        self.settings = dict(environment)
        return self._relay()

    async def _passes_doctor(self, url: str, key: str) -> bool:
        self.doctor_runs.append((url, key))
        return self.is_healthy

    async def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def _call(self, method: str, url: str, key: str, body: Any) -> Response:
        assert url.startswith(f"{URL}/v1/")
        if self.cold_responses:
            return self.cold_responses.pop(0)
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "content-length": str(len(content))}
        if key:
            headers["x-api-key"] = key
        request = Request(method=method, path=url.removeprefix(URL), url=url, headers=headers, body=content)
        response = await self.app.api.handle(request)
        if method == "POST" and self.is_delivering:
            await self._deliver()
        return Response(status=response.status, body=json.loads(response.body) if response.body else None)

    async def _manage(self, method: str, path: str, body: Any) -> Response:
        self.managed.append((method, path))
        if method == "PATCH" and not self.offers_rolling_updates:
            return Response(status=400, body={"error": {"message": "not in this region"}})
        if method == "PATCH":
            self.site = body
        return Response(status=200, body=self.site)

    async def _deliver(self) -> None:
        for queue in queues_of(self.app.settings.lanes):
            for entry in await self.queues.receive(queue, limit=32):
                await self.app.delivery.deliver(queue, entry.body)
                await self.queues.delete(queue, entry)


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


async def provisioned(deployment: Deployment) -> Deployment:
    await postprovision.run(OUTPUTS, deployment.system)
    return deployment


async def test_provisioning_retries_until_storage_allows_access(deployment: Deployment) -> None:
    deployment.queues.refusals = 3
    await postprovision.run(OUTPUTS, deployment.system)
    assert deployment.waited == [15.0] * 3
    assert deployment.reported == [
        "Access to storage: waiting (create queue: 403 AuthorizationPermissionMismatch).",
        "Access to storage: done.",
    ]
    assert await deployment.app.clients.all() == {}


async def test_lasting_refusal_by_storage_fails_with_its_reason(deployment: Deployment) -> None:
    deployment.queues.refusals = 1_000
    with pytest.raises(
        StepError, match=r"gave up after 5 attempts\. Last result: create queue: 403 AuthorizationPermissionMismatch"
    ):
        await postprovision.run(OUTPUTS, deployment.system)
    assert len(deployment.waited) == 4


async def test_deployment_outputs_become_identity_settings(deployment: Deployment) -> None:
    lanes = '{"night": {}}'
    await postprovision.run({**OUTPUTS, "RELAY_LANES": lanes, "AzureWebJobsStorage": "a local one"}, deployment.system)
    assert deployment.settings == {
        "AzureWebJobsStorage__blobServiceUri": OUTPUTS["RELAY_STORAGE_BLOB_URL"],
        "AzureWebJobsStorage__queueServiceUri": OUTPUTS["RELAY_STORAGE_QUEUE_URL"],
        "AzureWebJobsStorage__tableServiceUri": OUTPUTS["RELAY_STORAGE_TABLE_URL"],
        "RELAY_LANES": lanes,
    }


AZURE = {"AZURE_SUBSCRIPTION_ID": "1-2-3", "AZURE_RESOURCE_GROUP": "rg-test", "RELAY_APP_NAME": "func-relay"}
SITE = "/subscriptions/1-2-3/resourceGroups/rg-test/providers/Microsoft.Web/sites/func-relay?api-version=2024-11-01"


async def test_update_strategy_stays_without_the_setting(deployment: Deployment) -> None:
    await postprovision.run({**OUTPUTS, **AZURE}, deployment.system)
    assert deployment.managed == []


async def test_rolling_updates_are_set_once(deployment: Deployment) -> None:
    environ = {**OUTPUTS, **AZURE, "RELAY_ROLLING_UPDATES": "true"}
    await postprovision.run(environ, deployment.system)
    assert deployment.site == {"properties": {"functionAppConfig": {"siteUpdateStrategy": {"type": "RollingUpdate"}}}}
    assert deployment.managed == [("GET", SITE), ("PATCH", SITE)]
    assert deployment.reported[0] == "Update strategy: RollingUpdate, from the next update on."
    await postprovision.run(environ, deployment.system)
    assert deployment.managed[2:] == [("GET", SITE)]
    await postprovision.run({**environ, "RELAY_ROLLING_UPDATES": "false"}, deployment.system)
    assert deployment.site["properties"]["functionAppConfig"]["siteUpdateStrategy"] == {"type": "Recreate"}


async def test_region_without_rolling_updates_error_names_the_setting(deployment: Deployment) -> None:
    deployment.offers_rolling_updates = False
    with pytest.raises(StepError, match=r"400 .*not in this region.*RELAY_ROLLING_UPDATES"):
        await postprovision.run({**OUTPUTS, **AZURE, "RELAY_ROLLING_UPDATES": "true"}, deployment.system)


PAUSING = {**OUTPUTS, "RELAY_PAUSE_DEPLOYMENTS": "true"}


async def paused_routes(deployment: Deployment) -> list[str]:
    return [hold.route for hold in (await deployment.app.holds.all(fresh=True)).values() if hold.is_paused]


async def test_deployment_pauses_delivery_and_resumes_it(deployment: Deployment) -> None:
    await provisioned(deployment)
    await postdeploy.run(PAUSING, deployment.system)
    await predeploy.run(PAUSING, deployment.system)
    assert deployment.reported[-1] == "Pause: done."
    assert await paused_routes(deployment) == ["capture"]
    await postdeploy.run({**PAUSING, **MAIL}, deployment.system)
    assert "Resume: done." in deployment.reported
    assert deployment.reported[-1] == "The provider accepted the test mail."


async def test_first_deployment_is_not_paused(deployment: Deployment) -> None:
    await provisioned(deployment)
    await predeploy.run(PAUSING, deployment.system)
    assert deployment.reported[-1].startswith("Delivery not paused:")


async def test_deployment_without_the_setting_is_not_paused(deployment: Deployment) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.system)
    await predeploy.run(OUTPUTS, deployment.system)
    assert await paused_routes(deployment) == []


async def test_unreachable_app_stops_the_deployment_before_it_begins(deployment: Deployment) -> None:
    await provisioned(deployment)
    await postdeploy.run(PAUSING, deployment.system)
    deployment.cold_responses = [Response(status=0)] * 5
    with pytest.raises(StepError, match="RELAY_PAUSE_DEPLOYMENTS=false deploys without a pause"):
        await predeploy.run(PAUSING, deployment.system)


def test_missing_outputs_error_names_all_of_them() -> None:
    with pytest.raises(StepError, match="RELAY_STORAGE_BLOB_URL, RELAY_STORAGE_QUEUE_URL, RELAY_STORAGE_TABLE_URL"):
        storage_environment({})


@pytest.mark.parametrize("hook", [postprovision, postdeploy])
async def test_private_storage_without_admin_address_is_skipped(deployment: Deployment, hook: Any) -> None:
    await provisioned(deployment)
    deployment.settings = {}
    await hook.run({**OUTPUTS, "VNET_ENABLED": "true"}, deployment.system)
    assert deployment.settings == {}
    assert "only calls from the virtual network" in deployment.reported[-1]
    await hook.run({**OUTPUTS, "VNET_ENABLED": "true", "ADMIN_IP_ADDRESS": "192.0.2.1"}, deployment.system)
    assert deployment.settings != {}


async def test_first_key_is_an_operator_key_in_a_private_file(deployment: Deployment, tmp_path: Path) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.system)
    written = tmp_path / ".azure" / "test" / "relay-client-key"
    key = written.read_text().strip()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert deployment.doctor_runs == [(URL, key)]
    client = await deployment.app.clients.by_key(key)
    assert client is not None
    assert client.role == "operator"
    assert key not in "\n".join(deployment.reported)
    assert deployment.reported[-1].startswith("No test mail")


async def test_second_deployment_reuses_the_stored_key(deployment: Deployment, tmp_path: Path) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.system)
    await postdeploy.run(OUTPUTS, deployment.system)
    assert len(set(deployment.doctor_runs)) == 1


async def test_missing_key_file_of_existing_client_skips_the_doctor(deployment: Deployment, tmp_path: Path) -> None:
    await provisioned(deployment)
    await postdeploy.run(OUTPUTS, deployment.system)
    (tmp_path / ".azure" / "test" / "relay-client-key").unlink()
    await postdeploy.run(OUTPUTS, deployment.system)
    assert len(deployment.doctor_runs) == 1
    assert "its key is not on this computer" in deployment.reported[-1]


async def test_cold_app_is_polled_until_ready(deployment: Deployment) -> None:
    await provisioned(deployment)
    unavailable = Response(status=503, body={"storage": "Unavailable"})
    deployment.cold_responses = [Response(status=0), unavailable, unavailable]
    await postdeploy.run(OUTPUTS, deployment.system)
    assert deployment.waited == [15.0] * 3
    assert [line for line in deployment.reported if line.startswith("App:")] == [
        "App: waiting (no response).",
        'App: waiting (response 503 {"storage": "Unavailable"}).',
        "App: done.",
    ]


async def test_failed_doctor_fails_the_deployment(deployment: Deployment) -> None:
    await provisioned(deployment)
    deployment.is_healthy = False
    with pytest.raises(StepError, match="doctor found problems"):
        await postdeploy.run({**OUTPUTS, **MAIL}, deployment.system)


async def test_test_mail_is_polled_until_sent(deployment: Deployment) -> None:
    await provisioned(deployment)
    await postdeploy.run({**OUTPUTS, **MAIL}, deployment.system)
    assert deployment.reported[-1] == "The provider accepted the test mail."
    [caught] = [each async for each in deployment.app.inbox.all()]
    assert caught.subject == "Relay works"


async def test_held_test_mail_succeeds_with_a_note(deployment: Deployment) -> None:
    await provisioned(deployment)
    await deployment.app.holds.hold("capture", "account_restricted")
    await postdeploy.run({**OUTPUTS, **MAIL}, deployment.system)
    assert "route is held" in deployment.reported[-1]


async def test_test_mail_that_stays_queued_fails(deployment: Deployment) -> None:
    await provisioned(deployment)
    deployment.is_delivering = False
    with pytest.raises(StepError, match=r"Test mail: gave up after 5 attempts\. Last result: state queued"):
        await postdeploy.run({**OUTPUTS, **MAIL}, deployment.system)


async def test_refused_test_mail_error_gives_the_response(deployment: Deployment) -> None:
    await provisioned(deployment)
    with pytest.raises(StepError, match=r"refused: 400 .*invalid_address"):
        await postdeploy.run({**OUTPUTS, **MAIL, "RELAY_TEST_SENDER": "no-address"}, deployment.system)


async def test_successful_step_runs_once(deployment: Deployment) -> None:
    async def attempt() -> str:
        attempts.append(1)
        return ""

    attempts: list[int] = []
    await until("It", attempt, deployment.system)
    assert (len(attempts), deployment.waited) == (1, [])


async def test_calls_send_the_key_and_return_status_0_without_an_app() -> None:
    seen: list[tuple[str, str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.headers.get("x-api-key", ""), await request.text()))
        return web.json_response({"id": "1"}, status=202) if request.method == "POST" else web.Response(text="hello")

    async with http_calls() as call:
        async with serving(handle) as url:
            accepted = await call("POST", f"{url}/", "relay_key", {"a": 1})
            text = await call("GET", f"{url}/", "", None)
        absent = await call("GET", f"{url}/", "", None)
    assert accepted == Response(status=202, body={"id": "1"})
    assert text == Response(status=200)
    assert absent == Response(status=0)
    assert seen == [("POST", "relay_key", '{"a": 1}'), ("GET", "", "")]


async def test_calls_to_azure_carry_the_token() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert "x-api-key" not in request.headers
        return web.json_response(request.headers["Authorization"])

    async with http_calls() as call, serving(handle) as url:
        assert (await call("GET", f"{url}/", "Bearer abc", None)).body == "Bearer abc"


@pytest.mark.parametrize("name", ["postprovision.py", "postdeploy.py"])
def test_hook_run_from_its_own_folder_names_the_missing_command(name: str) -> None:
    done = subprocess.run(
        [sys.executable, name], cwd=ROOT / "hooks", env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "azd provision" in done.stderr
    assert "Traceback" not in done.stderr
