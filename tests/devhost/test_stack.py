"""The launcher behind `make run`, on a folder whose app, host and stand-ins are small doubles."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from azure.storage.queue.aio import QueueClient

from devhost.children import ChildEndedError, discard
from devhost.run_folder import StackError, only_run_of
from devhost.stack import ROOT, run
from devhost.welcome import curl_lines

# Makes the first client once, as the real one does.
INIT = """
import json, os, pathlib, sys
if "AzureWebJobsStorage" not in os.environ:
    sys.exit("no storage")
made = pathlib.Path("client-made")
print(json.dumps({} if made.exists() else {"key": "first-key"}))
made.touch()
"""
HOST = """
import json, os, pathlib, signal, sys
pathlib.Path("host.environment").write_text(json.dumps(dict(os.environ)))
pathlib.Path("host.pid").write_text(str(os.getpid()))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("Host is ready on http://127.0.0.1:" + sys.argv[2])
signal.pause()
"""
DYING_HOST = """
import sys
print("Host is ready on http://127.0.0.1:" + sys.argv[2])
sys.exit(3)
"""
HANGING_INIT = """
import os, pathlib, signal
pathlib.Path("init.pid").write_text(str(os.getpid()))
signal.pause()
"""
FAULTY_HOST = """
import signal
print("Host has errors: SyntaxError: invalid syntax")
signal.pause()
"""
STAND_INS = """
import json, signal
print(json.dumps({"settings": {"RELAY_ROUTES": "all of them"}}))
signal.pause()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for module, source in {"relay/cli": INIT, "devhost": HOST, "standins": STAND_INS}.items():
        replace_module(tmp_path, module, source)
    settings = {"IsEncrypted": False, "Values": {"AzureWebJobsStorage": "an account", "FROM_FILE": "yes"}}
    (tmp_path / "local.settings.sample.json").write_text(json.dumps(settings))
    return tmp_path


def replace_module(folder: Path, module: str, source: str) -> None:
    (folder / module).mkdir(parents=True, exist_ok=True)
    (folder / module / "__main__.py").write_text(source)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def running(folder: Path, **environ: str) -> AsyncIterator[str]:
    """A run of the launcher; yields what it told up to and with the welcome, and stops it as Ctrl-C does."""
    told: list[str] = []
    welcomed = asyncio.Event()

    def tell(line: str) -> None:
        told.append(line)
        if "Relay runs on" in line:
            welcomed.set()

    port = str(free_port())
    task = asyncio.create_task(run(folder, {"PATH": os.environ["PATH"], "PORT": port, **environ}, tell=tell))
    waiting = asyncio.create_task(welcomed.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
    try:
        yield "\n".join(told)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def environment_of_host(folder: Path) -> dict[str, str]:
    environment: dict[str, str] = json.loads((folder / "host.environment").read_text())
    return environment


def kept_queue(folder: Path) -> QueueClient:
    return QueueClient.from_connection_string(environment_of_host(folder)["AzureWebJobsStorage"], "kept")


async def test_it_tells_the_address_the_key_and_how_to_send(folder: Path) -> None:
    async with running(folder) as told:
        [base_url] = re.findall(r"Relay runs on (http://127\.0\.0\.1:\d+) ", told)
    send, inbox = curl_lines(base_url=base_url, key="first-key")
    assert send in told.splitlines()
    assert inbox in told.splitlines()


async def test_it_makes_the_settings_from_the_sample_and_passes_them_on(folder: Path) -> None:
    async with running(folder, AzureWebJobsStorage="another account"):
        environment = environment_of_host(folder)
    assert (folder / "local.settings.json").exists()
    assert environment["FROM_FILE"] == "yes"
    assert environment["AzureWebJobsStorage"] == "another account"


async def test_the_key_is_written_down_for_its_owner_alone_and_used_again(folder: Path) -> None:
    async with running(folder):
        pass
    written = folder / ".local" / "client-key"
    assert written.read_text() == "first-key\n"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    async with running(folder) as told:
        assert "Bearer first-key'" in told


async def test_a_lost_key_is_explained(folder: Path) -> None:
    async with running(folder):
        pass
    (folder / ".local" / "client-key").unlink()
    with pytest.raises(StackError, match="client-key, which held its key, is gone"):
        async with running(folder):
            pass


async def test_azurite_runs_where_the_settings_ask_for_development_storage(folder: Path) -> None:
    async with running(folder, AzureWebJobsStorage="UseDevelopmentStorage=true"):
        connection = environment_of_host(folder)["AzureWebJobsStorage"]
        queue_port = int(re.findall(r"QueueEndpoint=http://127\.0\.0\.1:(\d+)/", connection)[0])
        _, writer = await asyncio.open_connection("127.0.0.1", queue_port)
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", queue_port)


async def test_a_second_run_finds_what_the_first_one_stored(folder: Path) -> None:
    storage = "UseDevelopmentStorage=true"
    async with running(folder, AzureWebJobsStorage=storage), kept_queue(folder) as queue:
        await queue.create_queue()
        await queue.send_message("entry")
    async with running(folder, AzureWebJobsStorage=storage), kept_queue(folder) as queue:
        received = await queue.receive_message()
    assert received is not None
    assert received.content == "entry"


async def test_all_providers_are_stood_in_for_on_request(folder: Path) -> None:
    async with running(folder, PROVIDERS="all"):
        assert environment_of_host(folder)["RELAY_ROUTES"] == "all of them"


async def test_no_stand_ins_without_the_request(folder: Path) -> None:
    async with running(folder):
        assert "RELAY_ROUTES" not in environment_of_host(folder)


async def test_the_host_is_gone_when_the_run_is_over(folder: Path) -> None:
    async with running(folder):
        pid = int((folder / "host.pid").read_text())
        assert is_alive(pid)
    assert not is_alive(pid)


async def test_a_host_that_dies_ends_the_run(folder: Path) -> None:
    replace_module(folder, "devhost", DYING_HOST)
    with pytest.raises(ChildEndedError, match=r"The local host ended by itself \(exit code 3\)"):
        await run(folder, {"PATH": os.environ["PATH"], "PORT": str(free_port())}, tell=discard)


async def test_an_app_that_cannot_be_loaded_ends_the_run(folder: Path) -> None:
    replace_module(folder, "devhost", FAULTY_HOST)
    with pytest.raises(StackError, match=r"could not be loaded\. SyntaxError: invalid syntax"):
        async with running(folder):
            pass


async def test_a_failing_init_ends_the_run(folder: Path) -> None:
    replace_module(folder, "relay/cli", "raise SystemExit(1)")
    with pytest.raises(StackError, match="storage could not be set up"):
        async with running(folder):
            pass


async def test_a_stop_during_the_start_leaves_nothing_behind(folder: Path) -> None:
    replace_module(folder, "relay/cli", HANGING_INIT)
    os.mkfifo(folder / "init.pid")
    task = asyncio.create_task(run(folder, {"PATH": os.environ["PATH"], "PORT": str(free_port())}, tell=discard))
    pid = int(await asyncio.to_thread((folder / "init.pid").read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def test_a_port_in_use_gets_one_sentence(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} is in use"):
            await run(folder, {"PORT": str(port)}, tell=discard)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "٣"])
async def test_a_wrong_port_gets_one_sentence(folder: Path, port: str) -> None:
    with pytest.raises(StackError, match="PORT must be a number"):
        await run(folder, {"PORT": port}, tell=discard)


async def test_a_second_run_in_the_same_folder_gets_one_sentence(folder: Path) -> None:
    with only_run_of(folder / ".local"), pytest.raises(StackError, match="runs already"):
        await run(folder, {"PORT": str(free_port())}, tell=discard)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_all_and_is_no_error(folder: Path, number: signal.Signals) -> None:
    program = "import pathlib, sys; from devhost.stack import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(folder)),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PORT": str(free_port())},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if b"Relay runs on" in line:
            break
    pid = int((folder / "host.pid").read_text())
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == 0
    assert not is_alive(pid)
