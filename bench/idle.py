"""Count the cost of an idle relay: storage transactions of its timers and polls, and GB-seconds.

Storage is in memory; Relay's own timers run on it. Each call of a port is a transaction.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from bench.results import Figure
from relay.bootstrap import Relay, configuration
from relay.platform.resources import queues_of
from relay.platform.storage.memory.memory_storage import memory_storage
from relay.platform.storage.ports import Blobs, Queues, Storage, Tables

MINUTES = 30 * 24 * 60
NIGHTS = 30 * 6
"""Runs of the nightly timer a month: every hour from two to seven (function_app.py)."""
BILLED_SECONDS = 1
"""Flex Consumption bills an execution for a second at least
(learn.microsoft.com/azure/azure-functions/flex-consumption-plan#billing)."""
POLLS_A_SECOND = 1
"""Polls of each queue while an instance of its function runs (host.json, maxPollingInterval)."""


class _Counted:
    """A port whose calls are counted."""

    def __init__(self, port: object, kind: str, calls: Counter[str]) -> None:
        self._port, self._kind, self._calls = port, kind, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self._calls[self._kind] += 1
        call: Callable[..., Any] = getattr(self._port, name)
        return call


async def idle(_: int) -> AsyncIterator[Figure]:
    """Measure an idle relay with the default settings: transactions and GB-seconds a month."""
    minute, night = await transactions()
    for kind in ("queue", "table", "blob"):
        a_month = MINUTES * minute[kind] + NIGHTS * night[kind]
        yield Figure(name=f"idle/{kind} transactions of a minute", unit="", runs=[minute[kind]])
        yield Figure(name=f"idle/{kind} transactions of the timers", unit="a month", runs=[a_month])
    queues = len(tuple(queues_of(configuration.load({}).lanes)))
    yield Figure(name="idle/polled queues", unit="", runs=[queues])
    yield Figure(name="idle/polls of a queue", unit="a month", runs=[MINUTES * 60 * POLLS_A_SECOND])
    for memory in (0.5, 2.0):
        seconds = (MINUTES + NIGHTS) * BILLED_SECONDS
        yield Figure(name=f"idle/timers on {memory:g} GB", unit="GB-s a month", runs=[seconds * memory])


async def transactions() -> tuple[Counter[str], Counter[str]]:
    """Count the transactions of a minute's timer and of a night's, by kind of storage."""
    # The search index is updated in one of ten minutes, which is not this one.
    now, calls = datetime(2026, 1, 5, 3, 2, tzinfo=UTC), Counter[str]()

    def clock() -> datetime:
        return now

    memory = memory_storage(clock)
    storage = Storage(
        queues=cast(Queues, _Counted(memory.queues, "queue", calls)),
        tables=cast(Tables, _Counted(memory.tables, "table", calls)),
        blobs=cast(Blobs, _Counted(memory.blobs, "blob", calls)),
    )
    relay = Relay(configuration.load({}), storage, clock=clock)
    await relay.create_storage()
    counts: list[Counter[str]] = []
    for run in (relay.every_minute.run, relay.nightly.run):
        await run()  # creates rows that later runs find
        now += timedelta(minutes=1)
        calls.clear()
        await run()
        counts.append(calls.copy())
    await relay.close()
    return counts[0], counts[1]
