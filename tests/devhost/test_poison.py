"""Poison messages, and the state after a crash while moving one."""

import pytest

from devhost.host_json import QueueSettings
from devhost.queues import Notices
from devhost.storage import StorageUnavailableError
from tests.devhost.doubles import KilledError, MemoryQueue, message
from tests.devhost.listening import Runs, listening

BASE64 = QueueSettings()


async def test_fifth_failure_moves_the_message_to_the_poison_queue() -> None:
    queue, poison = MemoryQueue("orders", [message("a", dequeue_count=5)]), MemoryQueue("orders-poison")
    await listening(queue, Runs("a"), poison=poison).run()
    assert poison.settled() == [("put", "a")]
    assert queue.settled() == [("delete", "m1", "receipt-1")]


async def test_message_above_the_dequeue_limit_moves_without_a_run() -> None:
    queue, poison = MemoryQueue("orders", [message("a", dequeue_count=6)]), MemoryQueue("orders-poison")
    runs = Runs()
    await listening(queue, runs, poison=poison).run()
    assert runs.bodies == []
    assert (poison.settled(), queue.settled()) == ([("put", "a")], [("delete", "m1", "receipt-1")])


async def test_undecodable_message_moves_unchanged_without_a_run() -> None:
    queue, poison = MemoryQueue("orders", [message("{not base64}")]), MemoryQueue("orders-poison")
    runs = Runs()
    await listening(queue, runs, poison=poison, settings=BASE64).run()
    assert runs.bodies == []
    assert (poison.settled(), queue.settled()) == ([("put", "{not base64}")], [("delete", "m1", "receipt-1")])


async def test_poison_copy_keeps_the_encoding() -> None:
    queue, poison = MemoryQueue("orders", [message("aGk=", dequeue_count=5)]), MemoryQueue("orders-poison")
    runs = Runs("hi")
    await listening(queue, runs, poison=poison, settings=BASE64).run()
    assert runs.bodies == ["hi"]
    assert poison.settled() == [("put", "aGk=")]


async def test_crash_between_copy_and_delete_leaves_the_message_in_both_queues() -> None:
    queue = MemoryQueue("orders", [message("a", dequeue_count=5)], faults={"delete": KilledError()})
    poison = MemoryQueue("orders-poison")
    await listening(queue, Runs("a"), poison=poison).run()
    assert poison.settled() == [("put", "a")]
    # It is redelivered after its lease, does not run again, and is copied a second time.
    again, runs = MemoryQueue("orders", [message("a", dequeue_count=6)]), Runs()
    await listening(again, runs, poison=poison).run()
    assert runs.bodies == []
    assert poison.settled() == [("put", "a"), ("put", "a")]
    assert again.settled() == [("delete", "m1", "receipt-1")]


async def test_failed_copy_keeps_the_message() -> None:
    queue = MemoryQueue("orders", [message("a", dequeue_count=5)])
    poison = MemoryQueue("orders-poison", faults={"put": StorageUnavailableError("503")})
    await listening(queue, Runs("a"), poison=poison).run()
    assert queue.settled() == []


async def test_poison_copy_wakes_the_poison_listener() -> None:
    notices = Notices()
    event = notices.event("orders-poison")
    queue = MemoryQueue("orders", [message("a", dequeue_count=5)])
    await listening(queue, Runs("a"), poison=MemoryQueue("orders-poison"), notices=notices).run()
    assert event.is_set()


@pytest.mark.parametrize(("as_5_3_8", "bodies"), [(False, []), (True, ["a"])])
async def test_poison_function_skips_or_runs_messages_above_the_limit(as_5_3_8: bool, bodies: list[str]) -> None:
    queue, runs = MemoryQueue("orders-poison", [message("a", dequeue_count=6)]), Runs()
    await listening(queue, runs, runs_over_dequeued_poison=as_5_3_8).run()
    assert runs.bodies == bodies
    assert len(queue.settled()) == len(bodies)


async def test_extension_5_3_8_does_not_change_other_queues() -> None:
    queue, runs = MemoryQueue("orders", [message("a", dequeue_count=6)]), Runs()
    await listening(queue, runs, poison=MemoryQueue("orders-poison"), runs_over_dequeued_poison=True).run()
    assert runs.bodies == []
