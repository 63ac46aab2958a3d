"""The host: indexes the app, starts its triggers, serves, and stops as the genuine host does."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import platform
import random
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import uvicorn

from devhost.admin import AdminPages, function_line
from devhost.http import HttpFront, compile_function_route
from devhost.outputs import Invoker
from devhost.queue_rules import poison_queue_name
from devhost.queues import RENEWAL_SECONDS, Notices, QueueListener, wait_for_event
from devhost.routes import Route, RouteTable
from devhost.settings import (
    FunctionConfigurationError,
    HostSettings,
    connection_string,
    is_disabled,
    queue_name,
    resolve_names,
)
from devhost.storage import Storage, StorageQueue
from devhost.timers import TimerListener, is_monitored, parse_schedule
from devhost.worker import Function, Watchdog, Worker, WorkerStartError

log = logging.getLogger("devhost")

STOP_SECONDS = 10.0
EXIT_ERROR = 1
EXIT_FUNCTION_TIMEOUT = 3

type Listener = QueueListener | TimerListener


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How this host deviates from its defaults. `renewal_seconds` is for tests of lease renewal."""

    app_root: Path
    runs_over_dequeued_poison: bool = False
    renewal_seconds: float = RENEWAL_SECONDS


class Host:
    """One app, one process. `run` returns the exit code."""

    def __init__(self, options: Options, settings: HostSettings, environment: Mapping[str, str]) -> None:
        self._options = options
        self._settings = settings
        self._environment = environment
        self._storage = Storage()
        self._notices = Notices()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._begun = time.monotonic()
        self._listeners: list[Listener] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._functions: tuple[Function, ...] = ()
        self._disabled: frozenset[str] = frozenset()
        self._http_requests_in_flight = 0
        self._worker = Worker(options.app_root, self._watchdog())
        self._invoker = Invoker(
            self._worker,
            is_base64=settings.queues.is_base64,
            queue_for=self._bound_queue,
            notices=self._notices,
        )
        self.errors: list[str] = []
        self.state = "Starting"
        self.is_draining = False
        self.host_id = host_id(options.app_root, environment)

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def outstanding(self) -> int:
        return self._worker.in_flight

    def stop(self) -> None:
        """Asks `run` to end; safe to call from a signal handler of the loop."""
        self._stop.set()

    async def run(self, sock: socket.socket) -> int:
        """Serves on the bound socket until stopped."""
        name, port = sock.getsockname()[:2]
        address = f"http://{name}:{port}"
        try:
            self._functions = await self._worker.start()
        except WorkerStartError as error:
            self.errors.append(str(error).split("\n", 1)[0])
            log.error("The app could not be loaded: %s", str(error))
        self._disabled = frozenset(f.name for f in self._functions if is_disabled(f.name, self._environment))
        routes = [route for f in self._functions if (route := self._http_route(f)) is not None]
        server = self._server(RouteTable(routes))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        self._start_listeners()
        self.state = "Error" if self.errors and not self._functions else "Running"
        self._print_start(address)
        await self._stop.wait()
        await self._shut_down(server, serving)
        return EXIT_ERROR if self._failure is not None else 0

    def drain(self) -> None:
        """Stops the listeners; what is in flight goes on, and HTTP triggers are still served."""
        self.is_draining = True
        for listener in self._listeners:
            listener.stop()

    def resume(self) -> None:
        """Starts them again."""
        if self.is_draining:
            self.is_draining = False
            self._start_listeners()

    def _watchdog(self) -> Watchdog | None:
        limit = self._settings.function_timeout
        if limit is None:
            return None
        watchdog = Watchdog(limit.total_seconds(), _end_process)
        watchdog.start()
        return watchdog

    def _http_route(self, function: Function) -> Route[Function] | None:
        if function.kind != "httpTrigger":
            return None
        try:
            return compile_function_route(function, self._settings, self._environment)
        except FunctionConfigurationError as error:
            self._refuse(function, error)
            return None

    def _refuse(self, function: Function, error: Exception) -> None:
        sentence = f"The '{function.name}' function is in error: {error}"
        if sentence not in self.errors:
            self.errors.append(sentence)
        log.error("%s", sentence)

    def _server(self, routes: RouteTable[Function]) -> _Server:
        pages = AdminPages(
            host=self,
            functions=self._functions,
            disabled=self._disabled,
            settings=self._settings,
            invoker=self._invoker,
            environment=self._environment,
        )
        front = HttpFront(
            invoke=self._invoker.invoke,
            settings=self._settings,
            routes=routes,
            disabled=self._disabled,
            admin=pages,
        )
        config = uvicorn.Config(
            front,
            interface="asgi3",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(STOP_SECONDS),
        )
        return _Server(config)

    def _start_listeners(self) -> None:
        self._listeners = []
        for function in self._functions:
            if function.name in self._disabled:
                log.info("Function '%s' is disabled", function.name)
                continue
            try:
                listener = self._listener(function)
            except FunctionConfigurationError as error:
                self._refuse(function, error)
                continue
            if listener is not None:
                self._listeners.append(listener)
                task = asyncio.create_task(listener.run(), name=f"listener of {function.name}")
                self._tasks.add(task)
                task.add_done_callback(self._listener_ended)

    def _listener_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("An unhandled exception has occurred. Host is shutting down.", exc_info=error)
            self._failure = error
            self._stop.set()

    def _listener(self, function: Function) -> Listener | None:
        match function.kind:
            case "queueTrigger":
                return self._queue_listener(function)
            case "timerTrigger":
                return self._timer_listener(function)
            case "httpTrigger":
                return None
            case kind:
                raise FunctionConfigurationError(f"this local host has no '{kind}'.")

    def _queue_listener(self, function: Function) -> QueueListener:
        if function.has_retry:
            log.warning("Soon retries will not be supported for function '%s'; they are not here.", function.name)
        name = queue_name(str(function.trigger["queueName"]), self._environment)
        connection = connection_string(str(function.trigger.get("connection") or ""), self._environment)
        poison = poison_queue_name(name)
        return QueueListener(
            function=function,
            queue=self._storage.queue(connection, name),
            poison=self._storage.queue(connection, poison) if poison is not None else None,
            settings=self._settings.queues,
            invoke=self._invoker.invoke_with_message,
            notices=self._notices,
            jitter=lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads polls, guards nothing
            runs_over_dequeued_poison=self._options.runs_over_dequeued_poison,
            renewal_seconds=self._options.renewal_seconds,
        )

    def _timer_listener(self, function: Function) -> TimerListener:
        zone = ZoneInfo(self._environment.get("WEBSITE_TIME_ZONE") or self._environment.get("TZ") or "UTC")
        schedule = parse_schedule(resolve_names(str(function.trigger["schedule"]), self._environment), zone)
        wanted = function.trigger.get("useMonitor") is not False
        is_kept = is_monitored(schedule, datetime.now(UTC), wanted=wanted)
        connection = connection_string("", self._environment) if is_kept else ""
        return TimerListener(
            function=function,
            schedule=schedule,
            blobs=self._storage.container(connection, "azure-webjobs-hosts") if is_kept else None,
            blob_name=f"timers/{self.host_id}/Host.Functions.{function.name}/status",
            clock=lambda: datetime.now(UTC),
            wait=wait_for_event,
            fire=lambda f, value: self._invoker.invoke(f, value, {}),
        )

    def _bound_queue(self, binding: Mapping[str, object]) -> StorageQueue:
        name = queue_name(str(binding["queueName"]), self._environment)
        return self._storage.queue(connection_string(str(binding.get("connection") or ""), self._environment), name)

    def _print_start(self, address: str) -> None:
        lines = ["", "Functions:", ""]
        for function in self._functions:
            lines += [function_line(function, address, self._settings), ""]
        ready = f"Host is ready on {address}"
        lines.append(f"Host has errors: {self.errors[0]}" if self.state == "Error" else ready)
        print("\n".join(lines), flush=True)

    async def _shut_down(self, server: _Server, serving: asyncio.Task[None]) -> None:
        """Stops polling and accepting, waits at most ten seconds, and leaves the rest leased."""
        self.state = "Stopping"
        log.info("Stopping: polling has ended, waiting for what is in flight")
        for listener in self._listeners:
            listener.stop()
        server.should_exit = True
        waits = [asyncio.create_task(_drained(listener)) for listener in self._listeners]
        _, late = await asyncio.wait([serving, *self._tasks, *waits], timeout=STOP_SECONDS)
        if late or self._worker.in_flight:
            log.warning("Stopped with %d invocations unfinished; their messages stay leased", self._worker.in_flight)
            # Cancelling would let functions and listeners run on; the genuine host's process just ends.
            _flush_and_exit(EXIT_ERROR if self._failure is not None else 0)
        self._worker.stop()
        await self._storage.close()


class _Server(uvicorn.Server):
    """Leaves signals to the host."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _drained(listener: Listener) -> None:
    if isinstance(listener, QueueListener):
        await listener.drained()


def host_id(app_root: Path, environment: Mapping[str, str]) -> str:
    """`machine-hash`, lower-case, at most 32 characters, stable for a machine and a folder."""
    override = environment.get("AzureFunctionsWebHost__hostid")
    if override:
        return override.lower()
    machine = re.sub(r"[^a-z0-9]", "", platform.node().lower())[:20] or "localhost"
    digest = hashlib.sha256(str(app_root).encode()).hexdigest()[:11]
    return f"{machine}-{digest}"


def _end_process(function: str) -> None:
    log.critical("A function timeout has occurred in '%s'. The process ends, and every invocation in it.", function)
    _flush_and_exit(EXIT_FUNCTION_TIMEOUT)


def _flush_and_exit(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def bind(address: str, port: int) -> socket.socket:
    """A listening socket; raises OSError if the port is in use."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        sock.listen(2048)
    except OSError:
        sock.close()
        raise
    return sock


def unsupported_notes(settings: HostSettings) -> Sequence[str]:
    """A sentence for each host.json setting that has no effect here."""
    return [f"host.json: '{path}' has no effect in this local host." for path in settings.ignored]
