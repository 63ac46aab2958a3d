"""The queue listener on a queue in memory. Delays are recorded, not waited for."""

import asyncio
from datetime import timedelta

import pytest

from devhost.host_json import QueueSettings
from devhost.queue_rules import QueueMessage
from devhost.queues import Notices
from devhost.storage import MessageGoneError, StorageRefusedError, StorageUnavailableError
from tests.devhost.doubles import MemoryQueue, message
from tests.devhost.listening import Runs, Waits, listening


async def test_message_is_leased_for_ten_minutes_run_and_deleted() -> None:
    queue, runs = MemoryQueue("orders", [message("a")]), Runs()
    await listening(queue, runs).run()
    assert runs.bodies == ["a"]
    assert queue.steps[:2] == [("exists",), ("receive", 16, 600)]
    assert queue.settled() == [("delete", "m1", "receipt-1")]


async def test_missing_queue_is_checked_again_and_never_created() -> None:
    queue = MemoryQueue(is_there=False)
    await listening(queue, Runs(), waits=Waits(3)).run()
    assert queue.steps == [("exists",)] * 3


async def test_failed_poll_is_retried_after_checking_that_the_queue_exists() -> None:
    queue = MemoryQueue(faults={"receive": StorageUnavailableError("503")})
    waits = Waits(2)
    await listening(queue, Runs(), waits=waits).run()
    assert [step[0] for step in queue.steps] == ["exists", "receive", "exists", "receive"]
    assert waits.delays == pytest.approx([0.1, 0.2])


async def test_refusal_by_storage_is_raised() -> None:
    queue = MemoryQueue(faults={"receive": StorageRefusedError("403")})
    with pytest.raises(StorageRefusedError):
        await listening(queue, Runs()).run()


async def test_found_messages_trigger_an_immediate_poll_and_reset_the_backoff() -> None:
    batches = [[], [], [], [message("a")], [message("b")]]
    queue, waits = MemoryQueue("orders", *batches), Waits(5)
    await listening(queue, Runs(), waits=waits).run()
    assert waits.delays == pytest.approx([0.1, 0.2, 0.3, 0.1, 0.2])
    assert len([step for step in queue.steps if step[0] == "receive"]) == 7


async def test_new_batch_waits_for_the_threshold() -> None:
    settings = QueueSettings(batch_size=2, new_batch_threshold=1, is_base64=False)
    first, second = [message("a", number=1), message("b", number=2)], [message("c", number=3)]
    queue, runs = MemoryQueue("orders", first, second), Runs()
    runs.gate.clear()
    running = asyncio.create_task(listening(queue, runs, settings=settings).run())
    await runs.begun.wait()
    assert runs.bodies == ["a", "b"]
    assert queue.steps.count(("receive", 2, 600)) == 1
    runs.gate.set()
    await running
    assert runs.bodies == ["a", "b", "c"]


async def test_notice_during_an_empty_poll_ends_the_next_delay() -> None:
    notices, seen = Notices(), []

    class NotifyingQueue(MemoryQueue):
        async def receive(self, count: int, lease_seconds: int) -> list[QueueMessage]:
            notices.notify("orders")
            return await super().receive(count, lease_seconds)

    class SeeingWaits(Waits):
        async def __call__(self, event: asyncio.Event, seconds: float) -> None:
            seen.append(event.is_set())
            await super().__call__(event, seconds)

    await listening(NotifyingQueue(), Runs(), waits=SeeingWaits(), notices=notices).run()
    assert seen == [True]


async def test_stop_ends_polling_and_waits_for_running_messages() -> None:
    queue, runs = MemoryQueue("orders", [message("a")], [message("b")]), Runs()
    runs.gate.clear()
    listener = listening(queue, runs, settings=QueueSettings(new_batch_threshold=0, is_base64=False))
    running = asyncio.create_task(listener.run())
    await runs.begun.wait()
    listener.stop()
    runs.gate.set()
    await running
    assert runs.bodies == ["a"]
    assert queue.settled() == [("delete", "m1", "receipt-1")]


async def test_failed_message_is_released_after_the_visibility_timeout() -> None:
    settings = QueueSettings(visibility_timeout=timedelta(seconds=30), is_base64=False)
    queue = MemoryQueue("orders", [message("a", dequeue_count=4)])
    await listening(queue, Runs("a"), settings=settings, poison=MemoryQueue("orders-poison")).run()
    assert queue.settled() == [("extend", "m1", "receipt-1", 30)]


async def test_failed_message_without_a_poison_queue_stays_leased() -> None:
    queue = MemoryQueue("orders", [message("a", dequeue_count=5)])
    await listening(queue, Runs("a")).run()
    assert queue.settled() == []


@pytest.mark.parametrize("failing", [(), ("a",)])
async def test_lease_lost_during_the_run_is_ignored(failing: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    gone = MessageGoneError("404")
    queue = MemoryQueue("orders", [message("a")], faults={"delete": gone, "extend": gone})
    await listening(queue, Runs(*failing), poison=MemoryQueue("orders-poison")).run()
    assert len(queue.settled()) == 1
    assert caplog.records == []


async def test_long_run_renews_the_lease_and_settles_with_the_new_receipt() -> None:
    queue, runs = MemoryQueue("orders", [message("a")]), Runs()
    runs.gate.clear()
    listener = listening(queue, runs, renewal_seconds=0)
    running = asyncio.create_task(listener.run())
    await queue.extended.wait()
    runs.gate.set()
    await running
    extended, *_, deleted = queue.settled()
    assert extended == ("extend", "m1", "receipt-1", 600)
    assert deleted[0] == "delete"
    assert str(deleted[2]).startswith("receipt-1+")


async def test_lost_lease_is_not_renewed_and_the_function_continues() -> None:
    queue, runs = MemoryQueue("orders", [message("a")], faults={"extend": MessageGoneError("404")}), Runs()
    runs.gate.clear()
    running = asyncio.create_task(listening(queue, runs, renewal_seconds=0).run())
    await queue.extended.wait()
    queue.extended.clear()
    # Enough iterations for several renewals.
    for _ in range(20):
        await asyncio.sleep(0)
    assert not queue.extended.is_set()
    runs.gate.set()
    await running
    assert queue.settled()[-1] == ("delete", "m1", "receipt-1")
