"""Large requests beyond the memory of an instance are refused before they are read; small ones are not."""

import asyncio
import os

import pytest

from relay.api.body_budget import BodyBudget
from relay.core.errors import Refusal
from relay.core.memory import MemoryLimits
from relay.platform.concurrency import LARGE_BYTES
from tests.api.harness import Harness, file, message

LIMITS = MemoryLimits(body_bytes=4_000_000, in_flight_bytes=2_000_000)


def test_large_body_beyond_the_budget_is_refused_until_another_ends() -> None:
    budget = BodyBudget(LIMITS)
    with budget.hold(1_500_000):
        with pytest.raises(Refusal) as refused, budget.hold(600_000):
            pass
        assert (refused.value.status, refused.value.code) == (503, "busy")
        assert int(refused.value.headers["Retry-After"]) >= 1
        with budget.hold(500_000):
            pass
    with budget.hold(600_000):
        pass


def test_small_body_is_admitted_however_much_is_in_progress() -> None:
    budget = BodyBudget(LIMITS)
    with budget.hold(3_900_000), budget.hold(LARGE_BYTES):
        pass


def test_one_body_above_the_budget_is_admitted_alone() -> None:
    budget = BodyBudget(LIMITS)
    with budget.hold(3_000_000):
        pass
    with pytest.raises(Refusal) as refused, budget.hold(4_000_001):
        pass
    assert (refused.value.status, refused.value.code) == (413, "message_too_large")


def test_refused_request_releases_its_bytes() -> None:
    budget = BodyBudget(LIMITS)
    for _ in range(5):
        with pytest.raises(Refusal), budget.hold(1_900_000):
            raise Refusal(400, "invalid_request", "Wrong.")
    with budget.hold(1_900_000):
        pass


async def test_second_large_mail_on_a_small_instance_gets_503_and_a_small_one_is_accepted() -> None:
    relay = await Harness({"RELAY_INSTANCE_MEMORY_MB": "512"}).start()
    relay.blobs.gate, has_begun = asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        has_begun.set()

    relay.blobs.before("put", begin)
    large = message(attachments=[file(os.urandom(6_000_000))])
    first = asyncio.create_task(relay.call("POST", "/v1/messages", json=large))
    await has_begun.wait()
    second = await relay.call("POST", "/v1/messages", json=large)
    assert (second.status, second.error["code"], second.headers["retry-after"]) == (503, "busy", "2")
    await relay.send()
    relay.blobs.gate.set()
    assert (await first).status == 202
    assert (await relay.call("POST", "/v1/messages", json=large)).status == 202


async def test_message_limit_follows_the_memory_of_an_instance() -> None:
    small = await Harness({"RELAY_INSTANCE_MEMORY_MB": "512", "RELAY_MAX_MESSAGE_BYTES": "150000000"}).start()
    assert small.relay.settings.max_message_bytes == small.relay.settings.memory.body_bytes
    large = await Harness({"RELAY_INSTANCE_MEMORY_MB": "4096"}).start()
    assert large.relay.settings.max_message_bytes == 31_457_280
    assert large.relay.content.budget.total > small.relay.content.budget.total
