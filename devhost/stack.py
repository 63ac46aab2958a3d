"""`make run`: start storage and the function app on the local host, create a client key, and show how to send.

Runs as `python -m devhost.stack` in the project's folder. Two environment variables configure it: `PORT` (7071) and
`PROVIDERS=all`, which starts a stand-in for each mail provider in addition to the local inbox.
"""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from devhost.azurite import DEFAULT_PORTS, Azurite, AzuritePorts
from devhost.children import Child, ChildEndedError, say
from devhost.run_folder import StackError, environment_for, keep_key, only_run_of
from devhost.run_log import RunLog
from devhost.welcome import welcome

ROOT = Path(__file__).parent.parent
_STORAGE = "AzureWebJobsStorage"
_DEVELOPMENT_STORAGE = "UseDevelopmentStorage=true"
_DEFAULT_PORT = 7071
_HOST_READY = re.compile(r"Host is ready on (?P<url>http://\S+)|Host has errors: (?P<errors>.*)")
_JSON_LINE = re.compile(r"^\{.*\}$")
_READY_SECONDS = 120
# The host gives its invocations ten seconds to end; do not kill it before that.
_HOST_GRACE_SECONDS = 15
_STAND_INS_GRACE_SECONDS = 5


class _InitOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `relay init`: the first client's key, if this call created the first client."""

    key: str | None = None


class _StandIns(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `python -m standins` once all of them listen: settings that point the app to them, and their inboxes."""

    settings: dict[str, str]
    inboxes: dict[str, str] = {}


def port_from(environ: Mapping[str, str]) -> int:
    """Return the port of the local host. Raises `StackError`."""
    text = environ.get("PORT") or str(_DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise StackError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    return int(text)


def is_free(port: int) -> bool:
    """Return whether `port` of 127.0.0.1 is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Stack:
    """The processes of one run, in start order; `children` are watched until the first one ends."""

    def __init__(
        self,
        *,
        folder: Path,
        environment: dict[str, str],
        exits: AsyncExitStack,
        log: RunLog,
    ) -> None:
        self.local = folder / ".local"
        self.children: list[Child] = []
        self._folder = folder
        self._environment = environment
        self._exits = exits
        self._log = log

    async def start_storage(self) -> None:
        """Start Azurite, unless the settings name a storage account."""
        if self._environment.get(_STORAGE, _DEVELOPMENT_STORAGE) != _DEVELOPMENT_STORAGE:
            return
        usual = (DEFAULT_PORTS.blob, DEFAULT_PORTS.queue, DEFAULT_PORTS.table)
        ports = DEFAULT_PORTS if all(is_free(port) for port in usual) else AzuritePorts()
        azurite = await Azurite.start(location=self.local / "azurite", ports=ports)
        self._exits.push_async_callback(azurite.stop)
        self.children.append(azurite.child)
        self._environment[_STORAGE] = azurite.connection_string

    async def initialize_storage(self) -> str:
        """Create queues, tables, containers and the first client. Return the client's key."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay.cli", "init"),
            cwd=self._folder,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise StackError("The storage could not be set up: see the error of `relay init` above.")
        try:
            output_of_init = msgspec.json.decode(output, type=_InitOutput)
        except msgspec.DecodeError as error:
            raise StackError("`relay init` must print one JSON object, and printed something else.") from error
        return keep_key(self.local / "client-key", output_of_init.key)

    async def start_stand_ins(self) -> Mapping[str, str]:
        """Start a stand-in for each provider, and add their settings to the app's. Return the inbox of each route."""
        child = await self._start("The stand-ins", "standins", ready=_JSON_LINE)
        self._exits.push_async_callback(child.stop, grace_seconds=_STAND_INS_GRACE_SECONDS)
        [line] = await child.until_ready(timeout_seconds=_READY_SECONDS)
        stand_ins = msgspec.json.decode(line[0], type=_StandIns)
        self._environment.update(stand_ins.settings)
        return stand_ins.inboxes

    async def start_host(self, port: int) -> str:
        """Start the function app on the local host. Return its base URL. Raises `StackError` if the app fails to load."""
        child = await self._start("The local host", "devhost", "--port", str(port), ready=_HOST_READY)
        self._exits.push_async_callback(child.stop, grace_seconds=_HOST_GRACE_SECONDS)
        [line] = await child.until_ready(timeout_seconds=_READY_SECONDS)
        if line["url"] is None:
            raise StackError(f"The function app could not be loaded. {line['errors']}")
        return line["url"]

    async def _start(self, name: str, module: str, *arguments: str, ready: re.Pattern[str]) -> Child:
        child = await Child.start(
            name=name,
            argv=(sys.executable, "-m", module, *arguments),
            ready=ready,
            env={**self._environment, "PYTHONUNBUFFERED": "1"},
            cwd=self._folder,
            echo=self._log.add,
        )
        self.children.append(child)
        return child

    async def until_one_ends(self) -> ChildEndedError:
        """Wait until the first child ends. Return the error: no child should end."""
        waits = [asyncio.ensure_future(child.until_ended()) for child in self.children]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return done.pop().result()


async def run(folder: Path, environ: Mapping[str, str], *, report: Callable[[str], None]) -> None:
    """Start everything and run until a child ends (`ChildEndedError`) or the caller cancels.

    Always stops what it started: the host first, Azurite last. Raises `StackError` if it cannot start.
    """
    port = port_from(environ)
    if not is_free(port):
        raise StackError(f"Port {port} is in use: stop the process that uses it, or choose another: PORT=7072 make run")
    with only_run_of(folder / ".local"):
        environment = environment_for(folder, environ)
        async with AsyncExitStack() as exits:
            log = exits.enter_context(RunLog(folder / ".local" / "run.log", report))
            stack = Stack(folder=folder, environment=environment, exits=exits, log=log)
            await stack.start_storage()
            key = await stack.initialize_storage()
            inboxes = await stack.start_stand_ins() if environ.get("PROVIDERS") == "all" else {}
            base_url = await stack.start_host(port)
            # The command line in this folder calls the same port (`relay/cli/remote.py`).
            (folder / ".local" / "url").write_text(f"{base_url}\n")
            report(welcome(base_url=base_url, key=key, inboxes=inboxes))
            raise await stack.until_one_ends()


async def _run_until_signal(folder: Path) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    asked_to_stop = asyncio.Event()

    def stop() -> None:
        # Only the first signal counts: a second one would interrupt the cleanup.
        if task is not None and not asked_to_stop.is_set():
            asked_to_stop.set()
            say("\nStopping.")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await run(folder, os.environ, report=say)
    except asyncio.CancelledError:
        if not asked_to_stop.is_set():
            raise


def main(folder: Path = ROOT) -> int:
    """Return the exit code: 0 after SIGINT or SIGTERM, 1 after an error, whose message is on stderr."""
    try:
        asyncio.run(_run_until_signal(folder))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except ChildEndedError as error:
        print(f"{error}\nAll other processes were stopped.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
