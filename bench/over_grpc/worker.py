"""Serve invocations over gRPC with the library for Python apps: the work of the worker process in Azure.

The loop is that of Azure's worker for Python 3.13 (github.com/Azure/azure-functions-python-worker, workers/proxy_worker): a
thread reads the stream and hands each message to the event loop, outgoing messages go through a queue, and each log line is a
message too.
"""

import asyncio
import logging
import queue
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as runtime  # type: ignore[import-untyped,unused-ignore] # ships no types
import grpc  # type: ignore[import-untyped,unused-ignore] # ships no types

from bench.over_grpc.protocol import METHOD, messages

_INFORMATION = 2
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
protos = messages()
log = logging.getLogger("proxy_worker")


class _SentAsMessages(logging.Handler):
    """Sends log lines to the host."""

    def __init__(self, outgoing: "queue.SimpleQueue[Any]") -> None:
        super().__init__(logging.INFO)
        self._outgoing = outgoing

    def emit(self, record: logging.LogRecord) -> None:
        line = protos.RpcLog(level=_INFORMATION, message=self.format(record), category=record.name)
        self._outgoing.put(protos.StreamingMessage(rpc_log=line))


class Worker:
    """Serves one host."""

    def __init__(self, address: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._address = address
        self._tasks: set[asyncio.Task[None]] = set()
        self.ended = loop.create_future()

    def start(self) -> None:
        """Read the host's messages in a thread."""
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(_SentAsMessages(self._outgoing))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with grpc.insecure_channel(self._address, _UNLIMITED) as channel:
            call = channel.stream_stream(
                METHOD,
                request_serializer=protos.StreamingMessage.SerializeToString,
                response_deserializer=protos.StreamingMessage.FromString,
            )
            self._outgoing.put(protos.StreamingMessage(start_stream=protos.StartStream(worker_id="bench")))
            try:
                for message in call(self._sent()):
                    self._loop.call_soon_threadsafe(self._begin, message)
            except grpc.RpcError:
                pass  # The host has ended.
        self._loop.call_soon_threadsafe(self.ended.set_result, None)

    def _sent(self) -> Iterator[Any]:
        while True:
            yield self._outgoing.get()

    def _begin(self, message: Any) -> None:
        task = self._loop.create_task(self._handle(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, message: Any) -> None:
        kind = message.WhichOneof("content")
        request = SimpleNamespace(name=kind, request=message, properties={"protos": protos, "host": "127.0.0.1"})
        if kind == "invocation_request":
            invocation = message.invocation_request
            log.info(
                "Received FunctionInvocationRequest, request ID %s, function_id: %s, invocation_id: %s, worker_id: %s",
                *(message.request_id, invocation.function_id, invocation.invocation_id, "bench"),
            )
            response = {"invocation_response": await runtime.invocation_request(request)}
        elif kind == "worker_init_request":
            runtime.start_threadpool_executor()
            response = {"worker_init_response": await runtime.worker_init_request(request)}
        else:
            response = {"function_metadata_response": await runtime.functions_metadata_request(request)}
        self._outgoing.put(protos.StreamingMessage(request_id=message.request_id, **response))


async def main(address: str) -> None:
    """Serve the host at an address until it ends."""
    worker = Worker(address, asyncio.get_running_loop())
    worker.start()
    await worker.ended


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
