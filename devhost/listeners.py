"""Makes the listeners of an app's functions, starts them, and stops them together."""

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
    """From a function to its listener. `make` raises FunctionConfigurationError; HTTP functions have none."""

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
        """The listener, not yet running."""
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
            jitter=lambda: random.uniform(0.8, 1.2),  # noqa: S311 - spreads polls, guards nothing
            runs_over_dequeued_poison=self._runs_over_dequeued_poison,
            lease_seconds=self._lease_seconds,
            renewal_seconds=self._lease_seconds / 2,
        )

    def _timer_listener(self, function: Function) -> TimerListener:
        expression = resolve_names(str(function.trigger["schedule"]), self._environment)
        schedule = parse_schedule(expression, time_zone(self._environment))
        wanted = function.trigger.get("useMonitor") is not False
        is_kept = is_monitored(schedule, datetime.now(UTC), wanted=wanted)
        blobs = None
        if is_kept:
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
    """All listeners of the host. `failed` is told of one that ended by an error, which must stop the host."""

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
        """Starts a listener for each function that has one and is configured well."""
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
        """Ends polling and waiting; what is in flight goes on."""
        for listener in self._listeners:
            listener.stop()

    async def drained(self) -> None:
        """Waits, after `stop`, until nothing is in flight, also of listeners that an earlier `stop` ended."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


def check_function(function: Function, environment: Mapping[str, str]) -> None:
    """Warns of what has no effect here.

    Raises FunctionConfigurationError for a binding that this host has not, or that could never be written.
    """
    for binding in function.bindings:
        if binding is not function.trigger and not _is_supported(binding):
            raise FunctionConfigurationError(f"this local host has no '{binding['type']}' binding.")
    for binding in function.queue_outputs.values():
        queue_name(str(binding["queueName"]), environment)
        connection_string(str(binding.get("connection") or ""), environment)
    if function.has_retry:
        log.warning(
            "Soon retries will not be supported for function '%s': here its policy has no effect", function.name
        )


def _is_supported(binding: Mapping[str, object]) -> bool:
    is_output = str(binding.get("direction", "")).lower() == "out"
    return is_output and str(binding["type"]).lower() in {"http", "queue"}


def time_zone(environment: Mapping[str, str]) -> tzinfo:
    """The zone that schedules are in: WEBSITE_TIME_ZONE, else TZ, else UTC. Raises FunctionConfigurationError."""
    name = environment.get("WEBSITE_TIME_ZONE") or environment.get("TZ") or "UTC"
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name.removeprefix(":"))
    except (KeyError, OSError, ValueError) as error:
        raise FunctionConfigurationError(f"'{name}' is not the name of a time zone.") from error
