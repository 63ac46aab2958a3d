"""The deployment hooks against a relay of real processes: the first key, the doctor, the test mail."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from hooks import postdeploy, postprovision
from hooks.system import Response, System, http_calls, run_doctor
from relay.bootstrap import Relay, start
from tests.e2e.running import RunningRelay, running_relay

OUTPUTS = {
    "AZURE_ENV_NAME": "test",
    # The relay's storage is the emulator's, which these do not name: `starting` uses it.
    "RELAY_STORAGE_BLOB_URL": "https://account.blob.core.windows.net",
    "RELAY_STORAGE_QUEUE_URL": "https://account.queue.core.windows.net",
    "RELAY_STORAGE_TABLE_URL": "https://account.table.core.windows.net",
    "RELAY_TEST_SENDER": "relay@example.com",
    "RELAY_TEST_RECIPIENT": "delivered@relay.test",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay() -> AsyncIterator[RunningRelay]:
    """A relay that captures mail, without the client that the hooks create."""
    async with running_relay({}) as running:
        status, made, _ = await running.call("POST", "/v1/clients", json={"name": "keeper", "role": "operator"})
        assert status == 201
        running.key = made["key"]
        status, _, _ = await running.call("DELETE", "/v1/clients/first")
        assert status == 204
        yield running


def starting(relay: RunningRelay) -> Relay:
    """Build the application on the relay's storage, as on the operator's computer."""
    return start({"AzureWebJobsStorage": relay.environment["AzureWebJobsStorage"]})


async def _no_azure(method: str, path: str, body: Any) -> Response:
    raise AssertionError(f"{method} {path}: the hooks must not change the app by default")


@pytest.mark.asyncio(loop_scope="module")
async def test_hooks_create_the_key_and_send_the_test_mail(relay: RunningRelay, tmp_path: Path) -> None:
    reported: list[str] = []
    environ: Mapping[str, str] = {**os.environ, **OUTPUTS, "RELAY_URL": relay.url}
    async with http_calls() as call:

        async def passes_doctor(url: str, key: str) -> bool:
            return await run_doctor(environ, url, key)

        system = System(
            call=call,
            manage=_no_azure,
            start=lambda _settings: starting(relay),
            passes_doctor=passes_doctor,
            sleep=asyncio.sleep,
            report=reported.append,
            folder=tmp_path,
            pause_seconds=0.2,
        )
        await postprovision.run(environ, system)
        await postdeploy.run(environ, system)
    path = tmp_path / ".azure" / "test" / "relay-client-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "The provider accepted the test mail." in reported
    status, mail, _ = await relay.call("GET", "/v1/inbox/wait?to=delivered@relay.test&timeout=20")
    assert (status, mail["subject"]) == (200, "Relay works")


@pytest.mark.asyncio(loop_scope="module")
async def test_doctor_with_a_wrong_key_fails(relay: RunningRelay) -> None:
    assert not await run_doctor(os.environ, relay.url, f"{relay.key}x")
