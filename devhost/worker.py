"""Drives `azure-functions-runtime`, the library that runs Python 3.13 apps in Azure, inside this process.

The calls are the library's five public coroutines, in the order of the genuine host: init (imports and indexes the
app), metadata, load of each function, then invocations.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import msgspec

from devhost.logs import current_function
from devhost.protos import ParameterBinding, StatusResult, TypedData, namespace

log = logging.getLogger("devhost.worker")

NO_RETRY = SimpleNamespace(retry_count=0, max_retry_count=0, exception=None)
SHUTDOWN_GRACE_SECONDS = 2.0


class WorkerStartError(Exception):
    """The app could not be imported or indexed; the text is the library's, with its traceback."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """An indexed function. `bindings` are function.json objects, the trigger among them."""

    name: str
    function_id: str
    trigger: Mapping[str, Any]
    bindings: tuple[Mapping[str, Any], ...]
    has_retry: bool = False

    @property
    def kind(self) -> str:
        """The trigger's type, such as httpTrigger."""
        return str(self.trigger["type"])

    def output(self, name: str) -> Mapping[str, Any] | None:
        """The output binding of that name ($return for the returned value)."""
        return next((b for b in self.bindings if b.get("name") == name and is_output(b)), None)


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """What an invocation gave. `outputs` pairs binding names ($return included) with values."""

    succeeded: bool
    outputs: tuple[tuple[str, TypedData], ...] = ()
    error: str = ""


def is_output(binding: Mapping[str, Any]) -> bool:
    """Whether the binding carries a value out of the function."""
    return str(binding.get("direction", "")).lower() == "out"


class Watchdog:
    """Ends the process when an invocation outlives functionTimeout, even one that blocks the event loop.

    The genuine host kills the whole worker process, and every other invocation in it; here that is this process.
    """

    def __init__(self, limit_seconds: float, expire: Callable[[str], None]) -> None:
        self._limit = limit_seconds
        self._expire = expire
        self._running: dict[str, tuple[float, str]] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        """Looks every second at most, in a thread of its own."""
        threading.Thread(target=self._watch, name="function-timeout", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()

    def enter(self, invocation_id: str, function: str, now: float) -> None:
        """Begins to time an invocation."""
        self._running[invocation_id] = (now, function)

    def leave(self, invocation_id: str) -> None:
        """Ends it."""
        self._running.pop(invocation_id, None)

    def overdue(self, now: float) -> str | None:
        """The name of a function that has run for longer than the limit and the grace."""
        limit = self._limit + SHUTDOWN_GRACE_SECONDS
        return next((name for begun, name in list(self._running.values()) if now - begun > limit), None)

    def _watch(self) -> None:
        while not self._stopped.wait(min(1.0, self._limit / 4)):
            name = self.overdue(time.monotonic())
            if name is not None:
                self._expire(name)
                return


class Worker:
    """The app under test. One per process: the library keeps its registry in module globals."""

    def __init__(self, app_root: Path, watchdog: Watchdog | None) -> None:
        self._app_root = app_root
        self._watchdog = watchdog
        self._runtime: Any = None
        self.in_flight = 0

    async def start(self) -> tuple[Function, ...]:
        """Imports and indexes the app. Raises WorkerStartError."""
        if str(self._app_root) not in sys.path:
            sys.path.insert(0, str(self._app_root))
        import azure_functions_runtime as runtime  # type: ignore[import-untyped,unused-ignore] # ships no types

        self._runtime = runtime
        runtime.start_threadpool_executor()
        init = {"capabilities": {}, "function_app_directory": str(self._app_root)}
        answer = await runtime.worker_init_request(_request(worker_init_request=SimpleNamespace(**init)))
        if answer.result.status != StatusResult.Success:
            failure = answer.result.exception
            raise WorkerStartError(f"{failure.message}\n{failure.stack_trace}")
        metadata = await runtime.functions_metadata_request(_request())
        functions = tuple(_function(result) for result in metadata.function_metadata_results or ())
        for function in functions:
            load = SimpleNamespace(function_id=function.function_id)
            await runtime.function_load_request(_request(function_load_request=load))
        return functions

    def stop(self) -> None:
        """Ends the thread pool of `def` functions; waits for what runs there."""
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._runtime is not None:
            self._runtime.stop_threadpool_executor()

    async def invoke(
        self,
        function: Function,
        value: TypedData,
        trigger_metadata: Mapping[str, TypedData],
        trace_parent: str = "",
    ) -> Invocation:
        """Runs the function once. Never raises for what the function does."""
        invocation_id = str(uuid4())
        token = current_function.set(function.name)
        correlation = self._runtime.invocation_id_cv.set(invocation_id)
        self.in_flight += 1
        if self._watchdog is not None:
            self._watchdog.enter(invocation_id, function.name, time.monotonic())
        try:
            return await self._invoke(function, invocation_id, value, trigger_metadata, trace_parent)
        finally:
            if self._watchdog is not None:
                self._watchdog.leave(invocation_id)
            self.in_flight -= 1
            self._runtime.invocation_id_cv.reset(correlation)
            current_function.reset(token)

    async def _invoke(
        self,
        function: Function,
        invocation_id: str,
        value: TypedData,
        trigger_metadata: Mapping[str, TypedData],
        trace_parent: str,
    ) -> Invocation:
        invocation = SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function.function_id,
            input_data=(ParameterBinding(name=str(function.trigger["name"]), data=value),),
            trigger_metadata=trigger_metadata,
            trace_context=SimpleNamespace(trace_parent=trace_parent or _trace_parent(), trace_state="", attributes={}),
            retry_context=NO_RETRY,
        )
        answer = await self._runtime.invocation_request(
            SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
        )
        if answer.result.status != StatusResult.Success:
            failure = answer.result.exception
            log.error("Function failed: %s", failure.message)
            log.debug("%s", failure.stack_trace)
            return Invocation(succeeded=False, error=failure.message)
        return Invocation(succeeded=True, outputs=_outputs(answer.return_value, answer.output_data))


def _request(**content: Any) -> SimpleNamespace:
    properties = {"protos": namespace(), "host": "127.0.0.1"}
    return SimpleNamespace(name="", request=SimpleNamespace(**content), properties=properties)


def _function(result: Any) -> Function:
    bindings = tuple(json.loads(raw) for raw in result.raw_bindings)
    triggers = [b for b in bindings if str(b.get("type", "")).lower().endswith("trigger")]
    if len(triggers) != 1:
        raise WorkerStartError(f"Function '{result.name}' has {len(triggers)} triggers; it must have one.")
    return Function(
        name=result.name,
        function_id=result.function_id,
        trigger=triggers[0],
        bindings=bindings,
        has_retry=result.retry_options is not None,
    )


def _outputs(returned: TypedData | None, output_data: Sequence[ParameterBinding]) -> tuple[tuple[str, TypedData], ...]:
    named = tuple((binding.name, binding.data) for binding in output_data)
    return named if returned is None else (("$return", returned), *named)


def _trace_parent() -> str:
    """A W3C trace context, unsampled, for work that no caller traces."""
    return f"00-{uuid4().hex}-{uuid4().hex[:16]}-00"
