"""Run the host: index the app, start its triggers, serve, and stop as the genuine host does."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from devhost.admin import AdminPages, function_line
from devhost.azure_storage import Storage, StorageQueue
from devhost.host_json import HostSettings
from devhost.http import HttpFront, compile_function_route
from devhost.keys import KeyRing, new_key
from devhost.leases import LEASE_SECONDS
from devhost.listeners import ListenerFactory, Listeners, check_function
from devhost.outputs import Invoker
from devhost.queues import Notices
from devhost.routes import Route, RouteTable
from devhost.server import Server
from devhost.settings import (
    FunctionConfigurationError,
    HostConfigurationError,
    connection_string,
    host_id,
    is_disabled,
    queue_name,
)
from devhost.watchdog import flush_and_exit, start_watchdog
from devhost.worker import Function, Worker, WorkerStartError

log = logging.getLogger("devhost")

STOP_SECONDS = 10.0
SECRETS_CONTAINER = "azure-webjobs-secrets"
EXIT_ERROR = 1


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The command-line options."""

    app_root: Path
    asks_for_keys: bool = False
    runs_over_dequeued_poison: bool = False
    lease_seconds: int = LEASE_SECONDS
    stop_seconds: float = STOP_SECONDS
    front_end_seconds: float | None = None


class Host:
    """One app, one process. `run` returns the exit code."""

    def __init__(self, options: Options, settings: HostSettings, environment: Mapping[str, str]) -> None:
        self._options = options
        self._settings = settings
        self._environment = environment
        self._storage = Storage()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._begun = time.monotonic()
        self._worker = Worker(options.app_root, start_watchdog(settings.function_timeout))
        notices = Notices()
        self._invoker = Invoker(
            self._worker, is_base64=settings.queues.is_base64, queue_for=self._bound_queue, notices=notices
        )
        self.host_id = host_id(options.app_root, environment)
        factory = ListenerFactory(
            queues=settings.queues,
            environment=environment,
            storage=self._storage,
            invoker=self._invoker,
            notices=notices,
            host_id=self.host_id,
            runs_over_dequeued_poison=options.runs_over_dequeued_poison,
            lease_seconds=options.lease_seconds,
        )
        self._listeners = Listeners(make=factory.make, refuse=self._refuse, failed=self._fail)
        self._enabled: list[Function] = []
        self.errors: list[str] = []
        self.state = "Starting"
        self.is_draining = False

    @property
    def uptime_seconds(self) -> float:
        return time.monotonic() - self._begun

    @property
    def outstanding(self) -> int:
        return self._worker.in_flight

    def stop(self) -> None:
        """Make `run` return. Safe to call from a signal handler of the loop."""
        self._stop.set()

    def drain(self) -> None:
        """Stop the listeners. Running invocations continue, and HTTP triggers are still served."""
        self.is_draining = True
        self._listeners.stop()

    def resume(self) -> None:
        """Start the listeners again."""
        if self.is_draining:
            self.is_draining = False
            self._listeners.start(self._enabled)

    async def run(self, sock: socket.socket) -> int:
        """Serve on the bound socket until stopped."""
        name, port = sock.getsockname()[:2]
        functions = await self._load()
        disabled = frozenset(f.name for f in functions if is_disabled(f.name, self._environment))
        for function_name in sorted(disabled):
            log.info("Function '%s' is disabled", function_name)
        routes, self._enabled = self._prepare(functions, disabled)
        server = self._server(functions, routes, disabled)
        serving = asyncio.create_task(server.serve(sock))
        self._listeners.start(self._enabled)
        self.state = "Error" if self.errors and not functions else "Running"
        # What is loaded now stays loaded: exclude it from garbage collections.
        gc.freeze()
        self._print_start(functions, f"http://{name}:{port}")
        await self._stop.wait()
        await self._shut_down(server, serving)
        return EXIT_ERROR if self._failure is not None else 0

    async def _load(self) -> tuple[Function, ...]:
        try:
            return await self._worker.start()
        except WorkerStartError as error:
            self.errors.append(str(error).split("\n", 1)[0])
            log.error("The app could not be loaded: %s", error)
            return ()

    def _prepare(
        self, functions: tuple[Function, ...], disabled: frozenset[str]
    ) -> tuple[list[Route[Function]], list[Function]]:
        """Return the routes, and the functions that need a listener. Misconfigured functions are in neither."""
        routes, enabled = [], []
        for function in functions:
            try:
                check_function(function, self._environment)
                if function.kind == "httpTrigger":
                    routes.append(compile_function_route(function, self._settings, self._environment))
                elif function.name not in disabled:
                    enabled.append(function)
            except FunctionConfigurationError as error:
                self._refuse(function, error)
        return routes, enabled

    def _refuse(self, function: Function, error: FunctionConfigurationError) -> None:
        sentence = f"The '{function.name}' function is in error: {error}"
        if sentence not in self.errors:
            self.errors.append(sentence)
        log.error("%s", sentence)

    def _fail(self, error: BaseException) -> None:
        log.critical("An unhandled exception has occurred. Host is shutting down.", exc_info=error)
        self._failure = error
        self._stop.set()

    def _server(
        self, functions: tuple[Function, ...], routes: list[Route[Function]], disabled: frozenset[str]
    ) -> Server:
        pages = AdminPages(
            host=self,
            functions=functions,
            disabled=disabled,
            settings=self._settings,
            invoker=self._invoker,
            environment=self._environment,
        )
        front = HttpFront(
            invoke=self._invoker.invoke,
            settings=self._settings,
            routes=RouteTable(routes),
            disabled=disabled,
            own_pages=pages,
            keys=self._key_ring() if self._options.asks_for_keys else None,
            is_loaded=bool(functions) or not self.errors,
            front_end_seconds=self._options.front_end_seconds,
        )
        return Server(front.respond, stop_seconds=STOP_SECONDS)

    def _key_ring(self) -> KeyRing:
        try:
            blobs = self._storage.container(connection_string("", self._environment), SECRETS_CONTAINER)
        except FunctionConfigurationError as error:
            raise HostConfigurationError(f"--enable-auth needs storage for the keys: {error}") from error
        return KeyRing(blobs, self.host_id, new_key=new_key, clock=time.monotonic)

    def _bound_queue(self, binding: Mapping[str, object]) -> StorageQueue:
        name = queue_name(str(binding["queueName"]), self._environment)
        return self._storage.queue(connection_string(str(binding.get("connection") or ""), self._environment), name)

    def _print_start(self, functions: tuple[Function, ...], address: str) -> None:
        lines = ["", "Functions:", ""]
        for function in functions:
            lines += [function_line(function, address, self._settings), ""]
        ready = f"Host is ready on {address}"
        lines.append(f"Host has errors: {self.errors[0]}" if self.state == "Error" else ready)
        print("\n".join(lines), flush=True)

    async def _shut_down(self, server: Server, serving: asyncio.Task[None]) -> None:
        """Stop polling and accepting, wait up to `stop_seconds`, and leave unfinished messages leased."""
        self.state = "Stopping"
        log.info("Stopping: polling has ended, waiting for running invocations")
        self._listeners.stop()
        server.stop()
        try:
            async with asyncio.timeout(self._options.stop_seconds):
                await self._listeners.drained()
                await self._worker.drained()
                await asyncio.shield(serving)
        except TimeoutError:
            log.warning("Stopped with %d invocations unfinished; their messages stay leased", self._worker.in_flight)
            # After a cancellation, functions and listeners could still act; the genuine host's process just ends.
            flush_and_exit(EXIT_ERROR if self._failure is not None else 0)
        self._worker.stop()
        await self._storage.close()
