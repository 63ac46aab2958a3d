"""Create, start and stop the listeners of an app's functions."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from devhost.azure_storage import Storage
from devhost.host_json import QueueSettings
from devhost.leases import LEASE_SECONDS
from devhost.outputs import Invoker
from devhost.queue_rules import poison_queue_name
from devhost.queues import Notices, QueueListener, wait_for_event
from devhost.settings import FunctionConfigurationError, connection_string, queue_name, resolve_names
from devhost.timers import TimerListener, is_monitored, parse_schedule
from devhost.worker import Function

log = logging.getLogger("devhost")

HOSTS_CONTAINER = "azure-webjobs-hosts"

type Listener = QueueListener | TimerListener


class ListenerFactory:
    """Creates the listener of a function. `make` raises FunctionConfigurationError; HTTP functions have no listener."""

    def __init__(
        self,
        *,
        queues: QueueSettings,
        environment: Mapping[str, str],
        storage: Storage,
        invoker: Invoker,
        notices: Notices,
        host_id: str,
        runs_over_dequeued_poison: bool,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self._queues = queues
        self._environment = environment
        self._storage = storage
        self._invoker = invoker
        self._notices = notices
        self._host_id = host_id
        self._runs_over_dequeued_poison = runs_over_dequeued_poison
        self._lease_seconds = lease_seconds

    def make(self, function: Function) -> Listener | None:
        """Return the listener, not yet running."""
        match function.kind:
            case "queueTrigger":
                return self._queue_listener(function)
            case "timerTrigger":
                return self._timer_listener(function)
            case "httpTrigger":
                return None
            case kind:
                raise FunctionConfigurationError(
                    f"this local host does not support '{kind}'; it has HTTP, queue and timer triggers."
                )

    def _queue_listener(self, function: Function) -> QueueListener:
        name = queue_name(str(function.trigger["queueName"]), self._environment)
        connection = connection_string(str(function.trigger.get("connection") or ""), self._environment)
        poison = poison_queue_name(name)
        return QueueListener(
            function=function,
            queue=self._storage.queue(connection, name),
            poison=self._storage.queue(connection, poison) if poison is not None else None,
            settings=self._queues,
            invoke=self._invoker.invoke_with_message,
            notices=self._notices,
            jitter=lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads polls, not for security
            runs_over_dequeued_poison=self._runs_over_dequeued_poison,
            lease_seconds=self._lease_seconds,
            renewal_seconds=self._lease_seconds / 2,
        )

    def _timer_listener(self, function: Function) -> TimerListener:
        expression = resolve_names(str(function.trigger["schedule"]), self._environment)
        schedule = parse_schedule(expression, time_zone(self._environment))
        use_monitor = function.trigger.get("useMonitor") is not False
        blobs = None
        if is_monitored(schedule, datetime.now(UTC), use_monitor=use_monitor):
            blobs = self._storage.container(connection_string("", self._environment), HOSTS_CONTAINER)
        return TimerListener(
            function=function,
            schedule=schedule,
            blobs=blobs,
            blob_name=f"timers/{self._host_id}/Host.Functions.{function.name}/status",
            clock=lambda: datetime.now(UTC),
            wait=wait_for_event,
            fire=lambda f, value: self._invoker.invoke(f, value, {}),
        )


class Listeners:
    """All listeners of the host. `failed` receives the error of a listener that failed, which must stop the host."""

    def __init__(
        self,
        *,
        make: Callable[[Function], Listener | None],
        refuse: Callable[[Function, FunctionConfigurationError], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._make = make
        self._refuse = refuse
        self._failed = failed
        self._listeners: list[Listener] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, functions: Iterable[Function]) -> None:
        """Start a listener for each function that has one and is configured correctly."""
        self._listeners = []
        for function in functions:
            try:
                listener = self._make(function)
            except FunctionConfigurationError as error:
                self._refuse(function, error)
                continue
            if listener is not None:
                self._listeners.append(listener)
                task = asyncio.create_task(listener.run(), name=f"listener of {function.name}")
                self._tasks.add(task)
                task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Stop polling and waiting. Running invocations continue."""
        for listener in self._listeners:
            listener.stop()

    async def drained(self) -> None:
        """Wait, after `stop`, until no invocation runs, including those of listeners that an earlier `stop` ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


def check_function(function: Function, environment: Mapping[str, str]) -> None:
    """Log a warning for each setting that this host ignores.

    Raises FunctionConfigurationError for an unsupported binding, or one whose queue or connection is wrong.
    """
    for binding in function.bindings:
        if binding is not function.trigger and not _is_supported(binding):
            raise FunctionConfigurationError(f"this local host does not support '{binding['type']}' bindings.")
    for binding in function.queue_outputs.values():
        queue_name(str(binding["queueName"]), environment)
        connection_string(str(binding.get("connection") or ""), environment)
    if function.has_retry:
        log.warning(
            "Soon retries will not be supported for function '%s': this host ignores its retry policy", function.name
        )


def _is_supported(binding: Mapping[str, object]) -> bool:
    is_output = str(binding.get("direction", "")).lower() == "out"
    return is_output and str(binding["type"]).lower() in {"http", "queue"}


def time_zone(environment: Mapping[str, str]) -> tzinfo:
    """Return the time zone of schedules: WEBSITE_TIME_ZONE, else TZ, else UTC. Raises FunctionConfigurationError."""
    name = environment.get("WEBSITE_TIME_ZONE") or environment.get("TZ") or "UTC"
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name.removeprefix(":"))
    except (KeyError, OSError, ValueError) as error:
        raise FunctionConfigurationError(
            f"'{name}' is not a time zone; use an IANA name such as Europe/Berlin."
        ) from error
