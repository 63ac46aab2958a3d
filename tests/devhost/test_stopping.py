"""How the host process ends, and the state it leaves."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from azure.storage.queue.aio import QueueClient

from tests.devhost.running import RunningHost, running_host

# It would count as running too.
NO_TIMER = {"AzureWebJobs_tick_Disabled": "1"}


@asynccontextmanager
async def with_message(
    azurite: str, name: str, *options: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[RunningHost, QueueClient]]:
    """Run a host whose `consume` receives the one message of a queue made for this test."""
    async with QueueClient.from_connection_string(azurite, name) as queue:
        await queue.create_queue()
        await queue.send_message("work")
        async with running_host(azurite, name, *options, settings={**NO_TIMER, **(settings or {})}) as host:
            yield host, queue


async def count(queue: QueueClient) -> int:
    """Return the number of messages on the queue, including leased ones."""
    return (await queue.get_queue_properties()).approximate_message_count or 0


async def ended(host: RunningHost) -> int:
    """Return the exit code."""
    text = str(await host.child.until_ended())
    return int(text.partition("exit code ")[2].partition(")")[0])


async def test_sigterm_lets_running_messages_finish_and_settle(azurite: str) -> None:
    async with with_message(azurite, "stop-finishes") as (host, queue), aiohttp.ClientSession() as session:
        asking = asyncio.create_task(session.get(f"{host.url}/asks"))
        caller, message = await host.notes.next("asks"), await host.notes.next("consume")
        os.kill(host.child.pid, signal.SIGTERM)
        await until_refused(host.url)
        message.answer()
        caller.answer("served to the end")
        async with await asking as response:
            assert await response.text() == "served to the end"
        assert await ended(host) == 0
        assert await count(queue) == 0


async def until_refused(url: str) -> None:
    """Wait until the port is closed."""
    host, _, port = url.removeprefix("http://").partition(":")
    with contextlib.suppress(ConnectionError):
        while True:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            await writer.wait_closed()


async def test_message_unfinished_at_the_deadline_stays_leased(azurite: str) -> None:
    async with with_message(azurite, "stop-leaves", "--stop-seconds", "0") as (host, queue):
        await host.notes.next("consume")
        os.kill(host.child.pid, signal.SIGTERM)
        assert await ended(host) == 0
        assert await count(queue) == 1
        assert await queue.receive_message() is None
        assert "Stopped with 1 invocations unfinished" in "\n".join(host.lines)


async def test_function_above_its_timeout_ends_the_process(azurite: str) -> None:
    limit = {"AzureFunctionsJobHost__functionTimeout": "00:00:01"}
    async with with_message(azurite, "stop-overdue", settings=limit) as (host, queue):
        await host.notes.next("consume")
        assert await ended(host) == 3
        assert await queue.receive_message() is None
        assert "A function timeout has occurred in 'consume'" in "\n".join(host.lines)


async def test_refusal_by_storage_ends_the_host(azurite: str) -> None:
    wrong_key = azurite.replace("AccountKey=", "AccountKey=AAAA")
    async with running_host(wrong_key, "stop-refused", settings=NO_TIMER) as host:
        assert await ended(host) == 1
        assert "An unhandled exception has occurred. Host is shutting down." in "\n".join(host.lines)
