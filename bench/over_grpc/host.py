"""Call a worker over gRPC: the part of the Functions host that invokes functions."""

import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio  # type: ignore[import-untyped,unused-ignore] # ships no types

from bench.over_grpc.protocol import METHOD, messages
from bench.systems import ROOT

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
protos = messages()


class WorkerFailure(Exception):
    """The worker could not start, or a function failed."""


class Host:
    """Calls the functions of one worker. `pid` is the worker's process."""

    def __init__(self) -> None:
        self._outgoing: asyncio.Queue[Any] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._functions: Mapping[str, Any] = {}
        self.is_connected = asyncio.Event()
        self.pid = 0

    async def stream(self, incoming: AsyncIterator[Any], _: object) -> AsyncIterator[Any]:
        """Serve the worker's stream."""
        reading = asyncio.create_task(self._read(incoming))
        try:
            while True:
                yield await self._outgoing.get()
        finally:
            reading.cancel()

    async def _read(self, incoming: AsyncIterator[Any]) -> None:
        async for message in incoming:
            kind = message.WhichOneof("content")
            if kind == "start_stream":
                self.is_connected.set()
            elif kind != "rpc_log":
                self._waiting.pop(message.request_id).set_result(getattr(message, kind))

    async def _ask(self, **content: Any) -> Any:
        number = f"{next(self._numbers):036}"
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._outgoing.put(protos.StreamingMessage(request_id=number, **content))
        return await self._waiting[number]

    async def load(self) -> None:
        """Let the worker import and index the app."""
        init = protos.WorkerInitRequest(host_version="4.1", function_app_directory=str(ROOT))
        started = await self._ask(worker_init_request=init)
        if started.result.status != protos.StatusResult.Success:
            raise WorkerFailure(started.result.exception.message)
        found = await self._ask(functions_metadata_request=protos.FunctionsMetadataRequest())
        self._functions = {each.name: each for each in found.function_metadata_results}

    async def invoke(self, function: str, data: Any, metadata: Mapping[str, Any] | None = None) -> Any:
        """Call a function with its trigger's data. Returns the value it returned."""
        known = self._functions[function]
        trigger = next(b for b in map(json.loads, known.raw_bindings) if str(b["type"]).lower().endswith("trigger"))
        number = f"{next(self._numbers):032x}"
        request = protos.InvocationRequest(
            invocation_id=number,
            function_id=known.function_id,
            input_data=[protos.ParameterBinding(name=trigger["name"], data=data)],
            trigger_metadata=metadata or {},
            trace_context=protos.RpcTraceContext(trace_parent=f"00-{number}-{number[:16]}-00"),
        )
        response = await self._ask(invocation_request=request)
        if response.result.status != protos.StatusResult.Success:
            raise WorkerFailure(response.result.exception.message)
        return response.return_value


@asynccontextmanager
async def worker(environment: Mapping[str, str]) -> AsyncIterator[Host]:
    """Start a worker with the app, and return its host."""
    host = Host()
    server = grpc.aio.server(options=_UNLIMITED)
    handler = grpc.stream_stream_rpc_method_handler(
        host.stream,
        request_deserializer=protos.StreamingMessage.FromString,
        response_serializer=protos.StreamingMessage.SerializeToString,
    )
    service, _, method = METHOD[1:].partition("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.over_grpc.worker", f"127.0.0.1:{port}"), cwd=ROOT, env=environment
    )
    try:
        host.pid = process.pid
        await host.is_connected.wait()
        await host.load()
        yield host
    finally:
        await server.stop(grace=None)
        await process.wait()
