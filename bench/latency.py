"""Measure the latency for a person: single messages to an idle relay, until the provider has each."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from statistics import quantiles

from bench.acceptance import BODY
from bench.results import Figure
from bench.systems import Running, running

MESSAGES = 20
IDLE_SECONDS = (4.0, 5.0)
"""Pause before each message: after three seconds the host polls an idle queue at its longest interval."""
_LOOK_SECONDS = 0.005


async def idle_to_provider(runs: int) -> AsyncIterator[Figure]:
    """Measure seconds from the request until the provider has the message, and until the caller has its 202."""
    sent: list[float] = []
    accepted: list[float] = []
    async with running("relay") as target:
        await _one(target)  # loads what the first message loads
        for _ in range(runs * MESSAGES):
            await asyncio.sleep(random.uniform(*IDLE_SECONDS))  # noqa: S311 - not a secret
            response, arrival = await _one(target)
            accepted.append(response)
            sent.append(arrival)
    for percent in (50, 99):
        name = f"one message/p{percent}"
        yield Figure(name=f"{name} to the provider", unit="s", runs=[_percentile(sent, percent)])
        yield Figure(name=f"{name} to the 202", unit="s", runs=[_percentile(accepted, percent)])


async def _one(target: Running) -> tuple[float, float]:
    """Send a message. Returns the seconds until the response, and until it arrived."""
    before, begun = await target.arrived(), time.monotonic()
    headers = {**target.headers, "Content-Type": "application/json"}
    async with target.session.post(f"{target.url}/v1/messages", data=BODY, headers=headers) as response:
        await response.read()
        if response.status != 202:
            raise RuntimeError(f"a message was answered by {response.status}, expected 202")
    accepted = time.monotonic() - begun
    while await target.arrived() == before:  # noqa: ASYNC110 - the provider is another process
        await asyncio.sleep(_LOOK_SECONDS)
    return accepted, time.monotonic() - begun


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]
