"""Drive `azure-functions-runtime`, the library that runs Python 3.13 apps in Azure, inside this process.

The calls are in the order of the genuine host: init (imports and indexes the app), metadata, load of each function,
then invocations. Invocations use the library's entry point without protobuf, `invocation_request_native`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from uuid_utils import uuid4

from devhost.logs import current_function
from devhost.protos import StatusResult, namespace
from devhost.values import Datum
from devhost.watchdog import Watchdog


class WorkerStartError(Exception):
    """The app could not be imported or indexed; the text is the library's error with its traceback."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """An indexed function. `kind` is its trigger's type, such as httpTrigger, and `parameter` the trigger's name.

    `bindings` are function.json objects, including the trigger. Outputs are keyed by the binding's name, which is
    $return for the returned value.
    """

    name: str
    function_id: str
    kind: str
    parameter: str
    trigger: Mapping[str, Any]
    bindings: tuple[Mapping[str, Any], ...] = ()
    http_output: str | None = None
    queue_outputs: Mapping[str, Mapping[str, Any]] = {}
    has_retry: bool = False


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an invocation. `outputs` pairs binding names (including $return) with values."""

    succeeded: bool
    outputs: tuple[tuple[str, Datum], ...] = ()


class Worker:
    """Runs the app. One per process: the library keeps its registry in module globals."""

    def __init__(self, app_root: Path, watchdog: Watchdog | None) -> None:
        self._app_root = app_root
        self._watchdog = watchdog
        self._runtime: Any = None
        self._invoke: Any = None
        self._left = asyncio.Event()
        self.in_flight = 0

    async def start(self) -> tuple[Function, ...]:
        """Import and index the app, whose folder is on `sys.path`. Raises WorkerStartError."""
        import azure_functions_runtime as runtime  # type: ignore[import-untyped,unused-ignore] # ships no types
        from azure_functions_runtime.native_invocation import (  # type: ignore[import-untyped,unused-ignore] # as above
            invocation_request_native,
        )

        self._runtime = runtime
        self._invoke = invocation_request_native
        runtime.start_threadpool_executor()
        init = {"capabilities": {}, "function_app_directory": str(self._app_root)}
        answer = await runtime.worker_init_request(_request(worker_init_request=SimpleNamespace(**init)))
        if answer.result.status != StatusResult.Success:
            failure = answer.result.exception
            raise WorkerStartError(f"{failure.message}\n{failure.stack_trace}")
        if "HttpUri" in answer.capabilities:
            raise WorkerStartError("This local host does not support HTTP streams (azurefunctions-extensions-http-*).")
        metadata = await runtime.functions_metadata_request(_request())
        functions = tuple(_function(result) for result in metadata.function_metadata_results or ())
        for function in functions:
            load = SimpleNamespace(function_id=function.function_id)
            await runtime.function_load_request(_request(function_load_request=load))
        return functions

    def stop(self) -> None:
        """Stop the thread pool of `def` functions; wait for the running ones."""
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._runtime is not None:
            self._runtime.stop_threadpool_executor()

    async def drained(self) -> None:
        """Wait until no invocation is running."""
        while self.in_flight:
            self._left.clear()
            await self._left.wait()

    async def invoke(
        self, function: Function, value: Datum, trigger_metadata: Mapping[str, Datum], trace_parent: str = ""
    ) -> Invocation:
        """Run the function once. Does not raise the function's own errors; the library logs them with a traceback.

        Call it in a task of its own: the task's log lines carry the function's name.
        """
        invocation_id = str(uuid4())
        current_function.set(function.name)
        self.in_flight += 1
        if self._watchdog is not None:
            self._watchdog.enter(invocation_id, function.name, time.monotonic())
        try:
            succeeded, returned, outputs, _, _ = await self._invoke(
                invocation_id,
                function.function_id,
                ((function.parameter, value),),
                trigger_metadata,
                trace_parent or _trace_parent(),
            )
        finally:
            if self._watchdog is not None:
                self._watchdog.leave(invocation_id)
            self.in_flight -= 1
            self._left.set()
        if returned is not None:
            outputs.append(("$return", returned))
        return Invocation(succeeded=succeeded, outputs=tuple(outputs))


def _request(**content: Any) -> SimpleNamespace:
    properties = {"protos": namespace(), "host": "127.0.0.1"}
    return SimpleNamespace(name="", request=SimpleNamespace(**content), properties=properties)


def _function(result: Any) -> Function:
    bindings = tuple(json.loads(raw) for raw in result.raw_bindings)
    triggers = [b for b in bindings if str(b.get("type", "")).lower().endswith("trigger")]
    if len(triggers) != 1:
        raise WorkerStartError(f"Function '{result.name}' has {len(triggers)} triggers; it must have one.")
    [trigger] = triggers
    outputs = [b for b in bindings if str(b.get("direction", "")).lower() == "out"]
    return Function(
        name=result.name,
        function_id=result.function_id,
        kind=str(trigger["type"]),
        parameter=str(trigger["name"]),
        trigger=trigger,
        bindings=bindings,
        http_output=next((str(b["name"]) for b in outputs if str(b["type"]).lower() == "http"), None),
        queue_outputs={str(b["name"]): b for b in outputs if str(b["type"]).lower() == "queue"},
        has_retry=result.retry_options is not None,
    )


def _trace_parent() -> str:
    """Return an unsampled W3C trace context, for invocations without a caller's trace."""
    trace = uuid4().hex
    return f"00-{trace}-{trace[:16]}-00"
