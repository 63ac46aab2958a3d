"""The launcher behind `make run`, on a folder with doubles of the app, the host and the stand-ins."""

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
from devhost.welcome import curl_line
from relay.cli.remote import find_url
from tests.ports import free_port

# Creates the first client once, as the real command does.
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
print("Functions:")
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
print(json.dumps({"settings": {"RELAY_ROUTES": "all of them"}, "inboxes": {"graph": "http://127.0.0.1:1/inbox"}}))
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


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@asynccontextmanager
async def running(folder: Path, **environ: str) -> AsyncIterator[str]:
    """Run the launcher; yield its output up to the welcome text, then stop it as Ctrl-C does."""
    reported: list[str] = []
    welcomed = asyncio.Event()

    def report(line: str) -> None:
        reported.append(line)
        if "Relay is running on" in line:
            welcomed.set()

    port = str(free_port())
    task = asyncio.create_task(run(folder, {"PATH": os.environ["PATH"], "PORT": port, **environ}, report=report))
    waiting = asyncio.create_task(welcomed.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
    try:
        yield "\n".join(reported)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def environment_of_host(folder: Path) -> dict[str, str]:
    environment: dict[str, str] = json.loads((folder / "host.environment").read_text())
    return environment


def kept_queue(folder: Path) -> QueueClient:
    return QueueClient.from_connection_string(environment_of_host(folder)["AzureWebJobsStorage"], "kept")


async def test_welcome_has_the_address_the_key_and_the_commands(folder: Path) -> None:
    async with running(folder) as output:
        [base_url] = re.findall(r"Relay is running on (http://127\.0\.0\.1:\d+) ", output)
    lines = output.splitlines()
    assert curl_line(base_url=base_url, key="first-key") in lines
    assert f"  Console  {base_url}/console#key=first-key" in lines


async def test_output_has_no_line_of_the_host_and_the_log_has_them_all(folder: Path) -> None:
    async with running(folder) as output:
        pass
    log = folder / ".local" / "run.log"
    assert "Functions:" not in output
    assert "Functions:" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


async def test_providers_all_lists_where_mail_of_each_route_arrives(folder: Path) -> None:
    async with running(folder, PROVIDERS="all") as output:
        pass
    assert "  *@graph.test  graph      http://127.0.0.1:1/inbox" in output.splitlines()


async def test_settings_are_copied_from_the_sample_and_passed_to_the_host(folder: Path) -> None:
    async with running(folder, AzureWebJobsStorage="another account"):
        environment = environment_of_host(folder)
    assert (folder / "local.settings.json").exists()
    assert environment["FROM_FILE"] == "yes"
    assert environment["AzureWebJobsStorage"] == "another account"


async def test_key_is_stored_in_a_private_file_and_reused(folder: Path) -> None:
    async with running(folder):
        pass
    written = folder / ".local" / "client-key"
    assert written.read_text() == "first-key\n"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    async with running(folder) as output:
        assert "Bearer first-key'" in output


async def test_command_line_calls_the_port_of_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RELAY_URL", raising=False)
    assert find_url(None) == "http://127.0.0.1:7071"
    async with running(folder) as output:
        assert f"Relay is running on {find_url(None)} " in output
    assert find_url("https://relay.example.org") == "https://relay.example.org"


async def test_missing_key_file_error_gives_the_fix(folder: Path) -> None:
    async with running(folder):
        pass
    (folder / ".local" / "client-key").unlink()
    with pytest.raises(StackError, match="client-key is missing: delete"):
        async with running(folder):
            pass


async def test_azurite_runs_if_the_settings_use_development_storage(folder: Path) -> None:
    async with running(folder, AzureWebJobsStorage="UseDevelopmentStorage=true"):
        connection = environment_of_host(folder)["AzureWebJobsStorage"]
        queue_port = int(re.findall(r"QueueEndpoint=http://127\.0\.0\.1:(\d+)/", connection)[0])
        _, writer = await asyncio.open_connection("127.0.0.1", queue_port)
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", queue_port)


async def test_second_run_has_the_data_of_the_first(folder: Path) -> None:
    storage = "UseDevelopmentStorage=true"
    async with running(folder, AzureWebJobsStorage=storage), kept_queue(folder) as queue:
        await queue.create_queue()
        await queue.send_message("entry")
    async with running(folder, AzureWebJobsStorage=storage), kept_queue(folder) as queue:
        received = await queue.receive_message()
    assert received is not None
    assert received.content == "entry"


async def test_providers_all_starts_the_stand_ins(folder: Path) -> None:
    async with running(folder, PROVIDERS="all"):
        assert environment_of_host(folder)["RELAY_ROUTES"] == "all of them"


async def test_default_run_starts_no_stand_ins(folder: Path) -> None:
    async with running(folder):
        assert "RELAY_ROUTES" not in environment_of_host(folder)


async def test_host_is_stopped_after_the_run(folder: Path) -> None:
    async with running(folder):
        pid = int((folder / "host.pid").read_text())
        assert is_alive(pid)
    assert not is_alive(pid)


async def test_crashed_host_ends_the_run(folder: Path) -> None:
    replace_module(folder, "devhost", DYING_HOST)
    with pytest.raises(ChildEndedError, match=r"The local host ended unexpectedly \(exit code 3\)"):
        await run(folder, {"PATH": os.environ["PATH"], "PORT": str(free_port())}, report=discard)


async def test_app_that_fails_to_load_ends_the_run(folder: Path) -> None:
    replace_module(folder, "devhost", FAULTY_HOST)
    with pytest.raises(StackError, match=r"could not be loaded\. SyntaxError: invalid syntax"):
        async with running(folder):
            pass


async def test_failed_init_ends_the_run(folder: Path) -> None:
    replace_module(folder, "relay/cli", "raise SystemExit(1)")
    with pytest.raises(StackError, match="storage could not be set up"):
        async with running(folder):
            pass


async def test_stop_during_startup_leaves_no_process(folder: Path) -> None:
    replace_module(folder, "relay/cli", HANGING_INIT)
    os.mkfifo(folder / "init.pid")
    task = asyncio.create_task(run(folder, {"PATH": os.environ["PATH"], "PORT": str(free_port())}, report=discard))
    pid = int(await asyncio.to_thread((folder / "init.pid").read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def test_port_in_use_is_refused(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} is in use"):
            await run(folder, {"PORT": str(port)}, report=discard)


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "٣"])
async def test_wrong_port_is_refused(folder: Path, port: str) -> None:
    with pytest.raises(StackError, match="must be a number from 1 to 65535"):
        await run(folder, {"PORT": port}, report=discard)


async def test_second_run_in_the_same_folder_is_refused(folder: Path) -> None:
    with only_run_of(folder / ".local"), pytest.raises(StackError, match="already running"):
        await run(folder, {"PORT": str(free_port())}, report=discard)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_stops_all_processes_with_exit_code_0(folder: Path, number: signal.Signals) -> None:
    program = "import pathlib, sys; from devhost.stack import main; sys.exit(main(pathlib.Path(sys.argv[1])))"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(folder)),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PORT": str(free_port())},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async for line in process.stdout:
        if b"Relay is running on" in line:
            break
    pid = int((folder / "host.pid").read_text())
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == 0
    assert not is_alive(pid)
