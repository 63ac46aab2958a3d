"""Output bindings: written after the function has succeeded; a failed write fails the invocation."""

import pytest

from devhost.outputs import Invoker
from devhost.queues import Notices
from devhost.storage import StorageUnavailableError
from devhost.values import Datum
from devhost.worker import Invocation
from tests.devhost.doubles import MemoryQueue, Workers, function, gave, message

FORWARD = function(
    "forward",
    "httpTrigger",
    http_output="$return",
    queue_outputs={"out": {"name": "out", "type": "queue", "queueName": "next"}},
)


def invoker(
    workers: Workers, queue: MemoryQueue, notices: Notices | None = None, *, is_base64: bool = False
) -> Invoker:
    return Invoker(workers, is_base64=is_base64, queue_for=lambda _: queue, notices=notices or Notices())


async def test_output_is_written_and_wakes_its_listener() -> None:
    queue, notices = MemoryQueue("next"), Notices()
    event = notices.event("next")
    workers = gave(("out", Datum("bytes", b'{"a":1}')), ("$return", Datum("string", "ok")))
    invocation = await invoker(workers, queue, notices).invoke(FORWARD, Datum("http", {}), {})
    assert queue.steps == [("put", '{"a":1}')]
    assert event.is_set()
    assert invocation.succeeded


async def test_list_becomes_one_message_per_item_in_the_apps_encoding() -> None:
    queue = MemoryQueue("next")
    workers = gave(("out", Datum("json", '["a", "b"]')))
    await invoker(workers, queue, is_base64=True).invoke(FORWARD, Datum("http", {}), {})
    assert queue.steps == [("put", "YQ=="), ("put", "Yg==")]


async def test_failed_invocation_writes_no_output() -> None:
    queue = MemoryQueue("next")
    await invoker(gave(("out", Datum("string", "a")), succeeded=False), queue).invoke(FORWARD, Datum("http", {}), {})
    assert queue.steps == []


async def test_failed_write_fails_the_invocation() -> None:
    queue = MemoryQueue("next", faults={"put": StorageUnavailableError("503")})
    workers = gave(("out", Datum("string", "a")), ("$return", Datum("string", "ok")))
    invocation = await invoker(workers, queue).invoke(FORWARD, Datum("http", {}), {})
    assert invocation == Invocation(succeeded=False)


@pytest.mark.parametrize("kind", ["binary", "string", None])
async def test_queue_function_receives_text_or_bytes_with_metadata(kind: str | None) -> None:
    workers = gave()
    consume = function(trigger={} if kind is None else {"dataType": kind.upper()})
    assert await invoker(workers, MemoryQueue()).invoke_with_message(consume, b"hi", message())
    [(value, metadata)] = workers.seen
    assert (value.type, value.value) == (("bytes", b"hi") if kind == "binary" else ("string", "hi"))
    assert metadata["Id"].value == "m1"


async def test_binary_message_for_a_text_function_fails_without_a_run() -> None:
    workers = gave()
    assert not await invoker(workers, MemoryQueue()).invoke_with_message(function(), b"\xff", message())
    assert workers.seen == []
