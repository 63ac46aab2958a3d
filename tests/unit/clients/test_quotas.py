"""Rates and daily quotas that instances share."""

import logging
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clients.policy import Policy
from relay.clients.quotas import SHARE_SECONDS, TABLE, Quotas
from relay.clients.registry import Client
from relay.core.errors import Refusal
from relay.core.settings import Pace
from relay.platform.gcra import burst_of, free_cells, interval_of, wait_for
from relay.platform.storage.memory.memory_storage import MemoryStorage, memory_storage
from tests.doubles import MAC_KEY, Clock, Watched


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def storage(clock: Clock) -> MemoryStorage:
    storage = memory_storage(clock)
    await storage.tables.create(TABLE)
    return storage


def client(*, rate: int | None = None, quota: int | None = None) -> Client:
    return Client(id="c1", name="shop", mac_key=MAC_KEY, policy=Policy(rate_per_minute=rate, daily_quota=quota))


async def test_client_without_limits_costs_no_operation(storage: MemoryStorage, clock: Clock) -> None:
    tables = Watched(storage.tables)
    quotas = Quotas(tables, clock)
    await quotas.take_messages(client(), 1000)
    await quotas.take_recipients(client(), 1000)
    assert not tables.calls
    assert quotas.headers(client()) == {}


async def test_one_share_of_the_rate_covers_several_messages(storage: MemoryStorage, clock: Clock) -> None:
    tables = Watched(storage.tables)
    quotas = Quotas(tables, clock)
    for _ in range(400):
        await quotas.take_messages(client(rate=6000), 1)
    assert tables.calls["get"] < 20
    clock.move(SHARE_SECONDS)
    tables.calls.clear()
    for _ in range(180):
        await quotas.take_messages(client(rate=6000), 1)
    assert tables.calls == {"get": 1, "merge": 1}


@pytest.mark.parametrize("instances", [1, 3, 10, 40, 100])
async def test_client_at_half_its_rate_is_never_refused(storage: MemoryStorage, clock: Clock, instances: int) -> None:
    them = [Quotas(storage.tables, clock) for _ in range(instances)]
    chance = random.Random(instances)
    for _ in range(900):
        clock.move(chance.expovariate(5))
        await chance.choice(them).take_messages(client(rate=600), 1)


async def test_exceeded_rate_is_429_with_retry_after(storage: MemoryStorage, clock: Clock) -> None:
    quotas = Quotas(storage.tables, clock)
    sent = await _as_many_as_go(quotas, client(rate=60))
    assert sent == burst_of(Pace(count=60, seconds=60))
    with pytest.raises(Refusal) as refused:
        await quotas.take_messages(client(rate=60), 1)
    assert (refused.value.status, refused.value.code) == (429, "too_many_requests")
    clock.move(float(refused.value.headers["Retry-After"]) + SHARE_SECONDS)
    await quotas.take_messages(client(rate=60), 1)


async def test_instance_whose_clock_was_ahead_delays_others_by_one_message(
    storage: MemoryStorage, clock: Clock
) -> None:
    ahead = Clock()
    ahead.move(600)
    await _as_many_as_go(Quotas(storage.tables, ahead), client(rate=60))
    quotas = Quotas(storage.tables, clock)
    with pytest.raises(Refusal) as refused:
        await quotas.take_messages(client(rate=60), 1)
    assert refused.value.headers["Retry-After"] == str(math.ceil(interval_of(Pace(count=60, seconds=60))))


async def test_request_larger_than_the_burst_is_refused_with_the_limit(storage: MemoryStorage, clock: Clock) -> None:
    with pytest.raises(Refusal) as refused:
        await Quotas(storage.tables, clock).take_messages(client(rate=60), 13)
    assert "at most 12" in refused.value.message


@pytest.mark.parametrize("instances", [1, 2, 5])
async def test_instances_together_keep_the_rate_in_every_minute(
    storage: MemoryStorage, clock: Clock, instances: int
) -> None:
    them = [Quotas(storage.tables, clock) for _ in range(instances)]
    sent: list[float] = []
    for _ in range(400):
        for quotas in them:
            sent += [clock.now.timestamp()] * await _as_many_as_go(quotas, client(rate=120))
        clock.move(0.7)
    assert _most_within(sent, 60.0) <= 120
    assert len(sent) > 120 * 4 * 0.75


async def test_instances_share_a_quota_until_midnight(storage: MemoryStorage, clock: Clock) -> None:
    first, second = Quotas(storage.tables, clock), Quotas(storage.tables, clock)
    sent = 0
    for _ in range(200):
        for quotas in (first, second):
            sent += await _as_many_as_go(quotas, client(quota=100), limit=1)
    assert sent == 100
    with pytest.raises(Refusal) as refused:
        await first.take_recipients(client(quota=100), 1)
    assert (refused.value.status, refused.value.code) == (429, "quota_exhausted")
    clock.move(float(refused.value.headers["Retry-After"]))
    await first.take_recipients(client(quota=100), 1)


async def test_one_instance_uses_the_whole_quota_with_few_operations(storage: MemoryStorage, clock: Clock) -> None:
    tables = Watched(storage.tables)
    assert await _as_many_as_go(Quotas(tables, clock), client(quota=1000), limit=1001) == 1000
    assert tables.calls["get"] <= 1000 / 5 + 1


async def test_client_at_half_its_quota_is_never_refused_while_processes_come_and_go(
    storage: MemoryStorage, clock: Clock
) -> None:
    for _ in range(400):
        process = Quotas(storage.tables, clock)
        for _ in range(5):
            await process.take_recipients(client(quota=4000), 1)


async def test_rate_is_checked_at_the_time_after_a_lost_race(storage: MemoryStorage, clock: Clock) -> None:
    tables, other = Watched(storage.tables), Quotas(storage.tables, clock)
    await other.take_messages(client(rate=60), 1)

    async def be_first() -> None:
        await _as_many_as_go(other, client(rate=60))
        clock.move(10)

    tables.before("merge", be_first)
    await Quotas(tables, clock).take_messages(client(rate=60), 1)
    assert tables.calls["merge"] == 2


async def test_quota_share_of_a_day_is_not_used_on_the_next(storage: MemoryStorage, clock: Clock) -> None:
    quotas = Quotas(storage.tables, clock)
    await quotas.take_recipients(client(quota=1000), 1)
    clock.move(86_400)
    assert await _as_many_as_go(quotas, client(quota=1000), limit=1001) == 1000


async def test_ninety_percent_of_a_quota_is_logged_once(
    storage: MemoryStorage, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "relay")
    them = [Quotas(storage.tables, clock) for _ in range(3)]
    for number in range(100):
        await them[number % 3].take_recipients(client(quota=100), 1)
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == ["quota_nearly_used"]


async def test_headers_report_what_is_left(storage: MemoryStorage, clock: Clock) -> None:
    quotas = Quotas(storage.tables, clock)
    await quotas.take_messages(client(rate=600), 5)
    assert quotas.headers(client(rate=600)) == {
        "RateLimit-Policy": '"default";q=600;w=60',
        "RateLimit": '"default";r=115;t=2',
    }


async def test_lost_race_is_retried(storage: MemoryStorage, clock: Clock) -> None:
    tables = Watched(storage.tables)
    ours, theirs = Quotas(tables, clock), Quotas(storage.tables, clock)
    tables.before("insert", lambda: take_both(theirs))
    await take_both(ours)
    assert tables.calls == {"get": 3, "insert": 1, "merge": 2}


@given(
    count=st.integers(1, 1000),
    seconds=st.floats(1, 3600),
    behind=st.floats(0, 100),
    wanted=st.integers(1, 50),
)
def test_requested_number_is_free_after_the_wait(count: int, seconds: float, behind: float, wanted: int) -> None:
    pace = Pace(count=count, seconds=seconds)
    now = 1_000.0
    arrival = now + behind * interval_of(pace)
    assert free_cells(pace, arrival, now + wait_for(pace, arrival, now, wanted)) >= min(wanted, burst_of(pace))


async def take_both(quotas: Quotas) -> None:
    """Take from the rate and from the quota."""
    await quotas.take_messages(client(rate=600, quota=1000), 1)
    await quotas.take_recipients(client(rate=600, quota=1000), 1)


async def _as_many_as_go(quotas: Quotas, client: Client, limit: int = 1000) -> int:
    for sent in range(limit):
        try:
            await quotas.take_messages(client, 1)
            await quotas.take_recipients(client, 1)
        except Refusal:
            return sent
    return limit


def _most_within(times: Sequence[float], seconds: float) -> int:
    busiest = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= seconds:
            first += 1
        busiest = max(busiest, last - first + 1)
    return busiest


async def test_quota_counts_recipients_and_rate_counts_messages(storage: MemoryStorage, clock: Clock) -> None:
    quotas = Quotas(storage.tables, clock)
    both = client(rate=600, quota=3)
    with pytest.raises(Refusal, match="quota_exhausted"):
        await quotas.take_recipients(both, 1000)
    await quotas.take_recipients(both, 3)
    with pytest.raises(Refusal, match="quota_exhausted"):
        await quotas.take_recipients(both, 1)
    for _ in range(100):
        await quotas.take_messages(both, 1)
