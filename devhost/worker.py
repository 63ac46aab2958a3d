"""Drives `azure-functions-runtime`, the library that runs Python 3.13 apps in Azure, inside this process.

The calls are the library's five public coroutines, in the order of the genuine host: init (imports and indexes the
app), metadata, load of each function, then invocations.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from uuid_utils import uuid4

from devhost.logs import current_function
from devhost.protos import ParameterBinding, StatusResult, TypedData, namespace
from devhost.watchdog import Watchdog

log = logging.getLogger("devhost.worker")

NO_RETRY = SimpleNamespace(retry_count=0, max_retry_count=0, exception=None)


class WorkerStartError(Exception):
    """The app could not be imported or indexed; the text is the library's, with its traceback."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """An indexed function. `bindings` are function.json objects, the trigger among them.

    `outputs` are those that carry a value out, by name ($return for the returned value).
    """

    name: str
    function_id: str
    trigger: Mapping[str, Any]
    bindings: tuple[Mapping[str, Any], ...]
    outputs: Mapping[str, Mapping[str, Any]]
    has_retry: bool = False

    @property
    def kind(self) -> str:
        """The trigger's type, such as httpTrigger."""
        return str(self.trigger["type"])

    def writes(self, name: str, kind: str) -> Mapping[str, Any] | None:
        """The output binding of that name, if it is of that type."""
        binding = self.outputs.get(name)
        return binding if binding is not None and str(binding["type"]).lower() == kind else None


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """What an invocation gave. `outputs` pairs binding names ($return included) with values."""

    succeeded: bool
    outputs: tuple[tuple[str, TypedData], ...] = ()
    error: str = ""


class Worker:
    """The app under test. One per process: the library keeps its registry in module globals."""

    def __init__(self, app_root: Path, watchdog: Watchdog | None) -> None:
        self._app_root = app_root
        self._watchdog = watchdog
        self._runtime: Any = None
        self._left = asyncio.Event()
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

    async def drained(self) -> None:
        """Waits until no invocation is under way."""
        while self.in_flight:
            self._left.clear()
            await self._left.wait()

    async def invoke(
        self,
        function: Function,
        value: TypedData,
        trigger_metadata: Mapping[str, TypedData],
        trace_parent: str = "",
    ) -> Invocation:
        """Runs the function once. Never raises for what the function does."""
        invocation_id = str(uuid4())
        request = _invocation_request(function, invocation_id, value, trigger_metadata, trace_parent)
        token = current_function.set(function.name)
        correlation = self._runtime.invocation_id_cv.set(invocation_id)
        self.in_flight += 1
        if self._watchdog is not None:
            self._watchdog.enter(invocation_id, function.name, time.monotonic())
        try:
            return _invocation(await self._runtime.invocation_request(request))
        finally:
            if self._watchdog is not None:
                self._watchdog.leave(invocation_id)
            self.in_flight -= 1
            self._left.set()
            self._runtime.invocation_id_cv.reset(correlation)
            current_function.reset(token)


def _request(**content: Any) -> SimpleNamespace:
    properties = {"protos": namespace(), "host": "127.0.0.1"}
    return SimpleNamespace(name="", request=SimpleNamespace(**content), properties=properties)


def _invocation_request(
    function: Function,
    invocation_id: str,
    value: TypedData,
    trigger_metadata: Mapping[str, TypedData],
    trace_parent: str,
) -> SimpleNamespace:
    invocation = SimpleNamespace(
        invocation_id=invocation_id,
        function_id=function.function_id,
        input_data=(ParameterBinding(name=function.trigger["name"], data=value),),
        trigger_metadata=trigger_metadata,
        trace_context=SimpleNamespace(trace_parent=trace_parent or _trace_parent(), trace_state="", attributes={}),
        retry_context=NO_RETRY,
    )
    return SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))


def _invocation(answer: Any) -> Invocation:
    """What the library answered. A failure is logged with its traceback, as in Azure."""
    if answer.result.status != StatusResult.Success:
        failure = answer.result.exception
        log.error("Function failed: %s\n%s", failure.message, failure.stack_trace)
        return Invocation(succeeded=False, error=failure.message)
    named = tuple((binding.name, binding.data) for binding in answer.output_data)
    returned = answer.return_value
    return Invocation(succeeded=True, outputs=named if returned is None else (("$return", returned), *named))


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
        outputs={b["name"]: b for b in bindings if str(b.get("direction", "")).lower() == "out"},
        has_retry=result.retry_options is not None,
    )


def _trace_parent() -> str:
    """A W3C trace context, unsampled, for work that no caller traces."""
    trace = uuid4().hex
    return f"00-{trace}-{trace[:16]}-00"
