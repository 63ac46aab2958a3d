"""The scenarios of several instances, of clocks that differ, of slow storage and providers, and of changes in between."""

import asyncio
from datetime import timedelta
from typing import Any

from relay.core.model import State
from tests.crash_points.host import NIGHT, RECOVERY
from tests.crash_points.providers import Account
from tests.crash_points.scenarios import (
    AWAY,
    MAYBE_TWO,
    ONE,
    ONE_ROUTE,
    SENT,
    TWO,
    first,
    for_subject,
    one,
    settings_of,
)
from tests.crash_points.timer_scenarios import leave
from tests.crash_points.trial import Scenario, Stage
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE

TWO_INSTANCES = (0.0, 0.0)
TEN_MINUTES_APART = (0.0, 600.0)
ONE_AT_ONCE = settings_of({"main": {"provider": "capture", "concurrency": 1}})
SLOW = [f"one of eight {number}" for number in range(8)]
POISONED = [f"poison {number}" for number in range(6)]
OLD_TEXT = "A long letter. " * 4000


async def repeated_after_changes(stage: Stage) -> None:
    """A request is repeated after its template, the suppressions and the time have changed."""
    caller = stage.caller
    fields: dict[str, Any] = {"to": ["ann@example.net", "bob@example.net"], "template": "note", "text": None}
    await caller.insist("PUT", "/v1/templates/note", {"text": "Hello"})
    await caller.submit("one", key="first", repeats=1, **fields)
    await caller.insist("PUT", "/v1/templates/note", {"text": "Another text. " * 5000})
    await caller.insist("POST", "/v1/suppressions", {"email": "bob@example.net"})
    stage.world.skip_to(stage.world.clock() + timedelta(hours=3))
    await caller.submit("one", key="first", **fields)


async def large_pair(stage: Stage) -> None:
    """Two messages, of which one is read from a blob before its attempt."""
    await asyncio.gather(
        stage.caller.submit("one", text=OLD_TEXT, delivery="at_most_once"),
        stage.caller.submit("two", delivery="at_least_once"),
    )


async def differing_pair(stage: Stage) -> None:
    """Two messages of which one is deferred, for instances whose clocks differ."""
    await asyncio.gather(
        stage.caller.submit("one", delivery="at_most_once"),
        stage.caller.submit("two", send_at=(stage.world.clock() + timedelta(seconds=90)).isoformat()),
    )


async def lost_entry(stage: Stage) -> None:
    """The queue loses the entry of a deferred message, as it must never do."""
    await stage.caller.submit("one")
    await asyncio.sleep(6)
    stage.world.queues.lose(MAIN_QUEUE, lambda _: True)


async def slow_provider(stage: Stage) -> None:
    await stage.caller.submit_all(*SLOW, delivery="at_most_once")


async def slow_storage(stage: Stage) -> None:
    """Storage takes seconds for each operation while there is work for both timers."""
    await stage.caller.submit_all(*SLOW)
    await stage.caller.submit("outdated", text=OLD_TEXT)
    await asyncio.sleep(1_800)
    for submission in stage.caller.submissions.values():
        # The first night may not have the time for it.
        submission.may_be_purged = True
    stage.world.skip_to(stage.world.clock() + timedelta(days=15))
    for label in POISONED:
        await leave(stage, POISON_QUEUE, label, is_revived=True)
    await stage.night(16)


TROUBLE_SCENARIOS = (
    Scenario(name="repeated after changes", settings=ONE_ROUTE, accounts=one(), play=repeated_after_changes, ends=ONE),
    Scenario(
        name="two instances",
        settings=ONE_ROUTE,
        accounts=one(for_subject("two", first(AWAY))),
        play=large_pair,
        skews=TWO_INSTANCES,
        ends=TWO,
        may_end=MAYBE_TWO,
    ),
    Scenario(
        name="clocks ten minutes apart",
        settings=ONE_ROUTE,
        accounts=one(first(AWAY)),
        play=differing_pair,
        skews=TEN_MINUTES_APART,
        ends=TWO,
        may_end=MAYBE_TWO,
    ),
)

FAULTLESS = (
    Scenario(name="lost entry", settings=ONE_ROUTE, accounts=one(first(AWAY)), play=lost_entry, ends=ONE),
    Scenario(
        name="slow provider, one message at once",
        settings=ONE_AT_ONCE,
        accounts=lambda: {"main": Account(seconds=60.0)},
        play=slow_provider,
        ends={label: {SENT} for label in SLOW},
        attempts=dict.fromkeys(SLOW, 1),
    ),
    Scenario(
        name="slow storage",
        settings=ONE_ROUTE,
        accounts=one(),
        play=slow_storage,
        triggers=(*RECOVERY, NIGHT),
        queues=(MAIN_QUEUE,),
        latency=8.0,
        ends={label: {State.FAILED} for label in POISONED} | {label: {SENT} for label in (*SLOW, "outdated")},
        most_deaths=0,
    ),
)
"""Run without a further fault: the scenarios already take as long as leases and time limits allow."""
